//! The job file and the body of `POST /jobs`: what a person asks for, with defaults that work.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::dataset::SampleShape;
use crate::model::{InputSpec, LayerOutline, LayerSpec, ModelSpec, Preset};
use crate::plan::{LocalWork, Optimizer, Plan};

mod check;
mod unknown;

pub use check::JobError;
pub use unknown::{UnknownField, unknown_field};

/// Which family of model a job trains.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ModelType {
    Vision,
    Nlp,
}

impl ModelType {
    /// Whether rows of this shape belong to the family.
    pub const fn reads(self, sample: SampleShape) -> bool {
        matches!(
            (self, sample),
            (Self::Vision, SampleShape::Image { .. }) | (Self::Nlp, SampleShape::Text)
        )
    }
}

/// A job as a person writes it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct JobSpec {
    pub name: String,
    pub model_type: ModelType,
    pub dataset: String,
    #[serde(default = "default_seed")]
    pub seed: u64,
    #[serde(default)]
    pub model: ModelChoice,
    #[serde(default)]
    pub data: DataSpec,
    #[serde(default)]
    pub plan: PlanSpec,
    #[serde(default)]
    pub strategy: StrategySpec,
    #[serde(default)]
    pub run: RunSpec,
}

fn default_seed() -> u64 {
    42
}

/// A preset by name, or layers; neither takes the family's preset.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct ModelChoice {
    pub preset: Option<Preset>,
    /// How rows are read; only beside `layers`. None: as the family's preset reads them.
    pub input: Option<InputSpec>,
    pub layers: Option<Vec<LayerSpec>>,
}

/// Which rows are trained on and how they are divided.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct DataSpec {
    pub partitions: u32,
    pub partitioner: Partitioner,
    /// Training rows used; 0 = all.
    pub train_limit: u64,
}

impl Default for DataSpec {
    fn default() -> Self {
        Self { partitions: 12, partitioner: Partitioner::Iid, train_limit: 0 }
    }
}

/// How rows are divided among partitions.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Partitioner {
    /// At random, in equal parts.
    Iid,
    /// Class shares of each partition from a symmetric Dirichlet (Hsu et al. 2019); a small alpha
    /// is more uneven.
    Dirichlet { alpha: f64 },
    /// Rows sorted by class and cut into `partitions × per_partition` runs, dealt at random
    /// (McMahan et al. 2017, §3).
    Shards { per_partition: u32 },
    /// Partition sizes from a symmetric Dirichlet, rows at random (Li et al. 2022, §III-C).
    Quantity { alpha: f64 },
}

/// A lease's work. Empty fields take the model family's defaults.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct PlanSpec {
    /// Passes over the partition in a lease; not together with `local_steps`.
    pub local_epochs: Option<u32>,
    pub local_steps: Option<u32>,
    pub batch_size: Option<u32>,
    pub optimizer: Option<Optimizer>,
    /// Threads a CPU trainer computes with.
    pub threads: Option<u32>,
}

/// How updates become the next global model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct StrategySpec {
    pub name: StrategyName,
    /// Share of the partitions that take part in a round, above 0 to 1.
    pub fraction: f64,
    /// The largest L2 norm of an update; a larger one is refused. 0 = no bound; none takes the rule
    /// that follows the job's own updates.
    pub maximum_norm: Option<f64>,
}

impl Default for StrategySpec {
    fn default() -> Self {
        Self { name: StrategyName::FedAvg, fraction: 1.0, maximum_norm: None }
    }
}

/// Strategies by their published names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub enum StrategyName {
    /// The mean of the updates, weighted by rows (McMahan et al. 2017, algorithm 1).
    #[serde(rename = "fedavg")]
    FedAvg,
}

/// How long a job runs and when a round may close.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct RunSpec {
    /// None takes the model family's default.
    pub rounds: Option<u32>,
    /// Stop early when the validation split reaches this accuracy; 0 = off.
    pub target_accuracy: f64,
    /// Share of a round's seats that must have reported for it to close at its deadline.
    pub minimum_fraction: f64,
    /// Such as `30m`; empty = none.
    pub round_deadline: String,
    /// Lease only to one numeric fingerprint. None: yes where the first device trains on the CPU.
    pub reproducible: Option<bool>,
    /// Jobs with a higher priority are leased first.
    pub priority: i32,
    /// Lease only to devices with one of these labels; empty = to every device.
    pub labels: Vec<String>,
}

impl Default for RunSpec {
    fn default() -> Self {
        Self {
            rounds: None,
            target_accuracy: 0.0,
            minimum_fraction: 1.0,
            round_deadline: String::new(),
            reproducible: None,
            priority: 0,
            labels: Vec::new(),
        }
    }
}

impl RunSpec {
    /// Whether a device with these labels may work for the job.
    pub fn takes(&self, labels: &[String]) -> bool {
        self.labels.is_empty() || self.labels.iter().any(|label| labels.contains(label))
    }
}

impl JobSpec {
    /// The model to train on rows of this shape: the one place where presets become layers.
    pub fn model_spec(&self, sample: SampleShape, classes: u32) -> Result<ModelSpec, JobError> {
        check::model_spec(self, sample, classes)
    }

    /// Rounds to run, with the family's default where the file says none.
    pub fn rounds(&self) -> u32 {
        self.run.rounds.unwrap_or(match self.model_type {
            ModelType::Vision | ModelType::Nlp => 10,
        })
    }

    /// A lease's work, with the family's defaults where the file says none.
    pub fn plan(&self) -> Plan {
        let (family_work, batch_size, optimizer) = match self.model_type {
            ModelType::Vision => {
                (LocalWork::Epochs(1), 64, Optimizer::Adam { learning_rate: 0.001 })
            }
            ModelType::Nlp => {
                let optimizer = Optimizer::AdamW { learning_rate: 0.02, weight_decay: 0.1 };
                (LocalWork::Epochs(1), 32, optimizer)
            }
        };
        let local_work = match (self.plan.local_steps, self.plan.local_epochs) {
            (Some(steps), _) => LocalWork::Steps(steps),
            (None, Some(epochs)) => LocalWork::Epochs(epochs),
            (None, None) => family_work,
        };
        Plan {
            local_work,
            batch_size: self.plan.batch_size.unwrap_or(batch_size),
            optimizer: self.plan.optimizer.unwrap_or(optimizer),
            threads: self.plan.threads.unwrap_or(1),
        }
    }

    /// The same job with every default filled in, as far as the job alone decides it.
    #[must_use]
    pub fn filled_in(&self) -> Self {
        let plan = self.plan();
        let (local_epochs, local_steps) = match plan.local_work {
            LocalWork::Epochs(epochs) => (Some(epochs), None),
            LocalWork::Steps(steps) => (None, Some(steps)),
        };
        let mut job = self.clone();
        if job.model.layers.is_none() {
            job.model.preset = job.model.preset.or(Some(self.family_preset()));
        }
        job.plan = PlanSpec {
            local_epochs,
            local_steps,
            batch_size: Some(plan.batch_size),
            optimizer: Some(plan.optimizer),
            threads: Some(plan.threads),
        };
        job.run.rounds = Some(self.rounds());
        job
    }

    const fn family_preset(&self) -> Preset {
        match self.model_type {
            ModelType::Vision => Preset::Cnn,
            ModelType::Nlp => Preset::TextBag,
        }
    }

    /// `model_name` of the kept API: the preset, or `custom`.
    pub fn model_name(&self) -> &'static str {
        match (&self.model.layers, self.model.preset) {
            (Some(_), _) => "custom",
            (None, Some(preset)) => preset.name(),
            (None, None) => self.family_preset().name(),
        }
    }
}

/// Answer to `POST /jobs/check`: what the job would train.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct JobCheck {
    /// The job with every default filled in; as the body of `POST /jobs` it is the same job.
    pub config: JobSpec,
    pub spec: ModelSpec,
    /// Of the model.
    pub parameters: u64,
    pub layers: Vec<LayerOutline>,
}
