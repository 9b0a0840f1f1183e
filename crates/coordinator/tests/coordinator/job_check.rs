//! Checking a job before it is created.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::support::{Coordinator, tiny_job};

#[tokio::test]
async fn a_check_returns_the_model_and_stores_nothing() {
    let coordinator = Coordinator::start().await;
    let check = coordinator.post("/jobs/check", tiny_job()).await;
    assert_eq!(
        check["layers"],
        json!([
            { "kind": "embedding_bag", "shape": [2], "parameters": 32 },
            { "kind": "linear", "shape": [4], "parameters": 12 }
        ])
    );
    assert_eq!(check["parameters"], 44);
    assert_eq!(coordinator.get("/jobs").await, json!([]));

    // The filled-in job is equivalent.
    let config = &check["config"];
    assert_eq!((&config["plan"]["batch_size"], &config["seed"]), (&json!(32), &json!(42)));
    let again = coordinator.post("/jobs/check", config.clone()).await;
    assert_eq!(again, check);
    let id = coordinator.start_job(config.clone()).await;
    let job = coordinator.job_in(&id, "running").await;
    assert_eq!((&job["spec"], &job["parameters"]), (&check["spec"], &check["parameters"]));
}

#[tokio::test]
async fn a_preset_is_laid_out_for_a_dataset_that_is_not_downloaded() {
    let coordinator = Coordinator::start().await;
    let job = json!({ "name": "digits", "model_type": "vision", "dataset": "mnist" });
    let check = coordinator.post("/jobs/check", job).await;
    assert_eq!(check["parameters"], 1_663_370);
    assert_eq!(check["config"]["model"]["preset"], "cnn");
    assert_eq!(check["config"]["run"]["rounds"], 10);
    assert_eq!(check["layers"][0]["shape"], json!([32, 28, 28]));
    assert_eq!(check["layers"][8], json!({ "kind": "relu", "shape": [512], "parameters": 0 }));
    assert_eq!(check["layers"][9]["shape"], json!([10]));
}

#[tokio::test]
async fn a_check_returns_the_same_errors_as_creating_the_job() {
    let coordinator = Coordinator::start().await;
    let with = |field: &str, value: Value| {
        let mut job = tiny_job();
        job[field] = value;
        job
    };
    for (job, field) in [
        (with("dataset", json!("sinthetic")), "dataset"),
        (with("data", json!({ "partitions": 0 })), "data.partitions"),
        (with("data", json!({ "partitions": 11, "train_limit": 10 })), "data.partitions"),
        (with("model", json!({ "preset": "cnn" })), "model.preset"),
        (with("model", json!({ "layers": [{ "kind": "linear", "outputs": 4 }] })), "model.layers"),
    ] {
        let checked = coordinator.ask(Method::POST, "/jobs/check", Some(job.clone())).await;
        let created = coordinator.ask(Method::POST, "/jobs", Some(job)).await;
        assert_eq!(checked, created);
        assert_eq!(checked.0, StatusCode::UNPROCESSABLE_ENTITY, "{}", checked.1);
        assert_eq!(checked.1["field"], field, "{}", checked.1);
    }
}
