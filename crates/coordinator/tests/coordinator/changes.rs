//! Renaming, archiving and deletion of jobs and models.

use protocol::BlobHash;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::device::Device;
use crate::support::{Coordinator, tiny_job};

/// Trains a job to its end. Returns its id.
async fn trained(coordinator: &Coordinator, device: &Device) -> String {
    let id = coordinator.start_job(tiny_job()).await;
    while coordinator.get(&format!("/jobs/{id}")).await["status"] != "completed" {
        device.work(coordinator).await;
    }
    id
}

impl Coordinator {
    /// Sends a request that must be refused. Returns its status, type and detail.
    pub(crate) async fn refused(
        &self,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> (u16, String, String) {
        let (status, problem) = self.ask(method, path, body).await;
        assert!(status.is_client_error(), "{path}: {status} {problem}");
        let text = |field: &str| problem[field].as_str().unwrap().to_owned();
        (status.as_u16(), text("type"), text("detail"))
    }

    pub(crate) async fn deleted(&self, path: &str) {
        let (status, answer) = self.ask(Method::DELETE, path, None).await;
        assert_eq!(status, StatusCode::NO_CONTENT, "{path}: {answer}");
    }

    /// Returns the names in a list.
    pub(crate) async fn names(&self, path: &str) -> Vec<String> {
        let list = self.get(path).await;
        let list = list.as_array().unwrap().iter();
        list.map(|item| item["name"].as_str().unwrap().to_owned()).collect()
    }

    fn has_blob(&self, hash: &Value) -> bool {
        let hash: BlobHash = hash.as_str().unwrap().parse().unwrap();
        self.blob_path(hash).exists()
    }

    pub(crate) fn blob_path(&self, hash: BlobHash) -> std::path::PathBuf {
        let name = hash.to_string();
        self.folder.path().join("blobs").join(&name[..2]).join(&name[2..])
    }
}

#[tokio::test]
async fn a_job_is_renamed_archived_and_deleted_when_it_has_ended() {
    let coordinator = Coordinator::start().await;
    let device = Device::enroll(&coordinator, "one").await;
    let id = coordinator.post("/jobs", tiny_job()).await["id"].as_str().unwrap().to_owned();
    let path = format!("/jobs/{id}");
    let known = coordinator.audit().await.len();
    // A job that has not ended can be renamed only.
    let (status, job) =
        coordinator.ask(Method::PATCH, &path, Some(json!({ "name": " our first " }))).await;
    assert_eq!((status, &job["name"]), (StatusCode::OK, &json!("our first")), "{job}");
    assert_eq!(job["config"]["name"], "tiny");
    for (method, path) in
        [(Method::DELETE, path.clone()), (Method::POST, format!("{path}/archive"))]
    {
        let (status, kind, detail) = coordinator.refused(method, &path, None).await;
        assert_eq!((status, kind.as_str()), (409, "job-not-ended"));
        assert_eq!(detail, "job 'our first' is pending: cancel it, or wait until it ends");
    }
    coordinator.post(&format!("{path}/start"), Value::Null).await;
    while coordinator.get(&path).await["status"] != "completed" {
        device.work(&coordinator).await;
    }
    let notices = coordinator.get("/notices").await;
    let text = notices[0]["text"].as_str().unwrap();
    assert!(text.starts_with("job 'our first' completed"), "{text}");
    // Its model has the name in its settings.
    assert_eq!(coordinator.names("/models").await, ["tiny"]);

    let archived = coordinator.post(&format!("{path}/archive"), Value::Null).await;
    assert_eq!(archived["archived"], true);
    coordinator.post(&format!("{path}/archive"), Value::Null).await;
    assert_eq!(coordinator.get("/jobs").await, json!([]));
    assert_eq!(coordinator.names("/jobs?archived=true").await, ["our first"]);
    let coordinator = coordinator.restart().await;
    assert_eq!(coordinator.get("/jobs").await, json!([]));
    assert_eq!(coordinator.get(&path).await["name"], "our first");
    coordinator.post(&format!("{path}/unarchive"), Value::Null).await;
    assert_eq!(coordinator.names("/jobs").await, ["our first"]);

    let rounds = coordinator.get(&format!("{path}/rounds")).await;
    let last = rounds[1]["model"].clone();
    assert!(coordinator.has_blob(&rounds[0]["model"]) && coordinator.has_blob(&last));
    let model = coordinator.get("/models/tiny").await;
    coordinator.deleted(&path).await;
    for path in [path.clone(), format!("{path}/rounds"), format!("{path}/leases")] {
        assert_eq!(coordinator.refused(Method::GET, &path, None).await.0, 404, "{path}");
    }
    assert!(!coordinator.has_blob(&rounds[0]["model"]) && !coordinator.has_blob(&last));
    // The registered model stays.
    assert!(coordinator.has_blob(&model["blake3"]));
    let device_leases = coordinator.get(&format!("/devices/{}/leases", device.id)).await;
    assert_eq!(device_leases, json!([]));
    let coordinator = coordinator.restart().await;
    assert_eq!(coordinator.refused(Method::GET, &path, None).await.0, 404);
    assert_eq!(coordinator.refused(Method::DELETE, &path, None).await.1, "unknown-job");
    assert_eq!(coordinator.get("/models/tiny").await, model);
    let ours = coordinator.audit_after(known).await;
    let ours: Vec<&str> =
        ours.iter().filter_map(|line| line.split_once("): job ")).map(|it| it.1).collect();
    assert_eq!(
        ours,
        [
            "renamed name=our first",
            "started name=our first",
            "archived name=our first",
            "unarchived name=our first",
            "removed name=our first"
        ]
    );
}

#[tokio::test]
async fn a_model_is_renamed_archived_and_deleted() {
    let coordinator = Coordinator::start().await;
    let device = Device::enroll(&coordinator, "one").await;
    let job = trained(&coordinator, &device).await;
    trained(&coordinator, &device).await;
    let models = coordinator.get("/models").await;
    let [first, second] = [&models[0], &models[1]];
    // Both versions have the same bytes.
    assert_eq!((&first["version"], &second["version"]), (&json!(1), &json!(2)));
    assert_eq!(first["blake3"], second["blake3"]);
    assert_eq!(coordinator.get("/models/tiny@1").await["id"], first["id"]);
    assert_eq!(coordinator.get("/models/tiny").await["id"], second["id"]);
    let (_, _, detail) = coordinator.refused(Method::GET, "/models/tiny@3", None).await;
    assert_eq!(detail, "there is no model 'tiny@3'");

    let known = coordinator.audit().await.len();
    let stage = json!({ "stage": "production" });
    coordinator.ask(Method::PATCH, "/models/tiny@1", Some(stage)).await;
    let in_use = coordinator.refused(Method::DELETE, "/models/tiny", None).await;
    assert_eq!((in_use.0, in_use.1.as_str()), (409, "in-use"));
    assert_eq!(
        in_use.2,
        "model 'tiny' is in use: version 1 is the stage 'production'; remove its stage first"
    );
    for (body, expected) in [
        (json!({ "name": "topics@2" }), "invalid-model"),
        (json!({ "name": "" }), "invalid-model"),
        (json!({ "name": "topics", "stage": null }), "invalid-model"),
        (json!({}), "invalid-model"),
        (json!({ "name": "tiny" }), "name-taken"),
    ] {
        let refused = coordinator.refused(Method::PATCH, "/models/tiny", Some(body)).await;
        assert_eq!(refused.1, expected, "{refused:?}");
    }
    let rename = Some(json!({ "name": "topics" }));
    let (status, renamed) = coordinator.ask(Method::PATCH, "/models/tiny", rename).await;
    assert_eq!((status, &renamed["name"]), (StatusCode::OK, &json!("topics")), "{renamed}");
    assert_eq!(coordinator.names("/models").await, ["topics", "topics"]);
    let card = coordinator.get("/models/topics@1/card").await;
    assert_eq!(
        (&card["model"]["name"], &card["model"]["stage"]),
        (&json!("topics"), &json!("production"))
    );
    let path = renamed["checkpoint_path"].as_str().unwrap();
    let file = coordinator.request(Method::GET, path, &coordinator.admin).send().await.unwrap();
    assert_eq!(file.status(), StatusCode::OK);

    // A blob that two versions share stays until both are deleted.
    coordinator.deleted("/models/topics/versions/2").await;
    assert!(coordinator.has_blob(&first["blake3"]));
    coordinator.ask(Method::PATCH, "/models/topics", Some(json!({ "stage": null }))).await;
    coordinator.post("/models/topics/archive", Value::Null).await;
    assert_eq!(coordinator.get("/models").await, json!([]));
    let coordinator = coordinator.restart().await;
    assert_eq!(coordinator.names("/models?archived=true").await, ["topics"]);
    assert_eq!(coordinator.get("/models/topics").await["archived"], true);
    assert_eq!(coordinator.get("/models/topics/card").await["model"].get("archived"), None);
    coordinator.post("/models/topics/unarchive", Value::Null).await;
    coordinator.deleted("/models/topics@1").await;
    assert!(!coordinator.has_blob(&first["blake3"]));
    assert_eq!(coordinator.refused(Method::GET, "/models/topics", None).await.1, "unknown-model");
    // The job keeps its results.
    assert_eq!(coordinator.get(&format!("/jobs/{job}")).await["model_blake3"], first["blake3"]);
    let ours = coordinator.audit_after(known).await;
    let ours: Vec<&str> =
        ours.iter().filter_map(|line| line.split_once("): model ")).map(|it| it.1).collect();
    assert_eq!(
        ours,
        [
            "changed name=tiny version=1",
            "renamed name=topics",
            "removed name=topics version=2",
            "changed name=topics version=1",
            "archived name=topics",
            "unarchived name=topics",
            "removed name=topics version=1"
        ]
    );
    // The numbers of deleted versions are not used again, also after a restart.
    let coordinator = coordinator.restart().await;
    let body = json!({ "name": "topics", "job": job, "round": 1 });
    assert_eq!(coordinator.post("/models", body).await["version"], 3);
}

#[tokio::test]
async fn viewers_change_nothing() {
    let coordinator = Coordinator::start().await;
    let viewer = coordinator.token("viewer").await;
    let nobody = "01890a5d-ac96-774b-bcce-b302099a8057";
    for (method, path) in [
        (Method::PATCH, format!("/jobs/{nobody}")),
        (Method::DELETE, format!("/jobs/{nobody}")),
        (Method::POST, format!("/jobs/{nobody}/archive")),
        (Method::POST, format!("/jobs/{nobody}/unarchive")),
        (Method::PATCH, "/models/a".to_owned()),
        (Method::DELETE, "/models/a".to_owned()),
        (Method::DELETE, "/models/a/versions/1".to_owned()),
        (Method::POST, "/models/a/archive".to_owned()),
        (Method::POST, "/models/a/unarchive".to_owned()),
        (Method::PATCH, "/datasets/a".to_owned()),
        (Method::DELETE, "/datasets/a".to_owned()),
        (Method::DELETE, "/datasets/a/versions/1".to_owned()),
        (Method::POST, "/datasets/a/archive".to_owned()),
        (Method::POST, "/datasets/a/unarchive".to_owned()),
    ] {
        let request = coordinator.request(method, &path, &viewer).json(&json!({ "name": "b" }));
        let (status, problem) = crate::support::answer(request).await;
        assert_eq!(status, StatusCode::FORBIDDEN, "{path}: {problem}");
    }
}
