//! `/sessions`: sign-in and sign-out.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use protocol::api::Role;
use protocol::session::{Current, EndedSessions, Session, SignIn, SignInLink, SignInLinkRequest};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::access::caller::{Caller, CallerIdentity, PeerAddress};
use crate::access::credential::{Carrier, Credential, CredentialKind, SESSION_IDLE};
use crate::clock;
use crate::driver::DriverError;
use crate::http::auth::extractors::{Admin, Viewer, refuse};
use crate::http::auth::rate_limit::Allowance;
use crate::http::extract::{Body, InPath};
use crate::http::problem::{ApiError, ApiResult};
use crate::http::state::ApiState;
use crate::http::texts::check_text;
use crate::store::Reader;

pub(crate) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new()
        .routes(routes!(list, sign_in, end_all))
        .routes(routes!(link))
        .routes(routes!(current, sign_out))
        .routes(routes!(end))
}

/// Creates a link that signs in one person, once, within five minutes.
#[utoipa::path(post, path = "/sessions/links", tag = "sessions",
    request_body = SignInLinkRequest, security(("token" = ["admin"])),
    responses((status = 201, body = SignInLink)))]
async fn link(
    admin: Admin,
    State(shared): State<ApiState>,
    Body(asked): Body<SignInLinkRequest>,
) -> ApiResult<(StatusCode, Json<SignInLink>)> {
    match asked.role {
        Role::Admin | Role::Viewer => {}
        Role::Device => {
            let words = "must be admin or viewer";
            return Err(ApiError::invalid("invalid-link", words).at("role"));
        }
    }
    check_text("invalid-link", "name", &asked.name, 100)?;
    Ok((
        StatusCode::CREATED,
        Json(shared.driver.audited(&admin.0).create_sign_in_link(asked).await?),
    ))
}

/// Signs in with a link's code.
///
/// Over TLS the response sets the session cookie. On the coordinator's own machine the response has
/// the session's secret as `token`, which the page then sends as a bearer token. A code has 128
/// bits, so it is checked even if its address has reached the failure limit.
#[utoipa::path(post, path = "/sessions", tag = "sessions", request_body = SignIn,
    responses((status = 201, body = Current)))]
async fn sign_in(
    caller: Caller,
    carrier: Carrier,
    State(shared): State<ApiState>,
    Body(shown): Body<SignIn>,
) -> ApiResult<Response> {
    let caller = Caller { who: CallerIdentity::Stranger, ..caller };
    let began = match shared.driver.audited(&caller).sign_in(shown.code, carrier).await {
        Ok(began) => began,
        Err(DriverError::UnknownSignInCode) => {
            let peer = caller.from.map(PeerAddress);
            let failure = DriverError::UnknownSignInCode.into();
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

/// Returns the current session.
#[utoipa::path(get, path = "/sessions/current", tag = "sessions",
    security(("token" = ["viewer", "admin"])), responses((status = 200, body = Current)))]
async fn current(
    viewer: Viewer,
    credential: Option<Extension<Arc<Credential>>>,
) -> ApiResult<Json<Current>> {
    let CallerIdentity::Known(principal) = viewer.0.who else {
        return Err(ApiError::internal("the request has no caller"));
    };
    let expires_at = credential.and_then(|credential| credential.ends_at());
    let name = principal.name.to_string();
    Ok(Json(Current { role: principal.role, name, expires_at, token: None }))
}

/// Signs out.
#[utoipa::path(delete, path = "/sessions/current", tag = "sessions",
    security(("token" = ["viewer", "admin"])),
    responses((status = 204, description = "The session has ended")))]
async fn sign_out(
    viewer: Viewer,
    credential: Option<Extension<Arc<Credential>>>,
    carrier: Carrier,
    State(shared): State<ApiState>,
) -> ApiResult<Response> {
    let session = credential.filter(|credential| credential.kind == CredentialKind::Session);
    let session = session.ok_or(DriverError::UnknownSession)?;
    shared.driver.audited(&viewer.0).end_session(session.id.clone()).await?;
    if carrier == Carrier::Tab {
        return Ok(StatusCode::NO_CONTENT.into_response());
    }
    let cookie = HeaderValue::from_str(&shared.cookie.clear());
    let cookie = cookie.map_err(|error| ApiError::internal(error.to_string()))?;
    Ok((StatusCode::NO_CONTENT, [(header::SET_COOKIE, cookie)]).into_response())
}

/// Lists the sessions.
#[utoipa::path(get, path = "/sessions", tag = "sessions", security(("token" = ["admin"])),
    responses((status = 200, body = Vec<Session>)))]
async fn list(_: Admin, State(shared): State<ApiState>) -> ApiResult<Json<Vec<Session>>> {
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

/// Ends a session at once.
#[utoipa::path(delete, path = "/sessions/{id}", tag = "sessions", params(("id" = String, Path)),
    security(("token" = ["admin"])),
    responses((status = 204, description = "The session has ended")))]
async fn end(
    admin: Admin,
    State(shared): State<ApiState>,
    InPath(id): InPath<String>,
) -> ApiResult<StatusCode> {
    shared.driver.audited(&admin.0).end_session(id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Ends all sessions at once, including the caller's own.
#[utoipa::path(delete, path = "/sessions", tag = "sessions", security(("token" = ["admin"])),
    responses((status = 200, body = EndedSessions)))]
async fn end_all(admin: Admin, State(shared): State<ApiState>) -> ApiResult<Json<EndedSessions>> {
    let ended = shared.driver.audited(&admin.0).end_sessions().await?;
    Ok(Json(EndedSessions { ended }))
}
