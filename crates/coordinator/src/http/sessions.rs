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
use super::auth::{Admin, Viewer, check_failures, refuse};
use super::extract::{Body, InPath};
use super::peer::OverTls;
use super::problem::{Answer, Failure};
use super::texts::check_text;
use crate::caller::{Caller, PeerAddress, Who};
use crate::clock;
use crate::credential::{Credential, CredentialKind, SESSION_IDLE};
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

/// Signs in by a link's code; the answer sets the session's cookie.
#[utoipa::path(post, path = "/sessions", tag = "sessions", request_body = SignIn,
    responses((status = 201, body = Current)))]
async fn sign_in(
    caller: Caller,
    over_tls: Option<Extension<OverTls>>,
    State(shared): State<Shared>,
    Body(shown): Body<SignIn>,
) -> Answer<Response> {
    check_failures(&shared, &caller)?;
    let caller = Caller { who: Who::Stranger, ..caller };
    let began = match shared.driver.by(&caller).sign_in(shown.code).await {
        Ok(began) => began,
        Err(Refusal::UnknownSignInCode) => {
            let peer = caller.from.map(PeerAddress);
            let failure = Refusal::UnknownSignInCode.into();
            return Err(refuse(&shared, peer, "sign_in_link", failure).await);
        }
        Err(refusal) => return Err(refusal.into()),
    };
    let cookie = shared.cookie.set(&began.secret, over_tls.is_some());
    let expires_at = Some(clock::now().after(SESSION_IDLE));
    let current = Current { role: began.role, name: began.name, expires_at };
    Ok((StatusCode::CREATED, [(header::SET_COOKIE, cookie)], Json(current)).into_response())
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
    Ok(Json(Current { role: principal.role, name: principal.name.to_string(), expires_at }))
}

/// Signs out.
#[utoipa::path(delete, path = "/sessions/current", tag = "sessions",
    security(("token" = ["viewer", "admin"])),
    responses((status = 204, description = "The session is over")))]
async fn sign_out(
    viewer: Viewer,
    credential: Option<Extension<Arc<Credential>>>,
    over_tls: Option<Extension<OverTls>>,
    State(shared): State<Shared>,
) -> Answer<Response> {
    let session = credential.filter(|credential| credential.kind == CredentialKind::Session);
    let session = session.ok_or(Refusal::UnknownSession)?;
    shared.driver.by(&viewer.0).end_session(session.id.clone()).await?;
    let cookie = HeaderValue::from_str(&shared.cookie.clear(over_tls.is_some()));
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
