//! An Ethernet hub in this process: one TAP device per host, and links between them with the
//! quality that the test sets. The hosts' kernels send real TCP and multicast through it.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use tappers::Tap;

use crate::flows::Flows;
use crate::link::{Delivery, Link, Quality};

/// Longer than an Ethernet frame.
const FRAME: usize = 2048;

/// The hub. Its threads end when the hosts' namespaces are removed.
#[derive(Default)]
pub(crate) struct Hub {
    ports: Arc<Mutex<Vec<Arc<Port>>>>,
}

/// Connection of a host to the hub.
pub(crate) struct Port {
    tap: Tap,
    cable: Mutex<Cable>,
    /// Frames on their way to the host, the earliest arrival first.
    arriving: Mutex<BinaryHeap<Reverse<Arriving>>>,
    arrived: Condvar,
    /// Bytes that the host sent and that were not lost.
    sent: AtomicU64,
    order: AtomicU64,
}

/// Arrival time of a frame, its sequence number among frames with the same time, and its bytes.
type Arriving = (Instant, u64, Vec<u8>);

struct Cable {
    up: Link,
    down: Link,
    is_cut: bool,
    flows: Option<Flows>,
}

impl Hub {
    /// Creates a TAP device for a host. Returns its port and its name in this namespace.
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
    /// Sets the quality of the cable from now on, in both directions.
    pub(crate) fn set_quality(&self, quality: Quality, seed: u64) {
        let mut cable = locked(&self.cable);
        cable.up = Link::new(quality, seed);
        cable.down = Link::new(quality, !seed);
    }

    /// Pulls or plugs the cable: nothing passes, and neither end is notified.
    pub(crate) fn cut(&self, is_cut: bool) {
        locked(&self.cable).is_cut = is_cut;
    }

    /// Lets idle TCP connections expire from now on. Connections that are open now expire at once.
    pub(crate) fn forget_idle_flows(&self, after: Duration) {
        locked(&self.cable).flows = Some(Flows::new(after));
    }

    /// Bytes of frames that left the host and were not lost on its cable.
    pub(crate) fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    /// Forwards every frame of the host to the other ports, until the host is removed.
    fn read(&self, ports: &Mutex<Vec<Arc<Self>>>) {
        let mut buffer = [0; FRAME];
        loop {
            let length = match self.tap.recv(&mut buffer) {
                Ok(length) => length,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                // The device was removed with its namespace.
                Err(_) => return,
            };
            let frame = &buffer[..length];
            let now = Instant::now();
            let delivery = locked(&self.cable).carry(now, frame, |cable| &mut cable.up);
            let Some(times) = times(delivery) else { continue };
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

    /// Receives a frame that reaches the hub's end of the cable at `when`.
    fn deliver(&self, when: Instant, frame: &[u8]) {
        let delivery = locked(&self.cable).carry(when, frame, |cable| &mut cable.down);
        for when in times(delivery).unwrap_or_default() {
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
                    // Sending fails if the host was removed; its reader thread ends then.
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
    ) -> Delivery {
        let passes = self.flows.as_mut().is_none_or(|flows| flows.pass(now, frame));
        if self.is_cut || !passes {
            return Delivery::Lost;
        }
        direction(self).send(now, frame.len())
    }
}

fn times(delivery: Delivery) -> Option<Vec<Instant>> {
    match delivery {
        Delivery::Lost => None,
        Delivery::Arrives(when) => Some(vec![when]),
        Delivery::Twice(when) => Some(vec![when, when]),
    }
}

fn locked<T>(lock: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    lock.lock().unwrap_or_else(PoisonError::into_inner)
}
