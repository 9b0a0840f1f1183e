//! The dashboard's files, which are served without a credential.

use std::path::Path;

use reqwest::{Method, StatusCode};

use crate::support::{Coordinator, answer};

#[tokio::test]
async fn the_dashboard_is_public_and_sent_again_only_after_a_change() {
    let coordinator = Coordinator::start().await;
    let get = || coordinator.request(Method::GET, "/", "").header("Accept-Encoding", "identity");
    let page = get().send().await.unwrap();
    assert_eq!(page.status(), StatusCode::OK);
    assert_eq!(page.headers()["cache-control"], "no-cache");
    assert_eq!(page.headers()["content-type"], "text/html; charset=utf-8");
    let policy = page.headers()["content-security-policy"].to_str().unwrap().to_owned();
    assert!(policy.starts_with("default-src 'self'"), "{policy}");
    let tag = page.headers()["etag"].clone();
    let text = page.text().await.unwrap();
    let built = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../ui/dist/index.html");
    match std::fs::read_to_string(built) {
        Ok(built) => assert_eq!(text, built),
        Err(_) => assert!(text.contains("make ui"), "{text}"),
    }
    let again = get().header("If-None-Match", tag).send().await.unwrap();
    assert_eq!(again.status(), StatusCode::NOT_MODIFIED);
    // A policy here would replace the cached page's own, and the page would not load.
    assert_eq!(again.headers().get("content-security-policy"), None);
    assert_eq!(again.bytes().await.unwrap().len(), 0);

    let head = coordinator.request(Method::HEAD, "/index.html", "").send().await.unwrap();
    assert_eq!(head.status(), StatusCode::OK);
    let outdated = coordinator.request(Method::GET, "/assets/of-an-earlier-build.js", "");
    assert_eq!(answer(outdated).await.0, StatusCode::NOT_FOUND);
    let post = coordinator.request(Method::POST, "/", "").send().await.unwrap();
    assert_eq!(post.status(), StatusCode::UNAUTHORIZED, "only reading is public");
}
