//! The network between a worker and its coordinator: the HTTP client, TLS pinned to the coordinator's
//! key, proxies, retries and the upload rate limit.

mod address;
pub(crate) mod client;
mod endpoint;
pub mod pinned_tls;
pub mod proxy;
pub(crate) mod response;
pub(crate) mod retry;
pub(crate) mod throttle;
pub(crate) mod tunnel;
mod typed_code_exchange;
