//! `/webhooks`: URLs that receive notices.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use protocol::webhook::{CreatedWebhook, Webhook, WebhookRequest, WebhookResult};
use protocol::{DeliveryId, WebhookId};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use crate::clock;
use crate::http::auth::extractors::Admin;
use crate::http::extract::{Body, InPath};
use crate::http::problem::{ApiError, ApiResult};
use crate::http::state::ApiState;
use crate::notifications::{check_secret, check_url};

pub(crate) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new().routes(routes!(list, create)).routes(routes!(remove)).routes(routes!(test))
}

/// Lists the webhooks, without secrets.
#[utoipa::path(get, path = "/webhooks", tag = "notices", security(("token" = ["admin"])),
    responses((status = 200, body = Vec<Webhook>)))]
async fn list(_: Admin, State(shared): State<ApiState>) -> Json<Vec<Webhook>> {
    Json(shared.views.webhooks())
}

/// Adds a webhook.
///
/// Its secret is never shown again.
#[utoipa::path(post, path = "/webhooks", tag = "notices", request_body = WebhookRequest,
    security(("token" = ["admin"])),
    responses((status = 201, body = CreatedWebhook)))]
async fn create(
    Admin(caller): Admin,
    State(shared): State<ApiState>,
    Body(mut request): Body<WebhookRequest>,
) -> ApiResult<(StatusCode, Json<CreatedWebhook>)> {
    check_url(&request.url)
        .map_err(|fault| ApiError::invalid("invalid-webhook", fault.to_string()).at("url"))?;
    if request.secret.as_deref().is_some_and(|secret| !check_secret(secret)) {
        let words = "must be whsec_ and the base64 of 24 to 64 bytes; omit it to generate one";
        return Err(ApiError::invalid("invalid-webhook", words).at("secret"));
    }
    request.events.sort_unstable();
    request.events.dedup();
    Ok((StatusCode::CREATED, Json(shared.driver.audited(&caller).add_webhook(request).await?)))
}

/// Deletes a webhook and its pending deliveries.
#[utoipa::path(delete, path = "/webhooks/{id}", tag = "notices", security(("token" = ["admin"])),
    params(("id" = WebhookId, Path)),
    responses((status = 204, description = "The webhook was removed")))]
async fn remove(
    Admin(caller): Admin,
    State(shared): State<ApiState>,
    InPath(id): InPath<WebhookId>,
) -> ApiResult<StatusCode> {
    shared.driver.audited(&caller).remove_webhook(id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Sends one test delivery now and returns its result.
#[utoipa::path(post, path = "/webhooks/{id}/test", tag = "notices", security(("token" = ["admin"])),
    params(("id" = WebhookId, Path)), responses((status = 200, body = WebhookResult)))]
async fn test(
    _: Admin,
    State(shared): State<ApiState>,
    InPath(id): InPath<WebhookId>,
) -> ApiResult<Json<WebhookResult>> {
    let target = shared.driver.webhook(id).await?;
    let delivery = DeliveryId::from_uuid(Uuid::now_v7());
    let payload = shared.webhook_sender.test_payload(clock::now());
    let result = shared.webhook_sender.send(&target.url, &target.secret, delivery, &payload).await;
    shared.driver.webhook_tested(id, result.clone()).await?;
    Ok(Json(result))
}
