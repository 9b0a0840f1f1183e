//! Check of the proxy that connections to the coordinator use.

use worker::proxy::ProxyRoute;

use super::check::Check;
use super::verdict::Probe;

const NAME: &str = "proxy";

/// Checks that the configured proxy is usable. The coordinator check covers the connection itself.
pub(super) fn check(probes: &[Probe]) -> Check {
    let mut routes = Vec::new();
    let mut is_usable = true;
    for Probe { url, route, .. } in probes {
        match route {
            Some(ProxyRoute::Direct(why)) => routes.push(format!("{url} without a proxy: {why}")),
            Some(ProxyRoute::Through(proxy)) => routes.push(format!("{url} through {proxy}")),
            Some(ProxyRoute::Unusable(why)) => {
                is_usable = false;
                routes.push(format!(
                    "{url} without a proxy, because the configured one can't be used: {why}"
                ));
            }
            None => {}
        }
    }
    let found = routes.join("; ");
    if found.is_empty() {
        Check::ok(NAME, "No address of a coordinator is known")
    } else if is_usable {
        Check::ok(NAME, found)
    } else {
        Check::warning(NAME, found).fix(
            "Set an HTTP proxy such as http://proxy.example.com:3128, in HTTPS_PROXY or in the system settings",
        )
    }
}

#[cfg(test)]
mod tests {
    use super::super::check::State;
    use super::super::reach::ProbeResult;
    use super::*;

    fn probe(url: &str, route: ProxyRoute) -> Probe {
        Probe {
            url: url.into(),
            source: "the settings",
            route: Some(route),
            result: ProbeResult::NoPin,
        }
    }

    #[test]
    fn each_route_is_reported_with_its_reason() {
        let direct = probe("https://a:1", ProxyRoute::Direct("no proxy is set".into()));
        let one = check(std::slice::from_ref(&direct));
        assert_eq!((one.state, one.fix), (State::Ok, None));
        assert_eq!(one.found, "https://a:1 without a proxy: no proxy is set");
        let unusable =
            probe("https://b:1", ProxyRoute::Unusable("only http:// can be used".into()));
        let both = check(&[direct, unusable]);
        assert_eq!(both.state, State::Warning);
        assert!(both.found.ends_with("can't be used: only http:// can be used"));
        assert!(both.fix.is_some());
        assert_eq!(check(&[]).state, State::Ok);
    }
}
