//! Inputs for [`federation::explain`]: the job's round, all devices, and the jobs they work for.

use std::collections::HashMap;

use federation::explain::{DeviceSnapshot, OtherJob, explain};
use federation::machine::JobSnapshot;
use protocol::api::Job;
use protocol::{DeviceId, Timestamp};

use crate::views::{JobView, Views};

/// Returns the job as a request for this single job shows it.
pub(crate) fn explained(views: &Views, view: &JobView, now: Timestamp) -> Job {
    let mut job = view.job.clone();
    let others = other_jobs(views, view);
    let devices: Vec<DeviceSnapshot> = views
        .devices(now)
        .into_iter()
        .filter(|device| !device.revoked && device.approval.is_none())
        .map(|device| DeviceSnapshot {
            device: device.id,
            state: device.state,
            stopped: device.stopped,
            reason: device.reason,
            quarantined: device.quarantined.is_some(),
            labeled: view.job.config.run.takes(&device.labels),
            other_job: others.get(&device.id).cloned(),
            fingerprint: device.fingerprint,
        })
        .collect();
    let labels = &view.job.config.run.labels;
    job.explanation = explain(job.reason.as_deref(), &views.snapshot(view), labels, &devices, now);
    job
}

/// Returns the jobs that devices work for instead of this one.
fn other_jobs(views: &Views, view: &JobView) -> HashMap<DeviceId, OtherJob> {
    let mut others = HashMap::new();
    for other in views.jobs() {
        if other.job.id == view.job.id {
            continue;
        }
        let JobSnapshot::Collecting(round) = views.snapshot(&other) else { continue };
        let ahead = other.job.config.run.priority > view.job.config.run.priority;
        for device in &round.training {
            others.insert(*device, OtherJob { name: other.job.name.clone(), ahead });
        }
    }
    others
}
