//! Discovers coordinators on the local network by DNS-SD (Bonjour). Results are hints only: the pin proves the identity of
//! a coordinator, and heartbeats show whether it runs (the records of a killed program stay for two minutes).

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};

use mdns_sd::{IfKind, ResolvedService, ServiceDaemon, ServiceEvent, ServiceInfo};
use protocol::PROTOCOL_VERSION;
use tokio::sync::watch;

const SERVICE: &str = "_constellation._tcp.local.";

/// The local network can't be searched.
#[derive(Debug, thiserror::Error)]
#[error("can't use Bonjour: {0}. Pass the coordinator's address with --coordinator instead")]
pub(crate) struct DiscoveryError(#[from] mdns_sd::Error);

/// DNS-SD registration of a coordinator; ends when dropped.
pub(crate) struct Advertisement {
    daemon: ServiceDaemon,
    name: String,
}

impl Advertisement {
    /// Announces the coordinator of `cluster` on the local network. A coordinator that listens on loopback is announced on
    /// loopback only.
    pub(crate) fn start(
        cluster: &str,
        name: &str,
        address: SocketAddr,
    ) -> Result<Self, DiscoveryError> {
        let daemon = ServiceDaemon::new()?;
        let proto = PROTOCOL_VERSION.to_string();
        let text = [("id", cluster), ("name", name), ("proto", proto.as_str()), ("path", "/")];
        // A host name derived from the cluster id: the machine's own name belongs to the system's responder.
        let host = format!("constellation-{}.local.", cluster.get(..13).unwrap_or(cluster));
        let port = address.port();
        let mut service = if address.ip().is_unspecified() {
            ServiceInfo::new(SERVICE, name, &host, "", port, &text[..])?.enable_addr_auto()
        } else {
            ServiceInfo::new(SERVICE, name, &host, address.ip(), port, &text[..])?
        };
        if address.ip().is_loopback() {
            let loopback = [IfKind::LoopbackV4, IfKind::LoopbackV6];
            daemon.disable_interface(IfKind::All)?;
            daemon.enable_interface(loopback.to_vec())?;
            service.set_interfaces(loopback.to_vec());
        }
        let name = service.get_fullname().to_owned();
        daemon.register(service)?;
        Ok(Self { daemon, name })
    }

    /// Withdraws the registration and waits until the goodbye packets are sent.
    pub(crate) async fn stop(self) {
        if let Ok(done) = self.daemon.unregister(&self.name) {
            drop(done.recv_async().await);
        }
        if let Ok(done) = self.daemon.shutdown() {
            drop(done.recv_async().await);
        }
    }
}

/// Searches the local network until all receivers of `found` are dropped. Sends the URLs of the coordinator of `cluster`,
/// or of all coordinators in order of discovery if `cluster` is `None`.
///
/// # Errors
/// Fails if the network can't be searched at all.
pub(crate) async fn browse(
    cluster: Option<String>,
    found: watch::Sender<Vec<String>>,
) -> Result<(), DiscoveryError> {
    let daemon = ServiceDaemon::new()?;
    let events = daemon.browse(SERVICE)?;
    let mut clusters = Clusters::new(cluster);
    loop {
        let event = tokio::select! {
            event = events.recv_async() => event,
            () = found.closed() => break,
        };
        // The daemon thread has ended.
        let Ok(event) = event else { break };
        if clusters.take(&event) {
            let urls = clusters.urls();
            found.send_if_modified(|known| {
                let is_new = *known != urls;
                if is_new {
                    tracing::info!(?urls, "coordinator addresses found by Bonjour");
                    *known = urls;
                }
                is_new
            });
        }
    }
    if let Ok(done) = daemon.shutdown() {
        drop(done.recv_async().await);
    }
    Ok(())
}

/// Addresses of one coordinator.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Found {
    service: String,
    port: u16,
    /// Newest first: outdated addresses may be reported for a while.
    addresses: Vec<IpAddr>,
}

impl Found {
    /// Replaces the addresses: every report contains all of them.
    fn update(&mut self, new: Self) {
        let known = std::mem::replace(self, new).addresses;
        self.addresses.sort_by_key(|address| known.contains(address));
    }
}

/// Coordinators discovered so far.
#[derive(Debug)]
struct Clusters {
    /// Cluster id to search for; `None` accepts every cluster.
    wanted: Option<String>,
    /// Cluster ids in order of discovery.
    order: Vec<String>,
    /// By cluster id, because a service can be renamed and is resolved again for each address.
    known: BTreeMap<String, Found>,
}

impl Clusters {
    fn new(wanted: Option<String>) -> Self {
        Self { wanted, order: Vec::new(), known: BTreeMap::new() }
    }

    /// Processes an event. Returns whether the URLs may have changed.
    #[expect(clippy::wildcard_enum_match_arm, reason = "the library's enum is open")]
    fn take(&mut self, event: &ServiceEvent) -> bool {
        match event {
            ServiceEvent::ServiceResolved(service) => self.add(service),
            ServiceEvent::ServiceRemoved(_, name) => {
                let before = self.known.len();
                self.known.retain(|_, found| found.service != *name);
                self.known.len() != before
            }
            // Includes events that later versions of the library may add.
            _ => false,
        }
    }

    fn add(&mut self, service: &ResolvedService) -> bool {
        let Some(id) = service.get_property_val_str("id") else { return false };
        let new = Found {
            service: service.get_fullname().to_owned(),
            port: service.get_port(),
            addresses: service
                .get_addresses()
                .iter()
                .map(mdns_sd::ScopedIp::to_ip_addr)
                .filter(fits_in_a_url)
                .collect::<BTreeSet<IpAddr>>()
                .into_iter()
                .collect(),
        };
        if self.wanted.as_ref().is_some_and(|wanted| wanted != id) {
            tracing::trace!(id, "another cluster on this network");
        }
        if !self.order.iter().any(|known| known == id) {
            self.order.push(id.to_owned());
        }
        match self.known.get_mut(id) {
            Some(known) => known.update(new),
            None => drop(self.known.insert(id.to_owned(), new)),
        }
        true
    }

    fn urls(&self) -> Vec<String> {
        let counts = |id: &&String| self.wanted.as_ref().is_none_or(|wanted| wanted == *id);
        self.order.iter().filter(counts).filter_map(|id| self.url(id)).collect()
    }

    fn url(&self, id: &str) -> Option<String> {
        let found = self.known.get(id)?;
        // Prefer loopback, then addresses that are not link-local, then IPv4.
        let address = found.addresses.iter().min_by_key(|address| {
            let is_link_local = match address {
                IpAddr::V4(v4) => v4.is_link_local(),
                IpAddr::V6(v6) => v6.is_unicast_link_local(),
            };
            (!address.is_loopback(), is_link_local, address.is_ipv6())
        })?;
        Some(format!("https://{}", SocketAddr::new(*address, found.port)))
    }
}

/// Whether the address can be used in a URL. A link-local IPv6 address needs a scope, which URLs don't support.
fn fits_in_a_url(address: &IpAddr) -> bool {
    match address {
        IpAddr::V4(_) => true,
        IpAddr::V6(v6) => !v6.is_unicast_link_local(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolved(name: &str, id: &str, port: u16, addresses: &str) -> ServiceEvent {
        let text = [("id", id)];
        let service =
            ServiceInfo::new(SERVICE, name, "host.local.", addresses, port, &text[..]).unwrap();
        ServiceEvent::ServiceResolved(Box::new(service.as_resolved_service()))
    }

    impl Clusters {
        /// URL of the wanted cluster.
        fn only(&self) -> Option<String> {
            let urls = self.urls();
            assert!(urls.len() < 2, "{urls:?}");
            urls.into_iter().next()
        }
    }

    #[test]
    fn a_coordinator_that_moves_is_sought_where_it_was_seen_last() {
        let mut clusters = Clusters::new(None);
        clusters.take(&resolved("a", "1", 8000, "192.0.2.7,fe80::1"));
        clusters.take(&resolved("a", "1", 8000, "192.0.2.7,192.0.2.9,fe80::1"));
        assert_eq!(clusters.only().unwrap(), "https://192.0.2.9:8000");
        clusters.take(&resolved("a", "1", 8000, "192.0.2.7,fe80::1"));
        assert_eq!(clusters.only().unwrap(), "https://192.0.2.7:8000");
        clusters.take(&resolved("a", "1", 8000, "fe80::1"));
        assert_eq!(clusters.only(), None);
    }

    #[test]
    fn the_nearest_address_is_selected() {
        let mut clusters = Clusters::new(None);
        assert!(clusters.take(&resolved("a", "1", 8000, "192.0.2.7")));
        assert_eq!(clusters.only().unwrap(), "https://192.0.2.7:8000");
        clusters.take(&resolved("a", "1", 8000, "192.0.2.7,127.0.0.1"));
        assert_eq!(clusters.only().unwrap(), "https://127.0.0.1:8000");
        clusters.take(&resolved("a", "1", 9000, "192.0.2.8"));
        assert_eq!(clusters.only().unwrap(), "https://192.0.2.8:9000");
        clusters.take(&ServiceEvent::ServiceRemoved(SERVICE.into(), format!("a.{SERVICE}")));
        assert_eq!(clusters.only(), None);
    }

    #[test]
    fn urls_are_those_of_the_wanted_cluster_or_of_all() {
        let mut wanted = Clusters::new(Some("2".into()));
        wanted.take(&resolved("a", "1", 8000, "127.0.0.1"));
        assert_eq!(wanted.only(), None);
        wanted.take(&resolved("b", "2", 8001, "127.0.0.1"));
        assert_eq!(wanted.only().unwrap(), "https://127.0.0.1:8001");
        let mut all = Clusters::new(None);
        all.take(&resolved("b", "2", 8001, "127.0.0.1"));
        all.take(&resolved("a", "1", 8000, "127.0.0.1"));
        all.take(&resolved("b", "2", 8002, "127.0.0.1"));
        assert_eq!(all.urls(), ["https://127.0.0.1:8002", "https://127.0.0.1:8000"]);
    }

    #[tokio::test]
    async fn a_worker_on_this_machine_finds_a_coordinator_on_loopback() {
        let cluster = uuid::Uuid::now_v7().to_string();
        let address = SocketAddr::from(([127, 0, 0, 1], 4711));
        let advertisement = Advertisement::start(&cluster, "test cluster", address).unwrap();
        let (found, mut url) = watch::channel(Vec::new());
        let browsing = tokio::spawn(browse(Some(cluster), found));
        let found = url.wait_for(|urls| !urls.is_empty()).await.unwrap().clone();
        assert_eq!(found, ["https://127.0.0.1:4711"]);
        advertisement.stop().await;
        url.wait_for(Vec::is_empty).await.unwrap();
        drop(url);
        browsing.await.unwrap().unwrap();
    }
}
