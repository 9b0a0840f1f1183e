//! Join codes: links, typed codes, and the messages of the exchange that proves one.
#![no_main]

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use fuzz::seeds::{chosen, plant};
use libfuzzer_sys::fuzz_target;
use protocol::join::exchange::{WorkerExchange, JoinAnswer, answer};
use protocol::join::{Join, JoinCode, JoinSecret, LINK_PREFIX};
use protocol::{Opaque, Pin};
use uuid::Uuid;

const PIN: Pin = Pin::from_bytes([7; 32]);
const SECRET: JoinSecret = JoinSecret::from_bytes([9; 10]);

fuzz_target!(init: plant(seeds()), |bytes: &[u8]| {
    let Some((choice, bytes)) = bytes.split_first() else { return };
    match choice % 3 {
        0 => {
            if let Ok(text) = std::str::from_utf8(bytes) {
                read(text);
            }
        }
        // Almost no change of a link gets past its checksum: this one is right.
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
    let asking = || WorkerExchange::begin(&SECRET, PIN, [1; 64]);
    let mut request = asking().request().clone();
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
    assert!(asking().check(&forged).is_err(), "nobody can forge the answer of who knows the code");
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
    let asking = WorkerExchange::begin(&SECRET, PIN, [1; 64]);
    vec![
        chosen(0, &link),
        chosen(0, SECRET.typed()),
        chosen(0, "o1il-2345 6789_abcd"),
        chosen(1, &content[..content.len().saturating_sub(4)]),
        chosen(2, &asking.request().message.0),
        chosen(2, [&asking.request().message.0[..], &[3; 32]].concat()),
    ]
}
