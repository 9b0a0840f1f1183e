//! Queue of the devices that wait for work, in the order of their requests. Adding and removing a
//! device takes logarithmic time, because ten thousand devices repeat their request every half
//! minute.

use std::collections::{BTreeMap, HashMap};

use protocol::DeviceId;
use protocol::lease::Lease;
use tokio::sync::oneshot;

use super::DriverError;

/// Channel for the answer to a request for work.
pub(super) type Reply = oneshot::Sender<Result<Option<Lease>, DriverError>>;

/// A waiting device. It may have disconnected; then nobody receives the reply.
pub(super) struct LongPoll {
    pub(super) device: DeviceId,
    pub(super) reply: Reply,
}

/// The queue. Holds each device at most once: a new request replaces the earlier one.
#[derive(Default)]
pub(super) struct LongPolls {
    queue: BTreeMap<u64, LongPoll>,
    positions: HashMap<DeviceId, u64>,
    next: u64,
}

impl LongPolls {
    /// Adds the device at the end of the queue.
    pub(super) fn push(&mut self, poll: LongPoll) {
        self.remove(poll.device);
        self.positions.insert(poll.device, self.next);
        self.queue.insert(self.next, poll);
        self.next += 1;
    }

    pub(super) fn remove(&mut self, device: DeviceId) -> Option<LongPoll> {
        self.queue.remove(&self.positions.remove(&device)?)
    }

    /// Returns the devices in the order in which they began to wait.
    pub(super) fn devices(&self) -> Vec<DeviceId> {
        self.queue.values().map(|poll| poll.device).collect()
    }

    /// Removes the device and returns its position, for [`LongPolls::put_back`].
    pub(super) fn take(&mut self, device: DeviceId) -> Option<(u64, LongPoll)> {
        let position = self.positions.remove(&device)?;
        Some((position, self.queue.remove(&position)?))
    }

    /// Puts a device back at its earlier position.
    pub(super) fn put_back(&mut self, (position, poll): (u64, LongPoll)) {
        self.positions.insert(poll.device, position);
        self.queue.insert(position, poll);
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn device(n: u128) -> DeviceId {
        DeviceId::from_uuid(Uuid::from_u128(n))
    }

    fn long_poll(n: u128) -> LongPoll {
        LongPoll { device: device(n), reply: oneshot::channel().0 }
    }

    #[test]
    fn a_repeated_request_moves_to_the_end_and_an_unserved_device_keeps_its_position() {
        let mut long_polls = LongPolls::default();
        for n in [3, 1, 2] {
            long_polls.push(long_poll(n));
        }
        assert_eq!(long_polls.devices(), [3, 1, 2].map(device));
        long_polls.push(long_poll(3));
        assert_eq!(long_polls.devices(), [1, 2, 3].map(device));

        let first = long_polls.take(device(1)).unwrap();
        assert_eq!(long_polls.devices(), [2, 3].map(device));
        assert!(long_polls.take(device(1)).is_none());
        long_polls.put_back(first);
        assert_eq!(long_polls.devices(), [1, 2, 3].map(device));

        assert!(long_polls.remove(device(2)).is_some());
        assert!(long_polls.remove(device(2)).is_none());
        assert_eq!(long_polls.devices(), [1, 3].map(device));
    }
}
