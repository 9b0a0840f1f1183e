//! Database: all durable state except the bytes of blobs. The driver owns the only writer; there
//! are several readers. No other module depends on SQLite.

mod audit;
mod batch;
mod connection;
mod dataset_rows;
mod datasets;
mod details;
mod details_rows;
mod error;
mod join_codes;
mod lease_rows;
mod leases;
mod machines;
mod migrations;
mod notification_rows;
mod notifications;
mod opening;
mod reader;
mod rows;
mod secrets;
mod sessions;
mod snapshot;
#[cfg(test)]
mod tests;
mod triggers;
mod values;
mod write;

pub(crate) use audit::MOST_ENTRIES;
pub(crate) use batch::{Batch, Loaded, Uses};
pub(crate) use connection::Store;
pub(crate) use dataset_rows::{DatasetRow, DatasetVersionRow, StoredShard};
pub(crate) use details_rows::{DatasetPin, JobDetails, JobDetailsRow, ModelName, ModelNameRow};
pub use error::StoreError;
pub(crate) use lease_rows::{Day, DayRow, LeaseRow, MOST_LEASES, Trim};
pub(crate) use migrations::KNOWN_VERSION;
pub(crate) use notification_rows::{
    DeliveryRow, NotificationRow, StoredNotifications, WebhookRow, WebhookTarget,
};
pub(crate) use reader::Reader;
pub(crate) use rows::{
    DeviceNote, DeviceRow, JobChanges, JobRow, JoinCodeRow, ModelRow, RefusedUpdate, SessionRow,
    TokenRow,
};
pub(crate) use secrets::password_row;
pub(crate) use snapshot::adopt;
