//! Notices: what an administrator should know without having asked.

use std::fmt;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{NoticeId, Timestamp};

/// What a notice is about.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum NoticeKind {
    JobCompleted,
    JobFailed,
    JobCancelled,
    /// Nothing of the job moved for much longer than its leases take.
    JobStalled,
    DeviceQuarantined,
    /// A known machine shows a new key, and an administrator has to approve it.
    DeviceAwaitingApproval,
    DiskNearlyFull,
    BackupFailed,
    CertificateExpiring,
}

impl NoticeKind {
    pub const ALL: [Self; 9] = [
        Self::JobCompleted,
        Self::JobFailed,
        Self::JobCancelled,
        Self::JobStalled,
        Self::DeviceQuarantined,
        Self::DeviceAwaitingApproval,
        Self::DiskNearlyFull,
        Self::BackupFailed,
        Self::CertificateExpiring,
    ];

    /// Its word in JSON.
    pub const fn word(self) -> &'static str {
        match self {
            Self::JobCompleted => "job_completed",
            Self::JobFailed => "job_failed",
            Self::JobCancelled => "job_cancelled",
            Self::JobStalled => "job_stalled",
            Self::DeviceQuarantined => "device_quarantined",
            Self::DeviceAwaitingApproval => "device_awaiting_approval",
            Self::DiskNearlyFull => "disk_nearly_full",
            Self::BackupFailed => "backup_failed",
            Self::CertificateExpiring => "certificate_expiring",
        }
    }

    /// Whether it tells of a state that can end by itself, such as a full disk.
    pub const fn lasts(self) -> bool {
        match self {
            Self::JobStalled
            | Self::DeviceQuarantined
            | Self::DeviceAwaitingApproval
            | Self::DiskNearlyFull
            | Self::BackupFailed
            | Self::CertificateExpiring => true,
            Self::JobCompleted | Self::JobFailed | Self::JobCancelled => false,
        }
    }
}

impl fmt::Display for NoticeKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// A notice, as `GET /notices` shows it and as webhooks carry it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Notice {
    pub id: NoticeId,
    pub kind: NoticeKind,
    /// What it is about, in a sentence for people.
    pub text: String,
    /// The id of the job or device that it is about.
    pub subject: Option<String>,
    pub created_at: Timestamp,
    /// Since when it is no longer so: the job moves again, the disk has room.
    pub ended_at: Option<Timestamp>,
    /// Since when a person has put it away.
    pub dismissed_at: Option<Timestamp>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_word_is_the_one_in_json() {
        for kind in NoticeKind::ALL {
            let json = serde_json::to_value(kind).unwrap();
            assert_eq!(json, kind.word());
        }
    }
}
