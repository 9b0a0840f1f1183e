//! The changes that somebody answers for: asked through [`DriverHandle::by`], so that none of them
//! can be made without saying who makes it.

use std::time::Duration;

use federation::machine::Event;
use protocol::api::{CreatedToken, Job, Model, TokenRequest};
use protocol::device::{Device, DeviceRegistration, Registered};
use protocol::job::JobSpec;
use protocol::{DeviceId, JobId};

use super::handle::Answer;
use super::{Driver, DriverHandle};
use crate::caller::Caller;
use crate::register::NewModel;

/// The driver, asked by somebody.
#[derive(Debug, Clone, Copy)]
pub(crate) struct By<'a> {
    pub(super) driver: &'a DriverHandle,
    pub(super) caller: &'a Caller,
}

impl By<'_> {
    pub(crate) async fn create_job(&self, spec: JobSpec) -> Answer<Job> {
        self.write(|driver, _| Ok(driver.create_job(spec))).await
    }

    /// A person's wish: start, pause, resume, cancel, complete.
    pub(crate) async fn command_job(&self, job: JobId, event: Event) -> Answer<Job> {
        self.write(move |driver, _| driver.command_job(job, event)).await
    }

    pub(crate) async fn add_model(&self, model: NewModel) -> Answer<Model> {
        self.write(|driver, _| Ok(driver.add_model(model))).await
    }

    pub(crate) async fn dataset_added(&self, name: String) -> Answer<()> {
        self.write(|driver, _| {
            driver.dataset_added(name);
            Ok(())
        })
        .await
    }

    /// Enrols a device; `by_admin` where an administrator's token vouches for it.
    pub(crate) async fn register(
        &self,
        registration: DeviceRegistration,
        by_admin: bool,
    ) -> Answer<Registered> {
        self.write(move |driver, _| driver.register(registration, by_admin)).await
    }

    pub(crate) async fn revoke(&self, device: DeviceId) -> Answer<Device> {
        self.write(move |driver, _| driver.revoke(device)).await
    }

    /// Forgets revoked devices and those that were not heard of for `unheard_for`.
    pub(crate) async fn clean_up(&self, unheard_for: Duration) -> Answer<Vec<DeviceId>> {
        self.write(move |driver, _| Ok(driver.clean_up(unheard_for))).await
    }

    pub(crate) async fn create_token(&self, request: TokenRequest) -> Answer<CreatedToken> {
        self.write(|driver, _| Ok(driver.create_token(request))).await
    }

    pub(crate) async fn delete_token(&self, id: String) -> Answer<()> {
        self.write(|driver, _| driver.delete_token(id)).await
    }

    /// As [`DriverHandle::write`]; `work` also hears who asks.
    async fn write<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Driver, &Caller) -> Answer<T> + Send + 'static,
    ) -> Answer<T> {
        let caller = self.caller.clone();
        self.driver.write(move |driver| work(driver, &caller)).await
    }
}
