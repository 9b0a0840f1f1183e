//! Model of one direction of a link: what happens to a packet that is sent now. No I/O, no clock;
//! random decisions come from a seed.

use std::time::{Duration, Instant};

use protocol::{RngDomain, SeededRng};

/// Longest time that a packet waits on a slow link before it is dropped: a router's buffer.
const LONGEST_QUEUE: Duration = Duration::from_millis(500);

/// Quality of a link.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Quality {
    /// Delay in one direction.
    pub(crate) delay: Duration,
    /// Fraction of packets that are lost, 0 to 1.
    pub(crate) loss: f64,
    /// Fraction of packets that arrive twice, 0 to 1.
    pub(crate) duplication: f64,
    /// Unlimited if `None`.
    pub(crate) bits_per_second: Option<f64>,
}

/// Delivery of a packet: never, once or twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Delivery {
    Lost,
    Arrives(Instant),
    Twice(Instant),
}

#[derive(Debug)]
pub(crate) struct Link {
    quality: Quality,
    rng: SeededRng,
    /// Time at which the last packet leaves the queue.
    free_at: Option<Instant>,
}

impl Link {
    pub(crate) fn new(quality: Quality, seed: u64) -> Self {
        let rng = SeededRng::new(RngDomain::Selection, seed, 0, 0, 0);
        Self { quality, rng, free_at: None }
    }

    pub(crate) fn send(&mut self, now: Instant, bytes: usize) -> Delivery {
        let start = self.free_at.map_or(now, |free_at| free_at.max(now));
        if start.duration_since(now) > LONGEST_QUEUE {
            return Delivery::Lost;
        }
        let rate = self.quality.bits_per_second;
        let duration = rate.map_or(0.0, |rate| bytes as f64 * 8.0 / rate);
        let sent = start + Duration::from_secs_f64(duration);
        self.free_at = Some(sent);
        // A lost packet occupies the link, too.
        if self.rng.uniform() < self.quality.loss {
            return Delivery::Lost;
        }
        let arrives = sent + self.quality.delay;
        if self.rng.uniform() < self.quality.duplication {
            Delivery::Twice(arrives)
        } else {
            Delivery::Arrives(arrives)
        }
    }
}

#[test]
fn a_slow_link_sends_packets_in_turn_and_drops_those_that_wait_too_long() {
    let quality = Quality {
        delay: Duration::from_millis(300),
        bits_per_second: Some(80_000.0),
        ..Quality::default()
    };
    let (mut link, now) = (Link::new(quality, 1), Instant::now());
    let deliveries: Vec<Delivery> = (0..8).map(|_| link.send(now, 1000)).collect();
    for (delivery, after) in deliveries.iter().zip([400, 500, 600, 700, 800, 900]) {
        assert_eq!(*delivery, Delivery::Arrives(now + Duration::from_millis(after)));
    }
    assert_eq!(deliveries[6..], [Delivery::Lost; 2]);
}

#[test]
fn the_same_seed_loses_the_same_packets() {
    let quality = Quality { loss: 0.05, duplication: 0.1, ..Quality::default() };
    let now = Instant::now();
    let deliveries = |seed| {
        let mut link = Link::new(quality, seed);
        (0..2000).map(|_| link.send(now, 1000)).collect::<Vec<Delivery>>()
    };
    let first = deliveries(1);
    assert!(first == deliveries(1) && first != deliveries(2));
    let count =
        |wanted: fn(&Delivery) -> bool| first.iter().filter(|delivery| wanted(delivery)).count();
    assert!((70..130).contains(&count(|delivery| *delivery == Delivery::Lost)));
    assert!((140..240).contains(&count(|delivery| matches!(delivery, Delivery::Twice(_)))));
}
