//! One direction of a link, as a decision: what becomes of a packet that is sent now. No I/O, no
//! clock; chance comes from a seed.

use std::time::{Duration, Instant};

use protocol::{RngDomain, SeededRng};

/// How long a packet may wait for its turn on a slow link before it is dropped: a router's buffer.
const LONGEST_QUEUE: Duration = Duration::from_millis(500);

/// What a link does to packets.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Quality {
    /// One way.
    pub(crate) delay: Duration,
    /// Share that is lost, 0 to 1.
    pub(crate) loss: f64,
    /// Share that arrives twice, 0 to 1.
    pub(crate) duplication: f64,
    /// None: as fast as the machine is.
    pub(crate) bits_per_second: Option<f64>,
}

/// When a packet arrives: never, once or twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    Lost,
    Arrives(Instant),
    Twice(Instant),
}

#[derive(Debug)]
pub(crate) struct Link {
    quality: Quality,
    chance: SeededRng,
    /// When the last packet will have left.
    free_at: Option<Instant>,
}

impl Link {
    pub(crate) fn new(quality: Quality, seed: u64) -> Self {
        let chance = SeededRng::new(RngDomain::Selection, seed, 0, 0, 0);
        Self { quality, chance, free_at: None }
    }

    pub(crate) fn send(&mut self, now: Instant, bytes: usize) -> Fate {
        let start = self.free_at.map_or(now, |free_at| free_at.max(now));
        if start.duration_since(now) > LONGEST_QUEUE {
            return Fate::Lost;
        }
        let rate = self.quality.bits_per_second;
        let takes = rate.map_or(0.0, |rate| bytes as f64 * 8.0 / rate);
        let sent = start + Duration::from_secs_f64(takes);
        self.free_at = Some(sent);
        // It took its time on the link, lost or not.
        if self.chance.uniform() < self.quality.loss {
            return Fate::Lost;
        }
        let arrives = sent + self.quality.delay;
        if self.chance.uniform() < self.quality.duplication {
            Fate::Twice(arrives)
        } else {
            Fate::Arrives(arrives)
        }
    }
}

#[test]
fn a_slow_link_sends_one_packet_after_the_other_and_drops_what_waits_too_long() {
    let quality = Quality {
        delay: Duration::from_millis(300),
        bits_per_second: Some(80_000.0),
        ..Quality::default()
    };
    let (mut link, now) = (Link::new(quality, 1), Instant::now());
    let fates: Vec<Fate> = (0..8).map(|_| link.send(now, 1000)).collect();
    for (fate, after) in fates.iter().zip([400, 500, 600, 700, 800, 900]) {
        assert_eq!(*fate, Fate::Arrives(now + Duration::from_millis(after)));
    }
    assert_eq!(fates[6..], [Fate::Lost; 2]);
}

#[test]
fn the_same_seed_loses_the_same_packets() {
    let quality = Quality { loss: 0.05, duplication: 0.1, ..Quality::default() };
    let now = Instant::now();
    let fates = |seed| {
        let mut link = Link::new(quality, seed);
        (0..2000).map(|_| link.send(now, 1000)).collect::<Vec<Fate>>()
    };
    let first = fates(1);
    assert!(first == fates(1) && first != fates(2));
    let count = |wanted: fn(&Fate) -> bool| first.iter().filter(|fate| wanted(fate)).count();
    assert!((70..130).contains(&count(|fate| *fate == Fate::Lost)));
    assert!((140..240).contains(&count(|fate| matches!(fate, Fate::Twice(_)))));
}
