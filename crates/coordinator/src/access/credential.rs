//! Issued credentials that requests are checked against: principal and validity.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use protocol::Timestamp;
use tokio_util::sync::CancellationToken;

use crate::access::caller::Principal;
use crate::clock;

/// Idle timeout of a session: a working day and its evening.
pub(crate) const SESSION_IDLE: Duration = Duration::from_hours(12);
/// Precision of the time of last use. A session may end earlier by this much.
const COARSE: Duration = Duration::from_mins(5);

/// Kind of a credential. The kinds are not interchangeable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum CredentialKind {
    /// Sent in the header `Authorization`.
    Token,
    /// Session of a browser: see [`Carrier`].
    Session,
}

/// How a browser sends the secret of its session. The secret's prefix names the carrier, so a
/// secret that is stored hashed can't be sent by the other carrier.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Carrier {
    /// The `__Host-` cookie.
    Cookie,
    /// The header `Authorization`, set by the page, which keeps the secret in its tab.
    Tab,
}

impl Carrier {
    /// Returns the prefix of every secret sent by this carrier. Secrets of versions that accepted a
    /// cookie over plain HTTP begin with `constellation-session-` and are no longer valid.
    pub(crate) const fn prefix(self) -> &'static str {
        match self {
            Self::Cookie => "constellation-cookie-",
            Self::Tab => "constellation-tab-",
        }
    }

    /// Returns whether the secret belongs to this carrier.
    pub(crate) fn carries(self, secret: &str) -> bool {
        secret.starts_with(self.prefix())
    }
}

#[derive(Debug)]
pub(crate) struct Credential {
    pub(crate) kind: CredentialKind,
    pub(crate) id: String,
    pub(crate) principal: Principal,
    /// Expiry of a token. `None` if it never expires.
    pub(crate) expires_at: Option<Timestamp>,
    /// Milliseconds; 0 before the first use.
    last_used: AtomicI64,
    revoked: CancellationToken,
}

impl Credential {
    pub(crate) fn new(
        kind: CredentialKind,
        id: String,
        principal: Principal,
        expires_at: Option<Timestamp>,
        last_used: Option<Timestamp>,
    ) -> Self {
        let last_used = AtomicI64::new(last_used.unwrap_or_default().as_millis());
        Self { kind, id, principal, expires_at, last_used, revoked: CancellationToken::new() }
    }

    /// Ends requests in progress with this credential, because it was deleted or its device was
    /// revoked.
    pub(crate) fn revoke(&self) {
        self.revoked.cancel();
    }

    /// Completes when the credential is revoked or expires. Ignores the idle timeout of sessions,
    /// because a request in progress counts as use.
    pub(crate) async fn ended(self: Arc<Self>) {
        let expired = async {
            match self.expires_at {
                Some(at) => tokio::time::sleep(at.since(clock::now())).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = self.revoked.cancelled() => {}
            () = expired => {}
        }
    }

    /// Returns when the credential expires if it isn't used until then. `None` if it never expires.
    pub(crate) fn ends_at(&self) -> Option<Timestamp> {
        match self.kind {
            CredentialKind::Token => self.expires_at,
            CredentialKind::Session => Some(self.last_used().after(SESSION_IDLE)),
        }
    }

    pub(crate) fn counts(&self, now: Timestamp) -> bool {
        !self.revoked.is_cancelled() && self.ends_at().is_none_or(|end| now < end)
    }

    /// Records a use. Returns whether the use should be stored.
    pub(crate) fn used(&self, now: Timestamp) -> bool {
        let before = self.last_used.load(Ordering::Relaxed);
        if now.since(Timestamp::from_millis(before)) < COARSE {
            return false;
        }
        let (set, load) = (Ordering::Relaxed, Ordering::Relaxed);
        self.last_used.compare_exchange(before, now.as_millis(), set, load).is_ok()
    }

    fn last_used(&self) -> Timestamp {
        Timestamp::from_millis(self.last_used.load(Ordering::Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn minutes(minutes: u64) -> Timestamp {
        Timestamp::default().after(Duration::from_mins(minutes))
    }

    fn credential(kind: CredentialKind, expires_at: Option<Timestamp>) -> Credential {
        let principal = Principal::local_admin();
        Credential::new(kind, "id".to_owned(), principal, expires_at, Some(minutes(0)))
    }

    #[test]
    fn a_session_lasts_for_as_long_as_it_is_used() {
        let session = credential(CredentialKind::Session, None);
        for hour in (11..48).step_by(11) {
            assert!(session.counts(minutes(hour * 60)), "{hour}");
            assert!(session.used(minutes(hour * 60)));
        }
        assert!(session.counts(minutes(44 * 60 + 719)));
        assert!(!session.counts(minutes(44 * 60 + 720)));
    }

    #[test]
    fn a_token_ends_when_it_was_said_to_whether_it_is_used_or_not() {
        let token = credential(CredentialKind::Token, Some(minutes(10)));
        assert!(token.used(minutes(9)) && token.counts(minutes(9)));
        assert!(!token.counts(minutes(10)));
        assert!(credential(CredentialKind::Token, None).counts(minutes(1 << 30)));
    }

    #[test]
    fn uses_in_a_row_are_worth_one_write() {
        let token = credential(CredentialKind::Token, None);
        let stored = (0..60).filter(|minute| token.used(minutes(*minute))).count();
        assert_eq!(stored, 11);
    }

    #[test]
    fn a_clock_that_goes_back_ends_nothing() {
        let session = credential(CredentialKind::Session, None);
        session.used(minutes(60));
        assert!(!session.used(minutes(1)) && session.counts(minutes(1)));
    }
}
