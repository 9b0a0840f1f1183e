//! Exchange of a typed code with one coordinator: determines the cluster's certificate by checking that the
//! coordinator knows the code.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use protocol::join::JoinSecret;
use protocol::join::exchange::{JoinAnswer, NotProven, RANDOM_BYTES, WorkerExchange};
use protocol::{PROTOCOL_HEADER, PROTOCOL_VERSION, Pin};

use super::address::Address;
use super::pinned_tls::verified;
use super::response::{RequestError, answer, json};
use super::tunnel::TunnelError;
use crate::identity::Cluster;

/// Timeout of each of the two requests.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(20);
/// Returns the cluster of the coordinator at `url` if it proves that it knows the code. Sends nothing that
/// could enroll a device.
pub(crate) async fn join(
    url: &str,
    secret: &JoinSecret,
) -> Result<Result<Cluster, NotProven>, RequestError> {
    let address: Address = url.parse()?;
    let seen = Arc::new(OnceLock::new());
    let (http, trouble) = client(&address, seen.clone())?;
    let explained = |error| match &trouble {
        Some(trouble) => RequestError::explained_by(error, trouble),
        None => error,
    };
    let path = |path: &str| format!("{}{path}", address.base());
    // The exchange is bound to the certificate, so the certificate must be known first.
    let health = http.get(path("/health")).header(PROTOCOL_HEADER, PROTOCOL_VERSION);
    answer(health, REQUEST_TIMEOUT).await.map_err(explained)?;
    let pin = *seen.get().ok_or_else(|| RequestError::InvalidResponse("no certificate".into()))?;
    let chance: [u8; RANDOM_BYTES] = rand::random();
    let asking = WorkerExchange::begin(secret, pin, chance);
    let join = http.post(path("/join")).header(PROTOCOL_HEADER, PROTOCOL_VERSION);
    let said: JoinAnswer =
        json(answer(join.json(asking.request()), REQUEST_TIMEOUT).await?).await?;
    Ok(asking.check(&said).map(|()| Cluster {
        id: said.cluster_id,
        name: protocol::text::cleaned(&said.cluster_name),
        pin,
        addresses: vec![address.host_and_port()],
    }))
}

/// Creates a client that accepts the first key it sees and from then on only that one. The exchange
/// verifies whose key it is.
fn client(
    address: &Address,
    first: Arc<OnceLock<Pin>>,
) -> Result<(reqwest::Client, Option<TunnelError>), RequestError> {
    let builder = reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .connect_timeout(Duration::from_secs(5));
    let impossible = |error: &dyn std::error::Error| {
        RequestError::Unreachable(format!("can't set up TLS: {error}"))
    };
    let judge = move |seen| {
        if *first.get_or_init(|| seen) == seen {
            return Ok(());
        }
        Err(rustls::Error::General("the certificate changed during the join".into()))
    };
    let (builder, trouble) =
        verified(builder, address, judge).map_err(|error| impossible(&error))?;
    Ok((builder.build().map_err(|error| impossible(&error))?, trouble))
}
