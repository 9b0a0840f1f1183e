//! One dataset: its rows in the API, and its division into a job's partitions.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use data::synthetic::Synthetic;
use data::{Sample, image_decode};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::support::{Coordinator, tiny_job};

#[tokio::test]
async fn rows_of_a_local_dataset_are_counted_and_shown() {
    let coordinator = Coordinator::start().await;
    let detail = coordinator.get("/datasets/synthetic").await;
    let listed = coordinator.get("/datasets").await;
    for (field, value) in listed[0].as_object().unwrap() {
        assert_eq!(&detail[field], value, "{field}");
    }
    assert_eq!(detail["here"], true);
    let counts = |field: &str| -> u64 {
        detail[field].as_array().unwrap().iter().map(|count| count.as_u64().unwrap()).sum()
    };
    assert_eq!((counts("train_class_counts"), counts("test_class_counts")), (8000, 2000));

    let known = Synthetic::Topics.generate();
    let rows = coordinator.get("/datasets/synthetic/rows").await;
    assert_eq!(rows.as_array().unwrap().len(), 20);
    let page = "/datasets/synthetic/rows?offset=7&limit=3&split=test";
    let rows = coordinator.get(page).await;
    let expected: Vec<Value> = known.test[7..10]
        .iter()
        .map(|row| {
            let Sample::Text(text) = &row.sample else { panic!("{row:?}") };
            json!({ "label": row.label, "text": text, "image": null })
        })
        .collect();
    assert_eq!(rows, json!(expected));
    let beyond = coordinator.get("/datasets/synthetic/rows?offset=8000").await;
    assert_eq!(beyond, json!([]));
    let most = coordinator.get("/datasets/synthetic/rows?limit=5000").await;
    assert_eq!(most.as_array().unwrap().len(), 100);
}

#[tokio::test]
async fn images_are_shown_as_png() {
    let coordinator = Coordinator::start().await;
    let rows = coordinator.get("/datasets/synthetic_images/rows?limit=2").await;
    for (row, known) in rows.as_array().unwrap().iter().zip(Synthetic::Shapes.generate().train) {
        assert_eq!((&row["label"], &row["text"]), (&json!(known.label), &Value::Null));
        let image = row["image"].as_str().unwrap();
        let png = image.strip_prefix("data:image/png;base64,").unwrap();
        let shown = image_decode::decode(&STANDARD.decode(png).unwrap()).unwrap();
        assert_eq!(shown.pixels, known.sample.bytes());
    }
}

#[tokio::test]
async fn showing_a_dataset_of_the_hub_does_not_download_it() {
    let coordinator = Coordinator::start().await;
    let detail = coordinator.get("/datasets/mnist").await;
    assert_eq!((&detail["here"], &detail["origin"]), (&json!(false), &json!("hub")));
    assert_eq!((&detail["train_class_counts"], &detail["classes"]), (&Value::Null, &Value::Null));
    let body = Some(json!({ "seed": 1 }));
    for (method, path, body) in [
        (Method::GET, "/datasets/mnist/rows", None),
        (Method::POST, "/datasets/mnist/partitions", body),
    ] {
        let (status, problem) = coordinator.ask(method, path, body).await;
        assert_eq!(status, StatusCode::CONFLICT);
        assert_eq!(problem["type"], "dataset-not-here", "{problem}");
    }
    for path in ["/datasets/none", "/datasets/none/rows", "/datasets/..%2Fnone/rows"] {
        let (status, problem) = coordinator.ask(Method::GET, path, None).await;
        assert_eq!(status, StatusCode::NOT_FOUND, "{path}");
        assert_eq!(problem["type"], "unknown-dataset", "{problem}");
    }
    let (status, problem) =
        coordinator.ask(Method::GET, "/datasets/synthetic/rows?split=half", None).await;
    assert_eq!((status, &problem["type"]), (StatusCode::BAD_REQUEST, &json!("wrong-query")));
}

/// The leases of a job have the row counts that the preview of its partitions shows.
#[tokio::test]
async fn the_partition_preview_matches_the_job() {
    let coordinator = Coordinator::start().await;
    let mut job = tiny_job();
    job["seed"] = json!(9);
    job["data"] = json!({ "partitions": 3, "train_limit": 300,
        "partitioner": { "kind": "quantity", "alpha": 0.5 } });
    let request = json!({ "seed": 9, "data": job["data"] });
    let preview = coordinator.post("/datasets/synthetic/partitions", request).await;
    assert_eq!(preview["classes"].as_array().unwrap().len(), 4);
    let partitions = preview["partitions"].as_array().unwrap();
    let rows: Vec<u64> = partitions.iter().map(|it| it["rows"].as_u64().unwrap()).collect();
    assert_eq!((rows.len(), rows.iter().sum::<u64>()), (3, 300));
    for partition in partitions {
        let counts = partition["class_counts"].as_array().unwrap().iter();
        let sum: u64 = counts.map(|count| count.as_u64().unwrap()).sum();
        assert_eq!(sum, partition["rows"]);
    }
    coordinator.start_job(job).await;
    for device in ["one", "two", "three"] {
        let device = crate::device::Device::enroll(&coordinator, device).await;
        let lease = device.next_job(&coordinator, 60).await.unwrap();
        assert_eq!(lease.rows, rows[lease.partition as usize]);
    }
    let wrong = json!({ "seed": 9, "data": { "partitions": 9000 } });
    let path = "/datasets/synthetic/partitions";
    let (status, problem) = coordinator.ask(Method::POST, path, Some(wrong)).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(problem["field"], "data.partitions");
}

#[tokio::test]
async fn a_file_with_bad_rows_is_refused_with_the_first_of_them_and_not_stored() {
    let coordinator = Coordinator::start().await;
    let good: Vec<String> = (0..40).map(|row| format!("text {row},{}\n", row % 2)).collect();
    let csv =
        format!("text,label\n{}{}{}", good.concat(), "only a text\n".repeat(23), ",a\n".repeat(2));
    let path = "/datasets?name=own&filename=own.csv";
    let sent = coordinator.request(Method::POST, path, &coordinator.admin).body(csv);
    let (status, problem) = crate::support::answer(sent).await;
    assert_eq!((status, &problem["field"]), (StatusCode::UNPROCESSABLE_ENTITY, &json!("file")));
    assert_eq!(problem["bad_rows"], 25);
    let rows = problem["rows"].as_array().unwrap();
    assert_eq!(rows.len(), 20);
    assert_eq!(
        rows[0],
        json!({
            "file": "own.csv", "line": 42,
            "reason": "it has 1 column, but the other rows have 2",
            "change": "add the missing values, or remove the row"
        })
    );
    assert_eq!(rows[19]["line"], 61);
    assert_eq!(coordinator.ask(Method::GET, "/datasets/own", None).await.0, StatusCode::NOT_FOUND);
    let left = std::fs::read_dir(coordinator.folder.path().join("datasets"));
    assert_eq!(left.map_or(0, Iterator::count), 0);
}
