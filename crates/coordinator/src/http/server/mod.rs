//! Connections and what every answer passes: limits, timeouts, the check of the host, headers.

pub(crate) mod body_timeout;
pub(crate) mod connection;
pub(crate) mod connection_limit;
pub(crate) mod envelope;
pub(crate) mod headers;
pub(crate) mod host;
pub(crate) mod in_flight;
pub(crate) mod peer;
pub(crate) mod response_counts;
pub(crate) mod revocable;
pub(crate) mod serve;
