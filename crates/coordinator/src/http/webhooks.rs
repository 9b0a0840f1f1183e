//! `/webhooks`: addresses that hear of notices.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use protocol::webhook::{CreatedWebhook, Webhook, WebhookRequest, WebhookResult};
use protocol::{DeliveryId, WebhookId};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::Shared;
use super::auth::Admin;
use super::extract::{Body, InPath};
use super::problem::{Answer, Failure};
use crate::clock;
use crate::telling::{check_secret, check_url};

pub(super) fn routes() -> OpenApiRouter<Shared> {
    OpenApiRouter::new().routes(routes!(list, create)).routes(routes!(remove)).routes(routes!(test))
}

/// Every webhook, without its secret.
#[utoipa::path(get, path = "/webhooks", tag = "notices", security(("token" = ["admin"])),
    responses((status = 200, body = Vec<Webhook>)))]
async fn list(_: Admin, State(shared): State<Shared>) -> Json<Vec<Webhook>> {
    Json(shared.views.webhooks())
}

/// Adds a webhook. Its secret is shown this once.
#[utoipa::path(post, path = "/webhooks", tag = "notices", request_body = WebhookRequest,
    security(("token" = ["admin"])),
    responses((status = 201, body = CreatedWebhook)))]
async fn create(
    Admin(caller): Admin,
    State(shared): State<Shared>,
    Body(mut request): Body<WebhookRequest>,
) -> Answer<(StatusCode, Json<CreatedWebhook>)> {
    check_url(&request.url)
        .map_err(|fault| Failure::invalid("invalid-webhook", fault.to_string()).at("url"))?;
    if request.secret.as_deref().is_some_and(|secret| !check_secret(secret)) {
        let words = "must be whsec_ and the base64 of 24 to 64 bytes; leave it out to get one";
        return Err(Failure::invalid("invalid-webhook", words).at("secret"));
    }
    request.events.sort_unstable();
    request.events.dedup();
    Ok((StatusCode::CREATED, Json(shared.driver.by(&caller).add_webhook(request).await?)))
}

/// Forgets a webhook, and what it did not hear yet.
#[utoipa::path(delete, path = "/webhooks/{id}", tag = "notices", security(("token" = ["admin"])),
    params(("id" = WebhookId, Path)),
    responses((status = 204, description = "It hears no more")))]
async fn remove(
    Admin(caller): Admin,
    State(shared): State<Shared>,
    InPath(id): InPath<WebhookId>,
) -> Answer<StatusCode> {
    shared.driver.by(&caller).remove_webhook(id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Sends a test now, once, and says how that ended.
#[utoipa::path(post, path = "/webhooks/{id}/test", tag = "notices", security(("token" = ["admin"])),
    params(("id" = WebhookId, Path)), responses((status = 200, body = WebhookResult)))]
async fn test(
    _: Admin,
    State(shared): State<Shared>,
    InPath(id): InPath<WebhookId>,
) -> Answer<Json<WebhookResult>> {
    let target = shared.driver.webhook(id).await?;
    let delivery = DeliveryId::from_uuid(Uuid::now_v7());
    let payload = shared.courier.test_payload(clock::now());
    let result = shared.courier.send(&target.url, &target.secret, delivery, &payload).await;
    shared.driver.webhook_tested(id, result.clone()).await?;
    Ok(Json(result))
}
