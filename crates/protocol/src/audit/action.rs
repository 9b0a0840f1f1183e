//! The words of the audit log: what is done, and to what.

use serde::{Deserialize, Serialize};
use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

/// A word that the log does not have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the audit log has no word '{0}'")]
pub struct Unknown(String);

macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $word:literal,)* }) => {
        $(#[$doc])*
        #[derive(
            Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
        )]
        pub enum $name {
            $($(#[$variant_doc])* #[serde(rename = $word)] $variant,)*
        }

        impl $name {
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// As JSON and the database have it.
            pub const fn word(self) -> &'static str {
                match self {
                    $(Self::$variant => $word,)*
                }
            }
        }

        // Deriving would see the names of the variants: a macro's words are hidden from it.
        impl PartialSchema for $name {
            fn schema() -> RefOr<Schema> {
                let words = Self::ALL.iter().map(|known| known.word());
                ObjectBuilder::new().schema_type(Type::String).enum_values(Some(words)).into()
            }
        }

        impl ToSchema for $name {}

        impl std::str::FromStr for $name {
            type Err = Unknown;

            fn from_str(word: &str) -> Result<Self, Unknown> {
                let known = Self::ALL.iter().copied().find(|known| known.word() == word);
                known.ok_or_else(|| Unknown(word.to_owned()))
            }
        }
    };
}

words! {
    /// What was done.
    Action {
        /// A job, a token, a join code, a sign-in link; a session: somebody signed in.
        Created = "created",
        /// A job; the coordinator.
        Started = "started",
        Paused = "paused",
        Resumed = "resumed",
        Cancelled = "cancelled",
        /// Closed before its last round, with the model that it had.
        Completed = "completed",
        /// A model, a dataset, a webhook.
        Added = "added",
        /// What was there is gone: a token, a session, a device that was cleaned up.
        Removed = "removed",
        /// A device, for the first time.
        Enrolled = "enrolled",
        /// A known device, with a new key or a new token.
        Rekeyed = "rekeyed",
        /// A device, whose machine was known under another key.
        Approved = "approved",
        /// A device or a join code: it counts no more.
        Revoked = "revoked",
        /// A device, by itself.
        Left = "left",
        /// A device: it gets no work until it is released.
        Quarantined = "quarantined",
        Released = "released",
        /// A credential that doesn't count.
        Refused = "refused",
        /// A setting; a notice that was dismissed.
        Changed = "changed",
        /// A backup.
        Written = "written",
        /// A coordinator, from a backup.
        Restored = "restored",
    }
}

words! {
    /// What it was done to.
    SubjectKind {
        Job = "job",
        Model = "model",
        Dataset = "dataset",
        Device = "device",
        Token = "token",
        JoinCode = "join_code",
        SignInLink = "sign_in_link",
        Session = "session",
        /// Of somebody who showed one that doesn't count.
        Credential = "credential",
        Webhook = "webhook",
        Notice = "notice",
        Setting = "setting",
        Backup = "backup",
        Coordinator = "coordinator",
    }
}
