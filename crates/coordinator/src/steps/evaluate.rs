//! Evaluation of a round's model by the coordinator's own trainer.

use federation::machine::Preparation;
use protocol::BlobHash;
use protocol::metrics::EvalMetrics;
use protocol::trainer::EvaluateRequest;
use tokio_util::sync::CancellationToken;

use super::context::StepContext;
use super::error::StepError;

/// Evaluates a model on the test split and, if there is one, on the validation split.
pub(crate) async fn evaluate(
    context: &StepContext,
    preparation: &Preparation,
    model: BlobHash,
    cancel: &CancellationToken,
) -> Result<(EvalMetrics, Option<EvalMetrics>), StepError> {
    let request = |shards: &[BlobHash]| EvaluateRequest {
        spec: preparation.spec.clone(),
        model: context.blobs.path(model),
        shards: shards.iter().map(|shard| context.blobs.path(*shard)).collect(),
    };
    let test = context.trainers.measure(request(&preparation.test), cancel).await?;
    if preparation.validation.is_empty() {
        return Ok((test, None));
    }
    let validation = context.trainers.measure(request(&preparation.validation), cancel).await?;
    Ok((test, Some(validation)))
}
