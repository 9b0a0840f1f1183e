//! Identifiers as newtypes over UUIDv7, so that a device can't be passed where a job is meant.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

/// Text that is not a UUID.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{text}' is not an id: ids are UUIDs like 01890a5d-ac96-774b-bcce-b302099a8057")]
pub struct InvalidId {
    text: String,
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(
            Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema,
        )]
        #[serde(transparent)]
        #[schema(value_type = String, format = Uuid)]
        pub struct $name(Uuid);

        impl $name {
            pub fn from_uuid(uuid: Uuid) -> Self {
                Self(uuid)
            }

            pub fn as_uuid(self) -> Uuid {
                self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;

            fn from_str(text: &str) -> Result<Self, InvalidId> {
                Uuid::parse_str(text).map(Self).map_err(|_| InvalidId { text: text.to_owned() })
            }
        }
    };
}

id!(
    /// An enrolled worker's machine.
    DeviceId
);
id!(
    /// What a person asked for.
    JobId
);
id!(
    /// One partition of one round given to one device until a deadline.
    LeaseId
);
id!(
    /// Something that an administrator should know.
    NoticeId
);
id!(
    /// An address that hears of notices.
    WebhookId
);
id!(
    /// One notice on its way to one webhook.
    DeliveryId
);
id!(
    /// One version of a registered model.
    ModelId
);
