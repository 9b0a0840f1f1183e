//! `/profile`: a configuration profile that makes a Mac a device of this cluster, for an MDM.

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use protocol::join::JoinCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::Shared;
use super::auth::Admin;
use super::extract::Body;
use super::problem::{Answer, Failure};

/// What MDMs send by this type are settings of the app with this bundle id.
const DOMAIN: &str = "com.constellation.app";
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
) -> Answer<Response> {
    let wrong = |words: String| Failure::invalid("invalid-link", words).at("link");
    let code: JoinCode = asked.link.trim().parse().map_err(|error| wrong(format!("{error}")))?;
    if code.pin != shared.cluster.pin {
        return Err(wrong("is of another cluster; make one here (POST /join-codes)".to_owned()));
    }
    let Some(address) = code.addresses.first() else {
        return Err(wrong("names no address of the coordinator; make another".to_owned()));
    };
    let profile = profile(&code, &format!("https://{address}"), [Uuid::now_v7(), Uuid::now_v7()]);
    let named = [
        (header::CONTENT_TYPE, KIND),
        (header::CONTENT_DISPOSITION, "attachment; filename=\"constellation.mobileconfig\""),
        (header::CACHE_CONTROL, "no-store"),
    ];
    Ok((StatusCode::OK, named, profile).into_response())
}

/// Apple's "Configuration Profile Reference": a profile around one payload, whose type is the domain
/// that it sets.
fn profile(code: &JoinCode, url: &str, [outer, inner]: [Uuid; 2]) -> String {
    let (pin, secret) = (code.pin.to_string(), code.secret.typed());
    let settings = [
        ("Mode", "worker"),
        ("CoordinatorURL", url),
        ("CoordinatorPin", &pin),
        ("EnrollmentCode", &secret),
    ];
    let settings: String = settings.iter().map(|(key, value)| entry(3, key, value)).collect();
    let organization = &code.cluster_name;
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
         <!DOCTYPE plist PUBLIC \"-//Apple//DTD PLIST 1.0//EN\" \
         \"http://www.apple.com/DTDs/PropertyList-1.0.dtd\">\n\
         <plist version=\"1.0\">\n<dict>\n{head}  <key>PayloadContent</key>\n  <array>\n    <dict>\n\
         {payload}{settings}    </dict>\n  </array>\n</dict>\n</plist>\n",
        head = [
            payload(1, "Configuration", &format!("{DOMAIN}.profile"), outer),
            entry(1, "PayloadDisplayName", &format!("Constellation: {organization}")),
            entry(1, "PayloadScope", "System"),
        ]
        .concat(),
        payload = payload(3, DOMAIN, &format!("{DOMAIN}.settings"), inner),
    )
}

fn payload(depth: usize, kind: &str, identifier: &str, id: Uuid) -> String {
    let indent = "  ".repeat(depth);
    let id = id.hyphenated().to_string().to_uppercase();
    [
        entry(depth, "PayloadType", kind),
        entry(depth, "PayloadIdentifier", identifier),
        entry(depth, "PayloadUUID", &id),
        format!("{indent}<key>PayloadVersion</key>\n{indent}<integer>1</integer>\n"),
    ]
    .concat()
}

fn entry(depth: usize, key: &str, value: &str) -> String {
    let indent = "  ".repeat(depth);
    let value = value.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    format!("{indent}<key>{key}</key>\n{indent}<string>{value}</string>\n")
}
