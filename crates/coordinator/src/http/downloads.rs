//! `/downloads`: tickets for browsers, whose downloads carry no header. A ticket opens one path, once,
//! within a minute, as whoever asked for it. Files go straight to the disk, so their size doesn't matter.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::uri::PathAndQuery;
use axum::http::{Method, StatusCode};
use axum::{Extension, Json};
use protocol::Timestamp;
use protocol::session::{Download, DownloadRequest};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Shared;
use super::auth::Viewer;
use super::extract::Body;
use super::problem::{Answer, Failure};
use crate::clock;
use crate::credential::Credential;

/// How long a ticket waits for its download to begin.
const LASTS: Duration = Duration::from_mins(1);
/// Tickets of one credential that wait; a further one takes the place of the oldest.
const MOST_OF_ONE: usize = 32;
const LONGEST_PATH: usize = 2000;
/// Name of the query's last parameter.
const TICKET: &str = "ticket=";

pub(super) fn routes() -> OpenApiRouter<Shared> {
    OpenApiRouter::new().routes(routes!(create))
}

/// Tickets that wait, by the BLAKE3 of their secret. They are not stored: a restart ends them.
#[derive(Debug, Default)]
pub(crate) struct Tickets(Mutex<HashMap<[u8; 32], Ticket>>);

#[derive(Debug)]
struct Ticket {
    /// Path and query, without the ticket.
    path: String,
    credential: Arc<Credential>,
    expires_at: Timestamp,
}

/// A path that was asked for with a ticket.
#[derive(Debug)]
pub(super) struct Asked<'a> {
    path: &'a str,
    hash: [u8; 32],
}

impl Tickets {
    /// Makes a ticket; gives its secret, 256 random bits.
    fn create(&self, path: &str, credential: Arc<Credential>, now: Timestamp) -> String {
        let secret: [u8; 32] = rand::random();
        let secret = blake3::Hash::from_bytes(secret).to_hex().to_string();
        let mut tickets = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        tickets.retain(|_, ticket| now < ticket.expires_at);
        let of_one = |ticket: &&Ticket| ticket.credential.id == credential.id;
        if tickets.values().filter(of_one).count() >= MOST_OF_ONE {
            let waiting = tickets.iter().filter(|(_, ticket)| of_one(ticket));
            let oldest = waiting.min_by_key(|(_, ticket)| ticket.expires_at);
            if let Some(oldest) = oldest.map(|(hash, _)| *hash) {
                tickets.remove(&oldest);
            }
        }
        let ticket = Ticket { path: path.to_owned(), credential, expires_at: now.after(LASTS) };
        tickets.insert(*blake3::hash(secret.as_bytes()).as_bytes(), ticket);
        secret
    }

    /// Uses the ticket up; gives whose it is, where that still counts.
    pub(super) fn take(&self, asked: &Asked<'_>, now: Timestamp) -> Option<Arc<Credential>> {
        let mut tickets = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // On another path it opens nothing, and isn't lost by that.
        tickets.get(&asked.hash).filter(|ticket| ticket.path == asked.path)?;
        let ticket = tickets.remove(&asked.hash)?;
        let counts = now < ticket.expires_at && ticket.credential.counts(now);
        counts.then_some(ticket.credential)
    }
}

/// What a request asks for with a ticket; none where it shows none.
pub(super) fn asked(request: &Request) -> Option<Asked<'_>> {
    if request.method() != Method::GET {
        return None;
    }
    let address = request.uri().path_and_query()?.as_str();
    let (path, secret) = address.rsplit_once(TICKET)?;
    let path = path.strip_suffix(['?', '&'])?;
    Some(Asked { path, hash: *blake3::hash(secret.as_bytes()).as_bytes() })
}

/// The answer to a ticket that opens nothing.
pub(super) fn used_up() -> Failure {
    let words = "this address was good once and for a minute; go back to the dashboard and start the \
                 download again";
    Failure::new(StatusCode::UNAUTHORIZED, "download-ticket", "Unauthorized", words)
}

/// Makes an address for a download that a browser can follow without a header: good once, within a
/// minute, with the role of whoever asks. For `/backup`, `/audit/export`, `/metrics`, and a model's
/// `download` and `card`.
#[utoipa::path(post, path = "/downloads", tag = "downloads", request_body = DownloadRequest,
    security(("token" = ["viewer", "admin"])), responses((status = 201, body = Download)))]
async fn create(
    _: Viewer,
    credential: Option<Extension<Arc<Credential>>>,
    State(shared): State<Shared>,
    Body(DownloadRequest { path }): Body<DownloadRequest>,
) -> Answer<(StatusCode, Json<Download>)> {
    if path.len() > LONGEST_PATH || !path.parse().is_ok_and(|path| is_download(&path)) {
        let words = "is no download: /backup, /audit/export, /metrics, /models/NAME/download and \
                     /models/NAME/card are";
        return Err(Failure::invalid("invalid-download", words).at("path"));
    }
    let Some(Extension(credential)) = credential else {
        let words = "this window needs no ticket; ask for the path itself";
        return Err(Failure::conflict("no-ticket-needed", words));
    };
    let now = clock::now();
    let ticket = shared.tickets.create(&path, credential, now);
    let joint = if path.contains('?') { '&' } else { '?' };
    let path = format!("{path}{joint}{TICKET}{ticket}");
    Ok((StatusCode::CREATED, Json(Download { path, expires_at: now.after(LASTS) })))
}

fn is_download(path: &PathAndQuery) -> bool {
    let parts: Vec<&str> = path.path().split('/').collect();
    matches!(
        parts.as_slice(),
        ["", "backup" | "metrics"]
            | ["", "audit", "export"]
            | ["", "models", _, "download" | "card"]
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::caller::Principal;
    use crate::credential::CredentialKind;

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_millis(1_000_000).after(Duration::from_secs(seconds))
    }

    fn credential(id: &str) -> Arc<Credential> {
        let (kind, principal) = (CredentialKind::Token, Principal::local_admin());
        Arc::new(Credential::new(kind, id.to_owned(), principal, None, None))
    }

    fn take(tickets: &Tickets, address: &str, now: Timestamp) -> bool {
        let request = Request::get(address).body(axum::body::Body::empty()).unwrap();
        tickets.take(&asked(&request).unwrap(), now).is_some()
    }

    #[test]
    fn a_ticket_opens_its_path_once_within_a_minute() {
        let (tickets, one) = (Tickets::default(), credential("one"));
        let ticket = |path| tickets.create(path, one.clone(), at(0));
        let secret = ticket("/backup");
        for other in ["/audit/export", "/backup/", "/backup?x=1&", "//backup"] {
            let joint = if other.ends_with('&') { "" } else { "?" };
            assert!(!take(&tickets, &format!("{other}{joint}ticket={secret}"), at(1)), "{other}");
        }
        assert!(!take(&tickets, &format!("/backup?ticket={}", &secret[1..]), at(1)));
        assert!(take(&tickets, &format!("/backup?ticket={secret}"), at(59)));
        assert!(!take(&tickets, &format!("/backup?ticket={secret}"), at(59)));
        let secret = ticket("/models/a%20b/download?version=2");
        let address = format!("/models/a%20b/download?version=2&ticket={secret}");
        assert!(!take(&tickets, &address, at(60)));
        let secret = ticket("/metrics");
        one.revoke();
        assert!(!take(&tickets, &format!("/metrics?ticket={secret}"), at(1)));
    }

    #[test]
    fn nobody_s_tickets_take_the_place_of_another_s() {
        let tickets = Tickets::default();
        let kept = tickets.create("/backup", credential("kept"), at(0));
        let many: Vec<String> = (0..100)
            .map(|second| tickets.create("/metrics", credential("many"), at(second / 10)))
            .collect();
        assert_eq!(tickets.0.lock().unwrap().len(), MOST_OF_ONE + 1);
        assert!(take(&tickets, &format!("/backup?ticket={kept}"), at(10)));
        assert!(!take(&tickets, &format!("/metrics?ticket={}", many[0]), at(10)));
        assert!(take(&tickets, &format!("/metrics?ticket={}", many[99]), at(10)));
        // What expired makes room by itself.
        tickets.create("/metrics", credential("one"), at(1000));
        assert_eq!(tickets.0.lock().unwrap().len(), 1);
    }

    #[test]
    fn only_downloads_have_tickets() {
        let is = |path: &str| path.parse().is_ok_and(|path| is_download(&path));
        for path in ["/backup", "/metrics", "/audit/export", "/models/a%2Fb/card?version=1"] {
            assert!(is(path), "{path}");
        }
        for path in
            ["", "/", "backup", "/tokens", "/backup/x", "/models/a", "/blobs/a", "/a b", "*"]
        {
            assert!(!is(path), "{path}");
        }
    }
}
