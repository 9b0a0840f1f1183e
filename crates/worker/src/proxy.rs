//! By which way connections to the coordinator go: straight, or through the proxy that the environment
//! or the system's settings name.

use std::fmt;
use std::net::IpAddr;

use http::{HeaderValue, Uri};
use hyper_util::client::proxy::matcher::Matcher;
use platform::proxies::{self, ProxyEntry};

use crate::pinned_tls::Address;

/// The variables that name a proxy, in the order in which they count; as curl has them.
const VARIABLES: [&str; 4] = ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"];
/// The variables that name exceptions.
const EXCEPTIONS: [&str; 2] = ["NO_PROXY", "no_proxy"];
/// What macOS calls the place where proxies are set.
const SYSTEM: &str = "the system's settings";

/// The way of connections to one address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProxyRoute {
    /// Without a proxy, and why.
    Straight(String),
    Through(Proxy),
    /// A proxy is named that can't be used; it goes straight all the same.
    Unusable(String),
}

/// A proxy that is asked by CONNECT (RFC 9110, section 9.3.6): it sees where to, and no byte in the clear.
#[derive(Clone, PartialEq, Eq)]
pub struct Proxy {
    pub(crate) host: String,
    pub(crate) port: u16,
    /// Of the header `Proxy-Authorization`.
    pub(crate) authorization: Option<HeaderValue>,
    /// Who names it.
    source: String,
}

impl fmt::Display for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the proxy {}:{} (of {})", self.host, self.port, self.source)
    }
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Proxy {
    /// For a client that finds its way by names that others know too.
    ///
    /// # Errors
    /// Where its name is none.
    pub fn for_client(&self) -> reqwest::Result<reqwest::Proxy> {
        let proxy = reqwest::Proxy::all(format!("http://{}:{}", self.host, self.port))?;
        Ok(match &self.authorization {
            Some(authorization) => proxy.custom_http_auth(authorization.clone()),
            None => proxy,
        })
    }
}

/// The way to this address from here, now. May take seconds, where a PAC file has to be asked.
pub fn way(address: &Address) -> ProxyRoute {
    let variable = |name: &str| std::env::var(name).ok();
    choose(address, variable, platform::addresses::is_on_link, proxies::of_system)
}

/// Whether a proxy may have a say in the way to this address. Quick.
pub(crate) fn may_be(address: &Address) -> bool {
    let variable = |name: &str| std::env::var(name).ok();
    if set(&VARIABLES, variable).is_some() {
        return matches!(way(address), ProxyRoute::Through(_));
    }
    near(address.host(), platform::addresses::is_on_link).is_none()
        && proxies::are_set(&address.to_string())
}

/// What is near never goes through a proxy: who is set for the world knows nothing of it, and must not
/// see what is meant for it. Variables go before the system's settings.
fn choose(
    address: &Address,
    variable: impl Fn(&str) -> Option<String>,
    is_on_link: impl Fn(IpAddr) -> bool,
    system: impl Fn(&str) -> Result<Vec<ProxyEntry>, String>,
) -> ProxyRoute {
    if let Some(why) = near(address.host(), is_on_link) {
        return ProxyRoute::Straight(why.to_owned());
    }
    match set(&VARIABLES, &variable) {
        Some((name, value)) => by_variable(address, name, &value, set(&EXCEPTIONS, &variable)),
        None => match system(&address.to_string()) {
            Ok(hops) => by_system(hops),
            Err(reason) => ProxyRoute::Unusable(format!("{SYSTEM}: {reason}")),
        },
    }
}

/// Why no proxy is asked for this host.
fn near(host: &str, is_on_link: impl Fn(IpAddr) -> bool) -> Option<&'static str> {
    match host.parse::<IpAddr>() {
        Ok(ip) if ip.is_loopback() => Some("it is this machine"),
        Ok(IpAddr::V4(v4)) if v4.is_link_local() => Some("it is on this network"),
        Ok(IpAddr::V6(v6)) if v6.is_unicast_link_local() => Some("it is on this network"),
        Ok(ip) => is_on_link(ip).then_some("it is on this network"),
        Err(_) => {
            let name = host.trim_end_matches('.').to_ascii_lowercase();
            match name.rsplit_once('.') {
                None if name == "localhost" => Some("it is this machine"),
                Some((_, "localhost")) => Some("it is this machine"),
                Some((_, "local")) => Some("names in .local are of this network"),
                Some(_) | None => None,
            }
        }
    }
}

/// The first that says something.
fn set(
    names: &[&'static str],
    variable: impl Fn(&str) -> Option<String>,
) -> Option<(&'static str, String)> {
    let said = |name: &&'static str| {
        let value = variable(name).filter(|value| !value.trim().is_empty())?;
        Some((*name, value))
    };
    names.iter().find_map(said)
}

fn by_variable(
    address: &Address,
    name: &'static str,
    value: &str,
    exceptions: Option<(&'static str, String)>,
) -> ProxyRoute {
    let Ok(uri) = address.to_string().parse::<Uri>() else {
        return ProxyRoute::Unusable(format!("{address} is no address that a proxy understands"));
    };
    let all = || Matcher::builder().all(value.trim().to_owned());
    let Some(found) = all().build().intercept(&uri) else {
        // The value may have a password in it.
        return ProxyRoute::Unusable(format!(
            "{name} names no proxy such as http://proxy.example.com:3128"
        ));
    };
    if let Some((of, listed)) = exceptions
        && all().no(listed).build().intercept(&uri).is_none()
    {
        return ProxyRoute::Straight(format!("{of} lists it"));
    }
    let scheme = found.uri().scheme_str().unwrap_or_default();
    match (scheme, found.uri().host()) {
        ("http", Some(host)) => ProxyRoute::Through(Proxy {
            host: host.trim_matches(['[', ']']).to_owned(),
            port: found.uri().port_u16().unwrap_or(80),
            authorization: found.basic_auth().cloned(),
            source: name.to_owned(),
        }),
        (scheme, _) => ProxyRoute::Unusable(format!(
            "{name} names a proxy of the kind {scheme}; only http:// can be used"
        )),
    }
}

/// The first that can be used: a PAC file names several, so that one may be away.
fn by_system(hops: Vec<ProxyEntry>) -> ProxyRoute {
    let mut others = Vec::new();
    for hop in hops {
        match hop {
            ProxyEntry::Direct => return ProxyRoute::Straight(format!("{SYSTEM} say so")),
            ProxyEntry::Http { host, port, account } => {
                let authorization = account.and_then(|(name, password)| {
                    let url = format!("http://{}:{}@h", escaped(&name), escaped(&password));
                    let uri = Uri::from_static("https://h");
                    Matcher::builder().all(url).build().intercept(&uri)?.basic_auth().cloned()
                });
                let source = SYSTEM.to_owned();
                return ProxyRoute::Through(Proxy { host, port, authorization, source });
            }
            ProxyEntry::Other(kind) => others.push(kind),
        }
    }
    if others.is_empty() {
        return ProxyRoute::Straight("no proxy is set".into());
    }
    let kinds = others.join(", ");
    ProxyRoute::Unusable(format!("{SYSTEM} name proxies that can't be used: {kinds}"))
}

/// As a URL has it before the host.
fn escaped(text: &str) -> String {
    text.bytes().fold(String::new(), |text, byte| format!("{text}%{byte:02X}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(url: &str, variables: &[(&str, &str)], hops: &[ProxyEntry]) -> ProxyRoute {
        let variable = |name: &str| {
            variables.iter().find(|(of, _)| *of == name).map(|(_, value)| (*value).to_owned())
        };
        let is_on_link = |ip: IpAddr| ip.to_string().starts_with("192.168.7.");
        choose(&url.parse().unwrap(), variable, is_on_link, |_| Ok(hops.to_vec()))
    }

    fn proxy(host: &str, port: u16, source: &str) -> ProxyRoute {
        let (host, source) = (host.to_owned(), source.to_owned());
        ProxyRoute::Through(Proxy { host, port, authorization: None, source })
    }

    #[test]
    fn what_is_near_goes_straight_whatever_is_set() {
        let set = [("HTTPS_PROXY", "http://proxy.example:3128")];
        let hops = [ProxyEntry::Http { host: "p".into(), port: 1, account: None }];
        for near in [
            "https://127.0.0.1:8000",
            "https://[::1]:8000",
            "https://localhost:8000",
            "https://studio.local:8000",
            "https://Studio.LOCAL.:8000",
            "https://169.254.3.4:8000",
            "https://[fe80::1]:8000",
            "https://192.168.7.9:8000",
        ] {
            assert!(matches!(of(near, &set, &hops), ProxyRoute::Straight(_)), "{near}");
        }
        for far in ["https://lab.example:8000", "https://192.168.8.9:8000", "https://local:8000"] {
            assert_eq!(of(far, &set, &hops), proxy("proxy.example", 3128, "HTTPS_PROXY"), "{far}");
        }
    }

    #[test]
    fn variables_are_read_as_curl_reads_them() {
        let lab = "https://lab.example.com:8000";
        let no = ProxyRoute::Straight("no proxy is set".into());
        assert_eq!(of(lab, &[], &[]), no);
        assert_eq!(of(lab, &[("HTTPS_PROXY", ""), ("HTTP_PROXY", "http://p:1")], &[]), no);
        for (name, value) in [("https_proxy", "p:1"), ("ALL_PROXY", "http://p:1/")] {
            assert_eq!(of(lab, &[(name, value)], &[]), proxy("p", 1, name), "{name}");
        }
        let all = [("ALL_PROXY", "http://a:1"), ("https_proxy", "http://b:2")];
        assert_eq!(of(lab, &all, &[]), proxy("b", 2, "https_proxy"));
        for listed in ["example.com", ".example.com", "x, lab.example.com", "*"] {
            let set = [("HTTPS_PROXY", "http://p:1"), ("NO_PROXY", listed)];
            assert_eq!(
                of(lab, &set, &[]),
                ProxyRoute::Straight("NO_PROXY lists it".into()),
                "{listed}"
            );
        }
        let set = [("HTTPS_PROXY", "http://p:1"), ("no_proxy", "ample.com,10.0.0.0/8")];
        assert_eq!(of(lab, &set, &[]), proxy("p", 1, "HTTPS_PROXY"));
        assert!(matches!(of("https://10.1.2.3:8000", &set, &[]), ProxyRoute::Straight(_)));
    }

    #[test]
    fn a_password_is_sent_and_never_shown() {
        let set = [("HTTPS_PROXY", "http://anna:s%20ecret@p:3128")];
        let ProxyRoute::Through(found) = of("https://lab.example:8000", &set, &[]) else {
            panic!()
        };
        let authorization = found.authorization.clone().unwrap();
        assert_eq!(authorization.to_str().unwrap(), "Basic YW5uYTpzIGVjcmV0");
        assert_eq!(format!("{found} {found:?}").matches("p:3128 (of HTTPS_PROXY)").count(), 2);
        let account = Some(("anna".to_owned(), "s ecret".to_owned()));
        let hops = [ProxyEntry::Http { host: "p".into(), port: 8, account }];
        let ProxyRoute::Through(found) = of("https://lab.example:8000", &[], &hops) else {
            panic!()
        };
        assert_eq!(found.authorization, Some(authorization));
        for wrong in
            ["socks5://u:hidden@p:1", "https://u:hidden@p:1", "ftp://u:hidden@p", "http://"]
        {
            let way = of("https://lab.example:8000", &[("HTTPS_PROXY", wrong)], &[]);
            let ProxyRoute::Unusable(words) = way else { panic!("{wrong}: {way:?}") };
            assert!(words.contains("HTTPS_PROXY") && !words.contains("hidden"), "{words}");
        }
    }

    #[test]
    fn the_system_s_settings_count_where_no_variable_does() {
        let lab = "https://lab.example:8000";
        let socks = ProxyEntry::Other("SOCKS".into());
        let http = ProxyEntry::Http { host: "p".into(), port: 8080, account: None };
        let set = [("HTTPS_PROXY", "http://v:1")];
        assert_eq!(of(lab, &set, std::slice::from_ref(&http)), proxy("v", 1, "HTTPS_PROXY"));
        let hops = [socks.clone(), http];
        assert_eq!(of(lab, &[], &hops), proxy("p", 8080, SYSTEM));
        assert!(matches!(of(lab, &[], &[ProxyEntry::Direct]), ProxyRoute::Straight(_)));
        let ProxyRoute::Unusable(words) = of(lab, &[], &[socks]) else { panic!() };
        assert!(words.ends_with("can't be used: SOCKS"), "{words}");
        let failed = choose(&lab.parse().unwrap(), |_| None, |_| false, |_| Err("no PAC".into()));
        assert_eq!(failed, ProxyRoute::Unusable("the system's settings: no PAC".into()));
    }
}
