//! Devices that wait for work, the longest waiting first. Each change costs the logarithm of their
//! number: ten thousand devices ask again every half minute.

use std::collections::{BTreeMap, HashMap};

use protocol::DeviceId;
use protocol::lease::Lease;
use tokio::sync::oneshot;

use super::DriverError;

pub(super) type Reply = oneshot::Sender<Result<Option<Lease>, DriverError>>;

/// A device that waits; whoever holds the other end of its reply may have gone.
pub(super) struct LongPoll {
    pub(super) device: DeviceId,
    pub(super) reply: Reply,
}

/// The queue. A device waits once: asking again takes the place of what it asked before.
#[derive(Default)]
pub(super) struct LongPolls {
    queue: BTreeMap<u64, LongPoll>,
    places: HashMap<DeviceId, u64>,
    next: u64,
}

impl LongPolls {
    /// Puts the device at the end of the queue.
    pub(super) fn push(&mut self, waiter: LongPoll) {
        self.remove(waiter.device);
        self.places.insert(waiter.device, self.next);
        self.queue.insert(self.next, waiter);
        self.next += 1;
    }

    pub(super) fn remove(&mut self, device: DeviceId) -> Option<LongPoll> {
        self.queue.remove(&self.places.remove(&device)?)
    }

    /// The devices in the order they began to wait.
    pub(super) fn devices(&self) -> Vec<DeviceId> {
        self.queue.values().map(|waiter| waiter.device).collect()
    }

    /// Takes the device out of the queue with its place in it.
    pub(super) fn take(&mut self, device: DeviceId) -> Option<(u64, LongPoll)> {
        let place = self.places.remove(&device)?;
        Some((place, self.queue.remove(&place)?))
    }

    /// Puts a device back where it was.
    pub(super) fn put_back(&mut self, (place, waiter): (u64, LongPoll)) {
        self.places.insert(waiter.device, place);
        self.queue.insert(place, waiter);
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn device(n: u128) -> DeviceId {
        DeviceId::from_uuid(Uuid::from_u128(n))
    }

    fn waiter(n: u128) -> LongPoll {
        LongPoll { device: device(n), reply: oneshot::channel().0 }
    }

    #[test]
    fn who_asks_again_waits_at_the_end_and_who_was_not_served_keeps_its_place() {
        let mut waiters = LongPolls::default();
        for n in [3, 1, 2] {
            waiters.push(waiter(n));
        }
        assert_eq!(waiters.devices(), [3, 1, 2].map(device));
        waiters.push(waiter(3));
        assert_eq!(waiters.devices(), [1, 2, 3].map(device));

        let first = waiters.take(device(1)).unwrap();
        assert_eq!(waiters.devices(), [2, 3].map(device));
        assert!(waiters.take(device(1)).is_none());
        waiters.put_back(first);
        assert_eq!(waiters.devices(), [1, 2, 3].map(device));

        assert!(waiters.remove(device(2)).is_some());
        assert!(waiters.remove(device(2)).is_none());
        assert_eq!(waiters.devices(), [1, 3].map(device));
    }
}
