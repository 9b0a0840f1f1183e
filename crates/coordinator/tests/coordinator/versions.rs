//! Versions of uploaded datasets: which one a job uses, and their renaming, archiving and deletion.

use std::path::Path;

use data::{ImportFile, ReadLimits, read_file, shard};
use protocol::BlobHash;
use protocol::dataset::import::{FileRole, ImportOptions};
use reqwest::{Method, StatusCode};
use rusqlite::Connection;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::device::Device;
use crate::migrations::BACK_TO_VERSION_6;
use crate::support::{Coordinator, answer, settings, tiny_job};

/// Returns a CSV file with this many rows of two classes.
pub(crate) fn csv(rows: u32, word: &str) -> String {
    let rows: Vec<String> = (0..rows)
        .map(|row| format!("{word} text {row},{}\n", ["a", "b"][row as usize % 2]))
        .collect();
    format!("text,label\n{}", rows.concat())
}

impl Coordinator {
    async fn add(&self, query: &str, body: String) -> (StatusCode, Value) {
        let path = format!("/datasets?filename=ours.csv&{query}");
        answer(self.request(Method::POST, &path, &self.admin).body(body)).await
    }

    async fn added(&self, query: &str, body: String) -> Value {
        let (status, added) = self.add(query, body).await;
        assert_eq!(status, StatusCode::CREATED, "{added}");
        added
    }

    /// Returns the blobs of each version in the database.
    fn shards(&self) -> Vec<(u32, BlobHash)> {
        let database = Connection::open(self.folder.path().join("constellation.db")).unwrap();
        let query = "SELECT version, blob FROM dataset_shards ORDER BY version, split DESC";
        let mut statement = database.prepare(query).unwrap();
        let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get::<_, String>(1)?)));
        rows.unwrap().map(|row| row.unwrap()).map(|(n, blob)| (n, blob.parse().unwrap())).collect()
    }
}

fn job_on(dataset: &str) -> Value {
    let mut job = tiny_job();
    job["dataset"] = json!(dataset);
    job["model"]["layers"][1]["outputs"] = json!(2);
    job["data"] = json!({ "partitions": 2 });
    job["run"] = json!({ "rounds": 1 });
    job
}

#[tokio::test]
async fn a_job_uses_the_version_that_was_the_newest_when_it_was_created() {
    let coordinator = Coordinator::start().await;
    let added = coordinator.added("name=ours", csv(40, "first")).await;
    assert_eq!((&added["info"]["version"], &added["info"]["train_rows"]), (&json!(1), &json!(36)));
    let (status, problem) = coordinator.add("name=ours", csv(60, "second")).await;
    assert_eq!((status, &problem["type"]), (StatusCode::CONFLICT, &json!("name-taken")));
    let detail = problem["detail"].as_str().unwrap();
    assert!(detail.contains("new_version=true"), "{detail}");
    let early = coordinator.post("/jobs", job_on("ours")).await;
    assert_eq!((&early["dataset"], &early["dataset_version"]), (&json!("ours"), &json!("ours@1")));

    let added = coordinator.added("name=ours&new_version=true", csv(60, "second")).await;
    assert_eq!((&added["info"]["version"], &added["info"]["train_rows"]), (&json!(2), &json!(54)));
    let late = coordinator.post("/jobs", job_on("ours")).await;
    let pinned = coordinator.post("/jobs", job_on("ours@1")).await;
    assert_eq!(
        (&late["dataset_version"], &pinned["dataset_version"]),
        (&json!("ours@2"), &json!("ours@1"))
    );
    assert_eq!(pinned["config"]["dataset"], "ours@1");

    let detail = coordinator.get("/datasets/ours").await;
    assert_eq!((&detail["version"], &detail["train_rows"]), (&json!(2), &json!(54)));
    let versions = detail["versions"].as_array().unwrap();
    let names: Vec<&Value> = versions.iter().map(|version| &version["name"]).collect();
    assert_eq!(names, ["ours@2", "ours@1"]);
    assert_eq!(
        (&versions[1]["files"], &versions[1]["created_by"]),
        (&json!(["ours.csv"]), &json!("this machine"))
    );
    assert_eq!(coordinator.get("/datasets/ours@1").await["train_rows"], 36);
    let text =
        |rows: Value| rows[0]["text"].as_str().unwrap().split(' ').next().unwrap().to_owned();
    assert_eq!(text(coordinator.get("/datasets/ours@1/rows").await), "first");
    assert_eq!(text(coordinator.get("/datasets/ours/rows").await), "second");
    let asked = json!({ "seed": 1, "data": { "partitions": 1 } });
    let divided = coordinator.post("/datasets/ours@1/partitions", asked).await;
    assert_eq!(divided["partitions"][0]["rows"], 36);

    // Both train on their own version, also after a restart.
    let coordinator = coordinator.restart().await;
    let device = Device::enroll(&coordinator, "one").await;
    for (job, version, rows) in [(&early, "ours@1", 18), (&late, "ours@2", 27)] {
        let id = job["id"].as_str().unwrap();
        coordinator.post(&format!("/jobs/{id}/start"), Value::Null).await;
        let lease = device.next_job(&coordinator, 60).await.unwrap();
        assert_eq!(lease.rows, rows, "{version}");
        device.report(&coordinator, &lease, crate::device::update(&lease)).await;
        while coordinator.get(&format!("/jobs/{id}")).await["status"] != "completed" {
            device.work(&coordinator).await;
        }
        let model = coordinator.get("/models/tiny").await;
        assert_eq!(
            (&model["dataset"], &model["dataset_version"]),
            (&json!("ours"), &json!(version))
        );
    }
    for (dataset, expected) in [
        ("ours@3", "has no version 3; its versions are 1, 2"),
        ("synthetic@1", "is built in and has one version; write 'synthetic'"),
        ("oures", "did you mean `ours`?"),
    ] {
        for path in ["/jobs", "/jobs/check"] {
            let (status, kind, detail) =
                coordinator.refused(Method::POST, path, Some(job_on(dataset))).await;
            assert_eq!((status, kind.as_str()), (422, "unknown-dataset"));
            assert!(detail.contains(expected), "{detail}");
        }
    }
}

#[tokio::test]
async fn a_failed_upload_leaves_no_name() {
    let coordinator = Coordinator::start().await;
    for (body, expected) in [("text,label\nonly one,a\n".to_owned(), 422), (String::new(), 422)] {
        let (status, problem) = coordinator.add("name=ours", body).await;
        assert_eq!(status.as_u16(), expected, "{problem}");
        assert_eq!(
            coordinator.refused(Method::GET, "/datasets/ours", None).await.1,
            "unknown-dataset"
        );
    }
    for name in ["synthetic", "mnist"] {
        let (status, problem) =
            coordinator.add(&format!("name={name}&new_version=true"), csv(40, "x")).await;
        assert_eq!(
            (status, &problem["type"]),
            (StatusCode::CONFLICT, &json!("name-taken")),
            "{problem}"
        );
    }
    let added = coordinator.added("name=ours&new_version=true", csv(40, "x")).await;
    assert_eq!(added["info"]["version"], 1);
}

#[tokio::test]
async fn a_dataset_in_use_is_not_deleted_and_its_blobs_go_with_it() {
    let coordinator = Coordinator::start().await;
    coordinator.added("name=ours", csv(40, "same")).await;
    // The second version has the same rows, so both share their blobs.
    coordinator.added("name=ours&new_version=true", csv(40, "same")).await;
    let shards = coordinator.shards();
    assert_eq!((shards.len(), shards[0].1, shards[1].1), (4, shards[2].1, shards[3].1));
    let job = coordinator.post("/jobs", job_on("ours@1")).await;
    let id = job["id"].as_str().unwrap().to_owned();
    let known = coordinator.audit().await.len();
    for path in ["/datasets/ours", "/datasets/ours@1", "/datasets/ours/versions/1"] {
        let (status, kind, detail) = coordinator.refused(Method::DELETE, path, None).await;
        assert_eq!((status, kind.as_str()), (409, "in-use"));
        assert!(detail.contains(&format!("job 'tiny' ({id}) is pending")), "{detail}");
    }
    coordinator.deleted("/datasets/ours/versions/2").await;
    assert!(shards.iter().all(|(_, blob)| coordinator.blob_path(*blob).exists()), "still shared");
    coordinator.post(&format!("/jobs/{id}/cancel"), Value::Null).await;
    coordinator.deleted("/datasets/ours").await;
    assert!(shards.iter().all(|(_, blob)| !coordinator.blob_path(*blob).exists()));
    let job = coordinator.get(&format!("/jobs/{id}")).await;
    assert_eq!(
        (&job["dataset_version"], &job["dataset_deleted"]),
        (&json!("ours@1"), &json!(true))
    );
    assert_eq!(
        coordinator.refused(Method::DELETE, "/datasets/ours", None).await.1,
        "unknown-dataset"
    );
    let coordinator = coordinator.restart().await;
    assert!(!coordinator.names("/datasets").await.contains(&"ours".to_owned()));
    let job = coordinator.get(&format!("/jobs/{id}")).await;
    assert_eq!(
        (&job["dataset_version"], &job["dataset_deleted"]),
        (&json!("ours@1"), &json!(true))
    );
    // The next upload of this name is another version.
    let added = coordinator.added("name=ours", csv(40, "third")).await;
    assert_eq!(added["info"]["version"], 3);
    let ours = coordinator.audit_after(known).await;
    let ours: Vec<&str> =
        ours.iter().filter_map(|line| line.split_once("): dataset ")).map(|it| it.1).collect();
    assert_eq!(ours, ["removed name=ours version=2", "removed name=ours", "added version=3"]);
}

#[tokio::test]
async fn jobs_and_models_follow_a_renamed_dataset() {
    let coordinator = Coordinator::start().await;
    let device = Device::enroll(&coordinator, "one").await;
    coordinator.added("name=ours", csv(40, "x")).await;
    coordinator.added("name=others", csv(40, "y")).await;
    let ended = coordinator.start_job(job_on("ours")).await;
    while coordinator.get(&format!("/jobs/{ended}")).await["status"] != "completed" {
        device.work(&coordinator).await;
    }
    let waiting =
        coordinator.post("/jobs", job_on("ours@1")).await["id"].as_str().unwrap().to_owned();
    let known = coordinator.audit().await.len();
    for (path, name, expected) in [
        ("/datasets/ours", "others", "name-taken"),
        ("/datasets/ours", "synthetic", "name-taken"),
        ("/datasets/ours", "Ours", "bad-dataset"),
        ("/datasets/ours", "ours@2", "bad-dataset"),
        ("/datasets/none", "new", "unknown-dataset"),
        ("/datasets/mnist", "new", "built-in-dataset"),
    ] {
        let refused = coordinator.refused(Method::PATCH, path, Some(json!({ "name": name }))).await;
        assert_eq!(refused.1, expected, "{refused:?}");
    }
    let body = Some(json!({ "name": "reviews" }));
    let (status, renamed) = coordinator.ask(Method::PATCH, "/datasets/ours", body).await;
    assert_eq!((status, &renamed["name"]), (StatusCode::OK, &json!("reviews")), "{renamed}");
    let coordinator = coordinator.restart().await;
    for id in [&ended, &waiting] {
        let job = coordinator.get(&format!("/jobs/{id}")).await;
        assert_eq!(
            (&job["dataset"], &job["dataset_version"]),
            (&json!("reviews"), &json!("reviews@1"))
        );
    }
    let model = coordinator.get("/models/tiny").await;
    assert_eq!(
        (&model["dataset"], &model["dataset_version"]),
        (&json!("reviews"), &json!("reviews@1"))
    );
    // The waiting job reads its rows under the new name, and the old name is free.
    coordinator.added("name=ours", csv(60, "z")).await;
    coordinator.post(&format!("/jobs/{waiting}/start"), Value::Null).await;
    let device = Device::enroll(&coordinator, "two").await;
    assert_eq!(device.next_job(&coordinator, 60).await.unwrap().rows, 18);

    coordinator.post("/datasets/reviews/archive", Value::Null).await;
    assert!(!coordinator.names("/datasets").await.contains(&"reviews".to_owned()));
    assert_eq!(coordinator.names("/datasets?archived=true").await, ["reviews"]);
    assert_eq!(coordinator.get("/datasets/reviews").await["archived"], true);
    let refused = coordinator.refused(Method::POST, "/jobs", Some(job_on("reviews"))).await;
    assert_eq!((refused.0, refused.1.as_str()), (409, "archived-dataset"));
    let (status, problem) = coordinator.add("name=reviews&new_version=true", csv(40, "w")).await;
    assert_eq!((status, &problem["type"]), (StatusCode::CONFLICT, &json!("archived-dataset")));
    let refused = coordinator.refused(Method::POST, "/datasets/synthetic/archive", None).await;
    assert_eq!(refused.1, "built-in-dataset");
    coordinator.post("/datasets/reviews/unarchive", Value::Null).await;
    coordinator.post("/jobs", job_on("reviews")).await;
    let ours = coordinator.audit_after(known).await;
    let ours: Vec<&str> =
        ours.iter().filter_map(|line| line.split_once("): dataset ")).map(|it| it.1).collect();
    assert_eq!(
        ours,
        [
            "renamed name=reviews",
            "added version=1",
            "archived name=reviews",
            "unarchived name=reviews"
        ]
    );
}

/// Writes a dataset as version 6 of the database's program did, in a folder of its own.
fn old_folder(data_dir: &Path, name: &str) {
    let file = data_dir.join("old.csv");
    std::fs::write(&file, csv(40, "old")).unwrap();
    let files = [ImportFile { path: file.clone(), role: FileRole::Data }];
    let (options, limits) = (ImportOptions::default(), ReadLimits::default());
    let (dataset, _) = read_file(name, &files, &options, limits, &mut |_| {}).unwrap();
    std::fs::remove_file(file).unwrap();
    let folder = data_dir.join("datasets").join(name);
    std::fs::create_dir_all(&folder).unwrap();
    for (part, rows) in [("train.shard", &dataset.train), ("test.shard", &dataset.test)] {
        let bytes = shard::write(dataset.info.sample, &rows.iter().collect::<Vec<_>>());
        std::fs::write(folder.join(part), bytes).unwrap();
    }
    // The last landed version stored no versions and no validation rows.
    let mut json = serde_json::to_value(&dataset.info).unwrap();
    json.as_object_mut()
        .unwrap()
        .retain(|field, _| field != "version" && field != "validation_rows");
    std::fs::write(folder.join("info.json"), json.to_string()).unwrap();
}

#[tokio::test]
async fn folders_of_an_earlier_version_become_version_1() {
    let coordinator = Coordinator::start().await;
    coordinator.added("name=ours", csv(40, "old")).await;
    let id = coordinator.post("/jobs", job_on("ours")).await["id"].as_str().unwrap().to_owned();
    let other = coordinator.post("/jobs", tiny_job()).await;
    assert_eq!(other.get("dataset_version"), None);
    let rows = coordinator.get("/datasets/ours/rows").await;
    let Coordinator { running, folder, .. } = coordinator;
    running.stop().await;
    let database = Connection::open(folder.path().join("constellation.db")).unwrap();
    database.execute_batch(BACK_TO_VERSION_6).unwrap();
    drop(database);
    old_folder(folder.path(), "ours");
    let broken = folder.path().join("datasets/broken");
    std::fs::create_dir(&broken).unwrap();
    std::fs::write(broken.join("info.json"), "{").unwrap();

    let coordinator = Coordinator::start_in(folder).await;
    assert!(!coordinator.folder.path().join("datasets/ours").exists());
    assert!(coordinator.folder.path().join("datasets/broken/info.json").exists());
    assert!(coordinator.folder.path().join("constellation.db.version-6").exists());
    let detail = coordinator.get("/datasets/ours").await;
    let versions = detail["versions"].as_array().unwrap();
    assert_eq!((versions.len(), &versions[0]["name"]), (1, &json!("ours@1")));
    assert_eq!(coordinator.get("/datasets/ours/rows").await, rows);
    assert_eq!(coordinator.get(&format!("/jobs/{id}")).await["dataset_version"], "ours@1");
    let (_, kind, _) = coordinator.refused(Method::DELETE, "/datasets/ours", None).await;
    assert_eq!(kind, "in-use");
    coordinator.post(&format!("/jobs/{id}/start"), Value::Null).await;
    coordinator.job_in(&id, "running").await;

    // A crash between the commit and the removal leaves a folder that the next start removes.
    let Coordinator { running, folder, .. } = coordinator;
    running.stop().await;
    old_folder(folder.path(), "ours");
    old_folder(folder.path(), "another");
    let coordinator = Coordinator::start_in(folder).await;
    assert!(!coordinator.folder.path().join("datasets/ours").exists());
    let detail = coordinator.get("/datasets/ours").await;
    assert_eq!(detail["versions"].as_array().unwrap().len(), 1);
    assert_eq!(coordinator.get("/datasets/another").await["version"], 1);
}

/// Rows that `constellation simulate` and `model eval` read on the coordinator's machine.
#[tokio::test]
async fn rows_are_read_without_the_coordinator() {
    let empty = TempDir::new().unwrap();
    let sources = |folder: &Path| settings(folder).sources;
    old_folder(empty.path(), "ours");
    let datasets = coordinator::datasets_of(empty.path(), sources(empty.path())).unwrap();
    assert_eq!(
        datasets.load("ours", &mut |_| {}).unwrap().train.len(),
        36,
        "of an earlier version"
    );
    let coordinator = Coordinator::start().await;
    coordinator.added("name=ours", csv(40, "x")).await;
    coordinator.added("name=ours&new_version=true", csv(60, "x")).await;
    let folder = coordinator.folder.path();
    let datasets = coordinator::datasets_of(folder, sources(folder)).unwrap();
    for (name, rows) in [("ours", 54), ("ours@1", 36), ("ours@2", 54), ("synthetic", 8000)] {
        assert_eq!(datasets.load(name, &mut |_| {}).unwrap().train.len(), rows, "{name}");
    }
    let error = datasets.load("ours@3", &mut |_| {}).unwrap_err().to_string();
    assert!(error.contains("there is no dataset `ours@3`"), "{error}");
}
