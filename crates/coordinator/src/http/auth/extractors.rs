//! Authentication and authorization.
//!
//! `envelope` rejects requests without a credential, except on the paths of [`crate::http::auth::public`].
//! Handlers declare the roles they allow by an extractor.

use std::convert::Infallible;
use std::sync::Arc;

use axum::extract::{FromRequestParts, MatchedPath, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, header};
use protocol::api::Role;
use protocol::join::JoinProof;
use protocol::{DeviceId, PROTOCOL_HEADER, PROTOCOL_VERSION, Timestamp};

use super::cookie;
use super::public::is_public;
use super::rate_limit::Allowance;
use crate::access::caller::{Caller, CallerIdentity, PeerAddress, Principal};
use crate::access::credential::{Carrier, Credential, CredentialKind};
use crate::clock;
use crate::driver::EnrollmentCredential;
use crate::http::auth::tickets;
use crate::http::problem::ApiError;
use crate::http::server::connection_limit::ConnectionSlotHolder;
use crate::http::state::ApiState;

/// Credential of a request.
enum Shown {
    Nothing,
    /// Request from this process.
    Inside,
    Good(Arc<Credential>),
    /// Session cookie, which a browser sends automatically.
    ByCookie(Arc<Credential>),
    Bad(Bad),
}

/// Credential that is not valid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Bad {
    Token,
    /// Download ticket.
    Ticket,
}

impl Bad {
    /// Name in the audit log.
    const fn word(self) -> &'static str {
        match self {
            Self::Token => "token",
            Self::Ticket => "download",
        }
    }

    fn failure(self) -> ApiError {
        match self {
            Self::Token => unauthorized(),
            Self::Ticket => tickets::invalid_ticket(),
        }
    }
}

/// Reason for rejecting a request.
pub(crate) enum Refused {
    At(ApiError),
    Bad(Bad, Option<PeerAddress>),
}

impl Refused {
    pub(crate) async fn answer(self, shared: &ApiState) -> ApiError {
        match self {
            Self::At(failure) => failure,
            Self::Bad(bad, peer) => {
                refuse(shared, peer, Allowance::Credentials, bad.word(), bad.failure()).await
            }
        }
    }
}

/// Adds the caller to a request with a valid credential.
pub(crate) fn authenticate(shared: &ApiState, request: &mut Request) -> Result<(), Refused> {
    let now = clock::now();
    let route = request.extensions().get::<MatchedPath>();
    let public = route.is_some_and(|route| is_public(request.method(), route.as_str()));
    let credential = match shown(shared, request, now) {
        Shown::Inside => return Ok(()),
        // Public paths do nothing for a session, so that no other site can use it.
        Shown::Good(credential) | Shown::ByCookie(credential)
            if public && credential.kind == CredentialKind::Session =>
        {
            return Ok(());
        }
        Shown::ByCookie(credential) => {
            cookie::check_origin(request).map_err(Refused::At)?;
            credential
        }
        Shown::Good(credential) => credential,
        Shown::Nothing | Shown::Bad(_) if public => return Ok(()),
        Shown::Nothing => return Err(Refused::At(unauthorized())),
        Shown::Bad(bad) => {
            return Err(Refused::Bad(bad, request.extensions().get::<PeerAddress>().copied()));
        }
    };
    if let Some(introduction) = request.extensions().get::<ConnectionSlotHolder>() {
        introduction.release();
    }
    if credential.principal.role != Role::Device && credential.used(now) {
        shared.driver.used(credential.kind, credential.id.clone(), now);
    }
    let extensions = request.extensions_mut();
    extensions.insert(credential.principal.clone());
    extensions.insert(credential);
    Ok(())
}

fn shown(shared: &ApiState, request: &Request, now: Timestamp) -> Shown {
    if request.extensions().get::<Principal>().is_some() {
        return Shown::Inside;
    }
    let headers = request.headers();
    let carrier = cookie::carrier(request.uri(), headers, request.extensions());
    if headers.contains_key(header::AUTHORIZATION) {
        return by_bearer(shared, headers, carrier, now);
    }
    if let Some(requested) = tickets::requested(request) {
        let credential = shared.tickets.take(&requested, now);
        return credential.map_or(Shown::Bad(Bad::Ticket), Shown::Good);
    }
    match (carrier, shared.cookie.find(headers)) {
        (Carrier::Cookie, Some(secret)) => {
            session(shared, carrier, secret, now).map_or(Shown::Nothing, Shown::ByCookie)
        }
        (Carrier::Tab, _) | (Carrier::Cookie, None) => Shown::Nothing,
    }
}

/// Reads a token, or the session of a tab if sessions are sent that way.
fn by_bearer(shared: &ApiState, headers: &HeaderMap, carrier: Carrier, now: Timestamp) -> Shown {
    let Some(text) = bearer(headers) else { return Shown::Bad(Bad::Token) };
    if carrier == Carrier::Tab && carrier.carries(text) {
        // A tab keeps sending a session that has expired.
        return session(shared, carrier, text, now).map_or(Shown::Nothing, Shown::Good);
    }
    let token = known(shared, CredentialKind::Token, text, now);
    token.map_or(Shown::Bad(Bad::Token), Shown::Good)
}

fn session(
    shared: &ApiState,
    carrier: Carrier,
    secret: &str,
    now: Timestamp,
) -> Option<Arc<Credential>> {
    known(shared, CredentialKind::Session, secret, now).filter(|_| carrier.carries(secret))
}

fn known(
    shared: &ApiState,
    kind: CredentialKind,
    text: &str,
    now: Timestamp,
) -> Option<Arc<Credential>> {
    let known = shared.views.credential(blake3::hash(text.as_bytes()).as_bytes());
    known.filter(|known| known.kind == kind && known.counts(now))
}

/// Returns the response to an invalid credential, named `what` in the audit log: `failure`, or that
/// there were too many. Failures are written to the audit log within its limit.
pub(crate) async fn refuse(
    shared: &ApiState,
    peer: Option<PeerAddress>,
    allowance: Allowance,
    what: &'static str,
    failure: ApiError,
) -> ApiError {
    let from = peer.map(|peer| peer.0);
    let failed = shared.auth_rate_limit.failed(allowance, from, clock::now());
    if let Some(unwritten) = failed.write {
        let caller = Caller { who: CallerIdentity::Stranger, from };
        // The peer is rejected even if the entry can't be written.
        if let Err(refusal) = shared.driver.audited(&caller).refused(what, unwritten).await {
            tracing::warn!(%refusal, "could not write an invalid credential to the audit log");
        }
    }
    failed.too_many.map_or(failure, ApiError::too_many)
}

/// Rejects a peer that entered too many wrong codes recently.
pub(crate) fn check_typed_codes(shared: &ApiState, caller: &Caller) -> Result<(), ApiError> {
    let held_up = shared.auth_rate_limit.held_up(Allowance::TypedCodes, caller.from, clock::now());
    held_up.map_or(Ok(()), |wait| Err(ApiError::too_many(wait)))
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let text = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = text.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(token.trim())
}

pub(crate) fn unauthorized() -> ApiError {
    ApiError::new(
        StatusCode::UNAUTHORIZED,
        "unauthorized",
        "Unauthorized",
        "send a token that counts, with the header Authorization: Bearer TOKEN; a browser signs in \
         by a link of `constellation coordinator sign-in`",
    )
}

/// Rejects peers with a later protocol version. A request without a version comes from a person,
/// for example with curl.
pub(crate) fn check_protocol(headers: &HeaderMap) -> Result<(), ApiError> {
    let said = headers.get(PROTOCOL_HEADER);
    let version = said.map(|value| value.to_str().ok().and_then(|text| text.parse::<u32>().ok()));
    match version {
        None | Some(Some(1..=PROTOCOL_VERSION)) => Ok(()),
        Some(_) => Err(ApiError::bad_request(
            "protocol-version",
            format!(
                "this coordinator speaks versions 1 to {PROTOCOL_VERSION} of the protocol; \
                 update it, or this peer"
            ),
        )),
    }
}

fn forbidden(needed: &str) -> ApiError {
    let detail = format!("this credential may not do that; use {needed}");
    ApiError::new(StatusCode::FORBIDDEN, "forbidden", "Forbidden", detail)
}

fn principal(parts: &Parts) -> Result<Principal, ApiError> {
    parts.extensions.get::<Principal>().cloned().ok_or_else(unauthorized)
}

/// Any caller, with the credential if there is one: for public paths, whose handlers check
/// themselves.
impl<S: Sync> FromRequestParts<S> for Caller {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        let principal = parts.extensions.get::<Principal>().cloned();
        Ok(caller(parts, principal.map_or(CallerIdentity::Stranger, CallerIdentity::Known)))
    }
}

fn caller(parts: &Parts, who: CallerIdentity) -> Caller {
    Caller { who, from: parts.extensions.get::<PeerAddress>().map(|peer| peer.0) }
}

/// An administrator.
#[derive(Debug, Clone)]
pub(crate) struct Admin(pub(crate) Caller);

impl<S: Sync> FromRequestParts<S> for Admin {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        let principal = principal(parts)?;
        match principal.role {
            Role::Admin => Ok(Self(caller(parts, CallerIdentity::Known(principal)))),
            Role::Viewer | Role::Device => Err(forbidden("an administrator's token")),
        }
    }
}

/// Caller who may read: an administrator or a viewer.
#[derive(Debug, Clone)]
pub(crate) struct Viewer(pub(crate) Caller);

impl<S: Sync> FromRequestParts<S> for Viewer {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        let principal = principal(parts)?;
        match principal.role {
            Role::Admin | Role::Viewer => Ok(Self(caller(parts, CallerIdentity::Known(principal)))),
            Role::Device => Err(forbidden("a viewer's or an administrator's token")),
        }
    }
}

/// Caller who may enroll a device: the holder of a join code, or an administrator. The path is
/// public, so the extractor checks the credential itself.
#[derive(Debug, Clone)]
pub(crate) struct Registrar {
    pub(crate) voucher: EnrollmentCredential,
    pub(crate) caller: Caller,
}

impl FromRequestParts<ApiState> for Registrar {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, shared: &ApiState) -> Result<Self, ApiError> {
        let token = bearer(&parts.headers);
        if let Some(proof) = token.and_then(JoinProof::from_bearer) {
            let voucher = EnrollmentCredential::Code(proof.hash());
            return Ok(Self { voucher, caller: caller(parts, CallerIdentity::Stranger) });
        }
        let Some(principal) = parts.extensions.get::<Principal>().cloned() else {
            let peer = parts.extensions.get::<PeerAddress>().copied();
            return Err(if token.is_some() {
                refuse(shared, peer, Allowance::Credentials, "token", unauthorized()).await
            } else {
                unauthorized()
            });
        };
        match principal.role {
            Role::Admin => {
                let caller = caller(parts, CallerIdentity::Known(principal));
                Ok(Self { voucher: EnrollmentCredential::Admin, caller })
            }
            Role::Viewer | Role::Device => Err(forbidden("a join code")),
        }
    }
}

/// Device with its own token.
#[derive(Debug, Clone, Copy)]
pub(crate) struct OfDevice(pub(crate) DeviceId);

impl OfDevice {
    /// Rejects a device that names another device.
    pub(crate) fn is(self, named: DeviceId) -> Result<DeviceId, ApiError> {
        if self.0 == named { Ok(named) } else { Err(forbidden("the token of that device")) }
    }
}

impl<S: Sync> FromRequestParts<S> for OfDevice {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        let principal = principal(parts)?;
        principal.device.map(Self).ok_or_else(|| forbidden("a device's token"))
    }
}

/// Caller who may access blobs: a device within its leases, or an administrator.
#[derive(Debug, Clone, Copy)]
pub(crate) enum BlobCaller {
    Admin,
    Device(DeviceId),
}

impl<S: Sync> FromRequestParts<S> for BlobCaller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        let principal = principal(parts)?;
        match (principal.role, principal.device) {
            (Role::Admin, _) => Ok(Self::Admin),
            (Role::Device, Some(device)) => Ok(Self::Device(device)),
            (Role::Viewer | Role::Device, _) => {
                Err(forbidden("a device's or an administrator's token"))
            }
        }
    }
}
