//! Who asks, and what they may do. `envelope` lets nobody past without a credential, but on the
//! paths of [`super::public`]; handlers then say by an extractor which role they are for.

use std::convert::Infallible;
use std::sync::Arc;

use axum::extract::{FromRequestParts, MatchedPath, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, header};
use protocol::api::Role;
use protocol::join::JoinProof;
use protocol::{DeviceId, PROTOCOL_HEADER, PROTOCOL_VERSION, Timestamp};

use super::connection_limit::ConnectionSlotHolder;
use super::problem::ApiError;
use super::public::is_public;
use super::{Shared, cookie};
use crate::caller::{Caller, CallerIdentity, PeerAddress, Principal};
use crate::clock;
use crate::credential::{Credential, CredentialKind};
use crate::driver::EnrollmentCredential;

/// What a request shows.
enum Shown {
    Nothing,
    /// By this process itself.
    Inside,
    Good(Arc<Credential>),
    Bad,
}

/// Why a request does not pass.
pub(super) enum Refused {
    At(ApiError),
    /// It showed a credential that doesn't count.
    Bad(Option<PeerAddress>),
}

impl Refused {
    pub(super) async fn answer(self, shared: &Shared) -> ApiError {
        match self {
            Self::At(failure) => failure,
            Self::Bad(peer) => refuse(shared, peer, "token", unauthorized()).await,
        }
    }
}

/// Writes into a request whose credential counts who it is from.
pub(super) fn authenticate(shared: &Shared, request: &mut Request) -> Result<(), Refused> {
    let now = clock::now();
    let route = request.extensions().get::<MatchedPath>();
    let public = route.is_some_and(|route| is_public(request.method(), route.as_str()));
    match shown(shared, request, now) {
        Shown::Inside => {}
        // A stranger's path does nothing for a cookie, so that no other site can use it.
        Shown::Good(credential) if public && credential.kind == CredentialKind::Session => {}
        Shown::Good(credential) => {
            if let Some(introduction) = request.extensions().get::<ConnectionSlotHolder>() {
                introduction.made();
            }
            if credential.kind == CredentialKind::Session {
                cookie::check_origin(request).map_err(Refused::At)?;
            }
            if credential.principal.role != Role::Device && credential.used(now) {
                shared.driver.used(credential.kind, credential.id.clone(), now);
            }
            let extensions = request.extensions_mut();
            extensions.insert(credential.principal.clone());
            extensions.insert(credential);
        }
        Shown::Nothing | Shown::Bad if public => {}
        Shown::Nothing => return Err(Refused::At(unauthorized())),
        Shown::Bad => {
            return Err(Refused::Bad(request.extensions().get::<PeerAddress>().copied()));
        }
    }
    Ok(())
}

fn shown(shared: &Shared, request: &Request, now: Timestamp) -> Shown {
    if request.extensions().get::<Principal>().is_some() {
        return Shown::Inside;
    }
    let headers = request.headers();
    let (kind, text) = if headers.contains_key(header::AUTHORIZATION) {
        let Some(token) = bearer(headers) else { return Shown::Bad };
        (CredentialKind::Token, token)
    } else {
        let Some(value) = shared.cookie.of(headers) else { return Shown::Nothing };
        (CredentialKind::Session, value)
    };
    let known = shared.views.credential(blake3::hash(text.as_bytes()).as_bytes());
    let counts = |known: &Arc<Credential>| known.kind == kind && known.counts(now);
    match known.filter(counts) {
        Some(credential) => Shown::Good(credential),
        // A browser goes on to show what ended by itself.
        None if kind == CredentialKind::Session => Shown::Nothing,
        None => Shown::Bad,
    }
}

/// The answer to a credential that doesn't count, called `what` in the audit log: `failure`, or that there were too many of them.
/// Failures are written to the audit log, as far as that has room for them.
pub(super) async fn refuse(
    shared: &Shared,
    peer: Option<PeerAddress>,
    what: &'static str,
    failure: ApiError,
) -> ApiError {
    let from = peer.map(|peer| peer.0);
    let failed = shared.failures.failed(from, clock::now());
    if let Some(unwritten) = failed.write {
        let caller = Caller { who: CallerIdentity::Stranger, from };
        // The peer is refused whether that can be written or not.
        if let Err(refusal) = shared.driver.by(&caller).refused(what, unwritten).await {
            tracing::warn!(%refusal, "a refused credential could not be written down");
        }
    }
    failed.too_many.map_or(failure, ApiError::too_many)
}

/// Refuses a peer that failed too often lately, for credentials that could be guessed.
pub(super) fn check_failures(shared: &Shared, caller: &Caller) -> Result<(), ApiError> {
    let held_up = shared.failures.held_up(caller.from, clock::now());
    held_up.map_or(Ok(()), |wait| Err(ApiError::too_many(wait)))
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let text = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = text.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(token.trim())
}

fn unauthorized() -> ApiError {
    ApiError::new(
        StatusCode::UNAUTHORIZED,
        "unauthorized",
        "Unauthorized",
        "send a token that counts, with the header Authorization: Bearer TOKEN; a browser signs in \
         by a link of `constellation coordinator sign-in`",
    )
}

/// Refuses peers that speak a later version than ours; who says none is a person with curl.
pub(super) fn check_protocol(headers: &HeaderMap) -> Result<(), ApiError> {
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
    let detail = format!("this credential may not do that; it takes {needed}");
    ApiError::new(StatusCode::FORBIDDEN, "forbidden", "Forbidden", detail)
}

fn principal(parts: &Parts) -> Result<Principal, ApiError> {
    parts.extensions.get::<Principal>().cloned().ok_or_else(unauthorized)
}

/// Anybody, as far as they are known: for public paths, whose handlers check for themselves.
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

/// Whoever may look: an administrator or a viewer.
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

/// Whoever may enrol a device: who has a join code, or an administrator. The path is public, so this
/// looks at the credential by itself.
#[derive(Debug, Clone)]
pub(crate) struct Registrar {
    pub(crate) voucher: EnrollmentCredential,
    pub(crate) caller: Caller,
}

impl FromRequestParts<Shared> for Registrar {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, shared: &Shared) -> Result<Self, ApiError> {
        let token = bearer(&parts.headers);
        if let Some(proof) = token.and_then(JoinProof::from_bearer) {
            let voucher = EnrollmentCredential::Code(proof.hash());
            return Ok(Self { voucher, caller: caller(parts, CallerIdentity::Stranger) });
        }
        let Some(principal) = parts.extensions.get::<Principal>().cloned() else {
            let peer = parts.extensions.get::<PeerAddress>().copied();
            return Err(if token.is_some() {
                refuse(shared, peer, "token", unauthorized()).await
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

/// A device, by its own token.
#[derive(Debug, Clone, Copy)]
pub(crate) struct OfDevice(pub(crate) DeviceId);

impl OfDevice {
    /// Refuses a device that names another one.
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

/// Whoever may touch blobs: a device within its leases, an administrator.
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
