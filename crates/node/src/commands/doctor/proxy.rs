//! Which proxy connections to the coordinator go through, and why.

use worker::proxy::ProxyRoute;

use super::check::Check;
use super::verdict::Asked;

const NAME: &str = "proxy";

/// Whether the way is one that can be gone; who answers at its end is another check's.
pub(super) fn check(asked: &[Asked]) -> Check {
    let mut told = Vec::new();
    let mut is_usable = true;
    for Asked { url, way, .. } in asked {
        match way {
            Some(ProxyRoute::Straight(why)) => told.push(format!("{url} without a proxy: {why}")),
            Some(ProxyRoute::Through(proxy)) => told.push(format!("{url} through {proxy}")),
            Some(ProxyRoute::Unusable(why)) => {
                is_usable = false;
                told.push(format!("{url} without a proxy, though one is set: {why}"));
            }
            None => {}
        }
    }
    let told = told.join("; ");
    if told.is_empty() {
        Check::ok(NAME, "no address of a coordinator is known")
    } else if is_usable {
        Check::ok(NAME, told)
    } else {
        Check::warning(NAME, told).mend(
            "name an HTTP proxy such as http://proxy.example.com:3128, in HTTPS_PROXY or in the system's settings",
        )
    }
}

#[cfg(test)]
mod tests {
    use super::super::check::State;
    use super::super::reach::ProbeResult;
    use super::*;

    fn asked(url: &str, way: ProxyRoute) -> Asked {
        Asked { url: url.into(), who: "the settings", way: Some(way), answer: ProbeResult::NoPin }
    }

    #[test]
    fn each_way_is_told_with_its_reason() {
        let straight = asked("https://a:1", ProxyRoute::Straight("no proxy is set".into()));
        let check_of = check(std::slice::from_ref(&straight));
        assert_eq!((check_of.state, check_of.mend), (State::Ok, None));
        assert_eq!(check_of.found, "https://a:1 without a proxy: no proxy is set");
        let unusable =
            asked("https://b:1", ProxyRoute::Unusable("only http:// can be used".into()));
        let both = check(&[straight, unusable]);
        assert_eq!(both.state, State::Warning);
        assert!(both.found.ends_with("though one is set: only http:// can be used"));
        assert!(both.mend.is_some());
        assert_eq!(check(&[]).state, State::Ok);
    }
}
