//! Join codes: links, typed codes, and enrollment with them.

use protocol::Pin;
use protocol::join::exchange::{JoinAnswer, JoinRequest, WorkerExchange};
use protocol::join::{Join, JoinSecret};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::device::{Device, register, registration, sign, signed_by};
use crate::support::{Coordinator, answer};

#[tokio::test]
async fn a_link_contains_everything_that_a_device_needs() {
    let coordinator = Coordinator::start().await;
    let created = coordinator.post("/join-codes", json!({ "name": "room 4" })).await;
    let code = coordinator.join_code(json!({})).await;
    assert_eq!(code.cluster_name, "test cluster");
    assert_eq!(code.cluster_id.to_string(), coordinator.running.cluster.id);
    assert_eq!(code.pin, coordinator.running.cluster.pin);
    assert_eq!(code.addresses, [coordinator.running.address.to_string()]);
    let typed: Join = created["code"].as_str().unwrap().parse().unwrap();
    let linked: Join = created["link"].as_str().unwrap().parse().unwrap();
    assert_eq!(typed.secret(), linked.secret());

    // The list shows the code's state and no secret.
    let proof = linked.secret().proof().bearer();
    let (status, body) = register(&coordinator, &proof, "one", registration("one")).await;
    assert_eq!((status, &body["enrolment"]), (StatusCode::OK, &json!("new")));
    let listed = coordinator.get("/join-codes").await;
    let mut listed = listed[0].clone();
    for field in ["id", "expires_at", "created_at"] {
        listed.as_object_mut().unwrap().remove(field).unwrap();
    }
    let expected = json!({
        "name": "room 4", "state": "used_up", "uses": 1, "maximum_uses": 1, "tries": 0
    });
    assert_eq!(listed, expected);
}

#[tokio::test]
async fn a_code_enrolls_its_number_of_devices_and_each_once() {
    let coordinator = Coordinator::start().await;
    let proof = coordinator.join_code(json!({ "uses": 2 })).await.secret.proof().bearer();
    let enroll = async |hardware: &str| {
        register(&coordinator, &proof, hardware, registration(hardware)).await
    };
    assert_eq!(enroll("one").await.0, StatusCode::OK);
    // A repeated registration, as after a lost answer, does not count as another use.
    assert_eq!(enroll("one").await.1["enrolment"], "same");
    assert_eq!(enroll("two").await.0, StatusCode::OK);
    let (status, body) = enroll("three").await;
    assert_eq!((status, &body["type"]), (StatusCode::FORBIDDEN, &json!("join-code-not-open")));
    assert!(body["detail"].as_str().unwrap().contains("device limit"), "{body}");
    assert_eq!(enroll("two").await.0, StatusCode::OK);
    // Device and use are stored in one transaction, so both survive a crash.
    let again = coordinator.after_a_crash().await;
    let listed = again.get("/join-codes").await;
    assert_eq!((&listed[0]["uses"], &listed[0]["state"]), (&json!(2), &json!("used_up")));
    let (status, _) = register(&again, &proof, "three", registration("three")).await;
    assert_eq!(status, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn a_revoked_or_expired_code_is_refused_with_the_reason() {
    let coordinator = Coordinator::start().await;
    let revoked = coordinator.post("/join-codes", json!({})).await;
    let path = format!("/join-codes/{}", revoked["id"].as_str().unwrap());
    assert_eq!(coordinator.ask(Method::DELETE, &path, None).await.0, StatusCode::NO_CONTENT);
    let (status, body) = coordinator.ask(Method::DELETE, "/join-codes/none", None).await;
    assert_eq!((status, &body["type"]), (StatusCode::NOT_FOUND, &json!("unknown-join-code")));
    let expired = coordinator.post("/join-codes", json!({ "expires_in": 60 })).await;
    let id = expired["id"].as_str().unwrap().to_owned();
    let coordinator = coordinator
        .changed(|database| {
            let sql = "UPDATE join_codes SET expires_at = 1000 WHERE id = ?1";
            assert_eq!(database.execute(sql, [&id]).unwrap(), 1);
        })
        .await;
    for (code, reason) in [(&revoked, "was revoked"), (&expired, "has expired")] {
        let secret: JoinSecret = code["code"].as_str().unwrap().parse().unwrap();
        let proof = secret.proof().bearer();
        let (status, body) = register(&coordinator, &proof, "one", registration("one")).await;
        assert_eq!(status, StatusCode::FORBIDDEN);
        assert!(body["detail"].as_str().unwrap().contains(reason), "{body}");
        let (status, body) =
            ask_to_join(&coordinator, begin(&coordinator, &secret).request()).await;
        assert_eq!(status, StatusCode::FORBIDDEN);
        assert!(body["detail"].as_str().unwrap().contains(reason), "{body}");
    }
    assert_eq!(coordinator.get("/devices").await, json!([]));
}

#[tokio::test]
async fn values_of_a_new_join_code_are_bounded() {
    let coordinator = Coordinator::start().await;
    for (request, field) in [
        (json!({ "uses": 0 }), "uses"),
        (json!({ "uses": 1_000_001 }), "uses"),
        (json!({ "expires_in": 0 }), "expires_in"),
        (json!({ "expires_in": 400_000_000 }), "expires_in"),
        (json!({ "name": "x".repeat(101) }), "name"),
    ] {
        let (status, body) = coordinator.ask(Method::POST, "/join-codes", Some(request)).await;
        assert_eq!((status, &body["field"]), (StatusCode::UNPROCESSABLE_ENTITY, &json!(field)));
    }
    // Valid for a configuration profile.
    let years = json!({ "uses": 100_000, "expires_in": 5 * 365 * 86_400, "name": "MDM" });
    coordinator.post("/join-codes", years).await;
}

fn begin(coordinator: &Coordinator, secret: &JoinSecret) -> WorkerExchange {
    WorkerExchange::begin(secret, coordinator.running.cluster.pin, [7; 64])
}

async fn ask_to_join(coordinator: &Coordinator, request: &JoinRequest) -> (StatusCode, Value) {
    answer(coordinator.request(Method::POST, "/join", "").json(request)).await
}

#[tokio::test]
async fn the_coordinator_proves_a_typed_code_first() {
    let coordinator = Coordinator::start().await;
    let secret = coordinator.join_code(json!({})).await.secret;
    let exchange = begin(&coordinator, &secret);
    let (status, body) = ask_to_join(&coordinator, exchange.request()).await;
    assert_eq!(status, StatusCode::OK);
    let answer: JoinAnswer = serde_json::from_value(body).unwrap();
    assert_eq!(answer.cluster_id, coordinator.running.cluster.id);
    exchange.check(&answer).unwrap();
    assert_eq!(coordinator.get("/join-codes").await[0]["tries"], 1);
    let proof = secret.proof().bearer();
    let (status, _) = register(&coordinator, &proof, "one", registration("one")).await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(coordinator.get("/join-codes").await[0]["tries"], 0);
}

/// The device sees the certificate of an attacker, who forwards everything.
#[tokio::test]
async fn a_man_in_the_middle_is_detected_and_learns_no_credential() {
    let coordinator = Coordinator::start().await;
    let secret = coordinator.join_code(json!({})).await.secret;
    let attacker = Pin::from_bytes([9; 32]);
    let exchange = WorkerExchange::begin(&secret, attacker, [7; 64]);
    let (_, body) = ask_to_join(&coordinator, exchange.request()).await;
    let answer: JoinAnswer = serde_json::from_value(body).unwrap();
    let error = exchange.check(&answer).unwrap_err().to_string();
    assert!(error.contains(&attacker.to_string()) && error.contains("intercepts"), "{error}");
    // The values that the attacker saw are not credentials.
    for seen in [answer.confirmation.to_string(), answer.message.to_string()] {
        let seen = format!("constellation-join-{seen}");
        let (status, _) = register(&coordinator, &seen, "evil", registration("evil")).await;
        assert_eq!(status, StatusCode::UNAUTHORIZED);
    }
}

#[tokio::test]
async fn a_wrong_code_is_refused_and_too_many_tries_close_a_code() {
    let coordinator = Coordinator::start().await;
    let secret = coordinator.join_code(json!({ "uses": 2 })).await.secret;
    let wrong = JoinSecret::from_bytes([1; 10]);
    let (status, body) = ask_to_join(&coordinator, begin(&coordinator, &wrong).request()).await;
    assert_eq!((status, &body["type"]), (StatusCode::UNAUTHORIZED, &json!("wrong-join-code")));
    let (status, _) =
        register(&coordinator, &wrong.proof().bearer(), "one", registration("one")).await;
    assert_eq!(status, StatusCode::UNAUTHORIZED);
    assert_eq!(coordinator.get("/join-codes").await[0]["tries"], 0);

    // Guesses of the rest of a code with a known hint: each one counts as a try.
    let hint = begin(&coordinator, &secret).request().hint;
    let mut guesses = 0;
    let refusal = loop {
        let guess = begin(&coordinator, &JoinSecret::from_bytes([guesses; 10]));
        let request = JoinRequest { hint, ..guess.request().clone() };
        let (status, body) = ask_to_join(&coordinator, &request).await;
        if status == StatusCode::FORBIDDEN {
            break body;
        }
        let answer: JoinAnswer = serde_json::from_value(body).unwrap();
        guess.check(&answer).unwrap_err();
        guesses += 1;
    };
    assert_eq!(guesses, 12);
    assert!(refusal["detail"].as_str().unwrap().contains("too many failed attempts"), "{refusal}");
    let coordinator = coordinator.restart().await;
    assert_eq!(coordinator.get("/join-codes").await[0]["state"], "closed");
    let proof = secret.proof().bearer();
    let (status, _) = register(&coordinator, &proof, "one", registration("one")).await;
    assert_eq!(status, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn a_registration_must_be_signed_by_the_device_s_key() {
    let coordinator = Coordinator::start().await;
    let proof = coordinator.join_code(json!({})).await.secret.proof().bearer();
    let good = signed_by(&coordinator, "one", registration("one")).await;
    let send = async |body: &Value| {
        let request = coordinator.request(Method::POST, "/devices/register", &proof);
        answer(request.json(body)).await
    };
    // Signed fields can't be changed, and a foreign challenge is refused.
    let changes: [(&str, Value, &str); 7] = [
        ("hardware_id", json!("other"), "wrong-signature"),
        ("instance", json!(7), "wrong-signature"),
        ("public_key", json!("A".repeat(43)), "wrong-signature"),
        ("signature", json!("A".repeat(86)), "wrong-signature"),
        ("public_key", json!("AAAA"), "invalid-device"),
        ("challenge", json!("A".repeat(75)), "wrong-challenge"),
        ("session", json!({ "id": "", "after": [] }), "invalid-device"),
    ];
    for (field, value, expected) in changes {
        let mut forged = good.clone();
        forged[field] = value;
        let (status, body) = send(&forged).await;
        assert!(status.is_client_error(), "{field}: {body}");
        assert_eq!(body["type"], expected, "{field}");
    }
    // A challenge of an earlier process is refused.
    let mut old = good.clone();
    let coordinator_before = coordinator.running.cluster.pin;
    assert_eq!(send(&good).await.0, StatusCode::OK);
    let coordinator = coordinator.restart().await;
    assert_eq!(coordinator.running.cluster.pin, coordinator_before);
    sign(&coordinator, "one", &mut old);
    let request = coordinator.request(Method::POST, "/devices/register", &proof);
    let (status, body) = answer(request.json(&old)).await;
    assert_eq!((status, &body["type"]), (StatusCode::BAD_REQUEST, &json!("wrong-challenge")));
}

#[tokio::test]
async fn a_restart_keeps_codes_and_enrolled_devices() {
    let coordinator = Coordinator::start().await;
    let code = coordinator.join_code(json!({ "uses": 2 })).await;
    let proof = code.secret.proof().bearer();
    let (_, first) = register(&coordinator, &proof, "one", registration("one")).await;
    let listed = coordinator.get("/join-codes").await;
    let coordinator = coordinator.restart().await;
    assert_eq!(coordinator.get("/join-codes").await, listed);
    assert_eq!(coordinator.running.cluster.pin, code.pin);
    let device = Device::from_registration(&first);
    assert!(device.next_job(&coordinator, 0).await.is_none(), "its token is still valid");
    let (_, again) = register(&coordinator, &proof, "one", registration("one")).await;
    assert_eq!((&again["id"], &again["enrolment"]), (&first["id"], &json!("same")));
    assert_eq!(coordinator.get("/join-codes").await[0]["uses"], 1);
}

#[tokio::test]
async fn guessing_join_codes_is_rate_limited_and_a_valid_code_is_not() {
    let coordinator = Coordinator::start().await;
    let guess = JoinSecret::from_bytes([7; 10]).proof().bearer();
    let mut guesses = 0;
    loop {
        guesses += 1;
        assert!(guesses < 300, "guessing is not rate-limited");
        let (status, body) = register(&coordinator, &guess, "one", registration("one")).await;
        if status == StatusCode::TOO_MANY_REQUESTS {
            assert_eq!(body["type"], "too-many-failures");
            break;
        }
        assert_eq!((status, &body["type"]), (StatusCode::UNAUTHORIZED, &json!("wrong-join-code")));
    }
    assert!(guesses > 60, "{guesses}");
    let code = coordinator.join_code(json!({})).await.secret.proof().bearer();
    let (status, _) = register(&coordinator, &code, "one", registration("one")).await;
    assert_eq!(status, StatusCode::OK);
}

/// The beginning of a typed code can be looked for by trying; what else there is can't.
#[tokio::test]
async fn who_types_wrong_codes_is_held_up_and_links_and_sign_ins_are_not() {
    let coordinator = Coordinator::start().await;
    let wrong = JoinSecret::from_bytes([1; 10]);
    let mut tries = 0;
    loop {
        let (status, _) = ask_to_join(&coordinator, begin(&coordinator, &wrong).request()).await;
        if status == StatusCode::TOO_MANY_REQUESTS {
            break;
        }
        assert_eq!(status, StatusCode::UNAUTHORIZED);
        tries += 1;
        assert!(tries < 300, "nobody is held up");
    }
    assert!(tries >= 60, "{tries}");
    let secret = coordinator.join_code(json!({})).await.secret;
    let (status, _) = ask_to_join(&coordinator, begin(&coordinator, &secret).request()).await;
    assert_eq!(status, StatusCode::TOO_MANY_REQUESTS, "it is not looked at");
    let (status, _) =
        register(&coordinator, &secret.proof().bearer(), "one", registration("one")).await;
    assert_eq!(status, StatusCode::OK);
    let code = coordinator.post("/sessions/links", json!({})).await["code"].clone();
    let request = coordinator.request(Method::POST, "/sessions", "");
    let (status, _) = answer(request.json(&json!({ "code": code }))).await;
    assert_eq!(status, StatusCode::CREATED);
}
