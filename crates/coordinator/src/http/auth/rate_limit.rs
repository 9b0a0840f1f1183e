//! Rate limit for invalid credentials: token buckets for each address, in tables of bounded size.
//!
//! Valid credentials are never limited, so a peer behind a shared address isn't affected by others.
//! Only typed codes can be guessed, so only they are rejected unchecked while the limit is reached.
//! They have a separate allowance, so that a neighbor's wrong tokens don't block a correct code.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use protocol::Timestamp;

/// Failures that a peer may make in a row.
const BURST: u32 = 60;
/// Time until a peer may make one more.
const REFILL: Duration = Duration::from_secs(1);
/// Addresses with a bucket of their own, for each allowance. All others share one bucket.
const MOST_PEERS: usize = 4096;
/// Failures of all peers that are written to the audit log in a row. One more follows after each
/// refill.
const WRITTEN_BURST: u32 = 60;
const WRITTEN_REFILL: Duration = Duration::from_mins(1);

/// Allowance that a failure counts against.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Allowance {
    /// Tokens, sessions, sign-in links and proofs of join codes, which can't be guessed.
    Credentials,
    /// Typed join codes. Their first 32 bits reveal whether such a code exists.
    TypedCodes,
}

/// Recent failures.
#[derive(Debug, Default)]
pub(crate) struct AuthRateLimit(Mutex<Table>);

#[derive(Debug, Default)]
struct Table {
    credentials: Peers,
    typed_codes: Peers,
    written: Bucket,
    /// Failures since the last one that was written.
    unwritten: u64,
}

#[derive(Debug, Default)]
struct Peers {
    buckets: HashMap<IpAddr, Bucket>,
    others: Bucket,
}

/// Outcome of a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FailureOutcome {
    /// Set if the peer failed too often: the time for which it gets no other response.
    pub(crate) too_many: Option<Duration>,
    /// Set if the failure is to be written to the audit log: the number of unwritten failures
    /// before it.
    pub(crate) write: Option<u64>,
}

/// Token bucket, stored as time: each failure costs one refill interval, which passes by itself.
#[derive(Debug, Clone, Copy, Default)]
struct Bucket {
    /// Time when the bucket is full again.
    full_at: Timestamp,
}

impl Bucket {
    /// Takes a token, or returns the time until one is available.
    fn take(&mut self, now: Timestamp, burst: u32, refill: Duration) -> Result<(), Duration> {
        self.remaining(now, burst, refill)?;
        self.full_at = self.full_at.max(now).after(refill);
        Ok(())
    }

    fn remaining(self, now: Timestamp, burst: u32, refill: Duration) -> Result<(), Duration> {
        let spent = self.full_at.since(now) + refill;
        match spent.checked_sub(refill * burst) {
            None | Some(Duration::ZERO) => Ok(()),
            Some(over) => Err(over),
        }
    }
}

impl AuthRateLimit {
    /// Returns the time for which no credential of this kind from the peer is checked.
    pub(crate) fn held_up(
        &self,
        allowance: Allowance,
        peer: Option<IpAddr>,
        now: Timestamp,
    ) -> Option<Duration> {
        let mut table = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        table.peers(allowance).bucket_of(network(peer?)).remaining(now, BURST, REFILL).err()
    }

    /// Counts a failure. Requests from this process are never limited.
    pub(crate) fn failed(
        &self,
        allowance: Allowance,
        peer: Option<IpAddr>,
        now: Timestamp,
    ) -> FailureOutcome {
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
        FailureOutcome { too_many, write }
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

/// Returns the network of an IPv6 address, because a host has all addresses of its network.
pub(crate) fn network(address: IpAddr) -> IpAddr {
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
        let failures = AuthRateLimit::default();
        for _ in 0..BURST {
            assert_eq!(failures.held_up(TYPED, Some(peer(1)), at(0)), None);
            assert_eq!(failures.failed(TYPED, Some(peer(1)), at(0)).too_many, None);
        }
        assert_eq!(failures.held_up(TYPED, Some(peer(1)), at(0)), Some(REFILL));
        assert_eq!(failures.failed(TYPED, Some(peer(1)), at(0)).too_many, Some(REFILL));
        assert_eq!(failures.held_up(TYPED, Some(peer(2)), at(0)), None);
        assert_eq!(failures.held_up(TYPED, None, at(0)), None);
        // One more after a refill interval, and only one.
        assert_eq!(failures.failed(TYPED, Some(peer(1)), at(1)).too_many, None);
        assert_eq!(failures.failed(TYPED, Some(peer(1)), at(1)).too_many, Some(REFILL));
    }

    #[test]
    fn wrong_tokens_hold_up_no_typed_code() {
        let failures = AuthRateLimit::default();
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
        let failures = AuthRateLimit::default();
        for n in 0..100_000 {
            failures.failed(TYPED, Some(peer(n)), at(0));
        }
        assert_eq!(failures.0.lock().unwrap().typed_codes.buckets.len(), MOST_PEERS);
        assert!(failures.held_up(TYPED, Some(peer(99_999)), at(0)).is_some());
        assert!(failures.held_up(TYPED, Some(peer(0)), at(0)).is_none());
        // Full buckets are removed to make room.
        assert_eq!(failures.failed(TYPED, Some(peer(99_999)), at(100_000)).too_many, None);
        assert_eq!(failures.0.lock().unwrap().typed_codes.buckets.len(), 1);
    }

    #[test]
    fn a_host_can_t_hide_in_its_ipv6_network() {
        let failures = AuthRateLimit::default();
        let address = |host: u16| Some(IpAddr::from([0x2001, 0xdb8, 0, 1, 0, 0, 0, host]));
        for host in 0..100 {
            failures.failed(TYPED, address(host), at(0));
        }
        assert!(failures.held_up(TYPED, address(7000), at(0)).is_some());
    }

    #[test]
    fn what_is_not_written_down_is_counted() {
        let failures = AuthRateLimit::default();
        let written = (0..1000)
            .filter(|n| failures.failed(TYPED, Some(peer(*n)), at(0)).write.is_some())
            .count();
        assert_eq!(written, 60);
        assert_eq!(failures.failed(TYPED, Some(peer(1)), at(60)).write, Some(940));
        assert_eq!(failures.failed(TYPED, Some(peer(1)), at(120)).write, Some(0));
    }

    proptest! {
        /// Whatever the timing of its attempts, a peer gets no more than the burst and one a
        /// second.
        #[test]
        fn no_more_than_the_rate(pauses in proptest::collection::vec(0_u64..3000, 1..400)) {
            let failures = AuthRateLimit::default();
            let (mut now, mut taken) = (at(0), 0_u64);
            for pause in pauses {
                now = now.after(Duration::from_millis(pause));
                taken += u64::from(failures.failed(TYPED, Some(peer(1)), now).too_many.is_none());
                prop_assert!(taken <= u64::from(BURST) + now.since(at(0)).as_secs());
            }
        }
    }
}
