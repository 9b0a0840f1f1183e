//! Identifiers as newtypes over UUIDv7, so that ids of different kinds cannot be confused.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

/// Text that is not a UUID.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{text}' is not an id: ids are UUIDs such as 01890a5d-ac96-774b-bcce-b302099a8057")]
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
    /// Id of an enrolled worker's machine.
    DeviceId
);
id!(
    /// Id of a job.
    JobId
);
id!(
    /// Id of a lease.
    LeaseId
);
id!(
    /// Id of a notice, which is an event that needs an administrator's attention.
    NoticeId
);
id!(
    /// Id of a webhook.
    WebhookId
);
id!(
    /// Id of one notice's delivery to one webhook.
    DeliveryId
);
id!(
    /// Id of one version of a registered model.
    ModelId
);
id!(
    /// Id of a file that was uploaded for an import.
    UploadId
);
