//! Join codes: links, typed codes, and what becomes of them.

use protocol::Pin;
use protocol::join::exchange::{Asking, JoinAnswer, JoinRequest};
use protocol::join::{Join, JoinSecret};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::device::{Device, register, registration, sign, signed_by};
use crate::support::{Coordinator, answer};

#[tokio::test]
async fn a_link_carries_all_that_a_device_needs() {
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

    // The list shows what became of it, and no secret.
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
async fn a_code_enrols_as_many_as_it_may_and_nobody_twice() {
    let coordinator = Coordinator::start().await;
    let proof = coordinator.join_code(json!({ "uses": 2 })).await.secret.proof().bearer();
    let enrol = async |hardware: &str| {
        register(&coordinator, &proof, hardware, registration(hardware)).await
    };
    assert_eq!(enrol("one").await.0, StatusCode::OK);
    // As if the answer was lost: no other use.
    assert_eq!(enrol("one").await.1["enrolment"], "same");
    assert_eq!(enrol("two").await.0, StatusCode::OK);
    let (status, body) = enrol("three").await;
    assert_eq!((status, &body["type"]), (StatusCode::FORBIDDEN, &json!("join-code-not-open")));
    assert!(body["detail"].as_str().unwrap().contains("as many devices"), "{body}");
    assert_eq!(enrol("two").await.0, StatusCode::OK);
    // What was counted was counted with the device, also when the power goes.
    let again = coordinator.after_a_crash().await;
    let listed = again.get("/join-codes").await;
    assert_eq!((&listed[0]["uses"], &listed[0]["state"]), (&json!(2), &json!("used_up")));
    let (status, _) = register(&again, &proof, "three", registration("three")).await;
    assert_eq!(status, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn a_code_that_ended_enrols_nobody_and_says_why() {
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
    for (code, words) in [(&revoked, "was revoked"), (&expired, "has expired")] {
        let secret: JoinSecret = code["code"].as_str().unwrap().parse().unwrap();
        let proof = secret.proof().bearer();
        let (status, body) = register(&coordinator, &proof, "one", registration("one")).await;
        assert_eq!(status, StatusCode::FORBIDDEN);
        assert!(body["detail"].as_str().unwrap().contains(words), "{body}");
        let (status, body) =
            ask_to_join(&coordinator, begin(&coordinator, &secret).request()).await;
        assert_eq!(status, StatusCode::FORBIDDEN);
        assert!(body["detail"].as_str().unwrap().contains(words), "{body}");
    }
    assert_eq!(coordinator.get("/devices").await, json!([]));
}

#[tokio::test]
async fn what_an_administrator_asks_for_is_bounded() {
    let coordinator = Coordinator::start().await;
    for (asked, field) in [
        (json!({ "uses": 0 }), "uses"),
        (json!({ "uses": 1_000_001 }), "uses"),
        (json!({ "expires_in": 0 }), "expires_in"),
        (json!({ "expires_in": 400_000_000 }), "expires_in"),
        (json!({ "name": "x".repeat(101) }), "name"),
    ] {
        let (status, body) = coordinator.ask(Method::POST, "/join-codes", Some(asked)).await;
        assert_eq!((status, &body["field"]), (StatusCode::UNPROCESSABLE_ENTITY, &json!(field)));
    }
    // For a configuration profile.
    let years = json!({ "uses": 100_000, "expires_in": 5 * 365 * 86_400, "name": "MDM" });
    coordinator.post("/join-codes", years).await;
}

fn begin(coordinator: &Coordinator, secret: &JoinSecret) -> Asking {
    Asking::begin(secret, coordinator.running.cluster.pin, [7; 64])
}

async fn ask_to_join(coordinator: &Coordinator, request: &JoinRequest) -> (StatusCode, Value) {
    answer(coordinator.request(Method::POST, "/join", "").json(request)).await
}

#[tokio::test]
async fn a_typed_code_is_proven_by_the_coordinator_first() {
    let coordinator = Coordinator::start().await;
    let secret = coordinator.join_code(json!({})).await.secret;
    let asking = begin(&coordinator, &secret);
    let (status, body) = ask_to_join(&coordinator, asking.request()).await;
    assert_eq!(status, StatusCode::OK);
    let answer: JoinAnswer = serde_json::from_value(body).unwrap();
    assert_eq!(answer.cluster_id, coordinator.running.cluster.id);
    asking.check(&answer).unwrap();
    assert_eq!(coordinator.get("/join-codes").await[0]["tries"], 1);
    let proof = secret.proof().bearer();
    let (status, _) = register(&coordinator, &proof, "one", registration("one")).await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(coordinator.get("/join-codes").await[0]["tries"], 0);
}

/// The device sees another certificate than the coordinator's, and whoever holds that one passes
/// everything on.
#[tokio::test]
async fn a_man_in_the_middle_is_found_out_and_learns_nothing_that_enrols() {
    let coordinator = Coordinator::start().await;
    let secret = coordinator.join_code(json!({})).await.secret;
    let between = Pin::from_bytes([9; 32]);
    let asking = Asking::begin(&secret, between, [7; 64]);
    let (_, body) = ask_to_join(&coordinator, asking.request()).await;
    let answer: JoinAnswer = serde_json::from_value(body).unwrap();
    let error = asking.check(&answer).unwrap_err().to_string();
    assert!(error.contains(&between.to_string()) && error.contains("between"), "{error}");
    // What it saw is no credential.
    for seen in [answer.confirmation.to_string(), answer.message.to_string()] {
        let seen = format!("constellation-join-{seen}");
        let (status, _) = register(&coordinator, &seen, "evil", registration("evil")).await;
        assert_eq!(status, StatusCode::UNAUTHORIZED);
    }
}

#[tokio::test]
async fn a_wrong_code_is_refused_and_too_many_tries_close_the_right_one() {
    let coordinator = Coordinator::start().await;
    let secret = coordinator.join_code(json!({ "uses": 2 })).await.secret;
    let wrong = JoinSecret::from_bytes([1; 10]);
    let (status, body) = ask_to_join(&coordinator, begin(&coordinator, &wrong).request()).await;
    assert_eq!((status, &body["type"]), (StatusCode::UNAUTHORIZED, &json!("wrong-join-code")));
    let (status, _) =
        register(&coordinator, &wrong.proof().bearer(), "one", registration("one")).await;
    assert_eq!(status, StatusCode::UNAUTHORIZED);
    assert_eq!(coordinator.get("/join-codes").await[0]["tries"], 0);

    // Somebody who saw the hint guesses the rest: each guess counts, whatever it is.
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
    assert!(refusal["detail"].as_str().unwrap().contains("too many tries"), "{refusal}");
    let coordinator = coordinator.restart().await;
    assert_eq!(coordinator.get("/join-codes").await[0]["state"], "closed");
    let proof = secret.proof().bearer();
    let (status, _) = register(&coordinator, &proof, "one", registration("one")).await;
    assert_eq!(status, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn a_key_must_be_the_device_s_own() {
    let coordinator = Coordinator::start().await;
    let proof = coordinator.join_code(json!({})).await.secret.proof().bearer();
    let good = signed_by(&coordinator, "one", registration("one")).await;
    let send = async |body: &Value| {
        let request = coordinator.request(Method::POST, "/devices/register", &proof);
        answer(request.json(body)).await
    };
    // Nothing that is signed can be changed, and another's challenge doesn't count.
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
    // A challenge is this process's own.
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
async fn an_orderly_restart_keeps_codes_and_who_they_enrolled() {
    let coordinator = Coordinator::start().await;
    let code = coordinator.join_code(json!({ "uses": 2 })).await;
    let proof = code.secret.proof().bearer();
    let (_, first) = register(&coordinator, &proof, "one", registration("one")).await;
    let listed = coordinator.get("/join-codes").await;
    let coordinator = coordinator.restart().await;
    assert_eq!(coordinator.get("/join-codes").await, listed);
    assert_eq!(coordinator.running.cluster.pin, code.pin);
    let device = Device::of(&first);
    assert!(device.next_job(&coordinator, 0).await.is_none(), "its token counts");
    let (_, again) = register(&coordinator, &proof, "one", registration("one")).await;
    assert_eq!((&again["id"], &again["enrolment"]), (&first["id"], &json!("same")));
    assert_eq!(coordinator.get("/join-codes").await[0]["uses"], 1);
}

#[tokio::test]
async fn who_guesses_join_codes_is_held_up_and_a_code_that_counts_is_not() {
    let coordinator = Coordinator::start().await;
    let guess = JoinSecret::from_bytes([7; 10]).proof().bearer();
    let mut guesses = 0;
    loop {
        guesses += 1;
        assert!(guesses < 300, "nobody is held up");
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
