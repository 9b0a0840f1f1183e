//! What the answers of the network mean, in words. Pure: tests go through each case.

use std::io::ErrorKind;

use protocol::PROTOCOL_VERSION;
use worker::proxy::ProxyRoute;

use super::check::Check;
use super::reach::{ProbeResult, There};

/// Seconds between two clocks that nobody minds.
const CLOCKS_AGREE: i64 = 120;
/// Seconds from which on certificates of other services count as expired or not yet valid.
const CLOCKS_BREAK: i64 = 86_400;

/// What was asked and what came back.
pub(super) struct Asked {
    pub(super) url: String,
    /// Who names this address.
    pub(super) who: &'static str,
    /// None where it is no address.
    pub(super) way: Option<ProxyRoute>,
    pub(super) answer: ProbeResult,
}

/// What the local network showed.
pub(super) enum Seen {
    /// Coordinators, perhaps none.
    Coordinators(Vec<String>),
    /// It can't be asked.
    Nothing(String),
}

/// What the operating system lets this program do on the local network.
pub(super) enum Permission {
    /// This system doesn't ask anybody.
    NotAsked,
    /// It asks, and a packet went out, or did not.
    Asked { sent: Result<(), ErrorKind> },
}

pub(super) fn there(asked: &[Asked]) -> Option<&There> {
    asked.iter().find_map(|one| match &one.answer {
        ProbeResult::There(there) => Some(there),
        ProbeResult::Invalid(_)
        | ProbeResult::NotReached(_)
        | ProbeResult::NoPin
        | ProbeResult::WrongPin(_)
        | ProbeResult::Foreign(_) => None,
    })
}

pub(super) fn discovery(seen: &Seen, has_address: bool) -> Check {
    const NAME: &str = "discovery";
    match seen {
        Seen::Coordinators(urls) if !urls.is_empty() => {
            Check::ok(NAME, format!("Bonjour sees on this network: {}", urls.join(", ")))
        }
        Seen::Coordinators(_) if has_address => Check::ok(
            NAME,
            "Bonjour sees no coordinator within 3 seconds; none is needed, because an address is known",
        ),
        Seen::Coordinators(_) => {
            Check::warning(NAME, "Bonjour sees no coordinator within 3 seconds").mend(
                "start the coordinator, or set CoordinatorURL: Bonjour does not cross networks",
            )
        }
        Seen::Nothing(reason) => {
            Check::warning(NAME, format!("the local network can't be asked: {reason}"))
                .mend("connect this machine to a network, or set CoordinatorURL")
        }
    }
}

/// Told apart from a coordinator that isn't there: macOS answers a program without permission for every local
/// address, at once, that there is no route.
pub(super) fn local_network(permission: &Permission, seen: &Seen, asked: &[Asked]) -> Check {
    const NAME: &str = "local-network";
    let sent = match permission {
        Permission::NotAsked => {
            return Check::ok(
                NAME,
                "this system asks nobody before a program uses the local network",
            );
        }
        Permission::Asked { sent } => sent,
    };
    let is_there = matches!(seen, Seen::Coordinators(urls) if !urls.is_empty());
    let no_route = asked.iter().any(
        |one| matches!(&one.answer, ProbeResult::NotReached(error) if is_no_route(error.kind())),
    );
    match sent {
        _ if is_there => Check::ok(NAME, "other machines of the local network answer: the permission is there"),
        Err(kind) if is_no_route(*kind) => Check::failed(
            NAME,
            "macOS lets nothing of this program onto the local network: the permission is missing (or there is no network)",
        )
        .mend(
            "System Settings, Privacy & Security, Local Network: switch on Constellation (off and on again if it is on; then \
             restart the Mac). No profile can do this; a CoordinatorURL outside the local network needs no permission",
        ),
        Ok(()) if no_route => Check::warning(NAME, "packets go out, but there is no route to the coordinator's address")
            .mend("check the network, and System Settings, Privacy & Security, Local Network"),
        Ok(()) if there(asked).is_some() => Check::ok(NAME, "packets go out and the coordinator answers"),
        Ok(()) => Check::unknown(
            NAME,
            "packets go out, but nobody answers: macOS doesn't say whether it holds back what comes in, so either no \
             coordinator is on this network or the permission is off",
        )
        .mend("look at System Settings, Privacy & Security, Local Network"),
        Err(kind) => Check::unknown(NAME, format!("a packet to the local network could not be sent: {kind}")),
    }
}

const fn is_no_route(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::HostUnreachable | ErrorKind::NetworkUnreachable)
}

pub(super) fn coordinator(asked: &[Asked]) -> Check {
    const NAME: &str = "coordinator";
    if asked.is_empty() {
        return Check::failed(NAME, "no address of a coordinator is known, and Bonjour sees none")
            .mend("set CoordinatorURL, give --coordinator https://HOST:PORT, or enrol with a join link");
    }
    let told: Vec<String> = asked.iter().map(told).collect();
    let told = told.join("; ");
    let mut checks = asked.iter().map(|one| match &one.answer {
        ProbeResult::There(_) | ProbeResult::NoPin | ProbeResult::WrongPin(_) => Check::ok(NAME, &told),
        ProbeResult::Invalid(_) => Check::failed(NAME, &told).mend("correct the address: https://HOST:PORT"),
        ProbeResult::NotReached(_) => Check::failed(NAME, &told)
            .mend("start the coordinator, let its port through the firewall between, or correct the address"),
        ProbeResult::Foreign(_) => Check::failed(NAME, &told)
            .mend("something else answers there: correct the address or its port, or let TLS pass the proxy unopened"),
    });
    let first = checks.next();
    let good = checks.find(|check| check.mend.is_none());
    match (first, good) {
        (Some(first), None) => first,
        (Some(first), Some(_)) if first.mend.is_none() => first,
        (_, Some(good)) => good,
        (None, None) => Check::failed(NAME, told),
    }
}

fn told(asked: &Asked) -> String {
    let Asked { url, who, answer, .. } = asked;
    match answer {
        ProbeResult::Invalid(reason) => format!("{reason} ({who})"),
        ProbeResult::NotReached(error) => format!("{url} ({who}): {error}"),
        ProbeResult::NoPin | ProbeResult::WrongPin(_) => {
            format!("{url} ({who}): a connection is there")
        }
        ProbeResult::Foreign(reason) => format!("{url} ({who}): {reason}"),
        ProbeResult::There(there) => {
            format!("{url} ({who}): '{}' answers, version {}", there.name, there.version)
        }
    }
}

pub(super) fn pin(asked: &[Asked], is_known: bool) -> Check {
    const NAME: &str = "pin";
    if there(asked).is_some() {
        return Check::ok(NAME, "the coordinator has the key that this machine trusts");
    }
    let wrong = asked.iter().find_map(|one| match &one.answer {
        ProbeResult::WrongPin(wrong) => Some(wrong),
        ProbeResult::Invalid(_)
        | ProbeResult::NotReached(_)
        | ProbeResult::NoPin
        | ProbeResult::Foreign(_)
        | ProbeResult::There(_) => None,
    });
    match wrong {
        Some(wrong) => Check::failed(
            NAME,
            format!("{} has the pin {}, and {} is trusted; nothing was sent to it", wrong.address, wrong.seen, wrong.expected),
        )
        .mend("a coordinator that was set up anew: enrol with a new join code, or set CoordinatorPin. Otherwise tell your administrator"),
        None if is_known => Check::unknown(NAME, "nobody answered whose key could be looked at"),
        None => Check::unknown(NAME, "this machine knows no pin yet; a join link or CoordinatorPin gives it one"),
    }
}

pub(super) fn clock(asked: &[Asked]) -> Check {
    const NAME: &str = "clock";
    let Some(ahead) = there(asked).and_then(|there| there.ahead) else {
        return Check::unknown(NAME, "no coordinator told its time");
    };
    let off = ahead.abs();
    let words = format!(
        "this clock is {off} s {} the coordinator's",
        if ahead < 0 { "behind" } else { "ahead of" }
    );
    let mend = "let the system set date and time by itself, on both machines";
    match off {
        0..=CLOCKS_AGREE => Check::ok(NAME, words),
        off if off < CLOCKS_BREAK => Check::warning(NAME, words).mend(mend),
        _ => Check::failed(NAME, words).mend(mend),
    }
}

pub(super) fn version(asked: &[Asked]) -> Check {
    const NAME: &str = "version";
    let own = env!("CARGO_PKG_VERSION");
    let Some(there) = there(asked) else {
        return Check::ok(
            NAME,
            format!(
                "Constellation {own}, protocol {PROTOCOL_VERSION}; no coordinator to compare with"
            ),
        );
    };
    let words = format!(
        "Constellation {own}, protocol {PROTOCOL_VERSION}; the coordinator's {}, protocol {}",
        there.version, there.protocol
    );
    match there.protocol.abs_diff(PROTOCOL_VERSION) {
        0 | 1 => Check::ok(NAME, words),
        _ => Check::failed(NAME, words)
            .mend("update the older of the two: one version of the protocol apart is the most"),
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use protocol::Pin;
    use worker::pinned_tls::WrongPin;

    use super::super::check::State;
    use super::*;

    fn asked(answer: ProbeResult) -> [Asked; 1] {
        let way = Some(ProxyRoute::Straight("no proxy is set".into()));
        [Asked { url: "https://192.0.2.7:8000".into(), who: "the settings", way, answer }]
    }

    fn answers(ahead: i64, protocol: u32) -> [Asked; 1] {
        asked(ProbeResult::There(There {
            name: "lab".into(),
            version: "9".into(),
            protocol,
            ahead: Some(ahead),
        }))
    }

    fn unreached(kind: ErrorKind) -> [Asked; 1] {
        asked(ProbeResult::NotReached(io::Error::from(kind)))
    }

    #[test]
    fn every_answer_says_what_was_found_and_what_mends_it() {
        let wrong = WrongPin {
            address: "https://192.0.2.7:8000".parse().unwrap(),
            expected: Pin::from_bytes([1; 32]),
            seen: Pin::from_bytes([2; 32]),
        };
        let cases = [
            answers(3, PROTOCOL_VERSION),
            answers(-4000, PROTOCOL_VERSION + 1),
            answers(100_000, PROTOCOL_VERSION + 2),
            asked(ProbeResult::WrongPin(Box::new(wrong))),
            asked(ProbeResult::NoPin),
            asked(ProbeResult::Foreign("status 404".into())),
            asked(ProbeResult::Invalid("'x' is no address".into())),
            unreached(ErrorKind::ConnectionRefused),
        ];
        let mut told = Vec::new();
        for case in &cases {
            for check in [coordinator(case), pin(case, true), clock(case), version(case)] {
                assert_eq!(
                    check.state == State::Failed,
                    check.mend.is_some() && check.state != State::Warning
                );
                told.push(format!(
                    "{} {}: {} -> {}",
                    check.state.word(),
                    check.name,
                    check.found,
                    check.mend.unwrap_or_default()
                ));
            }
        }
        insta::assert_snapshot!(told.join("\n").replace(env!("CARGO_PKG_VERSION"), "OWN"));
        assert_eq!(coordinator(&[]).state, State::Failed);
        assert_eq!(pin(&[], false).state, State::Unknown);
    }

    #[test]
    fn one_address_that_answers_is_enough() {
        let [bad] = unreached(ErrorKind::TimedOut);
        let [good] = answers(0, PROTOCOL_VERSION);
        let check = coordinator(&[bad, good]);
        assert_eq!(check.state, State::Ok);
        assert!(
            check.found.contains("timed out") && check.found.contains("'lab' answers"),
            "{}",
            check.found
        );
    }

    #[test]
    fn a_missing_permission_is_not_a_missing_coordinator() {
        let nobody = Seen::Coordinators(vec![]);
        let somebody = Seen::Coordinators(vec!["https://192.0.2.7:8000".into()]);
        let state = |sent, seen: &Seen, asked: &[Asked]| {
            local_network(&Permission::Asked { sent }, seen, asked).state
        };
        let quiet = unreached(ErrorKind::TimedOut);
        assert_eq!(state(Err(ErrorKind::HostUnreachable), &nobody, &quiet), State::Failed);
        assert_eq!(state(Ok(()), &nobody, &quiet), State::Unknown);
        assert_eq!(state(Ok(()), &nobody, &unreached(ErrorKind::HostUnreachable)), State::Warning);
        assert_eq!(state(Ok(()), &nobody, &answers(0, 1)), State::Ok);
        assert_eq!(state(Err(ErrorKind::HostUnreachable), &somebody, &quiet), State::Ok);
        assert_eq!(local_network(&Permission::NotAsked, &nobody, &quiet).state, State::Ok);
        assert_eq!(discovery(&nobody, false).state, State::Warning);
        assert_eq!(discovery(&nobody, true).state, State::Ok);
        assert_eq!(discovery(&Seen::Nothing("x".into()), true).state, State::Warning);
    }
}
