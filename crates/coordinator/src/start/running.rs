//! A running coordinator: its addresses, and its end.

use crate::access::caller::{Caller, CallerIdentity, Principal};
use crate::cluster::ClusterIdentity;
use crate::driver::DriverHandle;
use crate::steps::Trainers;
use axum::Router;
use protocol::session::SignInLinkRequest;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::thread;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// Running coordinator. Dropping it stops it without waiting; [`Running::stop`] waits.
#[derive(Debug)]
pub struct Running {
    pub address: SocketAddr,
    pub cluster: ClusterIdentity,
    /// Router for callers in this process, who add a [`crate::Principal`] to the extensions.
    pub router: Router,
    /// Whether a job is in progress. A job that waits to be started or resumed is not.
    pub working: watch::Receiver<bool>,
    pub(super) driver: DriverHandle,
    pub(super) driver_thread: Option<thread::JoinHandle<()>>,
    pub(super) trainers: [Trainers; 2],
    pub(super) server: Option<JoinHandle<()>>,
    pub(super) stopping: CancellationToken,
    pub(super) driver_ended: CancellationToken,
}

impl Running {
    /// Returns the URL for local clients without the pin: plain HTTP if it listens on loopback.
    pub fn url(&self) -> String {
        let (is_loopback, address) = local(self.address);
        if is_loopback { format!("http://{address}") } else { self.https_url() }
    }

    /// Returns the HTTPS URL for clients on this machine.
    pub fn https_url(&self) -> String {
        https_url(self.address)
    }

    /// Returns a one-time sign-in link, valid for five minutes. `None` if none can be created now.
    pub async fn sign_in_link(&self) -> Option<String> {
        let caller = Caller { who: CallerIdentity::Known(Principal::local_admin()), from: None };
        let asked = SignInLinkRequest::default();
        let link = self.driver.audited(&caller).create_sign_in_link(asked).await.ok()?;
        Some(format!("{}{}", self.url(), link.path))
    }

    /// Completes when the writer has stopped. The process should then exit.
    pub async fn failed(&self) {
        self.driver_ended.cancelled().await;
    }

    /// Answers waiting requests, finishes work in progress, and stores unsaved changes.
    pub async fn stop(mut self) {
        self.stopping.cancel();
        if let Some(server) = self.server.take() {
            drop(server.await);
        }
        self.driver.stop();
        if let Some(thread) = self.driver_thread.take() {
            drop(tokio::task::spawn_blocking(move || thread.join()).await);
        }
        for trainers in &self.trainers {
            trainers.stop().await;
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stopping.cancel();
        self.driver.stop();
    }
}

pub(super) fn https_url(address: SocketAddr) -> String {
    format!("https://{}", local(address).1)
}

/// Returns the local address. A coordinator that listens on all addresses is reached by loopback.
fn local(address: SocketAddr) -> (bool, SocketAddr) {
    let host = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip @ (IpAddr::V4(_) | IpAddr::V6(_)) => ip,
    };
    (host.is_loopback(), SocketAddr::new(host, address.port()))
}
