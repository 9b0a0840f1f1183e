//! `/sessions`: signing in and out.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use protocol::api::Role;
use protocol::session::{Current, EndedSessions, Session, SignIn, SignInLink, SignInLinkRequest};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Shared;
use super::auth::{Admin, Viewer, refuse};
use super::extract::{Body, InPath};
use super::failures::Allowance;
use super::problem::{Answer, Failure};
use super::texts::check_text;
use crate::caller::{Caller, PeerAddress, Who};
use crate::clock;
use crate::credential::{Carrier, Credential, CredentialKind, SESSION_IDLE};
use crate::driver::Refusal;
use crate::store::Reader;

pub(super) fn routes() -> OpenApiRouter<Shared> {
    OpenApiRouter::new()
        .routes(routes!(list, sign_in, end_all))
        .routes(routes!(link))
        .routes(routes!(current, sign_out))
        .routes(routes!(end))
}

/// Makes a link that signs one person in, once, within five minutes.
#[utoipa::path(post, path = "/sessions/links", tag = "sessions",
    request_body = SignInLinkRequest, security(("token" = ["admin"])),
    responses((status = 201, body = SignInLink)))]
async fn link(
    admin: Admin,
    State(shared): State<Shared>,
    Body(asked): Body<SignInLinkRequest>,
) -> Answer<(StatusCode, Json<SignInLink>)> {
    match asked.role {
        Role::Admin | Role::Viewer => {}
        Role::Device => {
            let words = "people are viewers or administrators; choose admin or viewer";
            return Err(Failure::invalid("invalid-link", words).at("role"));
        }
    }
    check_text("invalid-link", "name", &asked.name, 100)?;
    Ok((StatusCode::CREATED, Json(shared.driver.by(&admin.0).create_sign_in_link(asked).await?)))
}

/// Signs in by a link's code. Over TLS the answer sets the session's cookie; on the coordinator's own
/// machine it has the session's secret as `token`, which the page shows as a bearer from then on. A
/// code has 128 bits, so it is looked at whatever else its address showed.
#[utoipa::path(post, path = "/sessions", tag = "sessions", request_body = SignIn,
    responses((status = 201, body = Current)))]
async fn sign_in(
    caller: Caller,
    carrier: Carrier,
    State(shared): State<Shared>,
    Body(shown): Body<SignIn>,
) -> Answer<Response> {
    let caller = Caller { who: Who::Stranger, ..caller };
    let began = match shared.driver.by(&caller).sign_in(shown.code, carrier).await {
        Ok(began) => began,
        Err(Refusal::UnknownSignInCode) => {
            let peer = caller.from.map(PeerAddress);
            let failure = Refusal::UnknownSignInCode.into();
            let allowance = Allowance::Credentials;
            return Err(refuse(&shared, peer, allowance, "sign_in_link", failure).await);
        }
        Err(refusal) => return Err(refusal.into()),
    };
    let expires_at = Some(clock::now().after(SESSION_IDLE));
    let current = Current { role: began.role, name: began.name, expires_at, token: None };
    Ok(match carrier {
        Carrier::Cookie => {
            let cookie = [(header::SET_COOKIE, shared.cookie.set(&began.secret))];
            (StatusCode::CREATED, cookie, Json(current)).into_response()
        }
        Carrier::Tab => {
            let current = Current { token: Some(began.secret), ..current };
            (StatusCode::CREATED, Json(current)).into_response()
        }
    })
}

/// Who asks.
#[utoipa::path(get, path = "/sessions/current", tag = "sessions",
    security(("token" = ["viewer", "admin"])), responses((status = 200, body = Current)))]
async fn current(
    viewer: Viewer,
    credential: Option<Extension<Arc<Credential>>>,
) -> Answer<Json<Current>> {
    let Who::Known(principal) = viewer.0.who else {
        return Err(Failure::internal("nobody was let in"));
    };
    let expires_at = credential.and_then(|credential| credential.ends_at());
    let name = principal.name.to_string();
    Ok(Json(Current { role: principal.role, name, expires_at, token: None }))
}

/// Signs out.
#[utoipa::path(delete, path = "/sessions/current", tag = "sessions",
    security(("token" = ["viewer", "admin"])),
    responses((status = 204, description = "The session is over")))]
async fn sign_out(
    viewer: Viewer,
    credential: Option<Extension<Arc<Credential>>>,
    carrier: Carrier,
    State(shared): State<Shared>,
) -> Answer<Response> {
    let session = credential.filter(|credential| credential.kind == CredentialKind::Session);
    let session = session.ok_or(Refusal::UnknownSession)?;
    shared.driver.by(&viewer.0).end_session(session.id.clone()).await?;
    if carrier == Carrier::Tab {
        return Ok(StatusCode::NO_CONTENT.into_response());
    }
    let cookie = HeaderValue::from_str(&shared.cookie.clear());
    let cookie = cookie.map_err(|error| Failure::internal(error.to_string()))?;
    Ok((StatusCode::NO_CONTENT, [(header::SET_COOKIE, cookie)]).into_response())
}

/// Every session.
#[utoipa::path(get, path = "/sessions", tag = "sessions", security(("token" = ["admin"])),
    responses((status = 200, body = Vec<Session>)))]
async fn list(_: Admin, State(shared): State<Shared>) -> Answer<Json<Vec<Session>>> {
    let (rows, now) = (shared.read(Reader::sessions).await?, clock::now());
    let sessions = rows.into_iter().map(|row| Session {
        id: row.id,
        role: row.role,
        name: row.name,
        from: row.from,
        created_at: row.created_at,
        last_used: row.last_used,
        expires_at: row.last_used.after(SESSION_IDLE),
    });
    Ok(Json(sessions.filter(|session| now < session.expires_at).collect()))
}

/// Ends a session, at once.
#[utoipa::path(delete, path = "/sessions/{id}", tag = "sessions", params(("id" = String, Path)),
    security(("token" = ["admin"])),
    responses((status = 204, description = "It no longer counts")))]
async fn end(
    admin: Admin,
    State(shared): State<Shared>,
    InPath(id): InPath<String>,
) -> Answer<StatusCode> {
    shared.driver.by(&admin.0).end_session(id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Ends every session, at once; also the caller's own.
#[utoipa::path(delete, path = "/sessions", tag = "sessions", security(("token" = ["admin"])),
    responses((status = 200, body = EndedSessions)))]
async fn end_all(admin: Admin, State(shared): State<Shared>) -> Answer<Json<EndedSessions>> {
    let ended = shared.driver.by(&admin.0).end_sessions().await?;
    Ok(Json(EndedSessions { ended }))
}
