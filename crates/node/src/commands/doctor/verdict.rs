//! Interprets the results of the network probes. Pure, so that tests cover every case.

use std::io::ErrorKind;

use protocol::PROTOCOL_VERSION;
use worker::proxy::ProxyRoute;

use super::check::Check;
use super::reach::{CoordinatorInfo, ProbeResult};

/// Maximum clock difference in seconds that needs no attention.
const CLOCKS_AGREE: i64 = 120;
/// Clock difference in seconds at which other services' certificates seem expired or not yet valid.
const CLOCKS_BREAK: i64 = 86_400;

/// A probed address and the result.
pub(super) struct Probe {
    pub(super) url: String,
    /// Source of the address.
    pub(super) source: &'static str,
    /// `None` if `url` is not a valid address.
    pub(super) route: Option<ProxyRoute>,
    pub(super) result: ProbeResult,
}

/// Result of the search on the local network.
pub(super) enum Discovered {
    /// URLs of the coordinators found; may be empty.
    Coordinators(Vec<String>),
    /// The local network can't be searched.
    Unavailable(String),
}

/// Whether the operating system lets this program use the local network.
pub(super) enum LocalNetworkPermission {
    /// This system requires no permission.
    NotRequired,
    /// The system requires a permission; `sent` is the result of sending a packet.
    Required { sent: Result<(), ErrorKind> },
}

/// Returns the first coordinator that has proven its identity.
pub(super) fn verified(probes: &[Probe]) -> Option<&CoordinatorInfo> {
    probes.iter().find_map(|probe| match &probe.result {
        ProbeResult::Verified(info) => Some(info),
        ProbeResult::Invalid(_)
        | ProbeResult::Unreachable(_)
        | ProbeResult::NoPin
        | ProbeResult::WrongPin(_)
        | ProbeResult::Foreign(_) => None,
    })
}

pub(super) fn discovery(discovered: &Discovered, has_address: bool) -> Check {
    const NAME: &str = "discovery";
    match discovered {
        Discovered::Coordinators(urls) if !urls.is_empty() => {
            Check::ok(NAME, format!("Bonjour finds on this network: {}", urls.join(", ")))
        }
        Discovered::Coordinators(_) if has_address => Check::ok(
            NAME,
            "Bonjour finds no coordinator within 3 seconds; not needed, because an address is known",
        ),
        Discovered::Coordinators(_) => Check::warning(
            NAME,
            "Bonjour finds no coordinator within 3 seconds",
        )
        .fix("Start the coordinator, or set CoordinatorURL: Bonjour does not work across networks"),
        Discovered::Unavailable(reason) => {
            Check::warning(NAME, format!("The local network can't be searched: {reason}"))
                .fix("Connect this machine to a network, or set CoordinatorURL")
        }
    }
}

/// Distinguishes a missing permission from a coordinator that does not run. Without the permission, macOS reports "no
/// route" at once for every local address.
pub(super) fn local_network(
    permission: &LocalNetworkPermission,
    discovered: &Discovered,
    probes: &[Probe],
) -> Check {
    const NAME: &str = "local-network";
    let sent = match permission {
        LocalNetworkPermission::NotRequired => {
            return Check::ok(NAME, "This system requires no permission for the local network");
        }
        LocalNetworkPermission::Required { sent } => sent,
    };
    let is_found = matches!(discovered, Discovered::Coordinators(urls) if !urls.is_empty());
    let no_route = probes.iter().any(
        |probe| matches!(&probe.result, ProbeResult::Unreachable(error) if is_no_route(error.kind())),
    );
    match sent {
        _ if is_found => Check::ok(NAME, "Permission granted: other machines on the local network respond"),
        Err(kind) if is_no_route(*kind) => Check::failed(
            NAME,
            "macOS blocks this program on the local network: the permission is missing, or this Mac has no network",
        )
        .fix(
            "Open System Settings > Privacy & Security > Local Network and turn on Constellation. If it is on, turn it off \
             and on again, then restart the Mac. No profile can grant this permission; a CoordinatorURL outside the local \
             network does not need it",
        ),
        Ok(()) if no_route => Check::warning(NAME, "Packets can be sent, but there is no route to the coordinator's address")
            .fix("Check the network, and System Settings > Privacy & Security > Local Network"),
        Ok(()) if verified(probes).is_some() => {
            Check::ok(NAME, "Permission granted: packets can be sent, and the coordinator responds")
        }
        Ok(()) => Check::unknown(
            NAME,
            "Packets can be sent, but nothing responds. macOS does not report whether it blocks incoming packets: either no \
             coordinator is on this network, or the permission is off",
        )
        .fix("Check System Settings > Privacy & Security > Local Network"),
        Err(kind) => Check::unknown(NAME, format!("Can't send a packet to the local network: {kind}")),
    }
}

const fn is_no_route(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::HostUnreachable | ErrorKind::NetworkUnreachable)
}

pub(super) fn coordinator(probes: &[Probe]) -> Check {
    const NAME: &str = "coordinator";
    if probes.is_empty() {
        return Check::failed(NAME, "No address of a coordinator is known, and Bonjour finds none")
            .fix("Set CoordinatorURL, pass --coordinator https://HOST:PORT, or enroll with a join link");
    }
    let found: Vec<String> = probes.iter().map(description).collect();
    let found = found.join("; ");
    let mut checks = probes.iter().map(|probe| match &probe.result {
        ProbeResult::Verified(_) | ProbeResult::NoPin | ProbeResult::WrongPin(_) => Check::ok(NAME, &found),
        ProbeResult::Invalid(_) => Check::failed(NAME, &found).fix("Correct the address: https://HOST:PORT"),
        ProbeResult::Unreachable(_) => Check::failed(NAME, &found)
            .fix("Start the coordinator, open its port in the firewall, or correct the address"),
        ProbeResult::Foreign(_) => Check::failed(NAME, &found).fix(
            "Another service responds at this address. Correct the address or the port, or exempt the coordinator from TLS \
             inspection by the proxy",
        ),
    });
    let first = checks.next();
    let good = checks.find(|check| check.fix.is_none());
    match (first, good) {
        (Some(first), None) => first,
        (Some(first), Some(_)) if first.fix.is_none() => first,
        (_, Some(good)) => good,
        (None, None) => Check::failed(NAME, found),
    }
}

fn description(probe: &Probe) -> String {
    let Probe { url, source, result, .. } = probe;
    match result {
        ProbeResult::Invalid(reason) => format!("{reason} (from {source})"),
        ProbeResult::Unreachable(error) => format!("{url} (from {source}): {error}"),
        ProbeResult::NoPin | ProbeResult::WrongPin(_) => {
            format!("{url} (from {source}): reachable")
        }
        ProbeResult::Foreign(reason) => format!("{url} (from {source}): {reason}"),
        ProbeResult::Verified(info) => {
            format!("{url} (from {source}): cluster '{}', version {}", info.name, info.version)
        }
    }
}

pub(super) fn pin(probes: &[Probe], is_known: bool) -> Check {
    const NAME: &str = "pin";
    if verified(probes).is_some() {
        return Check::ok(NAME, "The coordinator's key matches the pin");
    }
    let wrong = probes.iter().find_map(|probe| match &probe.result {
        ProbeResult::WrongPin(wrong) => Some(wrong),
        ProbeResult::Invalid(_)
        | ProbeResult::Unreachable(_)
        | ProbeResult::NoPin
        | ProbeResult::Foreign(_)
        | ProbeResult::Verified(_) => None,
    });
    match wrong {
        Some(wrong) => Check::failed(
            NAME,
            format!(
                "{} has the pin {}, but this machine trusts {}. Nothing was sent to it",
                wrong.address, wrong.seen, wrong.expected
            ),
        )
        .fix(
            "If the coordinator was set up again, enroll with a new join code or set CoordinatorPin. Otherwise contact your \
             administrator: another machine may be posing as the coordinator",
        ),
        None if is_known => Check::unknown(NAME, "No coordinator responded, so its key could not be checked"),
        None => Check::unknown(NAME, "This machine knows no pin yet; a join link or CoordinatorPin provides it"),
    }
}

pub(super) fn clock(probes: &[Probe]) -> Check {
    const NAME: &str = "clock";
    let Some(offset) = verified(probes).and_then(|info| info.clock_offset) else {
        return Check::unknown(NAME, "No coordinator reported its time");
    };
    let difference = offset.abs();
    let found = format!(
        "This clock is {difference} s {} the coordinator's",
        if offset < 0 { "behind" } else { "ahead of" }
    );
    let fix = "Turn on automatic date and time on both machines";
    match difference {
        0..=CLOCKS_AGREE => Check::ok(NAME, found),
        difference if difference < CLOCKS_BREAK => Check::warning(NAME, found).fix(fix),
        _ => Check::failed(NAME, found).fix(fix),
    }
}

pub(super) fn version(probes: &[Probe]) -> Check {
    const NAME: &str = "version";
    let own = env!("CARGO_PKG_VERSION");
    let Some(info) = verified(probes) else {
        return Check::ok(
            NAME,
            format!(
                "Constellation {own}, protocol {PROTOCOL_VERSION}; no coordinator to compare with"
            ),
        );
    };
    let found = format!(
        "Constellation {own}, protocol {PROTOCOL_VERSION}; the coordinator has {}, protocol {}",
        info.version, info.protocol
    );
    match info.protocol.abs_diff(PROTOCOL_VERSION) {
        0 | 1 => Check::ok(NAME, found),
        _ => Check::failed(NAME, found)
            .fix("Update the older installation: protocol versions may differ by at most 1"),
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use protocol::Pin;
    use worker::pinned_tls::WrongPin;

    use super::super::check::State;
    use super::*;

    fn probe(result: ProbeResult) -> [Probe; 1] {
        let route = Some(ProxyRoute::Direct("no proxy is set".into()));
        [Probe { url: "https://192.0.2.7:8000".into(), source: "the settings", route, result }]
    }

    fn verified_probe(clock_offset: i64, protocol: u32) -> [Probe; 1] {
        probe(ProbeResult::Verified(CoordinatorInfo {
            name: "lab".into(),
            version: "9".into(),
            protocol,
            clock_offset: Some(clock_offset),
        }))
    }

    fn unreachable(kind: ErrorKind) -> [Probe; 1] {
        probe(ProbeResult::Unreachable(io::Error::from(kind)))
    }

    #[test]
    fn every_result_has_a_finding_and_a_fix() {
        let wrong = WrongPin {
            address: "https://192.0.2.7:8000".parse().unwrap(),
            expected: Pin::from_bytes([1; 32]),
            seen: Pin::from_bytes([2; 32]),
        };
        let cases = [
            verified_probe(3, PROTOCOL_VERSION),
            verified_probe(-4000, PROTOCOL_VERSION + 1),
            verified_probe(100_000, PROTOCOL_VERSION + 2),
            probe(ProbeResult::WrongPin(Box::new(wrong))),
            probe(ProbeResult::NoPin),
            probe(ProbeResult::Foreign("status 404".into())),
            probe(ProbeResult::Invalid("'x' is not an address".into())),
            unreachable(ErrorKind::ConnectionRefused),
        ];
        let mut lines = Vec::new();
        for case in &cases {
            for check in [coordinator(case), pin(case, true), clock(case), version(case)] {
                assert_eq!(
                    check.state == State::Failed,
                    check.fix.is_some() && check.state != State::Warning
                );
                lines.push(format!(
                    "{} {}: {} -> {}",
                    check.state.word(),
                    check.name,
                    check.found,
                    check.fix.unwrap_or_default()
                ));
            }
        }
        insta::assert_snapshot!(lines.join("\n").replace(env!("CARGO_PKG_VERSION"), "OWN"));
        assert_eq!(coordinator(&[]).state, State::Failed);
        assert_eq!(pin(&[], false).state, State::Unknown);
    }

    #[test]
    fn one_reachable_address_is_enough() {
        let [bad] = unreachable(ErrorKind::TimedOut);
        let [good] = verified_probe(0, PROTOCOL_VERSION);
        let check = coordinator(&[bad, good]);
        assert_eq!(check.state, State::Ok);
        assert!(
            check.found.contains("timed out") && check.found.contains("cluster 'lab'"),
            "{}",
            check.found
        );
    }

    #[test]
    fn a_missing_permission_is_not_a_missing_coordinator() {
        let nothing = Discovered::Coordinators(vec![]);
        let something = Discovered::Coordinators(vec!["https://192.0.2.7:8000".into()]);
        let state = |sent, discovered: &Discovered, probes: &[Probe]| {
            local_network(&LocalNetworkPermission::Required { sent }, discovered, probes).state
        };
        let timed_out = unreachable(ErrorKind::TimedOut);
        assert_eq!(state(Err(ErrorKind::HostUnreachable), &nothing, &timed_out), State::Failed);
        assert_eq!(state(Ok(()), &nothing, &timed_out), State::Unknown);
        assert_eq!(
            state(Ok(()), &nothing, &unreachable(ErrorKind::HostUnreachable)),
            State::Warning
        );
        assert_eq!(state(Ok(()), &nothing, &verified_probe(0, 1)), State::Ok);
        assert_eq!(state(Err(ErrorKind::HostUnreachable), &something, &timed_out), State::Ok);
        assert_eq!(
            local_network(&LocalNetworkPermission::NotRequired, &nothing, &timed_out).state,
            State::Ok
        );
        assert_eq!(discovery(&nothing, false).state, State::Warning);
        assert_eq!(discovery(&nothing, true).state, State::Ok);
        assert_eq!(discovery(&Discovered::Unavailable("x".into()), true).state, State::Warning);
    }
}
