//! Enrollment: the public paths `/join`, `/devices/challenge` and `/devices/register`. Each checks
//! its own credential: a join code, either proven by an exchange or sent.

use axum::Json;
use axum::extract::State;
use protocol::enrollment::{
    Challenge, DeviceRegistration, PUBLIC_KEY_BYTES, Registered, SIGNATURE_BYTES, signed,
};
use protocol::join::exchange::{self, JoinAnswer, JoinRequest, RANDOM_BYTES};
use ring::signature::{ED25519, UnparsedPublicKey};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::access::caller::{Caller, PeerAddress};
use crate::access::challenge::LIFETIME;
use crate::clock;
use crate::driver::DriverError;
use crate::http::auth::extractors::{Registrar, check_typed_codes, refuse};
use crate::http::auth::rate_limit::Allowance;
use crate::http::extract::DeviceMessage;
use crate::http::problem::{ApiError, ApiResult};
use crate::http::state::ApiState;
use crate::http::texts::check_text;

pub(crate) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new().routes(routes!(join)).routes(routes!(challenge)).routes(routes!(register))
}

/// Proves to a device that the coordinator knows the typed code, bound to the certificate that the
/// device sees (SPAKE2).
///
/// The device then registers.
#[utoipa::path(post, path = "/join", tag = "devices", request_body = JoinRequest,
    responses((status = 200, body = JoinAnswer)))]
async fn join(
    caller: Caller,
    State(shared): State<ApiState>,
    DeviceMessage(request): DeviceMessage<JoinRequest>,
) -> ApiResult<Json<JoinAnswer>> {
    check_typed_codes(&shared, &caller)?;
    let begun = shared.driver.audited(&caller).begin_exchange(request.hint).await;
    let password = of_code(&shared, &caller, Allowance::TypedCodes, begun).await?;
    let cluster = (shared.cluster.id.clone(), shared.cluster.name.clone());
    let chance: [u8; RANDOM_BYTES] = rand::random();
    exchange::answer(&password.0, shared.cluster.pin, cluster, &request, chance)
        .map(Json)
        .map_err(|error| ApiError::invalid("invalid-join", error.to_string()).at("message"))
}

/// Returns a challenge to sign, which proves possession of a key.
#[utoipa::path(post, path = "/devices/challenge", tag = "devices",
    responses((status = 200, body = Challenge)))]
async fn challenge(State(shared): State<ApiState>) -> Json<Challenge> {
    let challenge = shared.challenges.make(clock::now(), rand::random());
    let expires_in = u32::try_from(LIFETIME.as_secs()).unwrap_or(u32::MAX);
    Json(Challenge { challenge, expires_in })
}

/// Enrolls a device by a join code's proof.
///
/// The same key on the same machine is the same device: it gets a new token, and its earlier token
/// ends. A known machine with a new key is rejected while its device is at work. Otherwise it gets
/// a separate record that waits for an administrator's approval; with an administrator's token it
/// is approved at once.
#[utoipa::path(post, path = "/devices/register", tag = "devices",
    request_body = DeviceRegistration, security(("token" = ["admin"]), ("join_code" = [])),
    responses((status = 200, body = Registered)))]
async fn register(
    registrar: Registrar,
    State(shared): State<ApiState>,
    DeviceMessage(registration): DeviceMessage<DeviceRegistration>,
) -> ApiResult<Json<Registered>> {
    check(&registration)?;
    shared.challenges.check(&registration.challenge, clock::now()).map_err(|error| {
        ApiError::bad_request("wrong-challenge", error.to_string()).at("challenge")
    })?;
    check_signature(&shared, &registration)?;
    let driver = shared.driver.audited(&registrar.caller);
    let registered = driver.register(registration, registrar.voucher).await;
    // A proof has all 80 bits of its code, so it can't be guessed.
    let allowance = Allowance::Credentials;
    Ok(Json(of_code(&shared, &registrar.caller, allowance, registered).await?))
}

/// Counts an unknown code as a possible guess. Each address may make only a limited number.
async fn of_code<T>(
    shared: &ApiState,
    caller: &Caller,
    allowance: Allowance,
    said: Result<T, DriverError>,
) -> ApiResult<T> {
    match said {
        Err(refusal @ DriverError::WrongJoinCode) => {
            let peer = caller.from.map(PeerAddress);
            Err(refuse(shared, peer, allowance, "join_code", refusal.into()).await)
        }
        said => Ok(said?),
    }
}

fn check_signature(shared: &ApiState, said: &DeviceRegistration) -> ApiResult<()> {
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
            let words = "does not match this key, registration and coordinator";
            ApiError::invalid("wrong-signature", words).at("signature")
        })
}

fn check(said: &DeviceRegistration) -> ApiResult<()> {
    let texts = [
        ("name", &said.name),
        ("device_type", &said.device_type),
        ("hardware_id", &said.hardware_id),
        ("fingerprint.app", &said.fingerprint.app),
        ("fingerprint.burn", &said.fingerprint.burn),
        ("fingerprint.hardware", &said.fingerprint.hardware),
    ];
    let invalid = |words: &str, field| Err(ApiError::invalid("invalid-device", words).at(field));
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
