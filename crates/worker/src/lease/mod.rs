//! One lease, from grant to end: [`run`] fetches, trains, yields and resumes; [`renew`] keeps the
//! lease alive meanwhile; [`submit`] sends the finished update or returns the lease.

mod renew;
mod run;
mod submit;

use std::path::PathBuf;

use protocol::encrypted_file::StorageKey;
use tokio_util::sync::CancellationToken;

use crate::cache::Cache;
use crate::idle_monitor::IdleMonitor;
use crate::net::client::Client;
use crate::status::StatusReporter;

pub(crate) use renew::Renewal;
pub(crate) use run::run_lease;
pub(crate) use submit::submit;

/// Everything that work on a lease needs and does not change.
pub(crate) struct LeaseContext<'a> {
    pub(crate) client: &'a Client,
    pub(crate) reporter: &'a StatusReporter<'a>,
    pub(crate) idle_monitor: &'a IdleMonitor,
    pub(crate) cache: &'a Cache,
    pub(crate) stop: &'a CancellationToken,
    /// Folder of the lease workspaces.
    pub(crate) workspaces: PathBuf,
    /// Key that encrypts the workspaces and the cache.
    pub(crate) key: &'a StorageKey,
    pub(crate) maximum_upload_mbps: Option<f64>,
}

/// How work on a lease ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LeaseOutcome {
    /// The update was submitted, or the lease was returned.
    Settled,
    /// The coordinator gave the seat away. The workspace stays, because the same work may be
    /// granted again.
    Lost,
    /// The lease was returned because the work failed or does not fit on this device. The next
    /// lease may fail the same way.
    Failed,
    /// The coordinator does not accept this device's token.
    Unauthorized,
    Stopped,
}
