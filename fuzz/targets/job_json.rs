//! Bodies of `POST /jobs`.
#![no_main]

use fuzz::seeds::write_seeds;
use fuzz::{jobs, json};
use libfuzzer_sys::fuzz_target;
use protocol::job::JobSpec;
use protocol::unknown_field::unknown_field;

fuzz_target!(init: write_seeds(SEEDS), |bytes: &[u8]| {
    let Some(job) = json::read::<JobSpec>(bytes) else { return };
    if let (Ok(written), Ok(read)) = (serde_json::from_slice(bytes), serde_json::to_value(&job)) {
        drop(unknown_field(&written, &read));
        assert_eq!(unknown_field(&read, &read), None);
    }
    jobs::examine(&job);
});

const SEEDS: [&str; 5] = [
    r#"{"name":"n","model_type":"nlp","dataset":"ag_news"}"#,
    r#"{"name":"n","model_type":"vision","dataset":"digits","seed":7,"model":{"preset":"cnn"},
        "data":{"partitions":12,"partitioner":{"kind":"dirichlet","alpha":0.1},"train_limit":0},
        "plan":{"local_steps":10,"batch_size":32,"optimizer":{"kind":"sgd","learning_rate":0.1,"momentum":0.9,"weight_decay":0.0},"threads":1},
        "strategy":{"name":"fedavg","fraction":1.0,"maximum_norm":0.0},
        "run":{"rounds":3,"target_accuracy":0.0,"minimum_fraction":0.5,"round_deadline":"30m","reproducible":true,"priority":-1}}"#,
    r#"{"name":"n","model_type":"nlp","dataset":"d","model":{"input":{"kind":"text","buckets":1000,"ngrams":1,"max_words":60,"unique":true},
        "layers":[{"kind":"embedding","dimension":8},{"kind":"conv_max_pool","channels":4,"widths":[3,4,5]},{"kind":"dropout","probability":0.5},
        {"kind":"linear","outputs":3}]},"data":{"partitioner":{"kind":"shards","per_partition":2}},
        "plan":{"local_epochs":1,"optimizer":{"kind":"adamw","learning_rate":0.01}},"run":{"round_deadline":"PT2H"}}"#,
    r#"{"name":"n","model_type":"vision","dataset":"d","model":{"input":{"kind":"image","channels":1,"height":28,"width":28,"mean":0.5,"deviation":0.25},
        "layers":[{"kind":"conv2d","channels":4,"kernel":3,"stride":2,"padding":1},{"kind":"relu"},{"kind":"max_pool2d","kernel":2,"stride":2},
        {"kind":"flatten"},{"kind":"layer_norm"},{"kind":"gelu"},{"kind":"linear","outputs":3}]},
        "data":{"partitioner":{"kind":"quantity","alpha":1e-9},"partitions":3},"plan":{"optimizer":{"kind":"adam","learning_rate":0.001}}}"#,
    r#"{"name":"n","model_type":"nlp","dataset":"d","modl":{},"plan":{"batchsize":3}}"#,
];
