//! Network addresses of this machine.

use std::net::IpAddr;

/// Returns this machine's addresses except loopback, the most widely usable first: IPv4 before IPv6, and
/// link-local addresses last. Empty if the system does not list them.
pub fn local_addresses() -> Vec<IpAddr> {
    let interfaces = if_addrs::get_if_addrs().unwrap_or_default();
    let addresses = interfaces.into_iter().map(|interface| interface.ip());
    sorted(addresses.collect())
}

/// Whether the address is on a network that this machine has an interface on, so no router is between.
pub fn is_on_link(address: IpAddr) -> bool {
    let interfaces = if_addrs::get_if_addrs().unwrap_or_default();
    interfaces.iter().any(|interface| match (&interface.addr, address) {
        (if_addrs::IfAddr::V4(own), IpAddr::V4(address)) => same_network(
            own.ip.to_bits().into(),
            address.to_bits().into(),
            own.netmask.to_bits().into(),
        ),
        (if_addrs::IfAddr::V6(own), IpAddr::V6(address)) => {
            same_network(own.ip.to_bits(), address.to_bits(), own.netmask.to_bits())
        }
        (if_addrs::IfAddr::V4(_), IpAddr::V6(_)) | (if_addrs::IfAddr::V6(_), IpAddr::V4(_)) => {
            false
        }
    })
}

/// Whether two addresses have the same network part. An interface without a mask has no network.
const fn same_network(one: u128, other: u128, mask: u128) -> bool {
    mask != 0 && one & mask == other & mask
}

fn sorted(mut addresses: Vec<IpAddr>) -> Vec<IpAddr> {
    // A link-local IPv6 address is useless without its interface.
    addresses.retain(|address| match address {
        IpAddr::V4(_) => !address.is_loopback(),
        IpAddr::V6(v6) => !v6.is_loopback() && !v6.is_unicast_link_local(),
    });
    addresses.sort_by_key(|address| {
        let is_link_local = match address {
            IpAddr::V4(v4) => v4.is_link_local(),
            IpAddr::V6(_) => false,
        };
        (is_link_local, address.is_ipv6(), *address)
    });
    addresses.dedup();
    addresses
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_is_left_out_and_widely_usable_addresses_come_first() {
        let all = ["fe80::1", "169.254.1.1", "::1", "2001:db8::1", "127.0.0.1", "192.0.2.7"];
        let all = all.iter().map(|text| text.parse().unwrap()).collect();
        let expected = ["192.0.2.7", "2001:db8::1", "169.254.1.1"];
        let expected: Vec<IpAddr> = expected.iter().map(|text| text.parse().unwrap()).collect();
        assert_eq!(sorted(all), expected);
    }

    #[test]
    fn addresses_of_local_networks_are_on_link() {
        assert!(is_on_link("127.0.0.1".parse().unwrap()));
        assert!(!is_on_link("203.0.113.7".parse().unwrap()));
        let [one, near, far] = ["192.168.7.1", "192.168.7.9", "192.168.8.9"]
            .map(|text| u128::from(text.parse::<std::net::Ipv4Addr>().unwrap().to_bits()));
        assert!(same_network(one, near, 0xffff_ff00) && !same_network(one, far, 0xffff_ff00));
        assert!(!same_network(one, far, 0));
    }

    #[test]
    fn own_addresses_contain_no_loopback() {
        assert!(local_addresses().iter().all(|address| !address.is_loopback()));
    }
}
