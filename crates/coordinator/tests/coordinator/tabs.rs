//! Sessions on the coordinator's own machine, which a tab carries: no cookie goes there or counts there,
//! and downloads have tickets.

use protocol::join::exchange::Asking;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::sessions::{Browser, NAME, afar};
use crate::support::{Coordinator, answer, tiny_job};

/// Follows a new link of this role in a tab; gives the session's secret.
async fn sign_in(coordinator: &Coordinator, role: &str) -> String {
    let link = json!({ "role": role, "name": format!("Ana the {role}") });
    let code = coordinator.post("/sessions/links", link).await["code"].clone();
    let request = coordinator.request(Method::POST, "/sessions", "");
    let response = request.json(&json!({ "code": code })).send().await.unwrap();
    assert_eq!(response.status(), StatusCode::CREATED);
    assert!(!response.headers().contains_key("set-cookie"), "{:?}", response.headers());
    let current: Value = response.json().await.unwrap();
    assert_eq!(current["role"], role);
    current["token"].as_str().expect("the secret").to_owned()
}

#[tokio::test]
async fn in_the_clear_a_session_is_a_bearer_and_no_cookie_counts() {
    let coordinator = Coordinator::start().await;
    let (tab, browser) =
        (sign_in(&coordinator, "admin").await, Browser::sign_in(&coordinator, "admin").await);
    let jobs = |token: &str| coordinator.request(Method::GET, "/jobs", token);
    assert_eq!(answer(jobs(&tab)).await.0, StatusCode::OK);
    // No browser sends it by itself, so it needs no sign of our own page.
    let url = format!("{}/jobs", coordinator.running.url());
    let post = coordinator.http.post(url).bearer_auth(&tab).json(&tiny_job());
    assert_eq!(answer(post).await.0, StatusCode::CREATED);
    let current = coordinator.request(Method::GET, "/sessions/current", &tab);
    let (_, current) = answer(current).await;
    assert_eq!((&current["name"], current.get("token")), (&json!("Ana the admin"), None));

    let (host_name, secret) = browser.cookie.split_once('=').unwrap();
    let name = host_name.strip_prefix("__Host-").unwrap();
    for cookie in [
        format!("{name}={tab}"),
        format!("{host_name}={tab}"),
        format!("{name}={secret}"),
        format!("{host_name}={secret}"),
    ] {
        let request = jobs("").header("Cookie", &cookie).header("Sec-Fetch-Site", "same-origin");
        assert_eq!(answer(request).await.0, StatusCode::UNAUTHORIZED, "{cookie}");
    }
    assert_eq!(answer(jobs(secret)).await.0, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn neither_kind_of_session_can_be_turned_into_the_other() {
    let coordinator = Coordinator::start().await;
    let (tab, browser) =
        (sign_in(&coordinator, "admin").await, Browser::sign_in(&coordinator, "admin").await);
    let (name, secret) = browser.cookie.split_once('=').unwrap();
    let (client, origin) = afar(&coordinator);
    let as_cookie = Browser { cookie: format!("{name}={tab}") };
    let plain = Browser { cookie: browser.cookie.replace("__Host-", "") };
    for request in [
        as_cookie.request(&coordinator, Method::GET, "/jobs"),
        plain.request(&coordinator, Method::GET, "/jobs"),
        client.get(format!("{origin}/jobs")).bearer_auth(&tab),
        client.get(format!("{origin}/jobs")).bearer_auth(secret),
    ] {
        assert_eq!(answer(request).await.0, StatusCode::UNAUTHORIZED);
    }
    assert_eq!(answer(browser.request(&coordinator, Method::GET, "/jobs")).await.0, StatusCode::OK);
}

/// Chromium sends a Secure cookie of 127.0.0.1 in the clear to other ports of it, so TLS alone is no
/// reason to set one (`ui/e2e/sessions.test.ts` shows it).
#[tokio::test]
async fn over_tls_to_this_machine_a_session_is_a_tab_s_too() {
    let coordinator = Coordinator::start().await;
    let (client, origin) = afar(&coordinator);
    let here = origin.replace(NAME, "127.0.0.1");
    let code = coordinator.post("/sessions/links", json!({})).await["code"].clone();
    let request = client.post(format!("{here}/sessions")).json(&json!({ "code": code }));
    let response = request.send().await.unwrap();
    assert!(!response.headers().contains_key("set-cookie"), "{:?}", response.headers());
    let token = response.json::<Value>().await.unwrap()["token"].as_str().unwrap().to_owned();
    let request = client.get(format!("{here}/jobs")).bearer_auth(&token);
    assert_eq!(answer(request).await.0, StatusCode::OK);
    let browser = Browser::sign_in(&coordinator, "admin").await;
    let request = client.get(format!("{here}/jobs")).header("Cookie", &browser.cookie);
    assert_eq!(answer(request).await.0, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn a_tab_signs_out_and_is_out() {
    let coordinator = Coordinator::start().await;
    let tab = sign_in(&coordinator, "viewer").await;
    let known = coordinator.audit().await.len();
    let request = coordinator.request(Method::DELETE, "/sessions/current", &tab);
    let response = request.send().await.unwrap();
    assert_eq!(response.status(), StatusCode::NO_CONTENT);
    assert!(!response.headers().contains_key("set-cookie"));
    // A tab that is left open goes on to ask; that is no guess.
    let jobs = coordinator.request(Method::GET, "/jobs", &tab);
    assert_eq!(answer(jobs).await.0, StatusCode::UNAUTHORIZED);
    let audit = coordinator.audit_after(known).await;
    assert_eq!(audit.len(), 1, "{audit:?}");
    assert_eq!(coordinator.get("/sessions").await, json!([]));
}

#[tokio::test]
async fn a_ticket_is_good_for_one_download_as_whoever_asked_for_it() {
    let coordinator = Coordinator::start().await;
    let (admin, viewer) =
        (sign_in(&coordinator, "admin").await, sign_in(&coordinator, "viewer").await);
    let ticket = async |token: &str, path: &str| {
        let request = coordinator.request(Method::POST, "/downloads", token);
        answer(request.json(&json!({ "path": path }))).await
    };
    let follow = async |address: &str| {
        let url = format!("{}{address}", coordinator.running.url());
        coordinator.http.get(url).send().await.unwrap()
    };
    let known = coordinator.audit().await.len();
    let (status, made) = ticket(&admin, "/backup").await;
    assert_eq!(status, StatusCode::CREATED);
    let address = made["path"].as_str().unwrap();
    // Nowhere else, and no other method.
    for other in [address.replace("/backup", "/audit/export"), address.replace('?', "?x=1&")] {
        assert_eq!(follow(&other).await.status(), StatusCode::UNAUTHORIZED, "{other}");
    }
    let url = format!("{}{address}", coordinator.running.url());
    let head = coordinator.http.head(url).send().await.unwrap();
    assert_eq!(head.status(), StatusCode::UNAUTHORIZED);
    let first = follow(address).await;
    assert_eq!(first.status(), StatusCode::OK);
    assert!(first.headers()["content-disposition"].to_str().unwrap().contains(".tar"));
    assert!(first.bytes().await.unwrap().len() > 1000);
    let again = follow(address).await;
    assert_eq!(again.status(), StatusCode::UNAUTHORIZED);
    let problem: Value = again.json().await.unwrap();
    assert_eq!(problem["type"], "download-ticket");
    let audit = coordinator.audit_after(known).await;
    let written: Vec<_> = audit.iter().filter(|entry| entry.contains("backup")).collect();
    assert!(matches!(written.as_slice(), [one] if one.starts_with("Ana the admin (admin,")));

    // A viewer's ticket is a viewer's.
    let (_, made) = ticket(&viewer, "/backup").await;
    assert_eq!(follow(made["path"].as_str().unwrap()).await.status(), StatusCode::FORBIDDEN);
    let (_, made) = ticket(&viewer, "/metrics").await;
    assert_eq!(follow(made["path"].as_str().unwrap()).await.status(), StatusCode::OK);
    // It ends with its session.
    let (_, made) = ticket(&admin, "/metrics").await;
    assert_eq!(coordinator.ask(Method::DELETE, "/sessions", None).await.0, StatusCode::OK);
    assert_eq!(follow(made["path"].as_str().unwrap()).await.status(), StatusCode::UNAUTHORIZED);

    for path in ["/tokens", "/sessions", "/jobs", "/blobs/x", "https://x/backup", "", "/a b"] {
        let (status, body) = ticket(&coordinator.admin, path).await;
        assert_eq!((status, &body["field"]), (StatusCode::UNPROCESSABLE_ENTITY, &json!("path")));
    }
}

/// Whatever is wrong on this machine, an administrator's link goes on to count.
#[tokio::test]
async fn a_neighbor_s_wrong_tries_lock_nobody_out() {
    let coordinator = Coordinator::start().await;
    let wrong = async |path: &str, token: &str, body: Value| {
        let request = coordinator.request(Method::POST, path, token).json(&body);
        request.send().await.unwrap().status()
    };
    let mut statuses = Vec::new();
    for number in 0..80 {
        let code = json!({ "code": format!("{number:032x}") });
        statuses.push(wrong("/sessions", "", code).await);
        wrong("/jobs", "constellation-admin-guess", json!({})).await;
    }
    assert!(statuses.contains(&StatusCode::TOO_MANY_REQUESTS), "they are still told to wait");
    let tab = sign_in(&coordinator, "admin").await;
    let jobs = coordinator.request(Method::GET, "/jobs", &tab);
    assert_eq!(answer(jobs).await.0, StatusCode::OK);
    Browser::sign_in(&coordinator, "admin").await;
    // Nor does it keep a typed code from being looked at.
    let secret = coordinator.join_code(json!({})).await.secret;
    let asking = Asking::begin(&secret, coordinator.running.cluster.pin, [7; 64]);
    let request = coordinator.request(Method::POST, "/join", "").json(asking.request());
    assert_eq!(answer(request).await.0, StatusCode::OK);
}
