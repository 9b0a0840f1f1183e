//! Access control: who sent a request, what it may do, and proofs of a key.

pub(crate) mod caller;
pub(crate) mod challenge;
pub(crate) mod credential;
