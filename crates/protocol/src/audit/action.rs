//! Audit log vocabulary: actions and the kinds of their subjects.

use serde::{Deserialize, Serialize};
use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

/// Word that the audit log does not define.
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

            /// Returns the word in JSON and in the database.
            pub const fn word(self) -> &'static str {
                match self {
                    $(Self::$variant => $word,)*
                }
            }
        }

        // A derive would use the variant names instead of the macro's words.
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
    /// Recorded action.
    Action {
        /// A job, a token, a join code or a sign-in link was created. For a session: a person signed in.
        Created = "created",
        /// A job or the coordinator started.
        Started = "started",
        Paused = "paused",
        Resumed = "resumed",
        Cancelled = "cancelled",
        /// A job was completed before its last round, with its current model.
        Completed = "completed",
        /// A model, a dataset or a webhook was added.
        Added = "added",
        /// A token, a job, a dataset, a model or another object was deleted, or a device was cleaned up.
        Removed = "removed",
        /// A device enrolled for the first time.
        Enrolled = "enrolled",
        /// A known device received a new key or a new token.
        Rekeyed = "rekeyed",
        /// A device was approved whose machine was known under another key.
        Approved = "approved",
        /// A device or a join code was revoked and is no longer valid.
        Revoked = "revoked",
        /// A revoked device may enroll again.
        Reinstated = "reinstated",
        /// A device left the cluster itself.
        Left = "left",
        /// A device was quarantined: it gets no work until it is released.
        Quarantined = "quarantined",
        Released = "released",
        /// An invalid credential was rejected.
        Refused = "refused",
        /// A setting was changed, or a notice was dismissed.
        Changed = "changed",
        /// A job, a model or a dataset was hidden from lists, or is shown again.
        Archived = "archived",
        Unarchived = "unarchived",
        /// A job, a model or a dataset got another name.
        Renamed = "renamed",
        /// A backup was written.
        Written = "written",
        /// A coordinator was restored from a backup.
        Restored = "restored",
    }
}

words! {
    /// Kind of the action's subject.
    SubjectKind {
        Job = "job",
        Model = "model",
        Dataset = "dataset",
        Device = "device",
        Token = "token",
        JoinCode = "join_code",
        SignInLink = "sign_in_link",
        Session = "session",
        /// Sender of an invalid credential.
        Credential = "credential",
        Webhook = "webhook",
        Notice = "notice",
        Setting = "setting",
        Backup = "backup",
        Coordinator = "coordinator",
    }
}
