//! Joining by a typed code: finding out which certificate is the cluster's, from a coordinator that
//! nothing is known of yet but that it should know the code.

use std::collections::BTreeSet;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use protocol::join::JoinSecret;
use protocol::join::exchange::{Asking, CHANCE_BYTES, JoinAnswer, NotProven};
use protocol::{PROTOCOL_HEADER, PROTOCOL_VERSION, Pin};

use crate::WorkerError;
use crate::answer::{RequestError, answer, json};
use crate::client::Client;
use crate::enrol::refused;
use crate::identity::Cluster;
use crate::pinned::{Address, verified};
use crate::status::{Status, Voice};
use crate::tunnel::Trouble;

/// For each of the two requests.
const PATIENCE: Duration = Duration::from_secs(20);
/// That a typed code is none of this cluster's.
const WRONG_CODE: &str = "wrong-join-code";
/// For another coordinator to be found after one that did not know the code.
const ELSEWHERE: Duration = Duration::from_secs(5);

/// The cluster that knows the code: there may be several on this network, so each that is found is
/// asked in turn, once.
pub(crate) async fn by_typed_code(
    client: &Client,
    voice: &Voice<'_>,
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
        // Whoever knows other addresses gives the next when it hears this.
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

/// The cluster of the coordinator at `url`, if that proves that it knows the code. Nothing that would
/// enrol a device is sent.
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
    // The exchange is bound to the certificate, so that must be seen before it begins.
    let health = http.get(path("/health")).header(PROTOCOL_HEADER, PROTOCOL_VERSION);
    answer(health, PATIENCE).await.map_err(explained)?;
    let pin = *seen.get().ok_or_else(|| RequestError::Nonsense("no certificate".into()))?;
    let chance: [u8; CHANCE_BYTES] = rand::random();
    let asking = Asking::begin(secret, pin, chance);
    let join = http.post(path("/join")).header(PROTOCOL_HEADER, PROTOCOL_VERSION);
    let said: JoinAnswer = json(answer(join.json(asking.request()), PATIENCE).await?).await?;
    Ok(asking.check(&said).map(|()| Cluster {
        id: said.cluster_id,
        name: protocol::text::cleaned(&said.cluster_name),
        pin,
        addresses: vec![address.host_and_port()],
    }))
}

/// A client that takes the first key it sees, and from then on that one alone. Whose key it is, the
/// exchange finds out.
fn client(
    address: &Address,
    first: Arc<OnceLock<Pin>>,
) -> Result<(reqwest::Client, Option<Trouble>), RequestError> {
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
        Err(rustls::Error::General("another certificate than a moment ago".into()))
    };
    let (builder, trouble) =
        verified(builder, address, judge).map_err(|error| impossible(&error))?;
    Ok((builder.build().map_err(|error| impossible(&error))?, trouble))
}
