//! How often a peer may show a credential that doesn't count: token buckets for each address, in tables
//! of bounded size. A peer behind a shared address that shows a good one is never held up. Only typed
//! codes can be looked for by trying, so only they are not looked at meanwhile, and they have an allowance
//! of their own: wrong tokens of a neighbor hold up nobody's code.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use protocol::Timestamp;

/// Failures that a peer may make in a row.
const BURST: u32 = 60;
/// After so long it may make one more.
const REFILL: Duration = Duration::from_secs(1);
/// Addresses that each allowance tells apart; all others share one bucket.
const MOST_PEERS: usize = 4096;
/// Failures of everybody that are written to the audit log in a row, and one more after so long.
const WRITTEN_BURST: u32 = 60;
const WRITTEN_REFILL: Duration = Duration::from_mins(1);

/// What a failure is counted against.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Allowance {
    /// Tokens, sessions, sign-in links, proofs of join codes: nobody finds one by trying.
    Credentials,
    /// Join codes that were typed: their first 32 bits tell whether there is such a code.
    TypedCodes,
}

/// Who failed lately.
#[derive(Debug, Default)]
pub(crate) struct Failures(Mutex<Table>);

#[derive(Debug, Default)]
struct Table {
    credentials: Peers,
    typed_codes: Peers,
    written: Bucket,
    /// Since the last one that was written down.
    unwritten: u64,
}

#[derive(Debug, Default)]
struct Peers {
    buckets: HashMap<IpAddr, Bucket>,
    others: Bucket,
}

/// What becomes of a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Failed {
    /// The peer failed too often: it hears nothing else for so long.
    pub(crate) too_many: Option<Duration>,
    /// It is to be written to the audit log, with so many that weren't before it.
    pub(crate) write: Option<u64>,
}

/// Spent failures, in units of time: each costs a refill's time, which passes by itself.
#[derive(Debug, Clone, Copy, Default)]
struct Bucket {
    /// Full again at this time.
    full_at: Timestamp,
}

impl Bucket {
    /// Takes one, or says how long none is left.
    fn take(&mut self, now: Timestamp, burst: u32, refill: Duration) -> Result<(), Duration> {
        self.left(now, burst, refill)?;
        self.full_at = self.full_at.max(now).after(refill);
        Ok(())
    }

    fn left(self, now: Timestamp, burst: u32, refill: Duration) -> Result<(), Duration> {
        let spent = self.full_at.since(now) + refill;
        match spent.checked_sub(refill * burst) {
            None | Some(Duration::ZERO) => Ok(()),
            Some(over) => Err(over),
        }
    }
}

impl Failures {
    /// How long nothing that the peer shows of this kind is looked at.
    pub(crate) fn held_up(
        &self,
        allowance: Allowance,
        peer: Option<IpAddr>,
        now: Timestamp,
    ) -> Option<Duration> {
        let mut table = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        table.peers(allowance).bucket_of(network(peer?)).left(now, BURST, REFILL).err()
    }

    /// To be called for each failure. Inside this process nobody is held up.
    pub(crate) fn failed(
        &self,
        allowance: Allowance,
        peer: Option<IpAddr>,
        now: Timestamp,
    ) -> Failed {
        let mut table = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let peers = table.peers(allowance);
        let too_many =
            peer.and_then(|peer| peers.bucket(network(peer), now).take(now, BURST, REFILL).err());
        let write = if table.written.take(now, WRITTEN_BURST, WRITTEN_REFILL).is_ok() {
            Some(std::mem::take(&mut table.unwritten))
        } else {
            table.unwritten += 1;
            None
        };
        Failed { too_many, write }
    }
}

impl Table {
    fn peers(&mut self, allowance: Allowance) -> &mut Peers {
        match allowance {
            Allowance::Credentials => &mut self.credentials,
            Allowance::TypedCodes => &mut self.typed_codes,
        }
    }
}

impl Peers {
    fn bucket_of(&self, peer: IpAddr) -> Bucket {
        match self.buckets.get(&peer) {
            Some(bucket) => *bucket,
            None if self.buckets.len() < MOST_PEERS => Bucket::default(),
            None => self.others,
        }
    }

    fn bucket(&mut self, peer: IpAddr, now: Timestamp) -> &mut Bucket {
        if !self.buckets.contains_key(&peer) {
            if self.buckets.len() >= MOST_PEERS {
                self.buckets.retain(|_, bucket| bucket.full_at > now);
            }
            if self.buckets.len() >= MOST_PEERS {
                return &mut self.others;
            }
        }
        self.buckets.entry(peer).or_default()
    }
}

/// A host has all the addresses of its IPv6 network.
pub(super) fn network(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TYPED: Allowance = Allowance::TypedCodes;

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_millis(1_000_000).after(Duration::from_secs(seconds))
    }

    fn peer(n: u32) -> IpAddr {
        IpAddr::from(n.to_be_bytes())
    }

    #[test]
    fn who_fails_too_often_waits_and_nobody_else_does() {
        let failures = Failures::default();
        for _ in 0..BURST {
            assert_eq!(failures.held_up(TYPED, Some(peer(1)), at(0)), None);
            assert_eq!(failures.failed(TYPED, Some(peer(1)), at(0)).too_many, None);
        }
        assert_eq!(failures.held_up(TYPED, Some(peer(1)), at(0)), Some(REFILL));
        assert_eq!(failures.failed(TYPED, Some(peer(1)), at(0)).too_many, Some(REFILL));
        assert_eq!(failures.held_up(TYPED, Some(peer(2)), at(0)), None);
        assert_eq!(failures.held_up(TYPED, None, at(0)), None);
        // One more a refill later, and no more than that.
        assert_eq!(failures.failed(TYPED, Some(peer(1)), at(1)).too_many, None);
        assert_eq!(failures.failed(TYPED, Some(peer(1)), at(1)).too_many, Some(REFILL));
    }

    #[test]
    fn wrong_tokens_hold_up_no_typed_code() {
        let failures = Failures::default();
        for _ in 0..2 * BURST {
            failures.failed(Allowance::Credentials, Some(peer(1)), at(0));
        }
        let too_many = failures.failed(Allowance::Credentials, Some(peer(1)), at(0)).too_many;
        assert!(too_many.is_some());
        assert_eq!(failures.held_up(TYPED, Some(peer(1)), at(0)), None);
        assert_eq!(failures.failed(TYPED, Some(peer(1)), at(0)).too_many, None);
    }

    #[test]
    fn the_table_is_bounded_and_the_rest_share_a_bucket() {
        let failures = Failures::default();
        for n in 0..100_000 {
            failures.failed(TYPED, Some(peer(n)), at(0));
        }
        assert_eq!(failures.0.lock().unwrap().typed_codes.buckets.len(), MOST_PEERS);
        assert!(failures.held_up(TYPED, Some(peer(99_999)), at(0)).is_some());
        assert!(failures.held_up(TYPED, Some(peer(0)), at(0)).is_none());
        // Those that are full again make room.
        assert_eq!(failures.failed(TYPED, Some(peer(99_999)), at(100_000)).too_many, None);
        assert_eq!(failures.0.lock().unwrap().typed_codes.buckets.len(), 1);
    }

    #[test]
    fn a_host_can_t_hide_in_its_ipv6_network() {
        let failures = Failures::default();
        let address = |host: u16| Some(IpAddr::from([0x2001, 0xdb8, 0, 1, 0, 0, 0, host]));
        for host in 0..100 {
            failures.failed(TYPED, address(host), at(0));
        }
        assert!(failures.held_up(TYPED, address(7000), at(0)).is_some());
    }

    #[test]
    fn what_is_not_written_down_is_counted() {
        let failures = Failures::default();
        let written = (0..1000)
            .filter(|n| failures.failed(TYPED, Some(peer(*n)), at(0)).write.is_some())
            .count();
        assert_eq!(written, 60);
        assert_eq!(failures.failed(TYPED, Some(peer(1)), at(60)).write, Some(940));
        assert_eq!(failures.failed(TYPED, Some(peer(1)), at(120)).write, Some(0));
    }

    proptest! {
        /// However its attempts lie in time, a peer gets no more of them than the burst and one a
        /// second.
        #[test]
        fn no_more_than_the_rate(pauses in proptest::collection::vec(0_u64..3000, 1..400)) {
            let failures = Failures::default();
            let (mut now, mut taken) = (at(0), 0_u64);
            for pause in pauses {
                now = now.after(Duration::from_millis(pause));
                taken += u64::from(failures.failed(TYPED, Some(peer(1)), now).too_many.is_none());
                prop_assert!(taken <= u64::from(BURST) + now.since(at(0)).as_secs());
            }
        }
    }
}
