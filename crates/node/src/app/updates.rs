//! Checks for new versions: reads a small file from the publisher that names the newest version and its download page. The
//! file is used only if its signature is valid. Nothing is installed automatically. See docs/release.md.

use std::sync::Arc;
use std::time::Duration;

use minisign_verify::{PublicKey, Signature};
use reqwest::{Response, Url};
use serde::Deserialize;
use worker::proxy::{self, ProxyRoute};

use super::state::SharedState;
use super::update_source::UpdateSource;
use super::view::UpdateView;

/// Interval between checks.
const CHECK_INTERVAL: Duration = Duration::from_hours(24);
/// Timeout of each of the two downloads.
const DOWNLOAD_TIMEOUT: Duration = Duration::from_secs(30);
/// Maximum size of each file in bytes.
const MAXIMUM_BYTES: usize = 64 << 10;

/// Contents of the file; unknown fields are ignored.
#[derive(Debug, Deserialize)]
struct Release {
    version: String,
    /// URL of the download page.
    page: String,
}

/// Checks now and then periodically, until the process ends.
pub(super) async fn follow(shared: Arc<SharedState>) {
    loop {
        look(&shared).await;
        tokio::time::sleep(CHECK_INTERVAL).await;
    }
}

/// Checks once, unless checks are off, and updates the view.
pub(super) async fn look(shared: &SharedState) {
    let (obstacle, source) =
        shared.read(|state| (state.update_obstacle(), state.options.updates.clone()));
    let found = match (obstacle, source) {
        (None, Some(source)) => match latest_release(&source).await {
            Ok(release) => compare(&release),
            Err(reason) => UpdateView::Failed { reason },
        },
        (obstacle, _) => UpdateView::Off { reason: obstacle.unwrap_or_default().to_owned() },
    };
    match &found {
        UpdateView::Off { reason } => tracing::info!(reason, "update checks are off"),
        UpdateView::Failed { reason } => tracing::info!(reason, "update check failed"),
        UpdateView::Newer { version, .. } => tracing::info!(version, "a new version is available"),
        UpdateView::Current => tracing::debug!("this is the newest version"),
        UpdateView::Unknown => {}
    }
    shared.change(|state| state.facts.update = found);
}

fn compare(release: &Release) -> UpdateView {
    let own = version_numbers(env!("CARGO_PKG_VERSION"));
    match version_numbers(&release.version) {
        Some(newest) if own.is_some_and(|own| newest > own) => {
            let (version, page) = (release.version.clone(), release.page.clone());
            UpdateView::Newer { version, page }
        }
        Some(_) | None => UpdateView::Current,
    }
}

/// Parses a version such as 1.2.3.
fn version_numbers(version: &str) -> Option<[u64; 3]> {
    let numbers: Option<Vec<u64>> = version.split('.').map(|part| part.parse().ok()).collect();
    numbers?.try_into().ok()
}

async fn latest_release(source: &UpdateSource) -> Result<Release, String> {
    let key = PublicKey::from_base64(&source.key)
        .map_err(|_| "the update key of this build is not valid".to_owned())?;
    let url: Url = source.url.parse().map_err(|_| format!("'{}' is not a URL", source.url))?;
    let client = client(&url).await?;
    let body = fetch(&client, url.as_str()).await?;
    let signature = fetch(&client, &format!("{url}.minisig")).await?;
    let unsigned = || format!("{url} is not signed with the publisher's key");
    let signature = String::from_utf8(signature).map_err(|_| unsigned())?;
    let signature = Signature::decode(&signature).map_err(|_| unsigned())?;
    key.verify(&body, &signature, false).map_err(|_| unsigned())?;
    let release: Release =
        serde_json::from_slice(&body).map_err(|error| format!("can't read {url}: {error}"))?;
    let is_page = release.page.parse().is_ok_and(|page: Url| page.scheme() == "https");
    let is_version = version_numbers(&release.version).is_some();
    if is_page && is_version {
        Ok(release)
    } else {
        Err(format!("{url} has no valid version or download page"))
    }
}

/// Builds an HTTP client that requires HTTPS, except for this machine, and uses the configured proxy.
async fn client(url: &Url) -> Result<reqwest::Client, String> {
    // Fails if a provider is installed already, which is fine.
    drop(rustls::crypto::ring::default_provider().install_default());
    let is_loopback = url.host_str() == Some("127.0.0.1");
    let builder = reqwest::Client::builder()
        .no_proxy()
        .https_only(!is_loopback)
        .timeout(DOWNLOAD_TIMEOUT)
        .user_agent(concat!("constellation/", env!("CARGO_PKG_VERSION")));
    let origin = url.origin().ascii_serialization();
    let route = match origin.parse() {
        // Evaluating a PAC file can block.
        Ok(address) => tokio::task::spawn_blocking(move || proxy::route(&address)).await.ok(),
        Err(_) => None,
    };
    let builder = match route {
        Some(ProxyRoute::Through(proxy)) => {
            builder.proxy(proxy.for_client().map_err(|error| error.to_string())?)
        }
        Some(ProxyRoute::Direct(_) | ProxyRoute::Unusable(_)) | None => builder,
    };
    builder.build().map_err(|error| error.to_string())
}

async fn fetch(client: &reqwest::Client, url: &str) -> Result<Vec<u8>, String> {
    let failed = |error: reqwest::Error| format!("{url}: {}", error.without_url());
    let response = client.get(url).send().await.and_then(Response::error_for_status);
    let mut response = response.map_err(failed)?;
    let mut bytes = Vec::new();
    while let Some(piece) = response.chunk().await.map_err(failed)? {
        if bytes.len() + piece.len() > MAXIMUM_BYTES {
            return Err(format!("{url} is larger than {} KiB", MAXIMUM_BYTES >> 10));
        }
        bytes.extend_from_slice(&piece);
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::io::Cursor;

    use axum::Router;
    use axum::http::{StatusCode, Uri};
    use minisign::KeyPair;

    use super::*;

    /// Serves files; returns the base URL.
    async fn serve(files: BTreeMap<String, Vec<u8>>) -> String {
        let answer = move |uri: Uri| {
            let found = files.get(uri.path()).cloned().ok_or(StatusCode::NOT_FOUND);
            async move { found }
        };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let serving = axum::serve(listener, Router::new().fallback(answer));
        tokio::spawn(serving.into_future());
        format!("http://{address}")
    }

    fn signed(keys: &KeyPair, body: &str) -> Vec<u8> {
        let body = Cursor::new(body.as_bytes().to_vec());
        minisign::sign(Some(&keys.pk), &keys.sk, body, None, None).unwrap().into_string().into()
    }

    /// Result of a check where `body` is published with the signature of `signed_body`.
    async fn check(body: &str, signed_body: &str) -> Result<UpdateView, String> {
        let keys = KeyPair::generate_unencrypted_keypair().unwrap();
        let files = [
            ("/latest.json".to_owned(), body.as_bytes().to_vec()),
            ("/latest.json.minisig".to_owned(), signed(&keys, signed_body)),
        ];
        let url = format!("{}/latest.json", serve(files.into()).await);
        latest_release(&UpdateSource { url, key: keys.pk.to_base64() })
            .await
            .map(|release| compare(&release))
    }

    fn body(version: &str) -> String {
        format!(r#"{{"version":"{version}","page":"https://example.com/get","notes":"x"}}"#)
    }

    #[tokio::test]
    async fn only_a_newer_version_is_offered() {
        let newer =
            UpdateView::Newer { version: "99.0.1".into(), page: "https://example.com/get".into() };
        assert_eq!(check(&body("99.0.1"), &body("99.0.1")).await, Ok(newer));
        for version in ["0.0.1", env!("CARGO_PKG_VERSION")] {
            let same = body(version);
            assert_eq!(check(&same, &same).await, Ok(UpdateView::Current), "{version}");
        }
    }

    #[tokio::test]
    async fn a_file_without_a_valid_signature_is_rejected() {
        let error = check(&body("99.0.1"), &body("99.0.0")).await.unwrap_err();
        assert!(error.ends_with("is not signed with the publisher's key"), "{error}");
        // Signed with another key.
        let [own, other] = [(); 2].map(|()| KeyPair::generate_unencrypted_keypair().unwrap());
        let files = [
            ("/x".to_owned(), body("99.0.1").into_bytes()),
            ("/x.minisig".to_owned(), signed(&other, &body("99.0.1"))),
        ];
        let url = format!("{}/x", serve(files.into()).await);
        let error =
            latest_release(&UpdateSource { url, key: own.pk.to_base64() }).await.unwrap_err();
        assert!(error.ends_with("is not signed with the publisher's key"), "{error}");
    }

    #[tokio::test]
    async fn invalid_and_missing_files_are_reported() {
        let long = format!(
            "{{\"version\":\"1.0.0\",\"page\":\"https://x{}\"}}",
            "x".repeat(MAXIMUM_BYTES)
        );
        for (wrong, expected) in [
            ("{}", "missing field"),
            (body("soon").as_str(), "no valid version"),
            (r#"{"version":"99.0.0","page":"file:///etc/passwd"}"#, "no valid version"),
            (long.as_str(), "is larger than"),
        ] {
            let error = check(wrong, wrong).await.unwrap_err();
            assert!(error.contains(expected), "{error}");
        }
        let url = format!("{}/none", serve(BTreeMap::new()).await);
        let key = KeyPair::generate_unencrypted_keypair().unwrap().pk.to_base64();
        let error = latest_release(&UpdateSource { url, key }).await.unwrap_err();
        assert!(error.contains("404"), "{error}");
        let plain = UpdateSource { url: "http://192.0.2.7/x".into(), key: String::new() };
        assert!(latest_release(&plain).await.unwrap_err().contains("update key"));
    }
}
