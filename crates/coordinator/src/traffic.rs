//! Byte counters of the blob transfers of each device. Transferred bytes renew the device's lease; an
//! open connection without bytes does not.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use futures::{Stream, StreamExt};
use protocol::DeviceId;

/// Transferred bytes of each device since this process started.
#[derive(Debug, Default)]
pub(crate) struct Traffic {
    counts: Mutex<HashMap<DeviceId, Arc<AtomicU64>>>,
}

impl Traffic {
    /// Returns the bytes transferred so far, in both directions.
    pub(crate) fn bytes(&self, device: DeviceId) -> u64 {
        let counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        counts.get(&device).map_or(0, |count| count.load(Ordering::Relaxed))
    }

    /// Wraps a stream so that its bytes are counted as they pass.
    pub(crate) fn count<E, S: Stream<Item = Result<Bytes, E>>>(
        &self,
        device: DeviceId,
        stream: S,
    ) -> impl Stream<Item = Result<Bytes, E>> + use<E, S> {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.entry(device).or_default().clone();
        stream.inspect(move |piece| {
            if let Ok(piece) = piece {
                count.fetch_add(piece.len() as u64, Ordering::Relaxed);
            }
        })
    }

    pub(crate) fn forget(&self, device: DeviceId) {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner).remove(&device);
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use futures::stream;

    use super::*;

    #[tokio::test]
    async fn bytes_are_counted_as_they_pass() {
        let traffic = Traffic::default();
        let device: DeviceId = "01890a5d-ac96-774b-bcce-b302099a8057".parse().unwrap();
        let pieces =
            [Ok::<_, Infallible>(Bytes::from_static(b"abc")), Ok(Bytes::from_static(b"de"))];
        let mut body = Box::pin(traffic.count(device, stream::iter(pieces)));
        assert_eq!(traffic.bytes(device), 0);
        body.next().await.unwrap().unwrap();
        assert_eq!(traffic.bytes(device), 3);
        body.next().await.unwrap().unwrap();
        assert_eq!(traffic.bytes(device), 5);
        traffic.forget(device);
        assert_eq!(traffic.bytes(device), 0);
    }
}
