//! Messages between a trainer and its supervising process, one per line.
#![no_main]

use fuzz::seeds::write_seeds;
use fuzz::{jobs, json};
use libfuzzer_sys::fuzz_target;
use protocol::BlobHash;
use protocol::trainer::{TrainerReply, TrainerRequest};

fuzz_target!(init: write_seeds(SEEDS), |bytes: &[u8]| {
    for line in bytes.split(|byte| *byte == b'\n') {
        drop(json::read::<TrainerReply>(line));
        match json::read::<TrainerRequest>(line) {
            Some(TrainerRequest::Train(request)) => {
                jobs::examine_model(&request.spec);
                request.plan.steps(1000);
                let base = BlobHash::compute(b"base");
                assert_eq!(request.work(base, &[]), request.clone().work(base, &[]));
                assert_ne!(request.work(base, &[]), request.work(base, &[base]));
            }
            Some(TrainerRequest::Initialize(request)) => jobs::examine_model(&request.spec),
            Some(TrainerRequest::Evaluate(request)) => jobs::examine_model(&request.spec),
            Some(TrainerRequest::Predict(request)) => jobs::examine_model(&request.spec),
            Some(TrainerRequest::Stop) | None => {}
        }
    }
});

const SEEDS: [&str; 4] = [
    concat!(
        r#"{"reply":"ready","fingerprint":{"app":"0.1.0","burn":"0.22.1","backend":"cpu","hardware":"x86_64+avx2"},"gpu_name":null,"reason":"r"}"#,
        "\n",
        r#"{"reply":"progress","step":1,"steps":10,"loss":0.5,"examples_per_second":1000.0}"#,
        "\n",
        r#"{"reply":"trained","update":"5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03","metrics":{"loss":0.5,"steps":10,"examples":320,"seconds":1.5}}"#,
        "\n",
        r#"{"reply":"stopped","step":3}"#,
        "\n",
        r#"{"reply":"failed","failure":"diverged","message":"m"}"#,
    ),
    r#"{"request":"train","spec":{"input":{"kind":"text","buckets":100,"ngrams":2,"max_words":50},"layers":[{"kind":"embedding_bag","dimension":4},{"kind":"linear","outputs":2}]},"plan":{"local_work":{"steps":5},"batch_size":32,"optimizer":{"kind":"sgd","learning_rate":0.01},"threads":1},"seed":1,"round":1,"partition":0,"base":"b","shards":["s"],"checkpoint":"c","checkpoint_seconds":10.0,"output":"o","key":"5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03"}"#,
    r#"{"request":"initialize","spec":{"input":{"kind":"image","channels":1,"height":8,"width":8,"mean":0.5,"deviation":0.5},"layers":[{"kind":"flatten"},{"kind":"linear","outputs":2}]},"seed":1,"output":"o"}
{"request":"stop"}"#,
    r#"{"reply":"evaluated","metrics":{"accuracy":0.5,"loss":0.7,"examples":4,"confusion":[[1,1],[1,1]]}}"#,
];
