//! An Ethernet hub in this process: a TAP device for each host, and between them links as bad as
//! the test wants. The hosts' kernels speak real TCP and real multicast through it.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use tappers::Tap;

use crate::flows::Flows;
use crate::link::{Fate, Link, Quality};

/// Longer than an Ethernet frame.
const FRAME: usize = 2048;

/// The hub. Its threads end when the hosts' namespaces are removed.
#[derive(Default)]
pub(crate) struct Hub {
    ports: Arc<Mutex<Vec<Arc<Port>>>>,
}

/// Where a host is plugged in.
pub(crate) struct Port {
    tap: Tap,
    cable: Mutex<Cable>,
    /// Frames on their way to the host, the next to arrive first.
    arriving: Mutex<BinaryHeap<Reverse<Arriving>>>,
    arrived: Condvar,
    /// Bytes that the host sent and that were not lost.
    sent: AtomicU64,
    order: AtomicU64,
}

/// When a frame arrives, its place among those that arrive with it, and its bytes.
type Arriving = (Instant, u64, Vec<u8>);

struct Cable {
    up: Link,
    down: Link,
    is_cut: bool,
    flows: Option<Flows>,
}

impl Hub {
    /// Plugs a new TAP device in; gives its name in this namespace.
    pub(crate) fn plug(&self) -> io::Result<(Arc<Port>, String)> {
        let tap = Tap::new()?;
        let name = tap.name()?.name().to_string_lossy().into_owned();
        let perfect = |seed| Link::new(Quality::default(), seed);
        let port = Arc::new(Port {
            tap,
            cable: Mutex::new(Cable {
                up: perfect(0),
                down: perfect(0),
                is_cut: false,
                flows: None,
            }),
            arriving: Mutex::default(),
            arrived: Condvar::new(),
            sent: AtomicU64::new(0),
            order: AtomicU64::new(0),
        });
        locked(&self.ports).push(port.clone());
        let (ports, from) = (self.ports.clone(), port.clone());
        thread::spawn(move || from.read(&ports));
        let to = port.clone();
        thread::spawn(move || to.write());
        Ok((port, name))
    }
}

impl Port {
    /// From now on its cable does this to frames, in both directions.
    pub(crate) fn set_quality(&self, quality: Quality, seed: u64) {
        let mut cable = locked(&self.cable);
        cable.up = Link::new(quality, seed);
        cable.down = Link::new(quality, !seed);
    }

    /// Pulls or plugs the cable: nothing passes, and nobody is told.
    pub(crate) fn cut(&self, is_cut: bool) {
        locked(&self.cable).is_cut = is_cut;
    }

    /// From now on idle TCP connections are forgotten, those that are open at once.
    pub(crate) fn forget_idle_flows(&self, after: Duration) {
        locked(&self.cable).flows = Some(Flows::new(after));
    }

    /// Bytes of frames that left the host and were not lost on its cable.
    pub(crate) fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    /// Hands every frame of the host to the other ports, until the host is gone.
    fn read(&self, ports: &Mutex<Vec<Arc<Self>>>) {
        let mut buffer = [0; FRAME];
        loop {
            let length = match self.tap.recv(&mut buffer) {
                Ok(length) => length,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                // The device went with its namespace.
                Err(_) => return,
            };
            let frame = &buffer[..length];
            let now = Instant::now();
            let fate = locked(&self.cable).carry(now, frame, |cable| &mut cable.up);
            let Some(times) = times(fate) else { continue };
            self.sent.fetch_add(length as u64, Ordering::Relaxed);
            let others: Vec<Arc<Self>> = locked(ports)
                .iter()
                .filter(|port| !std::ptr::eq(port.as_ref(), self))
                .cloned()
                .collect();
            for port in others {
                for when in &times {
                    port.deliver(*when, frame);
                }
            }
        }
    }

    /// Takes a frame that reaches the hub's end of the cable at `when`.
    fn deliver(&self, when: Instant, frame: &[u8]) {
        let fate = locked(&self.cable).carry(when, frame, |cable| &mut cable.down);
        for when in times(fate).unwrap_or_default() {
            let order = self.order.fetch_add(1, Ordering::Relaxed);
            locked(&self.arriving).push(Reverse((when, order, frame.to_vec())));
            self.arrived.notify_one();
        }
    }

    fn write(&self) {
        let mut arriving = locked(&self.arriving);
        loop {
            let now = Instant::now();
            let next = arriving.peek().map(|Reverse((when, ..))| *when);
            arriving = match next {
                Some(when) if when <= now => {
                    let Some(Reverse((_, _, frame))) = arriving.pop() else { continue };
                    drop(arriving);
                    // A host that is gone hears nothing; its reader ends.
                    drop(self.tap.send(&frame));
                    locked(&self.arriving)
                }
                Some(when) => {
                    let wait = self.arrived.wait_timeout(arriving, when - now);
                    wait.unwrap_or_else(PoisonError::into_inner).0
                }
                None => self.arrived.wait(arriving).unwrap_or_else(PoisonError::into_inner),
            };
        }
    }
}

impl Cable {
    fn carry(
        &mut self,
        now: Instant,
        frame: &[u8],
        direction: impl FnOnce(&mut Self) -> &mut Link,
    ) -> Fate {
        let passes = self.flows.as_mut().is_none_or(|flows| flows.pass(now, frame));
        if self.is_cut || !passes {
            return Fate::Lost;
        }
        direction(self).send(now, frame.len())
    }
}

fn times(fate: Fate) -> Option<Vec<Instant>> {
    match fate {
        Fate::Lost => None,
        Fate::Arrives(when) => Some(vec![when]),
        Fate::Twice(when) => Some(vec![when, when]),
    }
}

fn locked<T>(lock: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    lock.lock().unwrap_or_else(PoisonError::into_inner)
}
