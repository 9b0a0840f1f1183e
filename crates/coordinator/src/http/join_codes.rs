//! `/join-codes`: what an administrator gives to whoever enrols devices.

use std::net::SocketAddr;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use protocol::join::{CreatedJoinCode, JoinCode, JoinCodeRequest, JoinCodeView};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::Shared;
use super::auth::Admin;
use super::extract::{Body, InPath};
use super::problem::{Answer, Failure};
use super::texts::check_text;
use crate::clock;
use crate::driver::{MadeJoinCode, NewJoinCode};
use crate::store::Reader;

const DEFAULT_LIFE: Duration = Duration::from_hours(7 * 24);
/// For codes in configuration profiles, which stay for as long as a fleet does.
const LONGEST_LIFE: Duration = Duration::from_hours(10 * 365 * 24);
const MOST_USES: u32 = 1_000_000;
const LONGEST_NAME: usize = 100;

pub(super) fn routes() -> OpenApiRouter<Shared> {
    OpenApiRouter::new().routes(routes!(list, create)).routes(routes!(revoke))
}

/// Every join code and whether it still counts; never the secret itself.
#[utoipa::path(get, path = "/join-codes", tag = "join codes", security(("token" = ["admin"])),
    responses((status = 200, body = Vec<JoinCodeView>)))]
async fn list(_: Admin, State(shared): State<Shared>) -> Answer<Json<Vec<JoinCodeView>>> {
    let now = clock::now();
    let rows = shared.read(Reader::join_codes).await?;
    Ok(Json(rows.iter().map(|row| row.view(now)).collect()))
}

/// Makes a join code. Its link and its typed code are shown this once.
#[utoipa::path(post, path = "/join-codes", tag = "join codes", request_body = JoinCodeRequest,
    security(("token" = ["admin"])),
    responses((status = 201, body = CreatedJoinCode)))]
async fn create(
    admin: Admin,
    State(shared): State<Shared>,
    Body(request): Body<JoinCodeRequest>,
) -> Answer<(StatusCode, Json<CreatedJoinCode>)> {
    let asked = checked(request)?;
    let MadeJoinCode { row, secret } = shared.driver.by(&admin.0).create_join_code(asked).await?;
    let cluster = &shared.cluster;
    let cluster_id = Uuid::parse_str(&cluster.id)
        .map_err(|error| Failure::internal(format!("the cluster's id: {error}")))?;
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
    };
    Ok((StatusCode::CREATED, Json(created)))
}

fn checked(request: JoinCodeRequest) -> Answer<NewJoinCode> {
    let invalid =
        |words: String, field| Err(Failure::invalid("invalid-join-code", words).at(field));
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

/// Where devices may find a coordinator that listens there.
fn addresses(listen: SocketAddr) -> Vec<String> {
    if !listen.ip().is_unspecified() {
        return vec![listen.to_string()];
    }
    let own = platform::addresses::own();
    own.into_iter().map(|ip| SocketAddr::new(ip, listen.port()).to_string()).collect()
}

/// Ends a join code, at once; devices that it enrolled stay.
#[utoipa::path(delete, path = "/join-codes/{id}", tag = "join codes",
    security(("token" = ["admin"])), params(("id" = String, Path)),
    responses((status = 204, description = "It enrols nobody any more")))]
async fn revoke(
    admin: Admin,
    State(shared): State<Shared>,
    InPath(id): InPath<String>,
) -> Answer<StatusCode> {
    shared.driver.by(&admin.0).revoke_join_code(id).await?;
    Ok(StatusCode::NO_CONTENT)
}
