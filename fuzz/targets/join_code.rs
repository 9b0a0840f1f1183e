//! Join codes: links, typed codes, and the messages of the key exchange that proves knowledge of a
//! code.
#![no_main]

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use fuzz::seeds::{with_choice, write_seeds};
use libfuzzer_sys::fuzz_target;
use protocol::join::exchange::{JoinAnswer, WorkerExchange, answer};
use protocol::join::{Join, JoinCode, JoinSecret, LINK_PREFIX};
use protocol::{Opaque, Pin};
use uuid::Uuid;

const PIN: Pin = Pin::from_bytes([7; 32]);
const SECRET: JoinSecret = JoinSecret::from_bytes([9; 10]);

fuzz_target!(init: write_seeds(seeds()), |bytes: &[u8]| {
    let Some((choice, bytes)) = bytes.split_first() else { return };
    match choice % 3 {
        0 => {
            if let Ok(text) = std::str::from_utf8(bytes) {
                read(text);
            }
        }
        // A mutated link almost never passes its checksum, so this one gets a valid checksum.
        1 => {
            let sum = blake3::hash(bytes);
            let content = [bytes, &sum.as_bytes()[..4]].concat();
            read(&format!("{LINK_PREFIX}{}", URL_SAFE_NO_PAD.encode(content)));
        }
        _ => exchange(bytes),
    }
});

fn read(text: &str) {
    match text.parse::<Join>() {
        Ok(Join::Link(code)) => assert_eq!(code.link().parse(), Ok(*code)),
        Ok(Join::Typed(secret)) => assert_eq!(secret.typed().parse(), Ok(secret)),
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}

fn exchange(message: &[u8]) {
    let worker = || WorkerExchange::begin(&SECRET, PIN, [1; 64]);
    let mut request = worker().request().clone();
    request.message = Opaque(message.to_vec());
    let names = || (String::from("id"), String::from("name"));
    drop(answer(&SECRET.password(), PIN, names(), &request, [2; 64]));
    let (cluster_id, cluster_name) = names();
    let (own, confirmation) = message.split_at(message.len().min(33));
    let forged = JoinAnswer {
        cluster_id,
        cluster_name,
        message: Opaque(own.to_vec()),
        confirmation: Opaque(confirmation.to_vec()),
    };
    assert!(worker().check(&forged).is_err(), "an answer can't be forged without the code");
}

fn seeds() -> Vec<Vec<u8>> {
    let code = JoinCode {
        cluster_name: "Büro Nord".into(),
        cluster_id: Uuid::from_u128(77),
        addresses: vec!["192.0.2.7:8000".into(), "[2001:db8::7]:8000".into()],
        pin: PIN,
        secret: SECRET,
    };
    let link = code.link();
    let content = URL_SAFE_NO_PAD.decode(&link[LINK_PREFIX.len()..]).unwrap_or_default();
    let worker = WorkerExchange::begin(&SECRET, PIN, [1; 64]);
    vec![
        with_choice(0, &link),
        with_choice(0, SECRET.typed()),
        with_choice(0, "o1il-2345 6789_abcd"),
        with_choice(1, &content[..content.len().saturating_sub(4)]),
        with_choice(2, &worker.request().message.0),
        with_choice(2, [&worker.request().message.0[..], &[3; 32]].concat()),
    ]
}
