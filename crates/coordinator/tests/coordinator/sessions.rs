//! Browser sessions: sign-in, permissions by role and origin, sign-out.

use std::collections::HashSet;

use reqwest::{Method, RequestBuilder, StatusCode};
use serde_json::{Value, json};

use crate::support::{Coordinator, answer, settings, tiny_job};

/// Name of the coordinator's machine for other machines.
pub(crate) const NAME: &str = "mac.example";

/// Signed-in browser on another machine, with a session cookie.
pub(crate) struct Browser {
    pub(crate) cookie: String,
}

/// Returns a client that reaches the coordinator by [`NAME`] over TLS, and the origin of its pages.
pub(crate) fn afar(coordinator: &Coordinator) -> (reqwest::Client, String) {
    let address = coordinator.running.address;
    let client = reqwest::Client::builder().no_proxy().tls_danger_accept_invalid_certs(true);
    let client = client.resolve(NAME, address).build().unwrap();
    (client, format!("https://{NAME}:{}", address.port()))
}

impl Browser {
    /// Opens a new sign-in link of this role.
    pub(crate) async fn sign_in(coordinator: &Coordinator, role: &str) -> Self {
        let link = json!({ "role": role, "name": format!("Ana the {role}") });
        let link = coordinator.post("/sessions/links", link).await;
        let code = link["code"].as_str().unwrap();
        assert_eq!(link["path"], format!("/#/sign-in/{code}"));
        let (client, origin) = afar(coordinator);
        let request = client.post(format!("{origin}/sessions"));
        let response = request.json(&json!({ "code": code })).send().await.unwrap();
        assert_eq!(response.status(), StatusCode::CREATED);
        let set = response.headers()["set-cookie"].to_str().unwrap().to_owned();
        let (pair, attributes) = set.split_once("; ").unwrap();
        let attributes: HashSet<&str> = attributes.split("; ").collect();
        let expected = ["Path=/", "HttpOnly", "SameSite=Strict", "Max-Age=43200", "Secure"];
        assert_eq!(attributes, HashSet::from(expected));
        let current: Value = response.json().await.unwrap();
        assert_eq!(current["role"], role);
        assert!(current.get("token").is_none(), "a cookie has it");
        Self { cookie: pair.to_owned() }
    }

    /// Returns a request as the dashboard's own page sends it.
    pub(crate) fn request(
        &self,
        coordinator: &Coordinator,
        method: Method,
        path: &str,
    ) -> RequestBuilder {
        self.bare(coordinator, method, path)
            .header("Constellation-Protocol", "1")
            .header("Sec-Fetch-Site", "same-origin")
    }

    /// Returns a request as any page can make the browser send it.
    pub(crate) fn bare(
        &self,
        coordinator: &Coordinator,
        method: Method,
        path: &str,
    ) -> RequestBuilder {
        let (client, origin) = afar(coordinator);
        client.request(method, format!("{origin}{path}")).header("Cookie", &self.cookie)
    }
}

#[tokio::test]
async fn a_link_signs_one_browser_in_once() {
    let coordinator = Coordinator::start().await;
    let link = coordinator.post("/sessions/links", json!({ "name": "Ana" })).await;
    let sign_in = || {
        let request = coordinator.request(Method::POST, "/sessions", "");
        answer(request.json(&json!({ "code": link["code"] })))
    };
    let known = coordinator.audit().await.len();
    let (status, current) = sign_in().await;
    assert_eq!((status, &current["role"]), (StatusCode::CREATED, &json!("admin")));
    let (status, body) = sign_in().await;
    assert_eq!((status, &body["type"]), (StatusCode::UNAUTHORIZED, &json!("sign-in-code")));
    assert_eq!(
        coordinator.audit_after(known).await,
        [
            "Ana (admin, 127.0.0.1): session created role=admin",
            " (-, 127.0.0.1): credential refused "
        ]
    );
    // A restart ends unused links.
    let link = coordinator.post("/sessions/links", json!({})).await;
    let coordinator = coordinator.restart().await;
    let request = coordinator.request(Method::POST, "/sessions", "");
    let (status, _) = answer(request.json(&json!({ "code": link["code"] }))).await;
    assert_eq!(status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn a_session_is_its_link_s_role_and_survives_a_restart() {
    let coordinator = Coordinator::start().await;
    let (admin, viewer) = (
        Browser::sign_in(&coordinator, "admin").await,
        Browser::sign_in(&coordinator, "viewer").await,
    );
    let coordinator = coordinator.restart().await;
    for (browser, status) in [(&admin, StatusCode::CREATED), (&viewer, StatusCode::FORBIDDEN)] {
        let request = browser.request(&coordinator, Method::GET, "/jobs");
        assert_eq!(request.send().await.unwrap().status(), StatusCode::OK);
        let request = browser.request(&coordinator, Method::POST, "/jobs").json(&tiny_job());
        assert_eq!(request.send().await.unwrap().status(), status);
    }
    let request = viewer.request(&coordinator, Method::GET, "/sessions/current");
    let (_, current) = answer(request).await;
    assert_eq!((&current["role"], &current["name"]), (&json!("viewer"), &json!("Ana the viewer")));
    assert!(current["expires_at"].is_string());
    let known = coordinator.audit().await.len();
    let request = admin.request(&coordinator, Method::POST, "/jobs").json(&tiny_job());
    assert_eq!(request.send().await.unwrap().status(), StatusCode::CREATED);
    assert_eq!(
        coordinator.audit_after(known).await,
        ["Ana the admin (admin, 127.0.0.1): job created dataset=synthetic name=tiny"]
    );
}

#[tokio::test]
async fn another_site_can_t_use_a_session() {
    let coordinator = Coordinator::start().await;
    let browser = Browser::sign_in(&coordinator, "admin").await;
    let id = coordinator.post("/jobs", tiny_job()).await["id"].as_str().unwrap().to_owned();
    let path = format!("/jobs/{id}/cancel");
    let bare = || browser.bare(&coordinator, Method::POST, &path);
    let (_, origin) = afar(&coordinator);
    for request in [
        bare(),
        bare().header("Sec-Fetch-Site", "same-origin"),
        bare().header("Constellation-Protocol", "1"),
        bare().header("Constellation-Protocol", "1").header("Sec-Fetch-Site", "cross-site"),
        bare().header("Constellation-Protocol", "1").header("Origin", "https://evil.example"),
        bare().header("Constellation-Protocol", "1").header("Origin", "null"),
    ] {
        let (status, body) = answer(request).await;
        assert_eq!((status, &body["type"]), (StatusCode::FORBIDDEN, &json!("cross-site")));
    }
    assert_eq!(coordinator.get(&format!("/jobs/{id}")).await["status"], "pending");
    // A browser that doesn't send the site sends the origin.
    let request = bare().header("Constellation-Protocol", "1").header("Origin", origin);
    assert_eq!(answer(request).await.0, StatusCode::OK);
    // Requests with a token need none of that.
    let request = coordinator.http.delete(format!("{}/sessions", coordinator.running.url()));
    let request = request.bearer_auth(&coordinator.admin);
    let (status, body) = answer(request).await;
    assert_eq!((status, &body["ended"]), (StatusCode::OK, &json!(1)));
}

#[tokio::test]
async fn sessions_end_when_they_are_ended() {
    let coordinator = Coordinator::start().await;
    let (one, other, third) = (
        Browser::sign_in(&coordinator, "viewer").await,
        Browser::sign_in(&coordinator, "viewer").await,
        Browser::sign_in(&coordinator, "admin").await,
    );
    let status = async |browser: &Browser| {
        browser.request(&coordinator, Method::GET, "/jobs").send().await.unwrap().status()
    };
    // By its own session.
    let request = one.request(&coordinator, Method::DELETE, "/sessions/current");
    let response = request.send().await.unwrap();
    assert_eq!(response.status(), StatusCode::NO_CONTENT);
    let cleared = response.headers()["set-cookie"].to_str().unwrap();
    assert!(cleared.contains("Max-Age=0"), "{cleared}");
    assert_eq!(status(&one).await, StatusCode::UNAUTHORIZED);
    // By an administrator.
    let sessions = coordinator.get("/sessions").await;
    assert_eq!(sessions.as_array().unwrap().len(), 2);
    assert_eq!(
        (&sessions[0]["from"], &sessions[0]["role"]),
        (&json!("127.0.0.1"), &json!("viewer"))
    );
    let path = format!("/sessions/{}", sessions[0]["id"].as_str().unwrap());
    let end = async || coordinator.ask(Method::DELETE, &path, None).await.0;
    assert_eq!(end().await, StatusCode::NO_CONTENT);
    assert_eq!(end().await, StatusCode::NOT_FOUND);
    assert_eq!(status(&other).await, StatusCode::UNAUTHORIZED);
    assert_eq!(status(&third).await, StatusCode::OK);
    // A token is not a session.
    let (status, body) = coordinator.ask(Method::DELETE, "/sessions/current", None).await;
    assert_eq!((status, &body["type"]), (StatusCode::NOT_FOUND, &json!("unknown-session")));
}

#[tokio::test]
async fn a_cookie_is_no_token_and_a_token_is_no_cookie() {
    let coordinator = Coordinator::start().await;
    let browser = Browser::sign_in(&coordinator, "admin").await;
    let (name, secret) = browser.cookie.split_once('=').unwrap();
    let request = coordinator.request(Method::GET, "/jobs", secret);
    assert_eq!(answer(request).await.0, StatusCode::UNAUTHORIZED);
    let admin = Browser { cookie: format!("{name}={}", coordinator.admin) };
    let request = admin.request(&coordinator, Method::GET, "/jobs");
    assert_eq!(answer(request).await.0, StatusCode::UNAUTHORIZED);
    // The database contains neither.
    let database = std::fs::read(coordinator.folder.path().join("constellation.db")).unwrap();
    let log = std::fs::read(coordinator.folder.path().join("constellation.db-wal")).unwrap();
    for bytes in [database, log] {
        let holds = |text: &str| bytes.windows(text.len()).any(|part| part == text.as_bytes());
        assert!(!holds(secret) && !holds(&coordinator.admin));
    }
}

#[tokio::test]
async fn nobody_but_an_administrator_makes_links_and_only_for_people() {
    let coordinator = Coordinator::start().await;
    let viewer = Browser::sign_in(&coordinator, "viewer").await;
    let request = viewer.request(&coordinator, Method::POST, "/sessions/links").json(&json!({}));
    assert_eq!(answer(request).await.0, StatusCode::FORBIDDEN);
    for (body, field) in
        [(json!({ "role": "device" }), "role"), (json!({ "name": "n".repeat(101) }), "name")]
    {
        let (status, body) = coordinator.ask(Method::POST, "/sessions/links", Some(body)).await;
        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
        assert_eq!(body["field"], field, "{body}");
    }
}

#[tokio::test]
async fn a_token_says_when_it_was_used_and_ends_when_it_was_said_to() {
    let coordinator = Coordinator::start().await;
    let body = json!({ "role": "viewer", "name": "wall", "expires_in": 3600 });
    let token = coordinator.post("/tokens", body).await;
    let shown = async |coordinator: &Coordinator| {
        let tokens = coordinator.get("/tokens").await;
        let mut tokens = tokens.as_array().unwrap().iter();
        tokens.find(|shown| shown["id"] == token["id"]).unwrap().clone()
    };
    let before = shown(&coordinator).await;
    assert!(before["last_used"].is_null() && before["expires_at"].is_string(), "{before}");
    let text = token["token"].as_str().unwrap();
    let look = coordinator.request(Method::GET, "/jobs", text);
    assert_eq!(answer(look).await.0, StatusCode::OK);
    // The last use is stored at the latest when the coordinator stops.
    let coordinator = coordinator.restart().await;
    assert!(shown(&coordinator).await["last_used"].is_string());
    let ended = json!({ "role": "admin", "expires_in": 0 });
    let ended = coordinator.post("/tokens", ended).await["token"].as_str().unwrap().to_owned();
    let look = coordinator.request(Method::GET, "/jobs", &ended);
    assert_eq!(answer(look).await.0, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn who_shows_wrong_credentials_too_often_is_held_up_and_nobody_else() {
    let coordinator = Coordinator::start().await;
    let guess = async |coordinator: &Coordinator| {
        let request = coordinator.request(Method::GET, "/jobs", "constellation-admin-guess");
        request.send().await.unwrap()
    };
    let mut statuses = Vec::new();
    for _ in 0..200 {
        let response = guess(&coordinator).await;
        statuses.push(response.status());
        if response.status() == StatusCode::TOO_MANY_REQUESTS {
            assert_eq!(response.headers()["retry-after"], "1");
            break;
        }
    }
    assert_eq!(statuses.last(), Some(&StatusCode::TOO_MANY_REQUESTS));
    assert!(statuses.len() > 60, "{}", statuses.len());
    // A valid token from the same address still works.
    let refused = coordinator.audit().await;
    let refused = refused.iter().filter(|entry| entry.record.action.word() == "refused").count();
    assert!((60..=62).contains(&refused), "{refused}");
}

#[tokio::test]
async fn answers_say_what_a_browser_may_do_with_them() {
    let coordinator = Coordinator::start().await;
    for (path, policy) in [
        ("/health", "default-src 'none'; frame-ancestors 'none'"),
        ("/jobs", "default-src 'none'; frame-ancestors 'none'"),
        ("/none", "default-src 'none'; frame-ancestors 'none'"),
        ("/docs/", "default-src 'self'"),
    ] {
        let url = format!("{}{path}", coordinator.running.url());
        let request = coordinator.http.get(url).header("Origin", "https://evil.example");
        let response = request.send().await.unwrap();
        let headers = response.headers();
        let said = headers["content-security-policy"].to_str().unwrap();
        assert!(said.starts_with(policy) && said.contains("frame-ancestors 'none'"), "{said}");
        assert_eq!(headers["x-content-type-options"], "nosniff");
        assert_eq!(headers["referrer-policy"], "no-referrer");
        assert!(!headers.contains_key("access-control-allow-origin"));
    }
    // The documentation page needs no more than its content security policy allows.
    let url = format!("{}/docs/", coordinator.running.url());
    let page = coordinator.http.get(url).send().await.unwrap().text().await.unwrap();
    assert!(!page.contains("<script>") && !page.contains(" onload="), "{page}");
}

#[tokio::test]
async fn pages_of_other_origins_ask_only_where_a_setting_lets_them() {
    let folder = tempfile::TempDir::new().unwrap();
    let mut settings = settings(folder.path());
    settings.allow_origins = vec!["https://people.example.com".parse().unwrap()];
    let running = coordinator::start(settings).await.unwrap();
    let coordinator = Coordinator::from_running(running, folder);
    let url = format!("{}/jobs", coordinator.running.url());
    for (origin, allowed) in [("https://people.example.com", true), ("https://evil.example", false)]
    {
        let ask = coordinator.http.request(Method::OPTIONS, &url).header("Origin", origin);
        let ask = ask.header("Access-Control-Request-Method", "POST");
        let ask = ask.header("Access-Control-Request-Headers", "authorization");
        let response = ask.send().await.unwrap();
        let said = response.headers().get("access-control-allow-origin");
        assert_eq!(said.is_some_and(|said| said == origin), allowed);
        // Cookies are never allowed.
        assert!(!response.headers().contains_key("access-control-allow-credentials"));
        let get = coordinator.http.get(&url).header("Origin", origin);
        let response = get.bearer_auth(&coordinator.admin).send().await.unwrap();
        let said = response.headers().get("access-control-allow-origin");
        assert_eq!(said.is_some_and(|said| said == origin), allowed);
    }
}

#[tokio::test]
async fn over_tls_the_cookie_never_goes_back_in_the_clear() {
    let coordinator = Coordinator::start().await;
    let browser = Browser::sign_in(&coordinator, "admin").await;
    assert!(browser.cookie.starts_with("__Host-constellation-"), "{}", browser.cookie);
    let change = |origin: &str| {
        let request = browser.bare(&coordinator, Method::POST, "/jobs");
        let request = request.header("Constellation-Protocol", "1").header("Origin", origin);
        answer(request.json(&tiny_job()))
    };
    let (_, origin) = afar(&coordinator);
    assert_eq!(change(&origin).await.0, StatusCode::CREATED);
    // The same host over plain HTTP may be another program.
    let (status, body) = change(&origin.replace("https", "http")).await;
    assert_eq!((status, &body["type"]), (StatusCode::FORBIDDEN, &json!("cross-site")));
}
