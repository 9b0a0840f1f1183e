//! Limit of unauthenticated connections per address, so that one machine can't exhaust all connections.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use crate::http::auth::rate_limit::network;

/// Maximum number of unauthenticated connections of one address. Many devices may share an address; those
/// above the limit are refused and retry after others have authenticated.
const MAXIMUM_CONNECTIONS: usize = 2000;

/// Number of unauthenticated connections by address. Addresses without any have no entry.
#[derive(Debug, Clone, Default)]
pub(crate) struct ConnectionLimit(Arc<Mutex<HashMap<IpAddr, usize>>>);

/// The counted slot of one connection, released when it authenticates or ends.
#[derive(Debug)]
struct ConnectionSlot {
    limit: ConnectionLimit,
    address: IpAddr,
}

/// Extension of a connection's requests, through which authentication releases the slot.
#[derive(Debug, Clone)]
pub(crate) struct ConnectionSlotHolder(Arc<Mutex<Option<ConnectionSlot>>>);

impl ConnectionLimit {
    /// Counts a connection. Returns `None` if the address has reached the limit. Loopback connections are
    /// not counted.
    pub(crate) fn admit(&self, address: IpAddr) -> Option<ConnectionSlotHolder> {
        if address.is_loopback() {
            return Some(ConnectionSlotHolder(Arc::default()));
        }
        let address = network(address);
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.entry(address).or_default();
        if *count >= MAXIMUM_CONNECTIONS {
            return None;
        }
        *count += 1;
        let slot = ConnectionSlot { limit: self.clone(), address };
        Some(ConnectionSlotHolder(Arc::new(Mutex::new(Some(slot)))))
    }
}

impl ConnectionSlotHolder {
    /// Releases the slot, because the connection's peer has authenticated.
    pub(crate) fn release(&self) {
        let slot = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        drop(slot);
    }
}

impl Drop for ConnectionSlot {
    fn drop(&mut self) {
        let mut counts = self.limit.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = counts.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn each_address_has_its_own_limit() {
        let limit = ConnectionLimit::default();
        let admit = |text| limit.admit(address(text));
        let mut held: Vec<_> =
            (0..MAXIMUM_CONNECTIONS).map(|_| admit("192.0.2.1").unwrap()).collect();
        assert!(admit("192.0.2.1").is_none());
        assert!(admit("192.0.2.2").is_some());
        // Authenticated and closed connections hold no slot.
        held[0].release();
        held[0].release();
        let again = admit("192.0.2.1");
        assert!(again.is_some() && admit("192.0.2.1").is_none());
        drop(held.pop());
        assert!(admit("192.0.2.1").is_some());
        drop((held, again));
        assert_eq!(limit.0.lock().unwrap().len(), 0);
    }

    #[test]
    fn an_ipv6_network_shares_one_limit_and_loopback_has_none() {
        let limit = ConnectionLimit::default();
        let held: Vec<_> = (0..MAXIMUM_CONNECTIONS)
            .map(|number| limit.admit(address(&format!("2001:db8::{number:x}"))).unwrap())
            .collect();
        assert!(limit.admit(address("2001:db8::ffff:1")).is_none());
        assert!(limit.admit(address("2001:db8:0:1::1")).is_some());
        let own: Vec<_> =
            (0..=MAXIMUM_CONNECTIONS).filter_map(|_| limit.admit(address("::1"))).collect();
        assert_eq!((held.len(), own.len()), (MAXIMUM_CONNECTIONS, MAXIMUM_CONNECTIONS + 1));
    }
}
