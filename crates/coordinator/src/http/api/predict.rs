//! `/models/{name}/predict`: prediction for one text or image.

use std::time::{Duration, Instant};

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use data::{Row, Sample, image_decode, shard};
use protocol::api::{ClassProbability, Prediction, PredictionRequest};
use protocol::dataset::SampleShape;
use protocol::model::InputSpec;
use protocol::trainer::PredictRequest;
use tokio_util::sync::CancellationToken;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::models::{Version, find};
use crate::http::auth::extractors::Viewer;
use crate::http::extract::{Body, InPath, InQuery};
use crate::http::problem::{ApiError, ApiResult};
use crate::http::state::ApiState;
use crate::steps::StepError;
use crate::steps::Trainers;

/// Maximum length of a text, in characters.
const LONGEST_TEXT: usize = 100_000;
/// Timeout of a prediction, including the wait for earlier ones.
const PREDICTION_TIMEOUT: Duration = Duration::from_mins(1);

pub(crate) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new().routes(routes!(predict))
}

/// Predicts the class of a text or an image. Predictions run one at a time, on the CPU, in a trainer process
/// of the coordinator.
#[utoipa::path(post, path = "/models/{name}/predict", tag = "models", security(("token" = ["viewer", "admin"])),
    params(("name" = String, Path), Version), request_body = PredictionRequest,
    responses((status = 200, body = Prediction)))]
async fn predict(
    _: Viewer,
    State(shared): State<ApiState>,
    InPath(name): InPath<String>,
    InQuery(version): InQuery<Version>,
    Body(body): Body<PredictionRequest>,
) -> ApiResult<Json<Prediction>> {
    let begun = Instant::now();
    let model = find(&shared, name, version.version).await?.model;
    let (blobs, input) = (shared.blobs.clone(), model.spec.input);
    let write = move || -> ApiResult<_> {
        let (shape, sample) = sample(&input, body)?;
        let folder = blobs.scratch_dir()?;
        let row = folder.path().join("row");
        std::fs::write(&row, shard::write(shape, &[&Row { label: 0, sample }]))?;
        Ok((folder, row))
    };
    let written = tokio::task::spawn_blocking(write).await;
    let (folder, row) = written.map_err(|error| ApiError::internal(error.to_string()))??;
    let request =
        PredictRequest { spec: model.spec, model: shared.blobs.path(model.blake3), shard: row };
    let predictor = shared.predictor.clone();
    // On a task of its own, so that a client that disconnects doesn't interrupt the trainer, which would
    // then have to be killed.
    let prediction = tokio::spawn(async move {
        let _folder = folder;
        predict_with_timeout(&predictor, request).await
    });
    let probabilities = prediction.await.map_err(|error| ApiError::internal(error.to_string()))?;
    let probabilities = probabilities.map_err(api_error)?;
    let named = model.classes.into_iter().zip(probabilities);
    let mut classes: Vec<ClassProbability> =
        named.map(|(name, probability)| ClassProbability { name, probability }).collect();
    classes.sort_by(|a, b| b.probability.total_cmp(&a.probability));
    Ok(Json(Prediction { classes, seconds: begun.elapsed().as_secs_f64() }))
}

async fn predict_with_timeout(
    predictor: &Trainers,
    request: PredictRequest,
) -> Result<Vec<f64>, StepError> {
    let cancel = CancellationToken::new();
    let mut prediction = std::pin::pin!(predictor.predict(request, &cancel));
    tokio::select! {
        result = &mut prediction => result,
        () = tokio::time::sleep(PREDICTION_TIMEOUT) => {
            cancel.cancel();
            prediction.await
        }
    }
}

fn api_error(error: StepError) -> ApiError {
    match error {
        StepError::Cancelled => ApiError::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "busy",
            "Busy",
            format!(
                "the prediction took longer than {} s; try again",
                PREDICTION_TIMEOUT.as_secs()
            ),
        ),
        StepError::Full => ApiError::disk_full(),
        StepError::Transient(reason) => {
            let message =
                format!("the trainer process for predictions failed; try again: {reason}");
            let status = StatusCode::SERVICE_UNAVAILABLE;
            ApiError::new(status, "trainer-broke", "Trainer failed", message)
        }
        StepError::Permanent(reason) => {
            ApiError::conflict("no-prediction", format!("the model can't predict this: {reason}"))
        }
    }
}

/// Converts the request's text or image to the model's input.
fn sample(input: &InputSpec, request: PredictionRequest) -> ApiResult<(SampleShape, Sample)> {
    let wrong =
        |field, message: String| Err(ApiError::invalid("invalid-prediction", message).at(field));
    match (input, request.text, request.image) {
        (InputSpec::Text { .. }, Some(text), None) => {
            if text.chars().count() > LONGEST_TEXT {
                return wrong("text", format!("has more than {LONGEST_TEXT} characters"));
            }
            Ok((SampleShape::Text, Sample::Text(text)))
        }
        (InputSpec::Image { channels, height, width, .. }, None, Some(image)) => {
            let (channels, height, width) = (*channels, *height, *width);
            let encoded = match image.split_once(";base64,") {
                Some((kind, encoded)) if kind.starts_with("data:") => encoded,
                Some(_) | None => image.as_str(),
            };
            let Ok(bytes) = STANDARD.decode(encoded.trim()) else {
                return wrong("image", "must be base64 text".to_owned());
            };
            match image_decode::decode_as(&bytes, channels, height, width) {
                Ok(image) => Ok((
                    SampleShape::Image { channels, height, width },
                    Sample::Image(image.pixels),
                )),
                Err(error) => wrong("image", format!("{error}; {}", error.change())),
            }
        }
        (InputSpec::Text { .. }, _, _) => {
            wrong("text", "this model reads texts; send `text` and nothing else".to_owned())
        }
        (InputSpec::Image { .. }, _, _) => {
            wrong("image", "this model reads images; send `image` and nothing else".to_owned())
        }
    }
}
