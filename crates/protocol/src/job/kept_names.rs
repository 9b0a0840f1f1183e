//! Names of the earlier system in the body of `POST /jobs`: `total_epochs`, `model_name` and `config`.

use serde_json::{Map, Value};

use super::{JobError, ModelType};
use crate::model::Preset;
use crate::plan::Optimizer;
use crate::unknown_field::nearest;

/// Fields of `config` that are fields of `plan` today.
const PLAN: [&str; 4] = ["batch_size", "local_epochs", "local_steps", "threads"];
/// Fields of `config` that are the job's own today, as in the `config` that `GET /jobs/{id}` returns.
const JOB: [&str; 9] =
    ["name", "model_type", "dataset", "seed", "model", "data", "plan", "strategy", "run"];
const OPTIMIZER: [&str; 2] = ["learning_rate", "optimizer"];

/// Returns the body with today's names, or `None` if it has no name of the earlier system. Null counts as
/// missing.
///
/// # Errors
/// The error names the field that can't be translated, or that is there under both names.
pub fn translated(body: &Value) -> Result<Option<Value>, JobError> {
    let Some(fields) = body.as_object() else { return Ok(None) };
    let earlier = ["total_epochs", "model_name", "config"];
    if !earlier.iter().any(|name| fields.contains_key(*name)) {
        return Ok(None);
    }
    let mut job = fields.clone();
    let mut take = |name: &str| job.remove(name).filter(|value| !value.is_null());
    let (config, rounds, model) = (take("config"), take("total_epochs"), take("model_name"));
    if let Some(config) = config {
        add_config(&mut job, config)?;
    }
    if let Some(rounds) = rounds {
        insert(&mut job, "run", "rounds", &rounds, "total_epochs")?;
    }
    if let Some(model) = model {
        add_model(&mut job, &model)?;
    }
    Ok(Some(Value::Object(job)))
}

fn add_model(job: &mut Map<String, Value>, name: &Value) -> Result<(), JobError> {
    let known = Preset::ALL.iter().find(|preset| name.as_str() == Some(preset.name()));
    if let Some(preset) = known {
        return insert(job, "model", "preset", &preset.name().into(), "model_name");
    }
    let layers = job.get("model").and_then(|model| model.get("layers"));
    if name == "custom" && layers.is_some_and(Value::is_array) {
        return Ok(());
    }
    let presets = Preset::ALL.map(Preset::name).join(", ");
    let message = format!(
        "{name} is not one of the models here: {presets}; use one of them, leave the field out, or describe a model \
         of your own in model.layers"
    );
    Err(JobError::Field { field: "model_name", message })
}

fn add_config(job: &mut Map<String, Value>, config: Value) -> Result<(), JobError> {
    let Value::Object(config) = config else {
        return Err(wrong("must be an object".to_owned()));
    };
    let mut optimizer = Map::new();
    for (name, value) in config {
        if value.is_null() {
        } else if PLAN.contains(&name.as_str()) {
            insert(job, "plan", &name, &value, "config")?;
        } else if OPTIMIZER.contains(&name.as_str()) {
            optimizer.insert(name, value);
        } else if JOB.contains(&name.as_str()) {
            let there = job.insert(name.clone(), value.clone());
            if there.is_some_and(|there| there != value) {
                return Err(wrong(format!("{name} is also given beside it; keep one of them")));
            }
        } else {
            let known = PLAN.into_iter().chain(OPTIMIZER).chain(JOB);
            let near = nearest(&name, known).map(|near| format!("; did you mean '{near}'?"));
            let name = crate::text::escaped(&name);
            return Err(wrong(format!("unknown field '{name}'{}", near.unwrap_or_default())));
        }
    }
    if optimizer.is_empty() {
        return Ok(());
    }
    let value = optimizer_value(job, &optimizer)?;
    insert(job, "plan", "optimizer", &value, "config")
}

/// Returns `plan.optimizer` for `config.learning_rate` and `config.optimizer`, the name of an optimizer.
fn optimizer_value(
    job: &Map<String, Value>,
    config: &Map<String, Value>,
) -> Result<Value, JobError> {
    let Some(rate) = config.get("learning_rate") else {
        return Err(wrong("optimizer needs learning_rate beside it".to_owned()));
    };
    if let Some(kind) = config.get("optimizer") {
        return Ok(serde_json::json!({ "kind": kind, "learning_rate": rate }));
    }
    let model_type = job.get("model_type").map(|it| serde_json::from_value(it.clone()));
    let Some(Ok(model_type)) = model_type else {
        // Reading the job reports the model type.
        return Ok(serde_json::json!({ "kind": "sgd", "learning_rate": rate }));
    };
    let standard: Optimizer = ModelType::optimizer(model_type);
    let mut value = serde_json::to_value(standard).unwrap_or_default();
    value["learning_rate"] = rate.clone();
    Ok(value)
}

/// Inserts `section.name` into the job.
fn insert(
    job: &mut Map<String, Value>,
    section: &str,
    name: &str,
    value: &Value,
    field: &'static str,
) -> Result<(), JobError> {
    let fields = job.entry(section).or_insert_with(|| Value::Object(Map::new()));
    if fields.is_null() {
        *fields = Value::Object(Map::new());
    }
    // Reading the job reports a section that is no object.
    let Some(fields) = fields.as_object_mut() else { return Ok(()) };
    match fields.insert(name.to_owned(), value.clone()) {
        Some(there) if !there.is_null() && there != *value => {
            let message = format!("{section}.{name} is set as well; keep one of them");
            Err(JobError::Field { field, message })
        }
        Some(_) | None => Ok(()),
    }
}

fn wrong(message: String) -> JobError {
    JobError::Field { field: "config", message }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::JobSpec;
    use super::*;

    fn job(more: &Value) -> Result<JobSpec, String> {
        let mut body = json!({ "name": "n", "model_type": "nlp", "dataset": "synthetic" });
        for (name, value) in more.as_object().unwrap() {
            body[name] = value.clone();
        }
        let translated = translated(&body).map_err(|error| error.to_string())?;
        serde_json::from_value(translated.unwrap_or_default()).map_err(|error| error.to_string())
    }

    #[test]
    fn names_of_the_earlier_system_become_todays() {
        let config = json!({ "batch_size": 16, "learning_rate": 0.5 });
        let read =
            job(&json!({ "total_epochs": 3, "model_name": "text_cnn", "config": config })).unwrap();
        assert_eq!(read.rounds(), 3);
        assert_eq!(read.model_name(), "text_cnn");
        let plan = read.plan();
        assert_eq!(plan.batch_size, 16);
        assert_eq!(plan.optimizer, Optimizer::AdamW { learning_rate: 0.5, weight_decay: 0.1 });
    }

    #[test]
    fn the_config_of_an_answer_can_be_sent_back() {
        let read = job(&json!({ "config": null, "run": { "rounds": 7 } })).unwrap();
        let config = serde_json::to_value(read.filled_in()).unwrap();
        let again = job(&json!({ "config": config, "total_epochs": 7 })).unwrap();
        assert_eq!(again, read.filled_in());
    }

    #[test]
    fn what_is_not_taken_is_named() {
        let refused = |more: Value| job(&more).unwrap_err();
        assert_eq!(
            refused(json!({ "model_name": "bert" })),
            "model_name: \"bert\" is not one of the models here: mlp, cnn, text_bag, text_cnn; use one of them, leave \
             the field out, or describe a model of your own in model.layers"
        );
        assert_eq!(
            refused(json!({ "total_epochs": 3, "run": { "rounds": 4 } })),
            "total_epochs: run.rounds is set as well; keep one of them"
        );
        assert_eq!(
            refused(json!({ "config": { "batchsize": 4 } })),
            "config: unknown field 'batchsize'; did you mean 'batch_size'?"
        );
        assert_eq!(refused(json!({ "config": 3 })), "config: must be an object");
    }

    #[test]
    fn a_body_of_today_is_left_alone() {
        let body = json!({ "name": "n", "run": { "rounds": 3 } });
        assert_eq!(translated(&body), Ok(None));
        assert_eq!(translated(&json!([])), Ok(None));
    }
}
