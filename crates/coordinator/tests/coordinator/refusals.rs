//! Invalid requests: each is refused with a clear message and changes nothing.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::device::{Device, register, registration};
use crate::support::{Coordinator, answer, tiny_job};

fn job_with(path: &[&str], value: Value) -> Value {
    let mut job = tiny_job();
    let mut field = &mut job;
    for part in path {
        field = &mut field[*part];
    }
    *field = value;
    job
}

#[tokio::test]
async fn impossible_jobs_name_their_field_and_are_not_stored() {
    let coordinator = Coordinator::start().await;
    let mut refused = Vec::new();
    for job in [
        job_with(&["dataset"], json!("ag_nwes")),
        job_with(&["name"], json!("")),
        job_with(&["model", "layers"], json!([{ "kind": "linear", "outputs": 4 }])),
        job_with(&["model", "layers"], json!([])),
        job_with(&["model"], json!({ "preset": "cnn" })),
        job_with(&["model_type"], json!("vision")),
        job_with(&["data", "partitions"], json!(0)),
        job_with(&["data", "partitions"], json!(41)),
        job_with(&["plan"], json!({ "batch_size": 0 })),
        job_with(&["run", "round_deadline"], json!("soon")),
        job_with(&["strategy"], json!({ "name": "fedsomething" })),
        json!({ "name": "half" }),
    ] {
        let (status, body) = coordinator.ask(Method::POST, "/jobs", Some(job)).await;
        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{body}");
        refused.push(json!([body["type"], body["field"], body["detail"]]));
    }
    insta::assert_json_snapshot!("impossible_jobs", refused);
    assert_eq!(coordinator.get("/jobs").await, json!([]));
}

#[tokio::test]
async fn unknown_fields_of_requests_are_refused_and_name_the_nearest_known_one() {
    let coordinator = Coordinator::start().await;
    let refused = async |path: &str, body: Value| {
        let (status, body) = coordinator.ask(Method::POST, path, Some(body)).await;
        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{body}");
        assert_eq!(body["type"], "unknown-field");
        format!("{}: {}", body["field"].as_str().unwrap(), body["detail"].as_str().unwrap())
    };
    let job = job_with(&["run", "rouns"], json!(3));
    let expected = "run.rouns: unknown field 'run.rouns'; did you mean 'rounds'?";
    assert_eq!(refused("/jobs", job.clone()).await, expected);
    assert_eq!(refused("/jobs/check", job).await, expected);
    assert_eq!(
        refused("/jobs", job_with(&["rounds"], json!(3))).await,
        "rounds: unknown field 'rounds'; did you mean 'run.rounds'?"
    );
    assert_eq!(
        refused("/join-codes", json!({ "maximum_uses": 3, "uses_left": 1 })).await,
        "maximum_uses: unknown field 'maximum_uses'"
    );
    assert_eq!(coordinator.get("/jobs").await, json!([]));
}

/// `shared/field/50-job-of-the-old-system.json`: it became a job of 10 rounds with the default model.
#[tokio::test]
async fn a_job_of_the_old_system_keeps_its_rounds_or_names_what_is_not_taken() {
    let coordinator = Coordinator::start().await;
    let mut old = json!({
        "name": "seed job", "model_name": "bert", "model_type": "nlp", "dataset": "synthetic",
        "total_epochs": 3, "config": { "batch_size": 16 }
    });
    let (status, body) = coordinator.ask(Method::POST, "/jobs", Some(old.clone())).await;
    assert_eq!((status, &body["field"]), (StatusCode::UNPROCESSABLE_ENTITY, &json!("model_name")));
    let detail = body["detail"].as_str().unwrap();
    assert!(detail.contains("\"bert\"") && detail.contains("text_bag"), "{detail}");

    old["model_name"] = json!("text_cnn");
    let job = coordinator.post("/jobs", old).await;
    assert_eq!((&job["total_epochs"], &job["model_name"]), (&json!(3), &json!("text_cnn")));
    assert_eq!(job["config"]["plan"]["batch_size"], 16);
}

#[tokio::test]
async fn malformed_requests_are_answered_with_problem_details() {
    let coordinator = Coordinator::start().await;
    let admin = coordinator.admin.clone();
    let post = |path: &str| {
        let request = coordinator.request(Method::POST, path, &admin);
        request.header("content-type", "application/json")
    };
    let get = |path: &str| coordinator.request(Method::GET, path, &admin);
    let mut problems = Vec::new();
    for request in [
        post("/jobs").body("{\"name\": \"x\","),
        post("/jobs").body("[1, 2]"),
        post("/jobs").body(""),
        coordinator.request(Method::POST, "/jobs", &admin).body("name=x"),
        post("/jobs").body("x".repeat(2 << 20)),
        post("/devices/register").json(&json!({ "name": "x" })),
        post("/tokens").json(&json!({ "role": "king" })),
        post("/tokens").json(&json!({ "role": "device" })),
        post("/models").json(&json!({ "name": "m" })),
        post("/devices/cleanup?inactive_days=-1"),
        post("/datasets?filename=x.csv").body("text,label\n"),
        post("/datasets?name=x").body("text,label\n"),
        post("/datasets?name=Bad Name&filename=x.csv").body("text,label\na,b\n"),
        post("/datasets?name=x&filename=x.csv").body("text,label\n\"broken\n"),
        get("/jobs/not-an-id"),
        get("/jobs/01890a5d-ac96-774b-bcce-b302099a8057"),
        get("/blobs/abc"),
        get(&format!("/blobs/{}", "0".repeat(64))),
        get("/models/none"),
        get("/models/none/download?version=x"),
        get("/events?after=yesterday"),
        get("/nowhere"),
        coordinator.request(Method::DELETE, "/jobs", &admin),
    ] {
        let (status, body) = answer(request).await;
        problems.push(json!([status.as_u16(), body["type"], body["field"], body["detail"]]));
    }
    insta::assert_json_snapshot!("problems", problems);
}

#[tokio::test]
async fn a_wrong_method_lists_the_allowed_ones() {
    let coordinator = Coordinator::start().await;
    let request = coordinator.request(Method::DELETE, "/jobs", &coordinator.admin);
    let response = request.send().await.unwrap();
    assert_eq!(response.status(), StatusCode::METHOD_NOT_ALLOWED);
    let allow = response.headers()["allow"].to_str().unwrap();
    assert!(allow.contains("GET") && allow.contains("POST"), "{allow}");
}

#[tokio::test]
async fn a_removed_device_is_unauthorized_and_unknown() {
    let coordinator = Coordinator::start().await;
    let device = Device::enroll(&coordinator, "one").await;
    coordinator.post("/devices/cleanup?inactive_days=0", Value::Null).await;
    // The device's token was removed with it.
    let path = format!("/devices/{}/heartbeat", device.id);
    let (status, _) =
        device.ask(&coordinator, Method::POST, &path, json!({ "state": "waiting" })).await;
    assert_eq!(status, StatusCode::UNAUTHORIZED);
    let path = format!("/devices/{}/revoke", device.id);
    let (status, body) = coordinator.ask(Method::POST, &path, None).await;
    assert_eq!((status, &body["type"]), (StatusCode::NOT_FOUND, &json!("unknown-device")));
}

#[tokio::test]
async fn the_fields_of_a_registration_are_checked() {
    let coordinator = Coordinator::start().await;
    for (field, value) in [("name", json!("")), ("hardware_id", json!("x".repeat(300)))] {
        let mut body = registration("one");
        body[field] = value;
        let (status, body) = register(&coordinator, &coordinator.admin, "one", body).await;
        assert_eq!(
            (status, &body["type"], &body["field"]),
            (StatusCode::UNPROCESSABLE_ENTITY, &json!("invalid-device"), &json!(field))
        );
    }
}
