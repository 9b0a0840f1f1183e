//! Connections that have shown no credential that counts: each address may hold so many and no more,
//! so that one machine can't take the places of all others.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use super::auth_rate_limit::network;

/// Of one address. Devices behind one that all come back at once show their tokens in turn; who finds
/// no place is turned away and comes again.
const MOST: usize = 2000;

/// How many there are, by address; addresses without any are forgotten.
#[derive(Debug, Clone, Default)]
pub(super) struct ConnectionLimit(Arc<Mutex<HashMap<IpAddr, usize>>>);

/// The place of one connection, until it introduces itself or ends.
#[derive(Debug)]
struct ConnectionSlot {
    strangers: ConnectionLimit,
    address: IpAddr,
}

/// An extension of a connection's requests, for whoever looks at their credentials.
#[derive(Debug, Clone)]
pub(crate) struct ConnectionSlotHolder(Arc<Mutex<Option<ConnectionSlot>>>);

impl ConnectionLimit {
    /// None where this address has too many already. This machine's own are not counted.
    pub(super) fn admit(&self, address: IpAddr) -> Option<ConnectionSlotHolder> {
        if address.is_loopback() {
            return Some(ConnectionSlotHolder(Arc::default()));
        }
        let address = network(address);
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.entry(address).or_default();
        if *count >= MOST {
            return None;
        }
        *count += 1;
        let place = ConnectionSlot { strangers: self.clone(), address };
        Some(ConnectionSlotHolder(Arc::new(Mutex::new(Some(place)))))
    }
}

impl ConnectionSlotHolder {
    /// The connection's peer has shown a credential that counts.
    pub(crate) fn made(&self) {
        let place = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        drop(place);
    }
}

impl Drop for ConnectionSlot {
    fn drop(&mut self) {
        let mut counts = self.strangers.0.lock().unwrap_or_else(PoisonError::into_inner);
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
    fn one_address_holds_so_many_and_others_have_their_own() {
        let strangers = ConnectionLimit::default();
        let admit = |text| strangers.admit(address(text));
        let mut held: Vec<_> = (0..MOST).map(|_| admit("192.0.2.1").unwrap()).collect();
        assert!(admit("192.0.2.1").is_none());
        assert!(admit("192.0.2.2").is_some());
        // Who introduced itself holds no place any more, and who left doesn't either.
        held[0].made();
        held[0].made();
        let again = admit("192.0.2.1");
        assert!(again.is_some() && admit("192.0.2.1").is_none());
        drop(held.pop());
        assert!(admit("192.0.2.1").is_some());
        drop((held, again));
        assert_eq!(strangers.0.lock().unwrap().len(), 0);
    }

    #[test]
    fn a_host_has_one_count_for_all_its_addresses_and_this_machine_has_none() {
        let strangers = ConnectionLimit::default();
        let held: Vec<_> = (0..MOST)
            .map(|number| strangers.admit(address(&format!("2001:db8::{number:x}"))).unwrap())
            .collect();
        assert!(strangers.admit(address("2001:db8::ffff:1")).is_none());
        assert!(strangers.admit(address("2001:db8:0:1::1")).is_some());
        let own: Vec<_> = (0..=MOST).filter_map(|_| strangers.admit(address("::1"))).collect();
        assert_eq!((held.len(), own.len()), (MOST, MOST + 1));
    }
}
