//! The API, from registration to the downloaded model: the paths and bodies of the original system and the
//! added ones.

use protocol::BlobHash;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::device::{Device, register, registration};
use crate::support::{Coordinator, redacted, tiny_job};

fn snapshot(name: &str, body: Value) {
    insta::assert_json_snapshot!(name, redacted(body));
}

/// One test for all paths, because each step needs the previous one.
#[tokio::test]
async fn every_original_path_works_from_registration_to_download() {
    let coordinator = Coordinator::start().await;
    snapshot("health", coordinator.get("/health").await);
    snapshot("no_jobs", coordinator.get("/jobs").await);

    let admin = &coordinator.admin;
    let (_, registered) = register(&coordinator, admin, "one", registration("one")).await;
    snapshot("registered", registered.clone());
    snapshot("devices", coordinator.get("/devices").await);
    let device = Device::from_registration(&registered);
    let beat = json!({ "state": "held", "reason": "on_battery", "of_a_later_version": 1 });
    let path = format!("/devices/{}/heartbeat", device.id);
    let (_, beat) = device.ask(&coordinator, Method::POST, &path, beat).await;
    snapshot("heartbeat", beat);
    snapshot("devices_held", coordinator.get("/devices").await);
    assert!(device.next_job(&coordinator, 0).await.is_none());

    let (status, created) = coordinator.ask(Method::POST, "/jobs", Some(tiny_job())).await;
    assert_eq!(status, StatusCode::CREATED);
    snapshot("job_created", created.clone());
    let job = format!("/jobs/{}", created["id"].as_str().unwrap());
    coordinator.post(&format!("{job}/start"), Value::Null).await;

    let lease = device.next_job(&coordinator, 60).await.unwrap();
    snapshot("lease", serde_json::to_value(&lease).unwrap());
    snapshot("job_running", coordinator.get(&job).await);
    let progress = json!({ "step": 1, "steps": 1, "loss": 0.5, "examples_per_second": 10.0 });
    let path = format!("/leases/{}/progress", lease.id);
    let (_, progress) = device.ask(&coordinator, Method::POST, &path, progress).await;
    snapshot("progress", progress);
    device.work(&coordinator).await;
    let again = device.next_job(&coordinator, 60).await.unwrap();
    assert_eq!(again.round, 2);
    device.work(&coordinator).await;

    let id = created["id"].as_str().unwrap();
    snapshot("job_completed", coordinator.job_in(id, "completed").await);
    snapshot("jobs", coordinator.get("/jobs").await);
    snapshot("rounds", coordinator.get(&format!("{job}/rounds")).await);
    snapshot("metrics", coordinator.get(&format!("{job}/metrics")).await);
    let models = coordinator.get("/models").await;
    snapshot("models", models.clone());
    snapshot("card", coordinator.get("/models/tiny/card").await);

    let path = models[0]["checkpoint_path"].as_str().unwrap();
    let request = coordinator.request(Method::GET, path, &coordinator.admin);
    let response = request.send().await.unwrap();
    let disposition = response.headers()["content-disposition"].to_str().unwrap().to_owned();
    assert_eq!(disposition, "attachment; filename=\"tiny-v1.safetensors\"");
    let bytes = response.bytes().await.unwrap();
    assert_eq!(BlobHash::compute(&bytes).to_string(), models[0]["blake3"].as_str().unwrap());

    let body = json!({ "name": "tiny", "job": id, "round": 1 });
    let (status, second) = coordinator.ask(Method::POST, "/models", Some(body)).await;
    assert_eq!((status, &second["version"]), (StatusCode::CREATED, &json!(2)));
    let newest = coordinator.get("/models/tiny").await;
    assert_eq!(newest["id"], second["id"]);
    assert_eq!(coordinator.get("/models/tiny?version=1").await["id"], models[0]["id"]);

    snapshot("cleanup", coordinator.post("/devices/cleanup", Value::Null).await);
    let removed = coordinator.post("/devices/cleanup?inactive_days=0", Value::Null).await;
    assert_eq!(removed["removed"], json!([{ "id": device.id, "name": "one's Mac" }]));
    assert_eq!(coordinator.get("/devices").await, json!([]));
}

#[tokio::test]
async fn complete_ends_a_job_and_registers_its_current_model() {
    let coordinator = Coordinator::start().await;
    let device = Device::enroll(&coordinator, "one").await;
    let id = coordinator.start_job(tiny_job()).await;
    coordinator.job_in(&id, "running").await;
    let (status, body) = coordinator.ask(Method::POST, &format!("/jobs/{id}/complete"), None).await;
    assert_eq!((status, &body["type"]), (StatusCode::CONFLICT, &json!("job-status")));
    device.work(&coordinator).await;
    coordinator.job_when(&id, |job| job["current_epoch"] == 1).await;
    coordinator.post(&format!("/jobs/{id}/complete"), Value::Null).await;
    let job = coordinator.job_in(&id, "completed").await;
    assert_eq!(job["current_epoch"], 1);
    assert!(coordinator.get("/models/tiny").await["evaluation"]["accuracy"].is_f64());
}

#[tokio::test]
async fn the_openapi_document_has_every_path() {
    let coordinator = Coordinator::start().await;
    let document = coordinator.get("/openapi.json").await;
    for (method, path) in [
        ("get", "/health"),
        ("get", "/devices"),
        ("post", "/devices/register"),
        ("post", "/devices/cleanup"),
        ("post", "/devices/{id}/heartbeat"),
        ("get", "/devices/{id}/next-job"),
        ("post", "/devices/{id}/leave"),
        ("post", "/devices/{id}/revoke"),
        ("post", "/devices/{id}/reinstate"),
        ("get", "/jobs"),
        ("post", "/jobs"),
        ("get", "/jobs/{id}"),
        ("post", "/jobs/{id}/start"),
        ("post", "/jobs/{id}/complete"),
        ("post", "/jobs/{id}/pause"),
        ("post", "/jobs/{id}/resume"),
        ("post", "/jobs/{id}/cancel"),
        ("get", "/jobs/{id}/rounds"),
        ("get", "/jobs/{id}/metrics"),
        ("get", "/models"),
        ("post", "/models"),
        ("get", "/models/{name}/download"),
        ("get", "/events"),
        ("get", "/datasets"),
        ("post", "/datasets"),
        ("get", "/blobs/{hash}"),
        ("put", "/blobs/{hash}"),
        ("put", "/leases/{id}/update"),
        ("post", "/leases/{id}/progress"),
        ("post", "/join"),
        ("post", "/devices/challenge"),
        ("get", "/join-codes"),
        ("post", "/join-codes"),
        ("delete", "/join-codes/{id}"),
        ("get", "/tokens"),
        ("post", "/tokens"),
    ] {
        assert!(document["paths"][path][method].is_object(), "{method} {path}");
    }
    let version = document["openapi"].as_str().unwrap();
    assert!(version.starts_with("3.1"), "{version}");
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            let security = operation["security"].as_array();
            let takes_credential = !security.unwrap().is_empty();
            let public = ["get /health", "post /join", "post /devices/challenge", "post /sessions"];
            let is_public = public.contains(&format!("{method} {path}").as_str());
            assert_eq!(takes_credential, !is_public, "{method} {path}");
        }
    }
}

/// Found by `make api-test`: the document described only successful answers.
#[tokio::test]
async fn every_operation_says_what_its_problems_look_like() {
    let coordinator = Coordinator::start().await;
    let document = coordinator.get("/openapi.json").await;
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            let content = &operation["responses"]["default"]["content"];
            let schema = content["application/problem+json"]["schema"]["$ref"].as_str();
            assert_eq!(schema, Some("#/components/schemas/Problem"), "{method} {path}");
        }
    }
    assert!(document["components"]["schemas"]["Problem"]["properties"]["detail"].is_object());
}

#[tokio::test]
async fn metrics_are_prometheus_text() {
    let coordinator = Coordinator::start().await;
    Device::enroll(&coordinator, "one").await;
    let request = coordinator.request(Method::GET, "/metrics", &coordinator.token("viewer").await);
    let response = request.send().await.unwrap();
    assert_eq!(response.headers()["content-type"], "text/plain; version=0.0.4; charset=utf-8");
    let text = response.text().await.unwrap();
    assert!(text.contains("constellation_devices{state=\"waiting\"} 1\n"), "{text}");
    let documented = include_str!("../../../../docs/metrics.md");
    for line in text.lines() {
        let name = line.trim_start_matches("# HELP ").trim_start_matches("# TYPE ");
        let name = name.split([' ', '{']).next().unwrap();
        assert!(documented.contains(&format!("`{name}`")), "{name} is not in docs/metrics.md");
    }
    let mut documented: Vec<(&str, &str)> = documented
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split_once("` | "))
        .map(|(name, rest)| (name, rest.split(' ').next().unwrap()))
        .collect();
    let types = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '));
    let mut types: Vec<(&str, &str)> = types.collect();
    assert_eq!(types.len(), 11);
    types.sort_unstable();
    documented.sort_unstable();
    assert_eq!(types, documented);
    let lines = |name: &str| {
        let lines =
            text.lines().filter(|line| line.trim_start_matches("# HELP ").starts_with(name));
        lines.collect::<Vec<_>>()
    };
    assert_eq!(
        lines("constellation_open_seats"),
        [
            "# HELP constellation_open_seats Seats of the open rounds, by their state.",
            "constellation_open_seats{state=\"leased\"} 0",
            "constellation_open_seats{state=\"reported\"} 0",
            "constellation_open_seats{state=\"all\"} 0",
        ]
    );
    let version = env!("CARGO_PKG_VERSION");
    assert_eq!(
        lines("constellation_info")[1],
        format!("constellation_info{{version=\"{version}\"}} 1")
    );
    assert_eq!(lines("constellation_leases_lost_total")[1], "constellation_leases_lost_total 0");
    assert_eq!(lines("constellation_http_requests_total").len(), 6);
    let revision = lines("constellation_revision")[1].split(' ').nth(1).unwrap();
    assert!(revision.parse::<u64>().unwrap() > 0, "{revision}");
}

#[tokio::test]
async fn datasets_are_listed_and_added_from_files() {
    let coordinator = Coordinator::start().await;
    let names = |list: &Value| -> Vec<String> {
        let names = list.as_array().unwrap().iter();
        names.map(|entry| entry["name"].as_str().unwrap().to_owned()).collect()
    };
    let before = names(&coordinator.get("/datasets").await);
    for name in ["synthetic", "ag_news", "imdb", "yelp", "amazon"] {
        assert!(before.contains(&name.to_owned()), "{name}");
    }
    let rows = (0..40)
        .map(|row| format!("\"text number {row}\",{}\n", if row % 2 == 0 { "even" } else { "odd" }))
        .collect::<Vec<_>>()
        .concat();
    let file = format!("text,label\n{rows}");
    let request = coordinator.request(
        Method::POST,
        "/datasets?name=numbers&filename=numbers.csv",
        &coordinator.admin,
    );
    let (status, added) = crate::support::answer(request.body(file.clone())).await;
    assert_eq!(status, StatusCode::CREATED, "{added}");
    assert_eq!(added["info"]["classes"], json!(["even", "odd"]));
    assert!(names(&coordinator.get("/datasets").await).contains(&"numbers".to_owned()));

    let form = format!(
        "--b\r\nContent-Disposition: form-data; name=\"name\"\r\n\r\nform\r\n\
         --b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"rows.csv\"\r\n\r\n\
         {file}\r\n--b--\r\n"
    );
    let request = coordinator.request(Method::POST, "/datasets", &coordinator.admin);
    let request = request.header("content-type", "multipart/form-data; boundary=b");
    let (status, added) = crate::support::answer(request.body(form)).await;
    assert_eq!((status, &added["info"]["name"]), (StatusCode::CREATED, &json!("form")));

    let request = coordinator.request(
        Method::POST,
        "/datasets?name=numbers&filename=numbers.csv",
        &coordinator.admin,
    );
    let (status, body) = crate::support::answer(request.body(file)).await;
    assert_eq!((status, &body["type"]), (StatusCode::CONFLICT, &json!("name-taken")));
}
