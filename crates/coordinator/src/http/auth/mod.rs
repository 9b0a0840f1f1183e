//! Authentication of a request: tokens, session cookies, download tickets and the limit on failed tries.

pub(crate) mod cookie;
pub(crate) mod extractors;
pub(crate) mod public;
pub(crate) mod rate_limit;
pub(crate) mod tickets;
