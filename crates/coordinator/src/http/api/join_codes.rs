//! `/join-codes`: codes for people and programs that enroll devices.

use std::net::SocketAddr;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use protocol::join::{CreatedJoinCode, JoinCode, JoinCodeRequest, JoinCodeView};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use crate::clock;
use crate::driver::{MadeJoinCode, NewJoinCode};
use crate::http::auth::extractors::Admin;
use crate::http::extract::{Body, InPath};
use crate::http::problem::{ApiError, ApiResult};
use crate::http::state::ApiState;
use crate::http::texts::check_text;
use crate::loopback::listen_command;
use crate::store::Reader;

const DEFAULT_LIFE: Duration = Duration::from_hours(7 * 24);
/// Longest lifetime of a join code, for codes in configuration profiles, which stay as long as a
/// fleet.
const LONGEST_LIFE: Duration = Duration::from_hours(10 * 365 * 24);
const MOST_USES: u32 = 1_000_000;
const LONGEST_NAME: usize = 100;

pub(crate) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new().routes(routes!(list, create)).routes(routes!(revoke))
}

/// Lists the join codes and their states, without secrets.
#[utoipa::path(get, path = "/join-codes", tag = "join codes", security(("token" = ["admin"])),
    responses((status = 200, body = Vec<JoinCodeView>)))]
async fn list(_: Admin, State(shared): State<ApiState>) -> ApiResult<Json<Vec<JoinCodeView>>> {
    let now = clock::now();
    let rows = shared.read(Reader::join_codes).await?;
    Ok(Json(rows.iter().map(|row| row.view(now)).collect()))
}

/// Creates a join code.
///
/// The response contains its link and its typed code, which are never shown again.
#[utoipa::path(post, path = "/join-codes", tag = "join codes", request_body = JoinCodeRequest,
    security(("token" = ["admin"])),
    responses((status = 201, body = CreatedJoinCode)))]
async fn create(
    admin: Admin,
    State(shared): State<ApiState>,
    Body(request): Body<JoinCodeRequest>,
) -> ApiResult<(StatusCode, Json<CreatedJoinCode>)> {
    let asked = checked(request)?;
    let MadeJoinCode { row, secret } =
        shared.driver.audited(&admin.0).create_join_code(asked).await?;
    let cluster = &shared.cluster;
    let cluster_id = Uuid::parse_str(&cluster.id)
        .map_err(|error| ApiError::internal(format!("the cluster's id: {error}")))?;
    let code = JoinCode {
        cluster_name: cluster.name.clone(),
        cluster_id,
        addresses: addresses(shared.address),
        pin: cluster.pin,
        secret,
    };
    let created = CreatedJoinCode {
        id: row.id,
        name: row.name,
        link: code.link(),
        code: code.secret.typed(),
        maximum_uses: row.maximum_uses,
        expires_at: row.expires_at,
        listen_command: listen_command(shared.address),
    };
    Ok((StatusCode::CREATED, Json(created)))
}

fn checked(request: JoinCodeRequest) -> ApiResult<NewJoinCode> {
    let invalid =
        |words: String, field| Err(ApiError::invalid("invalid-join-code", words).at(field));
    check_text("invalid-join-code", "name", &request.name, LONGEST_NAME)?;
    let uses = request.uses.unwrap_or(1);
    if !(1..=MOST_USES).contains(&uses) {
        return invalid(format!("must be 1 to {MOST_USES}"), "uses");
    }
    let expires_in = request.expires_in.map_or(DEFAULT_LIFE, Duration::from_secs);
    if expires_in.is_zero() || expires_in > LONGEST_LIFE {
        let seconds = LONGEST_LIFE.as_secs();
        return invalid(format!("must be 1 to {seconds} seconds, ten years"), "expires_in");
    }
    Ok(NewJoinCode { name: request.name, uses, expires_in })
}

/// Returns the addresses at which devices can reach a coordinator that listens there.
fn addresses(listen: SocketAddr) -> Vec<String> {
    if !listen.ip().is_unspecified() {
        return vec![listen.to_string()];
    }
    let own = platform::addresses::local_addresses();
    own.into_iter().map(|ip| SocketAddr::new(ip, listen.port()).to_string()).collect()
}

/// Revokes a join code at once.
///
/// Devices that it enrolled stay enrolled.
#[utoipa::path(delete, path = "/join-codes/{id}", tag = "join codes",
    security(("token" = ["admin"])), params(("id" = String, Path)),
    responses((status = 204, description = "The code can't enroll devices any more")))]
async fn revoke(
    admin: Admin,
    State(shared): State<ApiState>,
    InPath(id): InPath<String>,
) -> ApiResult<StatusCode> {
    shared.driver.audited(&admin.0).revoke_join_code(id).await?;
    Ok(StatusCode::NO_CONTENT)
}
