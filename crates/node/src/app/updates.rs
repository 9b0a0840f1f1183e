//! Looking for a newer version: a small file of the publisher's, signed, that says which is the newest and
//! where to get it. Nothing is replaced by itself, and nothing of the file is believed before its
//! signature is (docs/release.md says how it is published).

use std::sync::Arc;
use std::time::Duration;

use minisign_verify::{PublicKey, Signature};
use reqwest::{Response, Url};
use serde::Deserialize;
use worker::proxy::{self, ProxyRoute};

use super::App;
use super::state::Shared;
use super::view::UpdateView;
use crate::settings::{Key, Settings};

/// Between two looks.
const AGAIN: Duration = Duration::from_hours(24);
/// For each of the two files.
const PATIENCE: Duration = Duration::from_secs(30);
/// Bytes of each.
const LONGEST: usize = 64 << 10;

/// Where a build looks, and whose word counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpdateSource {
    /// Of the file; its signature is beside it, with `.minisig` behind.
    pub url: String,
    /// The publisher's public key, as minisign writes it: one line of base64.
    pub key: String,
}

impl UpdateSource {
    /// What `CONSTELLATION_UPDATE_URL` and `CONSTELLATION_UPDATE_KEY` were when this was built; none where
    /// one of them was not set.
    pub fn built_in() -> Option<Self> {
        let (url, key) =
            (option_env!("CONSTELLATION_UPDATE_URL")?, option_env!("CONSTELLATION_UPDATE_KEY")?);
        let is_set = !url.is_empty() && !key.is_empty();
        is_set.then(|| Self { url: url.to_owned(), key: key.to_owned() })
    }
}

/// What the file says; more may be in it.
#[derive(Debug, Deserialize)]
struct Release {
    version: String,
    /// Where a person gets it.
    page: String,
}

/// Why nothing is looked for, in words; none where it is.
pub(super) fn hindrance(
    source: Option<&UpdateSource>,
    settings: &Settings,
    is_own: bool,
) -> Option<&'static str> {
    if source.is_none() {
        Some("This build knows no address to look for new versions at.")
    } else if settings.is_managed() {
        Some("Your organization keeps this app up to date.")
    } else if !is_own {
        Some("Whoever installed this app keeps it up to date.")
    } else if !settings.is_on(Key::UpdateChecks) {
        Some("Looking for new versions is switched off.")
    } else {
        None
    }
}

/// Looks now and from time to time, for as long as the process lives.
pub(super) async fn follow(shared: Arc<Shared>) {
    loop {
        look(&shared).await;
        tokio::time::sleep(AGAIN).await;
    }
}

/// Looks once, where that is wanted, and shows what was found.
pub(super) async fn look(shared: &Shared) {
    let (hindrance, source) =
        shared.read(|state| (state.update_hindrance(), state.options.updates.clone()));
    let found = match (hindrance, source) {
        (None, Some(source)) => match newest(&source).await {
            Ok(release) => judged(&release),
            Err(reason) => UpdateView::Failed { reason },
        },
        (hindrance, _) => UpdateView::Off { reason: hindrance.unwrap_or_default().to_owned() },
    };
    match &found {
        UpdateView::Off { reason } => tracing::info!(reason, "no look for new versions"),
        UpdateView::Failed { reason } => tracing::info!(reason, "no word of new versions"),
        UpdateView::Newer { version, .. } => tracing::info!(version, "a new version is available"),
        UpdateView::Current => tracing::debug!("this is the newest version"),
        UpdateView::Unknown => {}
    }
    shared.change(|state| state.facts.update = found);
}

impl App {
    /// Opens the page of the newer version, where there is one.
    pub fn open_download(&self) {
        let update = self.views().borrow().update.clone();
        if let UpdateView::Newer { page, .. } = update {
            self.runtime.spawn_blocking(move || {
                if let Err(error) = platform::system::open_page(&page) {
                    tracing::warn!(%error, page, "no browser can be opened");
                }
            });
        }
    }
}

fn judged(release: &Release) -> UpdateView {
    let own = numbers(env!("CARGO_PKG_VERSION"));
    match numbers(&release.version) {
        Some(newest) if own.is_some_and(|own| newest > own) => {
            let (version, page) = (release.version.clone(), release.page.clone());
            UpdateView::Newer { version, page }
        }
        Some(_) | None => UpdateView::Current,
    }
}

/// Of a version such as 1.2.3.
fn numbers(version: &str) -> Option<[u64; 3]> {
    let numbers: Option<Vec<u64>> = version.split('.').map(|part| part.parse().ok()).collect();
    numbers?.try_into().ok()
}

async fn newest(source: &UpdateSource) -> Result<Release, String> {
    let key = PublicKey::from_base64(&source.key)
        .map_err(|_| "this build's key for new versions is none".to_owned())?;
    let url: Url = source.url.parse().map_err(|_| format!("{} is no address", source.url))?;
    let client = client(&url).await?;
    let body = fetch(&client, url.as_str()).await?;
    let signature = fetch(&client, &format!("{url}.minisig")).await?;
    let unsigned = || format!("what {url} says is not signed by the publisher's key");
    let signature = String::from_utf8(signature).map_err(|_| unsigned())?;
    let signature = Signature::decode(&signature).map_err(|_| unsigned())?;
    key.verify(&body, &signature, false).map_err(|_| unsigned())?;
    let release: Release =
        serde_json::from_slice(&body).map_err(|error| format!("{url} says nothing: {error}"))?;
    let is_page = release.page.parse().is_ok_and(|page: Url| page.scheme() == "https");
    let is_version = numbers(&release.version).is_some();
    if is_page && is_version { Ok(release) } else { Err(format!("{url} says nothing that counts")) }
}

/// By https, but to this machine itself; through the proxy that is set.
async fn client(url: &Url) -> Result<reqwest::Client, String> {
    // An error says that the process has one already: any is good.
    drop(rustls::crypto::ring::default_provider().install_default());
    let is_here = url.host_str() == Some("127.0.0.1");
    let builder = reqwest::Client::builder()
        .no_proxy()
        .https_only(!is_here)
        .timeout(PATIENCE)
        .user_agent(concat!("constellation/", env!("CARGO_PKG_VERSION")));
    let origin = url.origin().ascii_serialization();
    let way = match origin.parse() {
        // A PAC file may take its time.
        Ok(address) => tokio::task::spawn_blocking(move || proxy::way(&address)).await.ok(),
        Err(_) => None,
    };
    let builder = match way {
        Some(ProxyRoute::Through(proxy)) => {
            builder.proxy(proxy.for_client().map_err(|error| error.to_string())?)
        }
        Some(ProxyRoute::Straight(_) | ProxyRoute::Unusable(_)) | None => builder,
    };
    builder.build().map_err(|error| error.to_string())
}

async fn fetch(client: &reqwest::Client, url: &str) -> Result<Vec<u8>, String> {
    let failed = |error: reqwest::Error| format!("{url}: {}", error.without_url());
    let answer = client.get(url).send().await.and_then(Response::error_for_status);
    let mut answer = answer.map_err(failed)?;
    let mut bytes = Vec::new();
    while let Some(piece) = answer.chunk().await.map_err(failed)? {
        if bytes.len() + piece.len() > LONGEST {
            return Err(format!("{url} has no end"));
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
    use crate::settings::Places;

    /// A server of files, and where it is.
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

    /// What is found where `body` is published with the signature of `other`.
    async fn found(body: &str, other: &str) -> Result<UpdateView, String> {
        let keys = KeyPair::generate_unencrypted_keypair().unwrap();
        let files = [
            ("/latest.json".to_owned(), body.as_bytes().to_vec()),
            ("/latest.json.minisig".to_owned(), signed(&keys, other)),
        ];
        let url = format!("{}/latest.json", serve(files.into()).await);
        newest(&UpdateSource { url, key: keys.pk.to_base64() })
            .await
            .map(|release| judged(&release))
    }

    fn body(version: &str) -> String {
        format!(r#"{{"version":"{version}","page":"https://example.com/get","notes":"x"}}"#)
    }

    #[tokio::test]
    async fn a_newer_version_is_found_and_an_older_one_is_none() {
        let newer =
            UpdateView::Newer { version: "99.0.1".into(), page: "https://example.com/get".into() };
        assert_eq!(found(&body("99.0.1"), &body("99.0.1")).await, Ok(newer));
        for version in ["0.0.1", env!("CARGO_PKG_VERSION")] {
            let same = body(version);
            assert_eq!(found(&same, &same).await, Ok(UpdateView::Current), "{version}");
        }
    }

    #[tokio::test]
    async fn what_is_not_signed_is_not_believed() {
        let error = found(&body("99.0.1"), &body("99.0.0")).await.unwrap_err();
        assert!(error.ends_with("is not signed by the publisher's key"), "{error}");
        // Signed, but by another.
        let [own, other] = [(); 2].map(|()| KeyPair::generate_unencrypted_keypair().unwrap());
        let files = [
            ("/x".to_owned(), body("99.0.1").into_bytes()),
            ("/x.minisig".to_owned(), signed(&other, &body("99.0.1"))),
        ];
        let url = format!("{}/x", serve(files.into()).await);
        let error = newest(&UpdateSource { url, key: own.pk.to_base64() }).await.unwrap_err();
        assert!(error.ends_with("is not signed by the publisher's key"), "{error}");
    }

    #[tokio::test]
    async fn a_file_that_says_nothing_and_a_server_that_has_none_are_said() {
        let long =
            format!("{{\"version\":\"1.0.0\",\"page\":\"https://x{}\"}}", "x".repeat(LONGEST));
        for (wrong, words) in [
            ("{}", "missing field"),
            (body("soon").as_str(), "nothing that counts"),
            (r#"{"version":"99.0.0","page":"file:///etc/passwd"}"#, "nothing that counts"),
            (long.as_str(), "has no end"),
        ] {
            let error = found(wrong, wrong).await.unwrap_err();
            assert!(error.contains(words), "{error}");
        }
        let url = format!("{}/none", serve(BTreeMap::new()).await);
        let key = KeyPair::generate_unencrypted_keypair().unwrap().pk.to_base64();
        let error = newest(&UpdateSource { url, key }).await.unwrap_err();
        assert!(error.contains("404"), "{error}");
        let plain = UpdateSource { url: "http://192.0.2.7/x".into(), key: String::new() };
        assert!(newest(&plain).await.unwrap_err().contains("key for new versions"));
    }

    #[test]
    fn nobody_looks_where_somebody_else_keeps_it_up_to_date() {
        let folder = tempfile::tempdir().unwrap();
        let source = UpdateSource { url: "https://example.com".into(), key: "x".into() };
        let of = |user: &str, managed: &str, source: Option<&UpdateSource>, is_own: bool| {
            let file = |name: &str, text: &str| {
                let path = folder.path().join(name);
                std::fs::write(&path, text).unwrap();
                path
            };
            let places = Places {
                user: Some(file("settings.toml", user)),
                managed: platform::managed::Managed::File(file("managed.toml", managed)),
            };
            let settings = Settings::load_from(&places, |_| None).unwrap();
            hindrance(source, &settings, is_own)
        };
        let source = Some(&source);
        assert_eq!(of("", "", source, true), None);
        assert_eq!(of("UpdateChecks = true", "", source, true), None);
        let no = |found: Option<&'static str>, words: &str| {
            assert!(found.is_some_and(|found| found.contains(words)), "{found:?}");
        };
        no(of("", "", None, true), "no address");
        no(of("UpdateChecks = false", "", source, true), "switched off");
        no(of("", "IdleSeconds = 60", source, true), "Your organization");
        no(of("", "UpdateChecks = true", source, true), "Your organization");
        no(of("", "", source, false), "Whoever installed");
    }
}
