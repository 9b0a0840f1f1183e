//! `/models/{name}/predict`: what a model makes of one text or image.

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

use super::Shared;
use super::auth::Viewer;
use super::extract::{Body, InPath, InQuery};
use super::models::{Version, find};
use super::problem::{ApiError, ApiResult};
use crate::driver::StepError;
use crate::evaluate::Trainers;

/// Characters.
const LONGEST_TEXT: usize = 100_000;
/// Who waits longer is told to come again.
const PATIENCE: Duration = Duration::from_mins(1);

pub(super) fn routes() -> OpenApiRouter<Shared> {
    OpenApiRouter::new().routes(routes!(predict))
}

/// What the model makes of a text or an image. It runs in a trainer process of the coordinator, on the
/// CPU, one prediction at a time.
#[utoipa::path(post, path = "/models/{name}/predict", tag = "models", security(("token" = ["viewer", "admin"])),
    params(("name" = String, Path), Version), request_body = PredictionRequest,
    responses((status = 200, body = Prediction)))]
async fn predict(
    _: Viewer,
    State(shared): State<Shared>,
    InPath(name): InPath<String>,
    InQuery(version): InQuery<Version>,
    Body(asked): Body<PredictionRequest>,
) -> ApiResult<Json<Prediction>> {
    let begun = Instant::now();
    let model = find(&shared, name, version.version).await?.model;
    let (blobs, input) = (shared.blobs.clone(), model.spec.input);
    let write = move || -> ApiResult<_> {
        let (shape, sample) = sample(&input, asked)?;
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
    // On a task of its own, to its end: a trainer that is left in the middle would have to be killed.
    let asked = tokio::spawn(async move {
        let _folder = folder;
        in_time(&predictor, request).await
    });
    let probabilities = asked.await.map_err(|error| ApiError::internal(error.to_string()))?;
    let probabilities = probabilities.map_err(failure)?;
    let named = model.classes.into_iter().zip(probabilities);
    let mut classes: Vec<ClassProbability> =
        named.map(|(name, probability)| ClassProbability { name, probability }).collect();
    classes.sort_by(|a, b| b.probability.total_cmp(&a.probability));
    Ok(Json(Prediction { classes, seconds: begun.elapsed().as_secs_f64() }))
}

async fn in_time(predictor: &Trainers, request: PredictRequest) -> Result<Vec<f64>, StepError> {
    let cancel = CancellationToken::new();
    let mut asked = std::pin::pin!(predictor.predict(request, &cancel));
    tokio::select! {
        done = &mut asked => done,
        () = tokio::time::sleep(PATIENCE) => {
            cancel.cancel();
            asked.await
        }
    }
}

fn failure(fault: StepError) -> ApiError {
    match fault {
        StepError::Cancelled => ApiError::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "busy",
            "Busy",
            format!("the prediction took more than {} s; try again", PATIENCE.as_secs()),
        ),
        StepError::Full => ApiError::disk_full(),
        StepError::Transient(words) => {
            let words = format!("the trainer that predicts broke; try again: {words}");
            ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "trainer-broke", "Trainer broke", words)
        }
        StepError::Permanent(words) => {
            ApiError::conflict("no-prediction", format!("the model gives no prediction: {words}"))
        }
    }
}

/// What is asked about, as the model reads it.
fn sample(input: &InputSpec, asked: PredictionRequest) -> ApiResult<(SampleShape, Sample)> {
    let wrong =
        |field, words: String| Err(ApiError::invalid("invalid-prediction", words).at(field));
    match (input, asked.text, asked.image) {
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
            let bytes = match STANDARD.decode(encoded.trim()) {
                Ok(bytes) => bytes,
                Err(error) => return wrong("image", format!("is not base64: {error}")),
            };
            match image_decode::decode_as(&bytes, channels, height, width) {
                Ok(picture) => Ok((
                    SampleShape::Image { channels, height, width },
                    Sample::Image(picture.pixels),
                )),
                Err(words) => wrong("image", words),
            }
        }
        (InputSpec::Text { .. }, _, _) => {
            wrong("text", "this model reads texts: give it `text`, and nothing else".to_owned())
        }
        (InputSpec::Image { .. }, _, _) => {
            wrong("image", "this model reads images: give it `image`, and nothing else".to_owned())
        }
    }
}
