//! Contents of a commit, and of the database at startup.

use std::collections::BTreeMap;

use protocol::api::Change;
use protocol::audit::Record;
use protocol::{DeviceId, JobId, ModelId, Timestamp};

use super::dataset_rows::DatasetRow;
use super::details_rows::{JobDetailsRow, ModelNameRow};
use super::lease_rows::{DayRow, LeaseRow, Trim};
use super::notification_rows::{NotificationRow, StoredNotifications};
use super::rows::{DeviceRow, JobChanges, JobRow, JoinCodeRow, ModelRow, SessionRow, TokenRow};
use crate::access::credential::CredentialKind;

/// Times of last use of credentials, by id.
pub(crate) type Uses = BTreeMap<(CredentialKind, String), Timestamp>;

/// Contents of an atomic commit.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    pub(crate) jobs: Vec<JobChanges>,
    /// Deleted jobs, whose lease records are removed too.
    pub(crate) removed_jobs: Vec<JobId>,
    pub(crate) job_details: Vec<JobDetailsRow>,
    pub(crate) devices: Vec<DeviceRow>,
    /// Removed devices, whose tokens are removed too.
    pub(crate) removed_devices: Vec<DeviceId>,
    pub(crate) tokens: Vec<TokenRow>,
    pub(crate) removed_tokens: Vec<String>,
    pub(crate) sessions: Vec<SessionRow>,
    pub(crate) removed_sessions: Vec<String>,
    /// Times of last use of credentials.
    pub(crate) uses: Uses,
    pub(crate) join_codes: Vec<JoinCodeRow>,
    pub(crate) models: Vec<ModelRow>,
    pub(crate) removed_models: Vec<ModelId>,
    pub(crate) model_names: Vec<ModelNameRow>,
    pub(crate) removed_model_names: Vec<String>,
    pub(crate) datasets: Vec<DatasetRow>,
    /// Ids of datasets.
    pub(crate) removed_datasets: Vec<String>,
    pub(crate) notifications: Vec<NotificationRow>,
    pub(crate) leases: Vec<LeaseRow>,
    pub(crate) days: Vec<DayRow>,
    /// Lease records to remove.
    pub(crate) trim: Option<Trim>,
    /// Events to publish.
    pub(crate) changes: Vec<Change>,
    /// Audit log entries.
    pub(crate) audit: Vec<Record>,
}

/// State that the driver keeps in memory.
#[derive(Debug)]
pub(crate) struct Loaded {
    pub(crate) cluster_id: String,
    pub(crate) jobs: Vec<JobRow>,
    pub(crate) job_details: Vec<JobDetailsRow>,
    pub(crate) devices: Vec<DeviceRow>,
    pub(crate) tokens: Vec<TokenRow>,
    pub(crate) sessions: Vec<SessionRow>,
    pub(crate) join_codes: Vec<JoinCodeRow>,
    pub(crate) models: Vec<ModelRow>,
    pub(crate) model_names: Vec<ModelNameRow>,
    pub(crate) datasets: Vec<DatasetRow>,
    pub(crate) notifications: StoredNotifications,
    /// Held leases.
    pub(crate) leases: Vec<LeaseRow>,
    pub(crate) days: Vec<DayRow>,
}
