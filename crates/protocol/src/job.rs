//! Job specification: the job file and the body of `POST /jobs`, with defaults that work.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::dataset::SampleShape;
use crate::model::{InputSpec, LayerOutline, LayerSpec, ModelSpec, Preset};
use crate::plan::{LocalWork, Optimizer, Plan};

mod check;
mod kept_names;
mod partitioning;

pub use check::JobError;
pub use kept_names::translated;
pub use partitioning::{DataSpec, Partitioner};

/// Model type of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ModelType {
    Vision,
    Nlp,
}

impl ModelType {
    /// Returns the optimizer of a job that names none.
    pub const fn optimizer(self) -> Optimizer {
        match self {
            Self::Vision => Optimizer::Adam { learning_rate: 0.001 },
            Self::Nlp => Optimizer::AdamW { learning_rate: 0.02, weight_decay: 0.1 },
        }
    }

    /// Returns whether the model type accepts rows of this shape.
    pub const fn reads(self, sample: SampleShape) -> bool {
        matches!(
            (self, sample),
            (Self::Vision, SampleShape::Image { .. }) | (Self::Nlp, SampleShape::Text)
        )
    }
}

/// Job as a person writes it.
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

/// Model of a job: a preset by name, or layers. With neither, the model type's default preset.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct ModelChoice {
    pub preset: Option<Preset>,
    /// How rows are read. Only allowed with `layers`. Defaults to the input of the model type's
    /// default preset.
    pub input: Option<InputSpec>,
    pub layers: Option<Vec<LayerSpec>>,
}

/// Work of one lease. Missing fields take the model type's defaults.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct PlanSpec {
    /// Passes over the partition in a lease. Cannot be combined with `local_steps`.
    pub local_epochs: Option<u32>,
    pub local_steps: Option<u32>,
    pub batch_size: Option<u32>,
    pub optimizer: Option<Optimizer>,
    /// Threads of a CPU trainer.
    pub threads: Option<u32>,
}

/// Strategy that combines updates into the next global model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct StrategySpec {
    pub name: StrategyName,
    /// Share of the partitions that take part in a round, above 0 and at most 1.
    pub fraction: f64,
    /// Largest allowed L2 norm of an update. A larger update is rejected. 0 = no limit. If missing,
    /// the limit follows from the job's earlier updates.
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

/// When a job ends and when a round may close.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct RunSpec {
    /// Rounds to run. Defaults to the model type's default.
    pub rounds: Option<u32>,
    /// Validation accuracy at which the job stops early. 0 = off.
    pub target_accuracy: f64,
    /// Share of a round's seats that must have reported before the round may close at its deadline.
    pub minimum_fraction: f64,
    /// Duration such as `30m`. Empty = no deadline.
    pub round_deadline: String,
    /// Leases only to devices with one numeric fingerprint. Defaults to true if the first device
    /// trains on the CPU.
    pub reproducible: Option<bool>,
    /// Jobs with a higher priority are leased first.
    pub priority: i32,
    /// Leases only to devices that have one of these labels. Empty = all devices.
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
    /// Returns whether a device with these labels may work for the job.
    pub fn takes(&self, labels: &[String]) -> bool {
        self.labels.is_empty() || self.labels.iter().any(|label| labels.contains(label))
    }
}

impl JobSpec {
    /// Returns the number of rounds, or the model type's default if the file has none.
    pub fn rounds(&self) -> u32 {
        self.run.rounds.unwrap_or(match self.model_type {
            ModelType::Vision | ModelType::Nlp => 10,
        })
    }

    /// Returns the work of one lease, with the model type's defaults for missing fields.
    pub fn plan(&self) -> Plan {
        let (default_work, batch_size) = match self.model_type {
            ModelType::Vision => (LocalWork::Epochs(1), 64),
            ModelType::Nlp => (LocalWork::Epochs(1), 32),
        };
        let optimizer = self.model_type.optimizer();
        let local_work = match (self.plan.local_steps, self.plan.local_epochs) {
            (Some(steps), _) => LocalWork::Steps(steps),
            (None, Some(epochs)) => LocalWork::Epochs(epochs),
            (None, None) => default_work,
        };
        Plan {
            local_work,
            batch_size: self.plan.batch_size.unwrap_or(batch_size),
            optimizer: self.plan.optimizer.unwrap_or(optimizer),
            threads: self.plan.threads.unwrap_or(1),
        }
    }

    /// Returns the same job with every default filled in that depends on the job alone.
    #[must_use]
    pub fn filled_in(&self) -> Self {
        let plan = self.plan();
        let (local_epochs, local_steps) = match plan.local_work {
            LocalWork::Epochs(epochs) => (Some(epochs), None),
            LocalWork::Steps(steps) => (None, Some(steps)),
        };
        let mut job = self.clone();
        if job.model.layers.is_none() {
            job.model.preset = job.model.preset.or(Some(self.default_preset()));
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

    const fn default_preset(&self) -> Preset {
        match self.model_type {
            ModelType::Vision => Preset::Cnn,
            ModelType::Nlp => Preset::TextBag,
        }
    }

    /// Returns the API's `model_name`: the preset's name, or `custom`.
    pub fn model_name(&self) -> &'static str {
        match (&self.model.layers, self.model.preset) {
            (Some(_), _) => "custom",
            (None, Some(preset)) => preset.name(),
            (None, None) => self.default_preset().name(),
        }
    }
}

/// Response of `POST /jobs/check`: what the job would train.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct JobCheck {
    /// The job with every default filled in. Posting it to `POST /jobs` creates the same job.
    pub config: JobSpec,
    pub spec: ModelSpec,
    /// Parameters of the model.
    pub parameters: u64,
    pub layers: Vec<LayerOutline>,
}
