//! Who asks, and what they may do. The middleware lets nobody past without a token; handlers then
//! say by an extractor which role they are for.

use std::convert::Infallible;

use axum::extract::{FromRequestParts, Request, State};
use axum::http::request::Parts;
use axum::http::{StatusCode, header};
use axum::middleware::Next;
use axum::response::Response;
use protocol::api::Role;
use protocol::join::JoinProof;
use protocol::{DeviceId, PROTOCOL_HEADER, PROTOCOL_VERSION};

use super::Shared;
use super::problem::Failure;
use crate::caller::{Caller, PeerAddress, Principal, Who};
use crate::driver::Voucher;

/// Lets pass who has a token that counts, and tells the handler who it is.
pub(crate) async fn authenticate(
    State(shared): State<Shared>,
    mut request: Request,
    next: Next,
) -> Result<Response, Failure> {
    if request.extensions().get::<Principal>().is_none() {
        let principal = bearer(request.headers()).and_then(|token| shared.views.principal(token));
        let principal = principal.ok_or_else(unauthorized)?;
        request.extensions_mut().insert(principal);
    }
    Ok(next.run(request).await)
}

fn bearer(headers: &axum::http::HeaderMap) -> Option<&str> {
    let text = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = text.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(token.trim())
}

fn unauthorized() -> Failure {
    Failure::new(
        StatusCode::UNAUTHORIZED,
        "unauthorized",
        "Unauthorized",
        "send a token that counts, with the header Authorization: Bearer TOKEN",
    )
}

/// Refuses peers that speak a later version than ours; who says none is a person with curl.
pub(crate) async fn check_protocol(request: Request, next: Next) -> Result<Response, Failure> {
    let said = request.headers().get(PROTOCOL_HEADER);
    let version = said.map(|value| value.to_str().ok().and_then(|text| text.parse::<u32>().ok()));
    match version {
        None => {}
        Some(Some(1..=PROTOCOL_VERSION)) => {}
        Some(_) => {
            return Err(Failure::bad_request(
                "protocol-version",
                format!(
                    "this coordinator speaks versions 1 to {PROTOCOL_VERSION} of the protocol; \
                     update it, or this peer"
                ),
            ));
        }
    }
    let mut response = next.run(request).await;
    response.headers_mut().insert(PROTOCOL_HEADER, PROTOCOL_VERSION.into());
    Ok(response)
}

fn forbidden(needed: &str) -> Failure {
    let detail = format!("this token may not do that; it takes {needed}");
    Failure::new(StatusCode::FORBIDDEN, "forbidden", "Forbidden", detail)
}

fn principal(parts: &Parts) -> Result<Principal, Failure> {
    parts.extensions.get::<Principal>().cloned().ok_or_else(unauthorized)
}

/// Anybody, as far as they are known: for public paths, whose handlers check for themselves.
impl<S: Sync> FromRequestParts<S> for Caller {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        let principal = parts.extensions.get::<Principal>().cloned();
        Ok(caller(parts, principal.map_or(Who::Stranger, Who::Known)))
    }
}

fn caller(parts: &Parts, who: Who) -> Caller {
    Caller { who, from: parts.extensions.get::<PeerAddress>().map(|peer| peer.0) }
}

/// An administrator.
#[derive(Debug, Clone)]
pub(crate) struct Admin(pub(crate) Caller);

impl<S: Sync> FromRequestParts<S> for Admin {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Failure> {
        let principal = principal(parts)?;
        match principal.role {
            Role::Admin => Ok(Self(caller(parts, Who::Known(principal)))),
            Role::Viewer | Role::Device => Err(forbidden("an administrator's token")),
        }
    }
}

/// Whoever may look: an administrator or a viewer.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Viewer;

impl<S: Sync> FromRequestParts<S> for Viewer {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Failure> {
        match principal(parts)?.role {
            Role::Admin | Role::Viewer => Ok(Self),
            Role::Device => Err(forbidden("a viewer's or an administrator's token")),
        }
    }
}

/// Whoever may enrol a device: who has a join code, or an administrator. The path is public, so this
/// looks at the credential by itself.
#[derive(Debug, Clone)]
pub(crate) struct Registrar {
    pub(crate) voucher: Voucher,
    pub(crate) caller: Caller,
}

impl FromRequestParts<Shared> for Registrar {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, shared: &Shared) -> Result<Self, Failure> {
        let token = bearer(&parts.headers);
        if let Some(proof) = token.and_then(JoinProof::from_bearer) {
            let voucher = Voucher::Code(proof.hash());
            return Ok(Self { voucher, caller: caller(parts, Who::Stranger) });
        }
        let here = parts.extensions.get::<Principal>().cloned();
        let principal = here.or_else(|| shared.views.principal(token?)).ok_or_else(unauthorized)?;
        match principal.role {
            Role::Admin => {
                let caller = caller(parts, Who::Known(principal));
                Ok(Self { voucher: Voucher::Admin, caller })
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
    pub(crate) fn is(self, named: DeviceId) -> Result<DeviceId, Failure> {
        if self.0 == named { Ok(named) } else { Err(forbidden("the token of that device")) }
    }
}

impl<S: Sync> FromRequestParts<S> for OfDevice {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Failure> {
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
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Failure> {
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
