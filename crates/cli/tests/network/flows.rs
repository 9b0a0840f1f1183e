//! Connection table of a network address translator: TCP connections with recent traffic. It drops
//! packets of expired connections without a reply. No I/O, no clock.

use std::collections::HashMap;
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

const ETHERNET_HEADER: usize = 14;
const IPV4: [u8; 2] = [0x08, 0x00];
const TCP: u8 = 6;
const SYN: u8 = 0x02;
const ACK: u8 = 0x10;

/// A TCP connection over IPv4, independent of the direction.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Flow([(Ipv4Addr, u16); 2]);

#[derive(Debug)]
pub(crate) struct Flows {
    /// Idle time after which a connection is dropped from the table.
    idle_timeout: Duration,
    used: HashMap<Flow, Instant>,
}

impl Flows {
    pub(crate) fn new(idle_timeout: Duration) -> Self {
        Self { idle_timeout, used: HashMap::new() }
    }

    /// Whether an Ethernet frame passes now.
    pub(crate) fn pass(&mut self, now: Instant, frame: &[u8]) -> bool {
        let Some((flow, opens)) = tcp(frame) else { return true };
        let known = self.used.get(&flow).is_some_and(|used| *used + self.idle_timeout >= now);
        if known || opens {
            self.used.insert(flow, now);
        }
        known || opens
    }
}

/// Connection of a TCP segment and whether the segment opens it; `None` for other frames.
fn tcp(frame: &[u8]) -> Option<(Flow, bool)> {
    let packet = frame.get(ETHERNET_HEADER..)?;
    if frame.get(12..ETHERNET_HEADER)? != IPV4 || *packet.get(9)? != TCP {
        return None;
    }
    let address = |at: usize| {
        let bytes: [u8; 4] = packet.get(at..at + 4)?.try_into().ok()?;
        Some(Ipv4Addr::from(bytes))
    };
    let segment = packet.get(usize::from(packet.first()? & 0x0f) * 4..)?;
    let port = |at: usize| Some(u16::from_be_bytes(segment.get(at..at + 2)?.try_into().ok()?));
    let mut ends = [(address(12)?, port(0)?), (address(16)?, port(2)?)];
    ends.sort_unstable();
    let flags = segment.get(13)?;
    Some((Flow(ends), flags & (SYN | ACK) == SYN))
}

#[test]
fn an_idle_connection_is_dropped_silently_and_a_new_one_passes() {
    let segment = |from: u8, to: u8, flags: u8| {
        let mut frame = vec![0; 54];
        frame[12..14].copy_from_slice(&IPV4);
        (frame[14], frame[23], frame[29], frame[33]) = (0x45, TCP, from, to);
        (frame[35], frame[37], frame[47]) = (from, to, flags);
        frame
    };
    let (start, mut flows) = (Instant::now(), Flows::new(Duration::from_secs(10)));
    let at = |seconds| start + Duration::from_secs(seconds);
    assert!(!flows.pass(at(0), &segment(1, 2, ACK)), "the connection was never opened");
    assert!(flows.pass(at(0), &segment(1, 2, SYN)));
    assert!(flows.pass(at(9), &segment(2, 1, SYN | ACK)));
    assert!(flows.pass(at(19), &segment(1, 2, ACK)));
    assert!(!flows.pass(at(30), &segment(2, 1, ACK)));
    assert!(!flows.pass(at(31), &segment(1, 2, ACK)));
    assert!(flows.pass(at(32), &segment(1, 2, SYN)));
    let mut other = segment(1, 2, ACK);
    other[23] = 17;
    assert!(flows.pass(at(90), &other), "UDP always passes");
    assert!(flows.pass(at(90), &[0; 20]));
}
