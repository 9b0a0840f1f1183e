//! What devices do with leases: ask for one, keep it, give it back, report its update.

use federation::machine::{Event, Receipt, Rejection};
use federation::schedule::{self, Candidate};
use protocol::lease::{LeaseReturn, LeaseStanding, Progress, ProgressAnswer, UpdateOutcome};
use protocol::{DeviceId, JobId, LeaseId, Timestamp};
use uuid::Uuid;

use super::waiters::{Reply, Waiter};
use super::{Driver, Refusal};
use crate::clock;
use crate::pace;
use crate::store::{DeviceRow, JobRow};

/// What may be sent up under a lease.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Permit {
    /// Of the model: an update is four bytes for each.
    pub(crate) parameters: u64,
    /// Whether the lease's seat still takes an update.
    pub(crate) awaited: bool,
}

impl Driver {
    /// Answers `reply` with a lease as soon as there is one for the device.
    pub(super) fn next_job(&mut self, device: DeviceId, reply: Reply) {
        if let Err(refusal) = self.hear(device, clock::now()) {
            drop(reply.send(Err(refusal)));
            return;
        }
        // What it asked earlier was on a connection that broke.
        self.waiters.remove(device);
        if let Some(waiter) = self.serve(clock::now(), Waiter { device, reply }) {
            self.waiters.push(waiter);
        }
    }

    /// Answers a device that has waited long enough; one that got a lease meanwhile has its answer.
    pub(super) fn stop_waiting(&mut self, device: DeviceId) {
        if let Some(waiter) = self.waiters.remove(device) {
            // Who asked may have gone.
            drop(waiter.reply.send(Ok(None)));
        }
    }

    /// Gives work to the devices that wait, the longest waiting first, for as long as there is any.
    pub(super) fn serve_waiters(&mut self, now: Timestamp) {
        if !self.has_open_seat() {
            return;
        }
        for device in self.waiters.devices() {
            let Some((place, waiter)) = self.waiters.take(device) else { continue };
            if waiter.reply.is_closed() {
                continue;
            }
            match self.serve(now, waiter) {
                Some(waiter) => self.waiters.put_back((place, waiter)),
                None if self.has_open_seat() => {}
                None => return,
            }
        }
    }

    fn has_open_seat(&self) -> bool {
        self.state.jobs.values().any(|row| row.machine.has_open_seat())
    }

    /// Grants a lease, or gives the waiter back.
    fn serve(&mut self, now: Timestamp, waiter: Waiter) -> Option<Waiter> {
        let Some(row) = self.state.devices.get(&waiter.device) else {
            drop(waiter.reply.send(Err(Refusal::UnknownDevice(waiter.device))));
            return None;
        };
        let device = waiter.device;
        let Some(job) = self.job_for(now, row) else { return Some(waiter) };
        let fingerprint = row.fingerprint.clone();
        let lease = LeaseId::from_uuid(Uuid::now_v7());
        let granted = self.apply(now, job, Event::Requested { lease, device, fingerprint });
        let lease = match granted {
            Ok(gave) => {
                if let Some(lease) = &gave.grant {
                    self.lease_granted(lease);
                }
                gave.grant
            }
            Err(Refusal::Rejected(Rejection::NothingToDo)) => return Some(waiter),
            Err(error) => {
                tracing::error!(%job, %device, %error, "a job offered a seat and refused it");
                return Some(waiter);
            }
        };
        self.after_commit(move |_, committed| {
            drop(waiter.reply.send(committed.map(|()| lease)));
        });
        None
    }

    /// The job that the device works for: the one it holds a lease of, else the fairest.
    fn job_for(&self, now: Timestamp, device: &DeviceRow) -> Option<JobId> {
        if device.quarantined.is_some() || device.approval.is_some() {
            return None;
        }
        let open = || self.state.jobs.values().filter(|row| Self::is_open(row));
        if let Some(row) = open().find(|row| row.machine.holds(device.id)) {
            return Some(row.id);
        }
        let takes = |row: &&JobRow| row.machine.spec().run.takes(&device.labels);
        let offering = open().filter(takes);
        let offering =
            offering.filter(|row| row.machine.offers(device.id, &device.fingerprint, now));
        let candidates: Vec<Candidate> = offering
            .map(|row| Candidate {
                job: row.id,
                priority: row.machine.spec().run.priority,
                leased: row.machine.leased_seats(),
                created_at: row.created_at,
            })
            .collect();
        schedule::choose(&candidates)
    }

    pub(super) fn progress(
        &mut self,
        lease: LeaseId,
        device: DeviceId,
        progress: Progress,
    ) -> Result<ProgressAnswer, Refusal> {
        let now = clock::now();
        self.measured(device, progress.examples_per_second);
        self.hear(device, now)?;
        if self.is_quarantined(device) {
            return Ok(self.progress_answer(now, None));
        }
        let job = self.renew(now, lease, device)?;
        self.lease_stepped(lease, progress.step);
        self.apply(now, job, Event::Progressed { lease, device, progress })?;
        let held = self.state.jobs.get(&job).and_then(|row| row.machine.lease(lease));
        Ok(self.progress_answer(now, held.map(|lease| lease.deadline)))
    }

    /// `deadline` is that of a lease which is held.
    fn progress_answer(&self, now: Timestamp, deadline: Option<Timestamp>) -> ProgressAnswer {
        let standing = match deadline {
            Some(_) => LeaseStanding::Held,
            None => LeaseStanding::Lost,
        };
        let deadline = deadline.unwrap_or(now);
        let next = pace::progress(self.state.devices.len(), self.lease_patience);
        ProgressAnswer {
            standing,
            deadline,
            seconds_left: deadline.since(now).as_secs_f64(),
            next_seconds: next.as_secs_f64(),
        }
    }

    /// Moves the deadline of a lease that its device names; gives its job.
    pub(super) fn renew(
        &mut self,
        now: Timestamp,
        lease: LeaseId,
        device: DeviceId,
    ) -> Result<JobId, Refusal> {
        if self.is_quarantined(device) {
            return Err(Refusal::Quarantined);
        }
        let bytes = self.views.traffic.of(device);
        // Leases are of the newest jobs, mostly.
        let jobs: Vec<JobId> = self.state.jobs.keys().rev().copied().collect();
        for job in jobs {
            match self.apply(now, job, Event::Renewed { lease, device, bytes }) {
                Ok(_) => {
                    self.lease_renewed(job, lease);
                    return Ok(job);
                }
                Err(Refusal::Rejected(Rejection::UnknownLease { .. })) => {}
                Err(refusal) => return Err(refusal),
            }
        }
        Err(Refusal::UnknownLease(lease))
    }

    pub(super) fn return_lease(
        &mut self,
        lease: LeaseId,
        device: DeviceId,
        body: LeaseReturn,
    ) -> Result<(), Refusal> {
        let now = clock::now();
        self.hear(device, now)?;
        let job = self.renew(now, lease, device)?;
        let event = Event::Returned { lease, device, reason: body.reason, detail: body.detail };
        self.apply(now, job, event)?;
        self.lease_returned(job, lease, body.reason);
        Ok(())
    }

    pub(super) fn permit(&mut self, lease: LeaseId, device: DeviceId) -> Result<Permit, Refusal> {
        let job = self.renew(clock::now(), lease, device)?;
        self.permit_of(job, lease, device)
    }

    pub(super) fn permit_of(
        &self,
        job: JobId,
        lease: LeaseId,
        device: DeviceId,
    ) -> Result<Permit, Refusal> {
        let machine = &self.job(job)?.machine;
        let parameters = machine.parameters().unwrap_or(0);
        Ok(Permit { parameters, awaited: machine.awaits(lease, device) })
    }

    pub(super) fn update(
        &mut self,
        lease: LeaseId,
        device: DeviceId,
        receipt: Receipt,
        checked: bool,
    ) -> Result<UpdateOutcome, Refusal> {
        let now = clock::now();
        self.hear(device, now)?;
        let job = self.renew(now, lease, device)?;
        let machine = &self.job(job)?.machine;
        let blob = receipt.blob;
        if machine.awaits(lease, device) {
            // The end of another job's round may have removed it since it was checked.
            let expected = machine.parameters().map(|parameters| parameters * 4);
            let stored = self.blobs.length(blob).ok().flatten();
            if !checked || stored.is_none() || stored != expected {
                return Err(Refusal::MissingBlob(blob));
            }
        }
        let (metrics, backend) = (receipt.metrics.clone(), receipt.fingerprint.backend);
        let gave = match self.apply(now, job, Event::Updated { lease, device, receipt }) {
            Err(Refusal::Rejected(large @ Rejection::Norm { .. })) => {
                self.refuse_update(lease, device, blob, &large.to_string())?;
                return Err(large.into());
            }
            gave => gave?,
        };
        let outcome = gave.outcome.unwrap_or(UpdateOutcome::Superseded);
        match outcome {
            UpdateOutcome::Accepted => self.lease_reported(job, lease, device, &metrics, backend),
            UpdateOutcome::Duplicate => {}
            UpdateOutcome::Superseded => drop(self.garbage.insert(blob)),
        }
        Ok(outcome)
    }

    fn job(&self, id: JobId) -> Result<&JobRow, Refusal> {
        self.state.jobs.get(&id).ok_or(Refusal::UnknownJob(id))
    }
}
