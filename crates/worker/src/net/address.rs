//! Address of a coordinator, and the URL of requests to it.

use std::fmt;
use std::str::FromStr;

use protocol::pin::pinned_server_name;
use reqwest::Url;

/// Address of a coordinator: `https://HOST:PORT`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    /// A name or an IP address, IPv6 without brackets.
    host: String,
    port: u16,
}

/// Error for text that is not a coordinator's address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is not a coordinator's address such as https://192.168.1.10:8000")]
pub struct InvalidAddress(pub String);

impl FromStr for Address {
    type Err = InvalidAddress;

    fn from_str(text: &str) -> Result<Self, InvalidAddress> {
        let invalid = || InvalidAddress(text.to_owned());
        let url = Url::parse(text).map_err(|_| invalid())?;
        let is_bare = url.scheme() == "https" && url.path() == "/" && url.query().is_none();
        let host = url.host_str().filter(|_| is_bare).ok_or_else(invalid)?;
        let host = host.trim_matches(['[', ']']).to_owned();
        Ok(Self { host, port: url.port_or_known_default().ok_or_else(invalid)? })
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "https://[{}]:{}", self.host, self.port)
        } else {
            write!(f, "https://{}:{}", self.host, self.port)
        }
    }
}

impl Address {
    /// A name or an IP address, IPv6 without brackets.
    pub(crate) fn host(&self) -> &str {
        &self.host
    }

    pub(crate) const fn port(&self) -> u16 {
        self.port
    }

    /// `HOST:PORT`, as in a join code.
    pub(crate) fn host_and_port(&self) -> String {
        self.to_string().trim_start_matches("https://").to_owned()
    }

    /// Base URL for requests of a client made by [`pinned`](super::pinned_tls::pinned). Its host name is constant: the pin, not the
    /// name, identifies the coordinator.
    pub fn base(&self) -> String {
        format!("https://{}:{}", pinned_server_name(), self.port)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_consists_of_https_a_host_and_a_port() {
        for (text, host, shown) in [
            ("https://192.0.2.7:8000", "192.0.2.7", "https://192.0.2.7:8000"),
            ("https://lab.example/", "lab.example", "https://lab.example:443"),
            ("https://[2001:db8::1]:8000", "2001:db8::1", "https://[2001:db8::1]:8000"),
        ] {
            let address: Address = text.parse().unwrap();
            assert_eq!(address.host, host);
            assert_eq!(address.to_string(), shown);
        }
        for text in ["http://192.0.2.7:8000", "192.0.2.7:8000", "https://lab.example/path", "x"] {
            assert_eq!(text.parse::<Address>(), Err(InvalidAddress(text.to_owned())));
        }
    }
}
