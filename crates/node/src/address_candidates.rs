//! Addresses at which a worker tries to reach its coordinator: those that Bonjour currently finds, and those from its
//! join code or enrollment. All are hints; the coordinator proves its identity by the cluster's pin.

use worker::Cluster;

/// Candidate addresses, tried in turn.
#[derive(Debug, Default)]
pub(crate) struct AddressCandidates {
    /// Addresses from the join code or the enrollment.
    hints: Vec<String>,
    /// Addresses that Bonjour currently finds.
    discovered: Vec<String>,
    /// Number of addresses tried so far.
    tries: usize,
}

impl AddressCandidates {
    /// Starts with the addresses of the join code or enrollment.
    pub(crate) fn new(cluster: Option<&Cluster>) -> Self {
        let addresses = cluster.map(|cluster| cluster.addresses.as_slice()).unwrap_or_default();
        let hints = addresses.iter().map(|address| format!("https://{address}")).collect();
        Self { hints, ..Self::default() }
    }

    /// The address to try now, if any.
    pub(crate) fn url(&self) -> Option<String> {
        let all = self.all();
        all.get(self.tries.checked_rem(all.len())?).map(|url| (*url).to_owned())
    }

    /// Moves on to the next address, after the current one has not answered.
    pub(crate) fn next(&mut self) -> Option<String> {
        self.tries = self.tries.wrapping_add(1);
        self.url()
    }

    /// Replaces the addresses found by Bonjour. The first of them becomes the current address, unless the current address
    /// is one of them.
    pub(crate) fn record(&mut self, urls: Vec<String>) -> Option<String> {
        let current = self.url();
        self.discovered = urls;
        let still = self.discovered.iter().position(|url| current.as_ref() == Some(url));
        self.tries = still.unwrap_or(0);
        self.url()
    }

    /// All addresses; those found by Bonjour come first.
    fn all(&self) -> Vec<&str> {
        let hints = self.hints.iter().filter(|hint| !self.discovered.contains(hint));
        self.discovered.iter().chain(hints).map(String::as_str).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hinted() -> AddressCandidates {
        let pin = protocol::Pin::from_bytes([1; 32]);
        let addresses = vec!["192.0.2.1:8000".into(), "192.0.2.2:8000".into()];
        AddressCandidates::new(Some(&Cluster { id: "c".into(), name: "n".into(), pin, addresses }))
    }

    #[test]
    fn hints_are_tried_in_turn() {
        let mut candidates = hinted();
        let tried: Vec<_> = (0..3).filter_map(|_| candidates.next()).collect();
        let (one, two) = ("https://192.0.2.1:8000", "https://192.0.2.2:8000");
        assert_eq!(tried, [two, one, two]);
    }

    #[test]
    fn discovered_addresses_come_first_and_are_not_tried_twice() {
        let mut candidates = hinted();
        candidates.next();
        let two = "https://192.0.2.2:8000".to_owned();
        assert_eq!(candidates.record(vec![two.clone()]), Some(two.clone()));
        assert_eq!(candidates.next().unwrap(), "https://192.0.2.1:8000");
        assert_eq!(candidates.next(), Some(two));
        assert_eq!(candidates.record(Vec::new()).unwrap(), "https://192.0.2.1:8000");
    }

    #[test]
    fn the_current_address_is_kept_when_another_cluster_is_discovered() {
        let mut candidates = AddressCandidates::new(None);
        candidates.record(vec!["one".into()]);
        assert_eq!(candidates.record(vec!["one".into(), "two".into()]).unwrap(), "one");
        assert_eq!(candidates.next().unwrap(), "two");
        let seen = vec!["three".into(), "one".into(), "two".into()];
        assert_eq!(candidates.record(seen).unwrap(), "two");
        assert_eq!(candidates.record(vec!["three".into()]).unwrap(), "three");
    }

    #[test]
    fn there_is_no_address_without_candidates() {
        let mut candidates = AddressCandidates::new(None);
        assert_eq!((candidates.url(), candidates.next()), (None, None));
        assert_eq!(candidates.record(vec!["x".into()]), Some("x".to_owned()));
    }
}
