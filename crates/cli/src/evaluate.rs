//! Evaluates a model on a dataset in this process, for `model eval`.

use anyhow::{Context, bail};
use data::Sources;
use engine::{ComputeDevice, TrainingEnd};
use node::EvaluateModel;
use protocol::metrics::EvalMetrics;

pub(crate) fn run(task: &EvaluateModel) -> anyhow::Result<EvalMetrics> {
    let sources = Sources::from_environment(task.data_dir.join("datasets"));
    let datasets = coordinator::datasets_of(&task.data_dir, sources)?;
    let dataset = datasets.load(&task.dataset, &mut |_| {})?;
    task.spec.check_input(dataset.info.sample).context("the dataset does not fit the model")?;
    if dataset.info.classes != task.classes {
        bail!(
            "the model's classes are {}, but the classes of '{}' are {}",
            task.classes.join(", "),
            task.dataset,
            dataset.info.classes.join(", ")
        );
    }
    let compute = ComputeDevice::cpu("model eval runs on the CPU");
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let threads = u32::try_from(threads).unwrap_or(1);
    let outcome = engine::evaluate(
        &compute,
        &task.spec,
        &task.parameters,
        &dataset.test,
        threads,
        &|| false,
        &mut |_| {},
    )?;
    match outcome {
        TrainingEnd::Done(metrics) => Ok(metrics),
        TrainingEnd::Stopped { .. } => bail!("the evaluation was stopped"),
    }
}
