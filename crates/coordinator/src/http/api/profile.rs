//! `/profile`: a configuration profile with which an MDM enrolls Macs in this cluster.

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use protocol::join::JoinCode;
use protocol::profile::Profile;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::http::auth::extractors::Admin;
use crate::http::extract::Body;
use crate::http::problem::{ApiError, ApiResult};
use crate::http::state::ApiState;

/// Media type of a configuration profile.
const CONTENT_TYPE: &str = "application/x-apple-aspen-config";

pub(crate) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new().routes(routes!(make))
}

/// Body of `POST /profile`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
struct ProfileRequest {
    /// A join link of this cluster. Make one for many uses that is valid for as long as the profile is in use.
    link: String,
}

/// Makes an unsigned configuration profile (`.mobileconfig`) that enrolls Macs in this cluster. It contains
/// the link's secret.
#[utoipa::path(post, path = "/profile", tag = "join codes", security(("token" = ["admin"])),
    request_body = ProfileRequest,
    responses((status = 200, content_type = "application/x-apple-aspen-config", body = String)))]
async fn make(
    _: Admin,
    State(shared): State<ApiState>,
    Body(request): Body<ProfileRequest>,
) -> ApiResult<Response> {
    let wrong = |message: String| ApiError::invalid("invalid-link", message).at("link");
    let code: JoinCode = request.link.trim().parse().map_err(|error| wrong(format!("{error}")))?;
    if code.pin != shared.cluster.pin {
        return Err(wrong(
            "belongs to another cluster; make a join code of this one (POST /join-codes)"
                .to_owned(),
        ));
    }
    let Some(address) = code.addresses.first() else {
        return Err(wrong("has no address of the coordinator; make another join code".to_owned()));
    };
    let url = format!("https://{address}");
    let certificate = shared.cluster.certified.cert.first().map(AsRef::as_ref);
    let profile = Profile { code: &code, url: &url, certificate, team_id: None }.to_xml();
    let headers = [
        (header::CONTENT_TYPE, CONTENT_TYPE),
        (header::CONTENT_DISPOSITION, "attachment; filename=\"constellation.mobileconfig\""),
        (header::CACHE_CONTROL, "no-store"),
    ];
    Ok((StatusCode::OK, headers, profile).into_response())
}
