//! Request and response bodies of the API: leases, progress, updates, heartbeats, registrations and
//! more.
#![no_main]

use fuzz::json::read;
use fuzz::seeds::{with_choice, write_seeds};
use libfuzzer_sys::fuzz_target;
use protocol::api::{CreatedToken, Events, Token, TokenRequest};
use protocol::dataset::{AddedDataset, DatasetInfo};
use protocol::device::{Device, Heartbeat, HeartbeatAnswer};
use protocol::enrollment::{DeviceRegistration, Registered, signed};
use protocol::join::exchange::{JoinAnswer, JoinRequest};
use protocol::join::{CreatedJoinCode, JoinCodeRequest};
use protocol::lease::{Lease, LeaseReturn, Progress, ProgressAnswer, Update, UpdateAnswer};
use protocol::webhook::WebhookRequest;
use protocol::{Pin, Problem};

fuzz_target!(init: write_seeds(seeds()), |bytes: &[u8]| {
    let Some((choice, bytes)) = bytes.split_first() else { return };
    match choice % 20 {
        0 => {
            if let Some(Heartbeat { session: Some(session), .. }) = read(bytes) {
                let bounded = session.is_bounded();
                assert!(!bounded || session.id.len() <= 64 && session.after.len() <= 8);
                assert!(session.follows(&session.id));
            }
        }
        1 => {
            if let Some(registration) = read::<DeviceRegistration>(bytes) {
                let pin = Pin::from_bytes([1; 32]);
                signed(&registration.challenge, &pin, &registration.hardware_id, registration.instance, &registration.fingerprint);
            }
        }
        2 => drop(read::<Progress>(bytes)),
        3 => drop(read::<LeaseReturn>(bytes)),
        4 => drop(read::<Update>(bytes)),
        5 => {
            if let Some(lease) = read::<Lease>(bytes) {
                lease.plan.steps(lease.rows);
                fuzz::jobs::examine_model(&lease.spec);
            }
        }
        6 => drop(read::<ProgressAnswer>(bytes)),
        7 => drop(read::<UpdateAnswer>(bytes)),
        8 => drop(read::<HeartbeatAnswer>(bytes)),
        9 => drop(read::<Registered>(bytes)),
        10 => drop(read::<JoinRequest>(bytes)),
        11 => drop(read::<JoinAnswer>(bytes)),
        12 => drop(read::<JoinCodeRequest>(bytes)),
        13 => drop(read::<CreatedJoinCode>(bytes)),
        14 => drop((read::<TokenRequest>(bytes), read::<CreatedToken>(bytes), read::<Token>(bytes))),
        15 => drop(read::<WebhookRequest>(bytes)),
        16 => drop(read::<Problem>(bytes)),
        17 => drop(read::<Device>(bytes)),
        18 => drop((read::<DatasetInfo>(bytes), read::<AddedDataset>(bytes))),
        _ => drop(read::<Events>(bytes)),
    }
});

const ID: &str = "01890a5d-ac96-774b-bcce-b302099a8057";
const HASH: &str = "5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03";
const FINGERPRINT: &str =
    r#"{"app":"0.1.0","burn":"0.22.1","backend":"cpu","hardware":"aarch64+neon"}"#;
const METRICS: &str = r#"{"loss":0.5,"steps":10,"examples":320,"seconds":1.5}"#;
const TIME: &str = "2026-11-23T09:00:00.123Z";

fn seeds() -> Vec<Vec<u8>> {
    let bodies = [
        (0, format!(r#"{{"state":"held","reason":"in_use","lease":"{ID}","session":{{"id":"a","after":["b","c"]}}}}"#)),
        (0, r#"{"state":"training"}"#.to_owned()),
        (1, format!(r#"{{"name":"mac","device_type":"mac","cores":8,"ram_gb":16.0,"gpu_available":true,"gpu_name":"M4","hardware_id":"h",
            "instance":1,"fingerprint":{FINGERPRINT},"public_key":"AP8-Pw","challenge":"c","signature":"AP8-Pw","copy_of":"{ID}"}}"#)),
        (2, r#"{"step":5,"steps":10,"loss":0.7,"examples_per_second":1234.5}"#.to_owned()),
        (3, r#"{"reason":"failed","detail":"out of memory"}"#.to_owned()),
        (4, format!(r#"{{"blob":"{HASH}","codec":"f32-le","metrics":{METRICS},"fingerprint":{FINGERPRINT}}}"#)),
        (5, format!(r#"{{"id":"{ID}","job_id":"{ID}","job_name":"j","dataset":"d","device_id":"{ID}","round":1,"total_rounds":3,"partition":0,
            "seed":42,"spec":{{"input":{{"kind":"text","buckets":100,"ngrams":2,"max_words":50}},"layers":[{{"kind":"embedding_bag","dimension":4}},
            {{"kind":"linear","outputs":2}}]}},"plan":{{"local_work":{{"epochs":1}},"batch_size":32,"optimizer":{{"kind":"adam","learning_rate":0.01}},
            "threads":1}},"base":"{HASH}","shards":["{HASH}"],"rows":100,"granted_at":"{TIME}","deadline":"{TIME}"}}"#)),
        (6, format!(r#"{{"standing":"held","deadline":"{TIME}","seconds_left":59.9,"next_seconds":10.0}}"#)),
        (7, r#"{"outcome":"accepted"}"#.to_owned()),
        (8, r#"{"heartbeat_seconds":30,"return_within_seconds":4.5,"lease_held":true}"#.to_owned()),
        (9, format!(r#"{{"id":"{ID}","token":"t","heartbeat_seconds":30,"enrolment":"rekeyed"}}"#)),
        (10, r#"{"hint":"0123abcd","message":"AP8-Pw"}"#.to_owned()),
        (11, r#"{"cluster_id":"i","cluster_name":"n","message":"AP8-Pw","confirmation":"AP8-Pw"}"#.to_owned()),
        (12, r#"{"name":"n","uses":10,"expires_in":604800}"#.to_owned()),
        (13, format!(r#"{{"id":"i","name":"n","link":"l","code":"c","maximum_uses":1,"expires_at":"{TIME}"}}"#)),
        (14, r#"{"role":"viewer","name":"wall","expires_in":2592000}"#.to_owned()),
        (14, format!(r#"{{"id":"i","role":"admin","name":"n","created_at":"{TIME}","last_used":null,"expires_at":"-009999-01-02T01:59:59Z"}}"#)),
        (15, r#"{"url":"https://example.com/hook","events":["job_completed"],"secret":"s"}"#.to_owned()),
        (16, r#"{"type":"about:blank","title":"Invalid","status":422,"detail":"d","field":"name"}"#.to_owned()),
        (17, format!(r#"{{"id":"{ID}","name":"n","device_type":"mac","cores":8,"ram_gb":16.5,"gpu_available":false,"gpu_name":null,"is_active":true,
            "last_seen":"{TIME}","created_at":"{TIME}","state":"waiting","reason":null,"fingerprint":{FINGERPRINT},"revoked":false,
            "quarantined":{{"since":"{TIME}","reason":"r"}}}}"#)),
        (18, r#"{"name":"d","sample":{"kind":"image","channels":1,"height":28,"width":28},"classes":["a","b"],"train_rows":10,"test_rows":2,
            "source":"uploaded","licence":"l"}"#.to_owned()),
        (19, r#"{"revision":7,"changes":[{"kind":"join_code","id":"x"}],"reset":false}"#.to_owned()),
    ];
    bodies.map(|(choice, body)| with_choice(choice, body)).into()
}
