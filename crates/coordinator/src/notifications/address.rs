//! Allowed webhook addresses: protection against server-side request forgery (OWASP, "Server-Side
//! Request Forgery Prevention").
//!
//! A webhook makes the coordinator send requests to an address that a person chose. Addresses that only
//! the coordinator's machine or cloud can reach are therefore forbidden, above all the metadata services
//! that return credentials. Private networks stay allowed, because a company's receivers are there.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use reqwest::Url;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

const LONGEST_URL: usize = 2000;
const ALIBABA_METADATA: Ipv4Addr = Ipv4Addr::new(100, 100, 100, 200);
const AMAZON_METADATA: Ipv6Addr = Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254);
const AMAZON_DNS: Ipv6Addr = Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x253);

/// Reason for refusing a webhook address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum AddressError {
    #[error(
        "must be an address such as https://chat.example.com/hooks/1, of at most 2000 characters"
    )]
    NotAnAddress,
    #[error("must begin with https://; http:// is allowed only for this machine (127.0.0.1)")]
    NotSecure,
    #[error("must not contain a name or password before the host")]
    Credentials,
    #[error("{0} is an address that webhooks may not reach; use the receiver's address")]
    Forbidden(IpAddr),
}

/// Parses the URL and checks that a webhook may use it.
pub(crate) fn check_url(text: &str) -> Result<Url, AddressError> {
    let url = Url::parse(text).map_err(|_| AddressError::NotAnAddress)?;
    let Some(host) = url.host_str().filter(|_| text.len() <= LONGEST_URL) else {
        return Err(AddressError::NotAnAddress);
    };
    if !url.username().is_empty() || url.password().is_some() {
        return Err(AddressError::Credentials);
    }
    let literal = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>().ok();
    let is_local = literal.map_or(host == "localhost", |ip| ip.to_canonical().is_loopback());
    match url.scheme() {
        "https" => {}
        "http" if is_local => {}
        _ => return Err(AddressError::NotSecure),
    }
    match literal.filter(|ip| is_forbidden(*ip)) {
        Some(ip) => Err(AddressError::Forbidden(ip)),
        None => Ok(url),
    }
}

/// Returns the host of a checked URL.
pub(crate) fn host_of(url: &str) -> Option<String> {
    Url::parse(url).ok()?.host_str().map(str::to_owned)
}

/// DNS resolver that drops forbidden addresses. The check runs at each lookup because a name's addresses
/// can change at any time.
#[derive(Debug, Clone, Copy)]
pub(super) struct GuardedNames;

impl Resolve for GuardedNames {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            let name = name.as_str().to_owned();
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let is_localhost = name == "localhost";
            let allowed: Vec<SocketAddr> = found
                .filter(|address| !is_forbidden(address.ip()))
                .filter(|address| !is_localhost || address.ip().is_loopback())
                .collect();
            if allowed.is_empty() {
                let reason = format!("'{name}' has no address that webhooks may reach");
                return Err(io::Error::other(reason).into());
            }
            Ok(Box::new(allowed.into_iter()) as Addrs)
        })
    }
}

fn is_forbidden(ip: IpAddr) -> bool {
    match ip.to_canonical() {
        IpAddr::V4(ip) => {
            ip.is_link_local()
                || ip.is_unspecified()
                || ip.is_multicast()
                || ip.is_broadcast()
                || ip == ALIBABA_METADATA
        }
        IpAddr::V6(ip) => {
            ip.is_unicast_link_local()
                || ip.is_unspecified()
                || ip.is_multicast()
                || [AMAZON_METADATA, AMAZON_DNS].contains(&ip)
                || translated(ip).is_some_and(|ip| is_forbidden(IpAddr::V4(ip)))
        }
    }
}

/// Returns the IPv4 address within a NAT64 address (RFC 6052, `64:ff9b::/96`).
fn translated(ip: Ipv6Addr) -> Option<Ipv4Addr> {
    match ip.segments() {
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] => {
            Some(Ipv4Addr::from_bits((u32::from(high) << 16) | u32::from(low)))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn https_is_allowed_anywhere_and_http_only_locally() {
        for url in [
            "https://hooks.example.com/a/b?c=d",
            "https://10.1.2.3/hook",
            "https://[fd12::1]:8443/",
            "http://127.0.0.1:9000/hook",
            "http://[::1]:9000/",
            "http://localhost/hook",
        ] {
            assert!(check_url(url).is_ok(), "{url}");
        }
        for (url, error) in [
            ("chat.example.com", AddressError::NotAnAddress),
            ("https://", AddressError::NotAnAddress),
            ("http://chat.example.com/", AddressError::NotSecure),
            ("http://10.1.2.3/", AddressError::NotSecure),
            ("http://localhost.example.com/", AddressError::NotSecure),
            ("ftp://127.0.0.1/", AddressError::NotSecure),
            ("https://user:word@example.com/", AddressError::Credentials),
        ] {
            assert_eq!(check_url(url).unwrap_err(), error, "{url}");
        }
        let long = format!("https://example.com/{}", "x".repeat(LONGEST_URL));
        assert_eq!(check_url(&long).unwrap_err(), AddressError::NotAnAddress);
    }

    #[test]
    fn metadata_and_link_local_addresses_are_forbidden() {
        for host in [
            "169.254.169.254",
            "169.254.170.2",
            "0xa9fea9fe",
            "2852039166",
            "[::ffff:169.254.169.254]",
            "[64:ff9b::a9fe:a9fe]",
            "[fd00:ec2::254]",
            "[fe80::1]",
            "100.100.100.200",
            "0.0.0.0",
            "[::]",
            "224.0.0.1",
            "255.255.255.255",
        ] {
            let error = check_url(&format!("https://{host}/latest/meta-data")).unwrap_err();
            assert!(matches!(error, AddressError::Forbidden(_)), "{host}: {error}");
        }
    }

    #[tokio::test]
    async fn a_name_with_only_forbidden_addresses_does_not_resolve() {
        // A test can't control a name server; an address given as a name takes the same path.
        let name: Name = "169.254.169.254".parse().unwrap();
        let Err(error) = GuardedNames.resolve(name).await else { panic!("it resolved") };
        assert_eq!(error.to_string(), "'169.254.169.254' has no address that webhooks may reach");
        let local = GuardedNames.resolve("localhost".parse().unwrap()).await;
        assert!(local.is_ok_and(|mut found| found.all(|address| address.ip().is_loopback())));
    }
}
