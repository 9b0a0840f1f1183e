//! Access control: roles of each operation.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::device::{Device, register, registration};
use crate::sessions::Browser;
use crate::support::{Coordinator, answer, client};

/// Operation of the OpenAPI document.
struct Operation {
    method: Method,
    /// Path as in the document.
    path: String,
    /// Path with valid ids.
    concrete: String,
    /// `None` if nothing is declared, empty if public.
    roles: Option<Vec<String>>,
    /// Also accepts a join code.
    by_code: bool,
}

async fn operations(coordinator: &Coordinator) -> Vec<Operation> {
    let (status, document) = answer(coordinator.request(Method::GET, "/openapi.json", "")).await;
    assert_eq!(status, StatusCode::OK);
    let mut operations = Vec::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            let concrete = path
                .replace("{hash}", &"0".repeat(64))
                .replace("{name}", "some")
                .replace("{id}", "01890a5d-ac96-774b-bcce-b302099a8057");
            // A device can read only under a lease.
            let under =
                if method == "head" { "?lease=01890a5d-ac96-774b-bcce-b302099a8057" } else { "" };
            let (roles, by_code) = declared(operation);
            operations.push(Operation {
                method: method.to_uppercase().parse().unwrap(),
                path: path.clone(),
                concrete: format!("{concrete}{under}"),
                roles,
                by_code,
            });
        }
    }
    assert!(operations.len() > 40, "{}", operations.len());
    operations
}

fn declared(operation: &Value) -> (Option<Vec<String>>, bool) {
    let Some(alternatives) = operation.get("security") else { return (None, false) };
    let alternatives = alternatives.as_array().unwrap();
    let (mut of_tokens, mut of_sessions, mut by_code) = (Vec::new(), Vec::new(), false);
    for (scheme, roles) in alternatives.iter().flat_map(|one| one.as_object().unwrap()) {
        let roles = roles.as_array().unwrap().iter().map(|role| role.as_str().unwrap().to_owned());
        match scheme.as_str() {
            "token" => of_tokens.extend(roles),
            "session" => of_sessions.extend(roles),
            "join_code" => by_code = true,
            other => panic!("{other} is no way to show who one is: {operation}"),
        }
    }
    assert_eq!(alternatives.is_empty(), of_tokens.is_empty(), "any role is no role: {operation}");
    let people = of_tokens.iter().filter(|role| ["viewer", "admin"].contains(&role.as_str()));
    // A browser session can't enroll devices.
    let people = if by_code { Vec::new() } else { people.cloned().collect() };
    assert_eq!(people, of_sessions, "{operation}");
    (Some(of_tokens), by_code)
}

#[tokio::test]
async fn every_operation_declares_its_roles_and_the_public_ones_are_few() {
    let coordinator = Coordinator::start().await;
    let mut public = Vec::new();
    for Operation { method, path, roles, by_code, .. } in operations(&coordinator).await {
        let roles = roles.unwrap_or_else(|| {
            panic!("{method} {path} declares no role: write security((\"token\" = [..])) beside it")
        });
        if roles.is_empty() {
            public.push(format!("{method} {path}"));
        } else if by_code {
            public.push(format!("{method} {path} to a join code"));
        }
    }
    insta::assert_snapshot!(public.join("\n"));
}

#[tokio::test]
async fn nothing_but_the_public_list_answers_without_a_credential() {
    let coordinator = Coordinator::start().await;
    for Operation { method, path, concrete, roles, .. } in operations(&coordinator).await {
        let request = coordinator.request(method.clone(), &concrete, "");
        let response = request.send().await.unwrap();
        if roles.is_some_and(|roles| roles.is_empty()) {
            assert_ne!(response.status(), StatusCode::UNAUTHORIZED, "{method} {path}");
        } else {
            assert_eq!(response.status(), StatusCode::UNAUTHORIZED, "{method} {path}");
            assert_eq!(response.headers()["www-authenticate"], "Bearer");
        }
    }
}

/// Failed credentials are rate limited, so each part of the operations gets its own coordinator.
#[tokio::test]
async fn a_guessed_credential_opens_nothing() {
    let all = operations(&Coordinator::start().await).await;
    for some in all.chunks(25) {
        let coordinator = Coordinator::start().await;
        let cookie = Browser::sign_in(&coordinator, "viewer").await.cookie;
        let (name, _) = cookie.split_once('=').unwrap();
        let guessing = Browser { cookie: format!("{name}=constellation-cookie-guess") };
        for Operation { method, path, concrete, roles, .. } in some {
            if roles.as_ref().is_some_and(Vec::is_empty) {
                continue;
            }
            let guess = coordinator.request(method.clone(), concrete, "constellation-admin-guess");
            let status = guess.send().await.unwrap().status();
            assert_eq!(status, StatusCode::UNAUTHORIZED, "{method} {path}");
            let guess = guessing.request(&coordinator, method.clone(), concrete);
            let status = guess.send().await.unwrap().status();
            assert_eq!(status, StatusCode::UNAUTHORIZED, "{method} {path}");
        }
    }
}

/// Each operation accepts exactly the roles that it declares.
#[tokio::test]
async fn each_role_gets_past_its_own_doors_only() {
    let coordinator = Coordinator::start().await;
    let device = Device::enroll(&coordinator, "one").await;
    let tokens = [
        ("viewer", coordinator.token("viewer").await),
        ("device", device.token),
        ("admin", coordinator.admin.clone()),
    ];
    let mut table = Vec::new();
    for Operation { method, path, concrete, roles, .. } in operations(&coordinator).await {
        let roles = roles.unwrap();
        let mut allowed = Vec::new();
        for (role, token) in &tokens {
            let request = coordinator.request(method.clone(), &concrete, token);
            let response = request.send().await.unwrap();
            // Responses forbidden for a reason other than the role have a problem type of their
            // own.
            let forbidden = response.status() == StatusCode::FORBIDDEN && {
                let body: Value = response.json().await.unwrap_or_default();
                let of_role = body["detail"].as_str().is_none_or(|detail| {
                    detail.starts_with("this credential may not do that")
                        && !detail.contains("of that device")
                });
                method == Method::HEAD || of_role
            };
            if !forbidden {
                allowed.push(*role);
            }
            let expected = roles.is_empty() || roles.iter().any(|declared| declared == role);
            assert_eq!(!forbidden, expected, "{method} {path} as {role}, declared {roles:?}");
        }
        table.push(format!("{method:6} {path:28} {}", allowed.join(" ")));
    }
    table.sort();
    insta::assert_snapshot!(table.join("\n"));
}

#[tokio::test]
async fn a_device_speaks_for_itself_alone() {
    let coordinator = Coordinator::start().await;
    let one = Device::enroll(&coordinator, "one").await;
    let other = Device::enroll(&coordinator, "other").await;
    let path = format!("/devices/{}/heartbeat", other.id);
    let beat = json!({ "state": "waiting" });
    let (status, body) = one.ask(&coordinator, Method::POST, &path, beat.clone()).await;
    assert_eq!((status, &body["type"]), (StatusCode::FORBIDDEN, &json!("forbidden")));
    let (status, _) = other.ask(&coordinator, Method::POST, &path, beat).await;
    assert_eq!(status, StatusCode::OK);
}

#[tokio::test]
async fn a_revoked_device_is_out_at_once_and_only_an_admin_lets_it_in_again() {
    let coordinator = Coordinator::start().await;
    let device = Device::enroll(&coordinator, "one").await;
    let revoked = coordinator.post(&format!("/devices/{}/revoke", device.id), Value::Null).await;
    assert_eq!((&revoked["revoked"], &revoked["is_active"]), (&json!(true), &json!(false)));
    let path = format!("/devices/{}/next-job", device.id);
    let (status, _) = answer(coordinator.request(Method::GET, &path, &device.token)).await;
    assert_eq!(status, StatusCode::UNAUTHORIZED);
    let code = coordinator.join_code(json!({})).await.secret.proof().bearer();
    // Neither its key nor its machine can enroll again, and attempts don't use up the code.
    for key in ["one", "another key"] {
        let (status, body) = register(&coordinator, &code, key, registration("one")).await;
        assert_eq!((status, &body["type"]), (StatusCode::FORBIDDEN, &json!("device-revoked")));
    }
    assert_eq!(coordinator.get("/join-codes").await[0]["uses"], 0);
    assert_eq!(Device::enroll(&coordinator, "one").await.id, device.id);
    assert_eq!(coordinator.get("/devices").await[0]["revoked"], json!(false));
}

#[tokio::test]
async fn a_reinstated_device_enrolls_again_with_a_code_and_keeps_its_record() {
    let coordinator = Coordinator::start().await;
    let device = Device::enroll(&coordinator, "one").await;
    let reinstate = format!("/devices/{}/reinstate", device.id);
    let (status, body) = coordinator.ask(Method::POST, &reinstate, None).await;
    assert_eq!((status, &body["type"]), (StatusCode::CONFLICT, &json!("not-revoked")));
    coordinator.post(&format!("/devices/{}/revoke", device.id), Value::Null).await;
    let known = coordinator.audit().await.len();
    let reinstated = coordinator.post(&reinstate, Value::Null).await;
    assert_eq!((&reinstated["revoked"], &reinstated["state"]), (&json!(false), &json!("offline")));
    let recorded = coordinator.audit_after(known).await.concat();
    assert!(recorded.contains("device reinstated"), "{recorded}");
    // Its old token stays invalid.
    let path = format!("/devices/{}/next-job", device.id);
    let (status, _) = answer(coordinator.request(Method::GET, &path, &device.token)).await;
    assert_eq!(status, StatusCode::UNAUTHORIZED);
    let code = coordinator.join_code(json!({})).await.secret.proof().bearer();
    let (status, body) = register(&coordinator, &code, "one", registration("one")).await;
    assert_eq!((status, &body["id"]), (StatusCode::OK, &json!(device.id)), "{body}");
    assert_eq!(body["enrolment"], "same");
}

#[tokio::test]
async fn a_reinstated_machine_with_a_new_key_waits_for_approval_and_not_for_its_old_worker() {
    let coordinator = Coordinator::start().await;
    let device = Device::enroll(&coordinator, "one").await;
    coordinator.post(&format!("/devices/{}/revoke", device.id), Value::Null).await;
    coordinator.post(&format!("/devices/{}/reinstate", device.id), Value::Null).await;
    let code = coordinator.join_code(json!({})).await.secret.proof().bearer();
    let (status, body) = register(&coordinator, &code, "another key", registration("one")).await;
    assert_eq!((status, &body["awaiting_approval"]), (StatusCode::OK, &json!(true)), "{body}");
    assert_ne!(body["id"], json!(device.id));
}

#[tokio::test]
async fn a_device_that_leaves_is_off_the_list_and_only_it_can_say_so() {
    let coordinator = Coordinator::start().await;
    let (leaving, other) =
        (Device::enroll(&coordinator, "one").await, Device::enroll(&coordinator, "two").await);
    let path = format!("/devices/{}/leave", leaving.id);
    let known = coordinator.audit().await.len();
    for token in [&other.token, &coordinator.admin] {
        let (status, _) = answer(coordinator.request(Method::POST, &path, token)).await;
        assert_eq!(status, StatusCode::FORBIDDEN);
    }
    let (status, _) = answer(coordinator.request(Method::POST, &path, &leaving.token)).await;
    assert_eq!(status, StatusCode::NO_CONTENT);
    assert_eq!(
        coordinator.audit_after(known).await,
        ["one's Mac (device, 127.0.0.1): device left "]
    );
    let devices = coordinator.get("/devices").await;
    let ids: Vec<_> = devices.as_array().unwrap().iter().map(|device| &device["id"]).collect();
    assert_eq!(ids, [&json!(other.id)]);
    let (status, _) = answer(coordinator.request(Method::POST, &path, &leaving.token)).await;
    assert_eq!(status, StatusCode::UNAUTHORIZED, "its token is worthless");
    let coordinator = coordinator.restart().await;
    assert_eq!(coordinator.get("/devices").await.as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn tokens_end_when_they_are_deleted_but_never_the_last_admin_s() {
    let coordinator = Coordinator::start().await;
    let viewer = coordinator.post("/tokens", json!({ "role": "viewer", "name": "wall" })).await;
    let look = || {
        let token = viewer["token"].as_str().unwrap();
        coordinator.request(Method::GET, "/jobs", token).send()
    };
    assert_eq!(look().await.unwrap().status(), StatusCode::OK);
    let path = format!("/tokens/{}", viewer["id"].as_str().unwrap());
    let (status, _) = coordinator.ask(Method::DELETE, &path, None).await;
    assert_eq!(status, StatusCode::NO_CONTENT);
    assert_eq!(look().await.unwrap().status(), StatusCode::UNAUTHORIZED);
    let (status, body) = coordinator.ask(Method::DELETE, &path, None).await;
    assert_eq!((status, &body["type"]), (StatusCode::NOT_FOUND, &json!("unknown-token")));

    let tokens = coordinator.get("/tokens").await;
    let own = tokens.as_array().unwrap().iter().find(|token| token["role"] == "admin").unwrap();
    let path = format!("/tokens/{}", own["id"].as_str().unwrap());
    let (status, body) = coordinator.ask(Method::DELETE, &path, None).await;
    assert_eq!((status, &body["type"]), (StatusCode::CONFLICT, &json!("last-admin")));
}

#[tokio::test]
async fn the_documentation_is_public_and_comes_from_here() {
    let coordinator = Coordinator::start().await;
    let url = format!("{}/docs/", coordinator.running.url());
    let page = client().get(url).send().await.unwrap();
    assert_eq!(page.status(), StatusCode::OK);
    let page = page.text().await.unwrap();
    assert!(page.contains("swagger-ui") && !page.contains("https://"), "{page}");
    let (status, _) = answer(coordinator.request(Method::GET, "/docs/none.js", "")).await;
    assert_eq!(status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_peer_from_the_future_is_told_so() {
    let coordinator = Coordinator::start().await;
    let url = format!("{}/health", coordinator.running.url());
    let ask = |version: &'static str| client().get(&url).header("Constellation-Protocol", version);
    let (status, body) = answer(ask("2")).await;
    assert_eq!((status, &body["type"]), (StatusCode::BAD_REQUEST, &json!("protocol-version")));
    let response = ask("1").send().await.unwrap();
    assert_eq!(response.headers()["constellation-protocol"], "1");
}
