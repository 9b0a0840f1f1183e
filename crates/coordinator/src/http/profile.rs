//! `/profile`: a configuration profile that makes a Mac a device of this cluster, for an MDM.

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use protocol::join::JoinCode;
use protocol::profile::Profile;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Shared;
use super::auth::Admin;
use super::extract::Body;
use super::problem::{ApiError, ApiResult};

const KIND: &str = "application/x-apple-aspen-config";

pub(super) fn routes() -> OpenApiRouter<Shared> {
    OpenApiRouter::new().routes(routes!(make))
}

/// Body of `POST /profile`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
struct ProfileRequest {
    /// A join link of this cluster, as it was shown when it was made; one for many uses that lasts as long
    /// as the profile is handed out.
    link: String,
}

/// A configuration profile (`.mobileconfig`, not signed) with which a Mac becomes a device of this
/// cluster. It holds the link's secret.
#[utoipa::path(post, path = "/profile", tag = "join codes", security(("token" = ["admin"])),
    request_body = ProfileRequest,
    responses((status = 200, content_type = "application/x-apple-aspen-config", body = String)))]
async fn make(
    _: Admin,
    State(shared): State<Shared>,
    Body(asked): Body<ProfileRequest>,
) -> ApiResult<Response> {
    let wrong = |words: String| ApiError::invalid("invalid-link", words).at("link");
    let code: JoinCode = asked.link.trim().parse().map_err(|error| wrong(format!("{error}")))?;
    if code.pin != shared.cluster.pin {
        return Err(wrong("is of another cluster; make one here (POST /join-codes)".to_owned()));
    }
    let Some(address) = code.addresses.first() else {
        return Err(wrong("names no address of the coordinator; make another".to_owned()));
    };
    let url = format!("https://{address}");
    let certificate = shared.cluster.certified.cert.first().map(AsRef::as_ref);
    let profile = Profile { code: &code, url: &url, certificate, team_id: None }.to_xml();
    let named = [
        (header::CONTENT_TYPE, KIND),
        (header::CONTENT_DISPOSITION, "attachment; filename=\"constellation.mobileconfig\""),
        (header::CACHE_CONTROL, "no-store"),
    ];
    Ok((StatusCode::OK, named, profile).into_response())
}
