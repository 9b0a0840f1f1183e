//! Becoming a device: the public paths `/join`, `/devices/challenge` and `/devices/register`. Each has
//! a credential of its own: a join code, known to both sides or shown.

use axum::Json;
use axum::extract::State;
use protocol::enrolment::{
    Challenge, DeviceRegistration, PUBLIC_KEY_BYTES, Registered, SIGNATURE_BYTES, signed,
};
use protocol::join::exchange::{self, CHANCE_BYTES, JoinAnswer, JoinRequest};
use ring::signature::{ED25519, UnparsedPublicKey};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Shared;
use super::auth::{Registrar, check_typed_codes, refuse};
use super::extract::Body;
use super::failures::Allowance;
use super::problem::{Answer, Failure};
use super::texts::check_text;
use crate::caller::{Caller, PeerAddress};
use crate::challenge::LIFETIME;
use crate::clock;
use crate::driver::Refusal;

pub(super) fn routes() -> OpenApiRouter<Shared> {
    OpenApiRouter::new().routes(routes!(join)).routes(routes!(challenge)).routes(routes!(register))
}

/// Proves to a device that the coordinator knows the code that was typed there, bound to the
/// certificate that the device sees (SPAKE2). The device then registers.
#[utoipa::path(post, path = "/join", tag = "devices", request_body = JoinRequest,
    responses((status = 200, body = JoinAnswer)))]
async fn join(
    caller: Caller,
    State(shared): State<Shared>,
    Body(request): Body<JoinRequest>,
) -> Answer<Json<JoinAnswer>> {
    check_typed_codes(&shared, &caller)?;
    let begun = shared.driver.by(&caller).begin_exchange(request.hint).await;
    let password = of_code(&shared, &caller, Allowance::TypedCodes, begun).await?;
    let cluster = (shared.cluster.id.clone(), shared.cluster.name.clone());
    let chance: [u8; CHANCE_BYTES] = rand::random();
    exchange::answer(&password.0, shared.cluster.pin, cluster, &request, chance)
        .map(Json)
        .map_err(|error| Failure::invalid("invalid-join", error.to_string()).at("message"))
}

/// Something to sign, to show that a key is one's own.
#[utoipa::path(post, path = "/devices/challenge", tag = "devices",
    responses((status = 200, body = Challenge)))]
async fn challenge(State(shared): State<Shared>) -> Json<Challenge> {
    let challenge = shared.challenges.make(clock::now(), rand::random());
    let expires_in = u32::try_from(LIFETIME.as_secs()).unwrap_or(u32::MAX);
    Json(Challenge { challenge, expires_in })
}

/// Enrols a device by a join code's proof. The same key on the same machine is the same device: it
/// gets a new token and its earlier one stops working. A known machine with a new key is refused while
/// its device is at work, and then gets a record of its own that waits for an administrator's approval;
/// an administrator's token vouches for it at once.
#[utoipa::path(post, path = "/devices/register", tag = "devices",
    request_body = DeviceRegistration, security(("token" = ["admin"]), ("join_code" = [])),
    responses((status = 200, body = Registered)))]
async fn register(
    registrar: Registrar,
    State(shared): State<Shared>,
    Body(registration): Body<DeviceRegistration>,
) -> Answer<Json<Registered>> {
    check(&registration)?;
    shared.challenges.check(&registration.challenge, clock::now()).map_err(|error| {
        Failure::bad_request("wrong-challenge", error.to_string()).at("challenge")
    })?;
    check_signature(&shared, &registration)?;
    let driver = shared.driver.by(&registrar.caller);
    let registered = driver.register(registration, registrar.voucher).await;
    // A proof has all 80 bits of its code: nobody finds one by trying.
    let allowance = Allowance::Credentials;
    Ok(Json(of_code(&shared, &registrar.caller, allowance, registered).await?))
}

/// A code that is none of this cluster's may be a guess, and each address has only so many.
async fn of_code<T>(
    shared: &Shared,
    caller: &Caller,
    allowance: Allowance,
    said: Result<T, Refusal>,
) -> Answer<T> {
    match said {
        Err(refusal @ Refusal::WrongJoinCode) => {
            let peer = caller.from.map(PeerAddress);
            Err(refuse(shared, peer, allowance, "join_code", refusal.into()).await)
        }
        said => Ok(said?),
    }
}

fn check_signature(shared: &Shared, said: &DeviceRegistration) -> Answer<()> {
    let message = signed(
        &said.challenge,
        &shared.cluster.pin,
        &said.hardware_id,
        said.instance,
        &said.fingerprint,
    );
    UnparsedPublicKey::new(&ED25519, &said.public_key.0)
        .verify(&message, &said.signature.0)
        .map_err(|_| {
            let words = "is not of this key over this registration, for this coordinator";
            Failure::invalid("wrong-signature", words).at("signature")
        })
}

fn check(said: &DeviceRegistration) -> Answer<()> {
    let texts = [
        ("name", &said.name),
        ("device_type", &said.device_type),
        ("hardware_id", &said.hardware_id),
        ("fingerprint.app", &said.fingerprint.app),
        ("fingerprint.burn", &said.fingerprint.burn),
        ("fingerprint.hardware", &said.fingerprint.hardware),
    ];
    let invalid = |words: &str, field| Err(Failure::invalid("invalid-device", words).at(field));
    for (field, text) in texts {
        if text.trim().is_empty() || text.chars().count() > 200 {
            return invalid("must have 1 to 200 characters", field);
        }
        check_text("invalid-device", field, text, 200)?;
    }
    if let Some(name) = &said.gpu_name {
        check_text("invalid-device", "gpu_name", name, 200)?;
    }
    if !said.ram_gb.is_finite() || said.ram_gb < 0.0 {
        return invalid("must be 0 or more", "ram_gb");
    }
    if said.public_key.0.len() != PUBLIC_KEY_BYTES {
        return invalid("must be an Ed25519 key of 32 bytes, in base64url", "public_key");
    }
    if said.signature.0.len() != SIGNATURE_BYTES {
        return invalid("must be an Ed25519 signature of 64 bytes, in base64url", "signature");
    }
    if said.session.as_ref().is_some_and(|session| !session.is_bounded()) {
        return invalid("must be a short id after at most 8 others", "session");
    }
    Ok(())
}
