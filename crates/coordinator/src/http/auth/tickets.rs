//! Tickets for browser downloads, which send no header.
//!
//! A ticket opens one path, once, within a minute, with the role of its creator.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::extract::Request;
use axum::http::{Method, StatusCode};
use protocol::Timestamp;

use crate::access::credential::Credential;
use crate::http::problem::ApiError;

/// Lifetime of an unused ticket.
pub(crate) const TICKET_LIFETIME: Duration = Duration::from_mins(1);
/// Maximum number of unused tickets of one credential. A new one replaces the oldest.
const MOST_OF_ONE: usize = 32;
/// Name of the query's last parameter.
pub(crate) const TICKET: &str = "ticket=";

/// Unused tickets, by the BLAKE3 of their secret. They are not stored, so a restart ends them.
#[derive(Debug, Default)]
pub(crate) struct Tickets(Mutex<HashMap<[u8; 32], Ticket>>);

#[derive(Debug)]
struct Ticket {
    /// Path and query, without the ticket.
    path: String,
    credential: Arc<Credential>,
    expires_at: Timestamp,
}

/// Path requested with a ticket.
#[derive(Debug)]
pub(crate) struct TicketRequest<'a> {
    path: &'a str,
    hash: [u8; 32],
}

impl Tickets {
    /// Creates a ticket and returns its secret, 256 random bits.
    pub(crate) fn create(&self, path: &str, credential: Arc<Credential>, now: Timestamp) -> String {
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
        let ticket =
            Ticket { path: path.to_owned(), credential, expires_at: now.after(TICKET_LIFETIME) };
        tickets.insert(*blake3::hash(secret.as_bytes()).as_bytes(), ticket);
        secret
    }

    /// Uses the ticket up. Returns its credential if that is still valid.
    pub(crate) fn take(
        &self,
        requested: &TicketRequest<'_>,
        now: Timestamp,
    ) -> Option<Arc<Credential>> {
        let mut tickets = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // On another path a ticket is not valid, and not used up.
        tickets.get(&requested.hash).filter(|ticket| ticket.path == requested.path)?;
        let ticket = tickets.remove(&requested.hash)?;
        let counts = now < ticket.expires_at && ticket.credential.counts(now);
        counts.then_some(ticket.credential)
    }
}

/// Returns the request's path and ticket, or `None` if it has no ticket.
pub(crate) fn requested(request: &Request) -> Option<TicketRequest<'_>> {
    if request.method() != Method::GET {
        return None;
    }
    let address = request.uri().path_and_query()?.as_str();
    let (path, secret) = address.rsplit_once(TICKET)?;
    let path = path.strip_suffix(['?', '&'])?;
    Some(TicketRequest { path, hash: *blake3::hash(secret.as_bytes()).as_bytes() })
}

/// Returns the response to an invalid ticket.
pub(crate) fn invalid_ticket() -> ApiError {
    let words = "this address was good once and for a minute; go back to the dashboard and start the \
                 download again";
    ApiError::new(StatusCode::UNAUTHORIZED, "download-ticket", "Unauthorized", words)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::caller::Principal;
    use crate::access::credential::CredentialKind;

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_millis(1_000_000).after(Duration::from_secs(seconds))
    }

    fn credential(id: &str) -> Arc<Credential> {
        let (kind, principal) = (CredentialKind::Token, Principal::local_admin());
        Arc::new(Credential::new(kind, id.to_owned(), principal, None, None))
    }

    fn take(tickets: &Tickets, address: &str, now: Timestamp) -> bool {
        let request = Request::get(address).body(axum::body::Body::empty()).unwrap();
        tickets.take(&requested(&request).unwrap(), now).is_some()
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
        // Expired tickets are removed to make room.
        tickets.create("/metrics", credential("one"), at(1000));
        assert_eq!(tickets.0.lock().unwrap().len(), 1);
    }
}
