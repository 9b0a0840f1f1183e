//! Lease requests of devices: request, renew, return, and report an update.

use federation::machine::{Event, Receipt, RejectedEvent};
use federation::schedule::{self, Candidate};
use protocol::lease::{LeaseReturn, LeaseStanding, Progress, ProgressAnswer, UpdateOutcome};
use protocol::{DeviceId, JobId, LeaseId, Timestamp};
use uuid::Uuid;

use super::long_polls::{LongPoll, Reply};
use super::transfer_tokens::UploadLimit;
use super::{Driver, DriverError};
use crate::clock;
use crate::poll_interval;
use crate::store::{DeviceRow, JobRow};

impl Driver {
    /// Sends a lease to `reply` as soon as one is available for the device.
    pub(super) fn next_job(&mut self, device: DeviceId, reply: Reply) {
        if let Err(refusal) = self.record_contact(device, clock::now()) {
            drop(reply.send(Err(refusal)));
            return;
        }
        // An earlier request was on a broken connection.
        self.long_polls.remove(device);
        if let Some(waiter) = self.serve(clock::now(), LongPoll { device, reply }) {
            self.long_polls.push(waiter);
        }
    }

    /// Answers a device whose wait has ended. A device that got a lease meanwhile already has its
    /// answer.
    pub(super) fn stop_waiting(&mut self, device: DeviceId) {
        if let Some(waiter) = self.long_polls.remove(device) {
            // The requester may be gone.
            drop(waiter.reply.send(Ok(None)));
        }
    }

    /// Grants leases to waiting devices, longest waiting first, until no work is left.
    pub(super) fn answer_long_polls(&mut self, now: Timestamp) {
        if !self.has_open_seat() {
            return;
        }
        for device in self.long_polls.devices() {
            let Some((place, waiter)) = self.long_polls.take(device) else { continue };
            if waiter.reply.is_closed() {
                continue;
            }
            match self.serve(now, waiter) {
                Some(waiter) => self.long_polls.put_back((place, waiter)),
                None if self.has_open_seat() => {}
                None => return,
            }
        }
    }

    fn has_open_seat(&self) -> bool {
        self.state.jobs.values().any(|row| row.machine.has_open_seat())
    }

    /// Grants a lease, or returns the waiter.
    fn serve(&mut self, now: Timestamp, waiter: LongPoll) -> Option<LongPoll> {
        let Some(row) = self.state.devices.get(&waiter.device) else {
            drop(waiter.reply.send(Err(DriverError::UnknownDevice(waiter.device))));
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
            Err(DriverError::Rejected(RejectedEvent::NothingToDo)) => return Some(waiter),
            Err(error) => {
                tracing::error!(%job, %device, %error, "a job offered a seat and then rejected its lease");
                return Some(waiter);
            }
        };
        self.after_commit(move |_, committed| {
            drop(waiter.reply.send(committed.map(|()| lease)));
        });
        None
    }

    /// Returns the job for the device: the one whose lease it holds, otherwise the fairest.
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
    ) -> Result<ProgressAnswer, DriverError> {
        let now = clock::now();
        self.record_throughput(device, progress.examples_per_second);
        self.record_contact(device, now)?;
        if self.is_quarantined(device) {
            return Ok(self.progress_answer(now, None));
        }
        let job = self.renew(now, lease, device)?;
        self.lease_stepped(lease, progress.step);
        self.apply(now, job, Event::Progressed { lease, device, progress })?;
        let row = self.state.jobs.get(&job);
        Ok(self.progress_answer(now, row.and_then(|row| row.machine.deadline_of(lease))))
    }

    /// `deadline` is the deadline of a held lease.
    fn progress_answer(&self, now: Timestamp, deadline: Option<Timestamp>) -> ProgressAnswer {
        let standing = match deadline {
            Some(_) => LeaseStanding::Held,
            None => LeaseStanding::Lost,
        };
        let deadline = deadline.unwrap_or(now);
        let next = poll_interval::progress(self.state.devices.len(), self.lease_timeout);
        ProgressAnswer {
            standing,
            deadline,
            seconds_left: deadline.since(now).as_secs_f64(),
            next_seconds: next.as_secs_f64(),
        }
    }

    /// Renews a lease named by its device. Returns its job.
    pub(super) fn renew(
        &mut self,
        now: Timestamp,
        lease: LeaseId,
        device: DeviceId,
    ) -> Result<JobId, DriverError> {
        if self.is_quarantined(device) {
            return Err(DriverError::Quarantined);
        }
        let bytes = self.views.traffic.bytes(device);
        let job = self.job_of(lease).ok_or(DriverError::UnknownLease(lease))?;
        self.apply(now, job, Event::Renewed { lease, device, bytes })?;
        self.lease_renewed(job, lease);
        Ok(job)
    }

    /// Returns the job that granted a lease. `None` if no job remembers it.
    fn job_of(&self, lease: LeaseId) -> Option<JobId> {
        let held = self.state.leases.get(&lease).map(|row| row.job);
        held.or_else(|| {
            let mut jobs = self.state.jobs.values();
            jobs.find(|row| row.machine.remembers(lease)).map(|row| row.id)
        })
    }

    pub(super) fn return_lease(
        &mut self,
        lease: LeaseId,
        device: DeviceId,
        body: LeaseReturn,
    ) -> Result<(), DriverError> {
        let now = clock::now();
        self.record_contact(device, now)?;
        let job = self.renew(now, lease, device)?;
        let event = Event::Returned { lease, device, reason: body.reason, detail: body.detail };
        self.apply(now, job, event)?;
        self.lease_returned(job, lease, body.reason);
        Ok(())
    }

    pub(super) fn permit(
        &mut self,
        lease: LeaseId,
        device: DeviceId,
    ) -> Result<UploadLimit, DriverError> {
        let job = self.renew(clock::now(), lease, device)?;
        self.permit_of(job, lease, device)
    }

    pub(super) fn permit_of(
        &self,
        job: JobId,
        lease: LeaseId,
        device: DeviceId,
    ) -> Result<UploadLimit, DriverError> {
        let machine = &self.job(job)?.machine;
        let parameters = machine.parameters().unwrap_or(0);
        Ok(UploadLimit { parameters, awaited: machine.awaits(lease, device) })
    }

    pub(super) fn update(
        &mut self,
        lease: LeaseId,
        device: DeviceId,
        receipt: Receipt,
        checked: bool,
    ) -> Result<UpdateOutcome, DriverError> {
        let now = clock::now();
        self.record_contact(device, now)?;
        let job = self.renew(now, lease, device)?;
        let machine = &self.job(job)?.machine;
        let blob = receipt.blob;
        if machine.awaits(lease, device) {
            // The end of another job's round may have removed the blob since it was checked.
            let expected = machine.parameters().map(|parameters| parameters * 4);
            let stored = self.blobs.length(blob).ok().flatten();
            if !checked || stored.is_none() || stored != expected {
                return Err(DriverError::MissingBlob(blob));
            }
        }
        let (metrics, backend) = (receipt.metrics.clone(), receipt.fingerprint.backend);
        let gave = match self.apply(now, job, Event::Updated { lease, device, receipt }) {
            Err(DriverError::Rejected(large @ RejectedEvent::Norm { .. })) => {
                self.refuse_update(lease, device, blob, &large.to_string())?;
                return Err(large.into());
            }
            gave => gave?,
        };
        let outcome = gave.outcome.unwrap_or(UpdateOutcome::Superseded);
        match outcome {
            UpdateOutcome::Accepted => {
                self.lease_reported(job, lease, device, &metrics, backend);
                self.contradict(job, lease);
            }
            UpdateOutcome::Duplicate => {}
            UpdateOutcome::Superseded => drop(self.garbage.insert(blob)),
        }
        Ok(outcome)
    }

    fn job(&self, id: JobId) -> Result<&JobRow, DriverError> {
        self.state.jobs.get(&id).ok_or(DriverError::UnknownJob(id))
    }
}
