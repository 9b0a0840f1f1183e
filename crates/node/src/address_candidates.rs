//! Where a worker's coordinator may be: what Bonjour sees now, and the addresses that its join code
//! or its enrolment named. All are hints; who answers proves itself by the cluster's pin.

use worker::Cluster;

/// The places to try, in turn.
#[derive(Debug, Default)]
pub(crate) struct AddressCandidates {
    hints: Vec<String>,
    seen: Vec<String>,
    tries: usize,
}

impl AddressCandidates {
    /// Those that the cluster's own hints give.
    pub(crate) fn new(cluster: Option<&Cluster>) -> Self {
        let addresses = cluster.map(|cluster| cluster.addresses.as_slice()).unwrap_or_default();
        let hints = addresses.iter().map(|address| format!("https://{address}")).collect();
        Self { hints, ..Self::default() }
    }

    /// The one to try now; none where there is none.
    pub(crate) fn url(&self) -> Option<String> {
        let all = self.all();
        all.get(self.tries.checked_rem(all.len())?).map(|url| (*url).to_owned())
    }

    /// The one to try where the current one gave no answer.
    pub(crate) fn next(&mut self) -> Option<String> {
        self.tries = self.tries.wrapping_add(1);
        self.url()
    }

    /// What Bonjour sees now; that is tried at once, unless one of it is being tried.
    pub(crate) fn seen(&mut self, urls: Vec<String>) -> Option<String> {
        let current = self.url();
        self.seen = urls;
        let still = self.seen.iter().position(|url| current.as_ref() == Some(url));
        self.tries = still.unwrap_or(0);
        self.url()
    }

    /// What is seen now goes before what was once so.
    fn all(&self) -> Vec<&str> {
        let hints = self.hints.iter().filter(|hint| !self.seen.contains(hint));
        self.seen.iter().chain(hints).map(String::as_str).collect()
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
    fn what_bonjour_sees_goes_first_and_is_not_tried_twice() {
        let mut candidates = hinted();
        candidates.next();
        let two = "https://192.0.2.2:8000".to_owned();
        assert_eq!(candidates.seen(vec![two.clone()]), Some(two.clone()));
        assert_eq!(candidates.next().unwrap(), "https://192.0.2.1:8000");
        assert_eq!(candidates.next(), Some(two));
        assert_eq!(candidates.seen(Vec::new()).unwrap(), "https://192.0.2.1:8000");
    }

    #[test]
    fn who_is_being_tried_is_not_left_for_another_cluster_that_is_seen() {
        let mut candidates = AddressCandidates::new(None);
        candidates.seen(vec!["one".into()]);
        assert_eq!(candidates.seen(vec!["one".into(), "two".into()]).unwrap(), "one");
        assert_eq!(candidates.next().unwrap(), "two");
        let seen = vec!["three".into(), "one".into(), "two".into()];
        assert_eq!(candidates.seen(seen).unwrap(), "two");
        assert_eq!(candidates.seen(vec!["three".into()]).unwrap(), "three");
    }

    #[test]
    fn without_any_there_is_none() {
        let mut candidates = AddressCandidates::new(None);
        assert_eq!((candidates.url(), candidates.next()), (None, None));
        assert_eq!(candidates.seen(vec!["x".into()]), Some("x".to_owned()));
    }
}
