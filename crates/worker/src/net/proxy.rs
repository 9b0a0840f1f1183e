//! Proxy selection: whether connections to the coordinator go direct or through the HTTP proxy that the
//! environment or the system settings name.

use std::fmt;
use std::net::IpAddr;

use http::{HeaderValue, Uri};
use hyper_util::client::proxy::matcher::Matcher;
use platform::proxies::{self, ProxyEntry};

use super::address::Address;

/// Environment variables that name a proxy, by precedence. The same as curl's.
const VARIABLES: [&str; 4] = ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"];
/// Environment variables that list hosts without a proxy.
const EXCEPTIONS: [&str; 2] = ["NO_PROXY", "no_proxy"];
/// Name of the system's proxy configuration in messages.
const SYSTEM: &str = "the system settings";

/// Route of connections to one address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProxyRoute {
    /// Direct connection, with the reason.
    Direct(String),
    Through(Proxy),
    /// Direct connection because the named proxy can't be used, with the reason.
    Unusable(String),
}

/// HTTP proxy that is used by CONNECT (RFC 9110, section 9.3.6). It sees the target address and no
/// plaintext.
#[derive(Clone, PartialEq, Eq)]
pub struct Proxy {
    pub(crate) host: String,
    pub(crate) port: u16,
    /// Value of the header `Proxy-Authorization`.
    pub(crate) authorization: Option<HeaderValue>,
    /// The variable or settings that name the proxy.
    source: String,
}

impl fmt::Display for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the proxy {}:{} (from {})", self.host, self.port, self.source)
    }
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Proxy {
    /// Returns the proxy for a reqwest client that uses ordinary host names, without a tunnel.
    ///
    /// # Errors
    /// The proxy's name is not a valid host.
    pub fn for_client(&self) -> reqwest::Result<reqwest::Proxy> {
        let proxy = reqwest::Proxy::all(format!("http://{}:{}", self.host, self.port))?;
        Ok(match &self.authorization {
            Some(authorization) => proxy.custom_http_auth(authorization.clone()),
            None => proxy,
        })
    }
}

/// Returns the current route to an address. May take seconds if a PAC file has to be evaluated.
pub fn route(address: &Address) -> ProxyRoute {
    let variable = |name: &str| std::env::var(name).ok();
    choose(address, variable, platform::addresses::is_on_link, proxies::for_url)
}

/// Whether a proxy may apply to this address. Fast: evaluates no PAC file.
pub(crate) fn may_apply(address: &Address) -> bool {
    let variable = |name: &str| std::env::var(name).ok();
    if first_set(&VARIABLES, variable).is_some() {
        return matches!(route(address), ProxyRoute::Through(_));
    }
    local_reason(address.host(), platform::addresses::is_on_link).is_none()
        && proxies::are_set(&address.to_string())
}

/// Chooses the route. Local addresses never use a proxy, because a proxy for the internet can't reach them
/// and must not see their names. Environment variables take precedence over the system settings.
fn choose(
    address: &Address,
    variable: impl Fn(&str) -> Option<String>,
    is_on_link: impl Fn(IpAddr) -> bool,
    system: impl Fn(&str) -> Result<Vec<ProxyEntry>, String>,
) -> ProxyRoute {
    if let Some(reason) = local_reason(address.host(), is_on_link) {
        return ProxyRoute::Direct(reason.to_owned());
    }
    match first_set(&VARIABLES, &variable) {
        Some((name, value)) => {
            from_variable(address, name, &value, first_set(&EXCEPTIONS, &variable))
        }
        None => match system(&address.to_string()) {
            Ok(entries) => from_system(entries),
            Err(reason) => ProxyRoute::Unusable(format!("{SYSTEM}: {reason}")),
        },
    }
}

/// Returns why this host is local, or `None` if it is not.
fn local_reason(host: &str, is_on_link: impl Fn(IpAddr) -> bool) -> Option<&'static str> {
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
                Some((_, "local")) => Some("names in .local belong to this network"),
                Some(_) | None => None,
            }
        }
    }
}

/// Returns the first variable that is set and not blank, with its value.
fn first_set(
    names: &[&'static str],
    variable: impl Fn(&str) -> Option<String>,
) -> Option<(&'static str, String)> {
    names.iter().find_map(|name| {
        let value = variable(name).filter(|value| !value.trim().is_empty())?;
        Some((*name, value))
    })
}

fn from_variable(
    address: &Address,
    name: &'static str,
    value: &str,
    exceptions: Option<(&'static str, String)>,
) -> ProxyRoute {
    let Ok(uri) = address.to_string().parse::<Uri>() else {
        return ProxyRoute::Unusable(format!("{address} is not a valid URL for a proxy"));
    };
    let all = || Matcher::builder().all(value.trim().to_owned());
    let Some(found) = all().build().intercept(&uri) else {
        // The message must not contain the value, which may include a password.
        return ProxyRoute::Unusable(format!(
            "{name} is not a proxy such as http://proxy.example.com:3128"
        ));
    };
    if let Some((variable, listed)) = exceptions
        && all().no(listed).build().intercept(&uri).is_none()
    {
        return ProxyRoute::Direct(format!("{variable} lists it"));
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
            "{name} names a proxy with the scheme {scheme}; only http:// is supported"
        )),
    }
}

/// Returns the first usable entry. A PAC file may list several.
fn from_system(entries: Vec<ProxyEntry>) -> ProxyRoute {
    let mut unsupported = Vec::new();
    for entry in entries {
        match entry {
            ProxyEntry::Direct => {
                return ProxyRoute::Direct(format!("{SYSTEM} ask for a direct connection"));
            }
            ProxyEntry::Http { host, port, account } => {
                let authorization = account.and_then(|(name, password)| {
                    let (name, password) = (percent_encoded(&name), percent_encoded(&password));
                    let url = format!("http://{name}:{password}@h");
                    let uri = Uri::from_static("https://h");
                    Matcher::builder().all(url).build().intercept(&uri)?.basic_auth().cloned()
                });
                let source = SYSTEM.to_owned();
                return ProxyRoute::Through(Proxy { host, port, authorization, source });
            }
            ProxyEntry::Other(kind) => unsupported.push(kind),
        }
    }
    if unsupported.is_empty() {
        return ProxyRoute::Direct("no proxy is set".into());
    }
    let kinds = unsupported.join(", ");
    ProxyRoute::Unusable(format!("{SYSTEM} name only unsupported proxies: {kinds}"))
}

/// Percent-encodes every byte, for the user information of a URL.
fn percent_encoded(text: &str) -> String {
    text.bytes().fold(String::new(), |text, byte| format!("{text}%{byte:02X}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(url: &str, variables: &[(&str, &str)], entries: &[ProxyEntry]) -> ProxyRoute {
        let variable = |name: &str| {
            variables.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
        };
        let is_on_link = |ip: IpAddr| ip.to_string().starts_with("192.168.7.");
        choose(&url.parse().unwrap(), variable, is_on_link, |_| Ok(entries.to_vec()))
    }

    fn proxy(host: &str, port: u16, source: &str) -> ProxyRoute {
        let (host, source) = (host.to_owned(), source.to_owned());
        ProxyRoute::Through(Proxy { host, port, authorization: None, source })
    }

    #[test]
    fn local_addresses_never_use_a_proxy() {
        let set = [("HTTPS_PROXY", "http://proxy.example:3128")];
        let entries = [ProxyEntry::Http { host: "p".into(), port: 1, account: None }];
        for local in [
            "https://127.0.0.1:8000",
            "https://[::1]:8000",
            "https://localhost:8000",
            "https://studio.local:8000",
            "https://Studio.LOCAL.:8000",
            "https://169.254.3.4:8000",
            "https://[fe80::1]:8000",
            "https://192.168.7.9:8000",
        ] {
            assert!(matches!(chosen(local, &set, &entries), ProxyRoute::Direct(_)), "{local}");
        }
        for far in ["https://lab.example:8000", "https://192.168.8.9:8000", "https://local:8000"] {
            assert_eq!(
                chosen(far, &set, &entries),
                proxy("proxy.example", 3128, "HTTPS_PROXY"),
                "{far}"
            );
        }
    }

    #[test]
    fn environment_variables_are_interpreted_as_curl_does() {
        let lab = "https://lab.example.com:8000";
        let direct = ProxyRoute::Direct("no proxy is set".into());
        assert_eq!(chosen(lab, &[], &[]), direct);
        assert_eq!(chosen(lab, &[("HTTPS_PROXY", ""), ("HTTP_PROXY", "http://p:1")], &[]), direct);
        for (name, value) in [("https_proxy", "p:1"), ("ALL_PROXY", "http://p:1/")] {
            assert_eq!(chosen(lab, &[(name, value)], &[]), proxy("p", 1, name), "{name}");
        }
        let all = [("ALL_PROXY", "http://a:1"), ("https_proxy", "http://b:2")];
        assert_eq!(chosen(lab, &all, &[]), proxy("b", 2, "https_proxy"));
        for listed in ["example.com", ".example.com", "x, lab.example.com", "*"] {
            let set = [("HTTPS_PROXY", "http://p:1"), ("NO_PROXY", listed)];
            assert_eq!(
                chosen(lab, &set, &[]),
                ProxyRoute::Direct("NO_PROXY lists it".into()),
                "{listed}"
            );
        }
        let set = [("HTTPS_PROXY", "http://p:1"), ("no_proxy", "ample.com,10.0.0.0/8")];
        assert_eq!(chosen(lab, &set, &[]), proxy("p", 1, "HTTPS_PROXY"));
        assert!(matches!(chosen("https://10.1.2.3:8000", &set, &[]), ProxyRoute::Direct(_)));
    }

    #[test]
    fn a_proxy_password_is_sent_and_never_shown() {
        let set = [("HTTPS_PROXY", "http://anna:s%20ecret@p:3128")];
        let ProxyRoute::Through(found) = chosen("https://lab.example:8000", &set, &[]) else {
            panic!()
        };
        let authorization = found.authorization.clone().unwrap();
        assert_eq!(authorization.to_str().unwrap(), "Basic YW5uYTpzIGVjcmV0");
        assert_eq!(format!("{found} {found:?}").matches("p:3128 (from HTTPS_PROXY)").count(), 2);
        let account = Some(("anna".to_owned(), "s ecret".to_owned()));
        let entries = [ProxyEntry::Http { host: "p".into(), port: 8, account }];
        let ProxyRoute::Through(found) = chosen("https://lab.example:8000", &[], &entries) else {
            panic!()
        };
        assert_eq!(found.authorization, Some(authorization));
        for wrong in
            ["socks5://u:hidden@p:1", "https://u:hidden@p:1", "ftp://u:hidden@p", "http://"]
        {
            let route = chosen("https://lab.example:8000", &[("HTTPS_PROXY", wrong)], &[]);
            let ProxyRoute::Unusable(reason) = route else { panic!("{wrong}: {route:?}") };
            assert!(reason.contains("HTTPS_PROXY") && !reason.contains("hidden"), "{reason}");
        }
    }

    #[test]
    fn system_settings_apply_when_no_variable_is_set() {
        let lab = "https://lab.example:8000";
        let socks = ProxyEntry::Other("SOCKS".into());
        let http = ProxyEntry::Http { host: "p".into(), port: 8080, account: None };
        let set = [("HTTPS_PROXY", "http://v:1")];
        assert_eq!(chosen(lab, &set, std::slice::from_ref(&http)), proxy("v", 1, "HTTPS_PROXY"));
        let entries = [socks.clone(), http];
        assert_eq!(chosen(lab, &[], &entries), proxy("p", 8080, SYSTEM));
        assert!(matches!(chosen(lab, &[], &[ProxyEntry::Direct]), ProxyRoute::Direct(_)));
        let ProxyRoute::Unusable(reason) = chosen(lab, &[], &[socks]) else { panic!() };
        assert!(reason.ends_with("only unsupported proxies: SOCKS"), "{reason}");
        let failed = choose(&lab.parse().unwrap(), |_| None, |_| false, |_| Err("no PAC".into()));
        assert_eq!(failed, ProxyRoute::Unusable("the system settings: no PAC".into()));
    }
}
