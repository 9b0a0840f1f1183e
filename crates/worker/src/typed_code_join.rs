//! Joining by a typed code: determines the cluster's certificate by checking that the coordinator knows the
//! code.

use std::collections::BTreeSet;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use protocol::join::JoinSecret;
use protocol::join::exchange::{JoinAnswer, NotProven, RANDOM_BYTES, WorkerExchange};
use protocol::{PROTOCOL_HEADER, PROTOCOL_VERSION, Pin};

use crate::WorkerError;
use crate::client::Client;
use crate::enroll::refused;
use crate::identity::Cluster;
use crate::pinned_tls::{Address, verified};
use crate::response::{RequestError, answer, json};
use crate::status::{Status, StatusReporter};
use crate::tunnel::TunnelError;

/// Timeout of each of the two requests.
const PATIENCE: Duration = Duration::from_secs(20);
/// Problem kind for a typed code that the cluster doesn't know.
const WRONG_CODE: &str = "wrong-join-code";
/// Time to find another coordinator after one that did not know the code.
const ELSEWHERE: Duration = Duration::from_secs(5);

/// Returns the cluster that knows the code. There may be several clusters on the network, so each one found is
/// tried once.
pub(crate) async fn by_typed_code(
    client: &Client,
    voice: &StatusReporter<'_>,
    secret: &JoinSecret,
) -> Result<Cluster, WorkerError> {
    let mut asked = BTreeSet::new();
    loop {
        let mut url = None;
        let ask = || {
            url = client.url();
            let url = url.clone();
            async move { client.join(url.as_deref(), secret).await }
        };
        let answer = client.until_answered(ask, |error| voice.offline(error)).await;
        let error = match answer {
            Ok(Ok(cluster)) => return Ok(cluster),
            Ok(Err(not_proven)) => WorkerError::from(not_proven),
            Err(RequestError::Refused(problem)) if problem.kind == WRONG_CODE => {
                WorkerError::Refused(problem)
            }
            Err(error) => return Err(refused(error)),
        };
        asked.extend(url);
        if !client.may_move() {
            return Err(error);
        }
        // The observer provides the next address when it receives this status.
        voice.say(&Status::Offline { reason: error.to_string() });
        let is_new = || client.url().is_some_and(|url| !asked.contains(&url));
        if !is_new() {
            client.pause(ELSEWHERE).await;
        }
        if !is_new() {
            return Err(error);
        }
    }
}

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
        Some(trouble) => trouble.explained(error),
        None => error,
    };
    let path = |path: &str| format!("{}{path}", address.base());
    // The exchange is bound to the certificate, so the certificate must be known first.
    let health = http.get(path("/health")).header(PROTOCOL_HEADER, PROTOCOL_VERSION);
    answer(health, PATIENCE).await.map_err(explained)?;
    let pin = *seen.get().ok_or_else(|| RequestError::Nonsense("no certificate".into()))?;
    let chance: [u8; RANDOM_BYTES] = rand::random();
    let asking = WorkerExchange::begin(secret, pin, chance);
    let join = http.post(path("/join")).header(PROTOCOL_HEADER, PROTOCOL_VERSION);
    let said: JoinAnswer = json(answer(join.json(asking.request()), PATIENCE).await?).await?;
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
