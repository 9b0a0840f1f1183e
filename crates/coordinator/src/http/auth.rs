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

use super::failures::Allowance;
use super::problem::Failure;
use super::public::is_public;
use super::strangers::Introduction;
use super::{Shared, cookie, downloads};
use crate::caller::{Caller, PeerAddress, Principal, Who};
use crate::clock;
use crate::credential::{Carrier, Credential, CredentialKind};
use crate::driver::Voucher;

/// What a request shows.
enum Shown {
    Nothing,
    /// By this process itself.
    Inside,
    Good(Arc<Credential>),
    /// A session in its cookie, which a browser sends by itself.
    ByCookie(Arc<Credential>),
    Bad(Bad),
}

/// A credential that doesn't count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Bad {
    Token,
    /// The ticket of a download.
    Ticket,
}

impl Bad {
    /// As the audit log calls it.
    const fn word(self) -> &'static str {
        match self {
            Self::Token => "token",
            Self::Ticket => "download",
        }
    }

    fn failure(self) -> Failure {
        match self {
            Self::Token => unauthorized(),
            Self::Ticket => downloads::used_up(),
        }
    }
}

/// Why a request does not pass.
pub(super) enum Refused {
    At(Failure),
    Bad(Bad, Option<PeerAddress>),
}

impl Refused {
    pub(super) async fn answer(self, shared: &Shared) -> Failure {
        match self {
            Self::At(failure) => failure,
            Self::Bad(bad, peer) => {
                refuse(shared, peer, Allowance::Credentials, bad.word(), bad.failure()).await
            }
        }
    }
}

/// Writes into a request whose credential counts who it is from.
pub(super) fn authenticate(shared: &Shared, request: &mut Request) -> Result<(), Refused> {
    let now = clock::now();
    let route = request.extensions().get::<MatchedPath>();
    let public = route.is_some_and(|route| is_public(request.method(), route.as_str()));
    let credential = match shown(shared, request, now) {
        Shown::Inside => return Ok(()),
        // A stranger's path does nothing for a session, so that no other site can use it.
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
    if let Some(introduction) = request.extensions().get::<Introduction>() {
        introduction.made();
    }
    if credential.principal.role != Role::Device && credential.used(now) {
        shared.driver.used(credential.kind, credential.id.clone(), now);
    }
    let extensions = request.extensions_mut();
    extensions.insert(credential.principal.clone());
    extensions.insert(credential);
    Ok(())
}

fn shown(shared: &Shared, request: &Request, now: Timestamp) -> Shown {
    if request.extensions().get::<Principal>().is_some() {
        return Shown::Inside;
    }
    let headers = request.headers();
    let carrier = cookie::carrier(request.uri(), headers, request.extensions());
    if headers.contains_key(header::AUTHORIZATION) {
        return by_bearer(shared, headers, carrier, now);
    }
    if let Some(asked) = downloads::asked(request) {
        let credential = shared.tickets.take(&asked, now);
        return credential.map_or(Shown::Bad(Bad::Ticket), Shown::Good);
    }
    match (carrier, shared.cookie.of(headers)) {
        (Carrier::Cookie, Some(secret)) => {
            session(shared, carrier, secret, now).map_or(Shown::Nothing, Shown::ByCookie)
        }
        (Carrier::Tab, _) | (Carrier::Cookie, None) => Shown::Nothing,
    }
}

/// A token, or the session of a tab where sessions are carried so.
fn by_bearer(shared: &Shared, headers: &HeaderMap, carrier: Carrier, now: Timestamp) -> Shown {
    let Some(text) = bearer(headers) else { return Shown::Bad(Bad::Token) };
    if carrier == Carrier::Tab && carrier.carries(text) {
        // A tab goes on to show what ended by itself.
        return session(shared, carrier, text, now).map_or(Shown::Nothing, Shown::Good);
    }
    let token = known(shared, CredentialKind::Token, text, now);
    token.map_or(Shown::Bad(Bad::Token), Shown::Good)
}

fn session(
    shared: &Shared,
    carrier: Carrier,
    secret: &str,
    now: Timestamp,
) -> Option<Arc<Credential>> {
    known(shared, CredentialKind::Session, secret, now).filter(|_| carrier.carries(secret))
}

fn known(
    shared: &Shared,
    kind: CredentialKind,
    text: &str,
    now: Timestamp,
) -> Option<Arc<Credential>> {
    let known = shared.views.credential(blake3::hash(text.as_bytes()).as_bytes());
    known.filter(|known| known.kind == kind && known.counts(now))
}

/// The answer to a credential that doesn't count, called `what` in the audit log: `failure`, or that there
/// were too many of them. Failures are written to the audit log, as far as that has room for them.
pub(super) async fn refuse(
    shared: &Shared,
    peer: Option<PeerAddress>,
    allowance: Allowance,
    what: &'static str,
    failure: Failure,
) -> Failure {
    let from = peer.map(|peer| peer.0);
    let failed = shared.failures.failed(allowance, from, clock::now());
    if let Some(unwritten) = failed.write {
        let caller = Caller { who: Who::Stranger, from };
        // The peer is refused whether that can be written or not.
        if let Err(refusal) = shared.driver.by(&caller).refused(what, unwritten).await {
            tracing::warn!(%refusal, "a refused credential could not be written down");
        }
    }
    failed.too_many.map_or(failure, Failure::too_many)
}

/// Refuses a peer that typed too many wrong codes lately.
pub(super) fn check_typed_codes(shared: &Shared, caller: &Caller) -> Result<(), Failure> {
    let held_up = shared.failures.held_up(Allowance::TypedCodes, caller.from, clock::now());
    held_up.map_or(Ok(()), |wait| Err(Failure::too_many(wait)))
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let text = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = text.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(token.trim())
}

pub(super) fn unauthorized() -> Failure {
    Failure::new(
        StatusCode::UNAUTHORIZED,
        "unauthorized",
        "Unauthorized",
        "send a token that counts, with the header Authorization: Bearer TOKEN; a browser signs in \
         by a link of `constellation coordinator sign-in`",
    )
}

/// Refuses peers that speak a later version than ours; who says none is a person with curl.
pub(super) fn check_protocol(headers: &HeaderMap) -> Result<(), Failure> {
    let said = headers.get(PROTOCOL_HEADER);
    let version = said.map(|value| value.to_str().ok().and_then(|text| text.parse::<u32>().ok()));
    match version {
        None | Some(Some(1..=PROTOCOL_VERSION)) => Ok(()),
        Some(_) => Err(Failure::bad_request(
            "protocol-version",
            format!(
                "this coordinator speaks versions 1 to {PROTOCOL_VERSION} of the protocol; \
                 update it, or this peer"
            ),
        )),
    }
}

fn forbidden(needed: &str) -> Failure {
    let detail = format!("this credential may not do that; it takes {needed}");
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
#[derive(Debug, Clone)]
pub(crate) struct Viewer(pub(crate) Caller);

impl<S: Sync> FromRequestParts<S> for Viewer {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Failure> {
        let principal = principal(parts)?;
        match principal.role {
            Role::Admin | Role::Viewer => Ok(Self(caller(parts, Who::Known(principal)))),
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
