//! A credential that was given out, as requests are checked against it: whom it shows, and until when
//! it counts.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use protocol::Timestamp;
use tokio_util::sync::CancellationToken;

use crate::caller::Principal;
use crate::clock;

/// A session ends when nobody used it for so long: a working day and its evening.
pub(crate) const SESSION_IDLE: Duration = Duration::from_hours(12);
/// How exactly the last use is known. Also what a session's end may be early by.
const COARSE: Duration = Duration::from_mins(5);

/// What it is; one is never taken for the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum CredentialKind {
    /// In the header `Authorization`.
    Token,
    /// In a browser: see [`Carrier`].
    Session,
}

/// How a browser carries the secret of its session. The secret begins with the carrier's name, so a
/// secret that is stored hashed can't be carried in the other way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Carrier {
    /// The `__Host-` cookie.
    Cookie,
    /// The header `Authorization`, written by the page, which keeps the secret in its tab.
    Tab,
}

impl Carrier {
    /// First characters of every secret that is carried so. Secrets of versions that took a cookie in
    /// the clear began with `constellation-session-` and don't count any more.
    pub(crate) const fn prefix(self) -> &'static str {
        match self {
            Self::Cookie => "constellation-cookie-",
            Self::Tab => "constellation-tab-",
        }
    }

    /// Whether a session with this secret is carried so.
    pub(crate) fn carries(self, secret: &str) -> bool {
        secret.starts_with(self.prefix())
    }
}

#[derive(Debug)]
pub(crate) struct Credential {
    pub(crate) kind: CredentialKind,
    pub(crate) id: String,
    pub(crate) principal: Principal,
    /// Of a token that doesn't last for ever.
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

    /// Ends what goes on with this credential. It was deleted, or its device was revoked.
    pub(crate) fn revoke(&self) {
        self.revoked.cancel();
    }

    /// Ends when the credential was revoked or has expired. A session that nobody uses for long is not
    /// looked at: what goes on with it is a use.
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

    /// When it counts no more, if nobody uses it until then; none = never.
    pub(crate) fn ends_at(&self) -> Option<Timestamp> {
        match self.kind {
            CredentialKind::Token => self.expires_at,
            CredentialKind::Session => Some(self.last_used().after(SESSION_IDLE)),
        }
    }

    pub(crate) fn counts(&self, now: Timestamp) -> bool {
        !self.revoked.is_cancelled() && self.ends_at().is_none_or(|end| now < end)
    }

    /// To be called for each use; says whether the use is worth being stored.
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
