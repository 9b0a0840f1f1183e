//! Imports of uploaded files: the plan, its options, and refusals.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::staging::{staged_files, upload};
use crate::support::{Coordinator, answer, small_csv, tiny_job};

async fn refused(coordinator: &Coordinator, path: &str, body: Value) -> (u16, Value) {
    let (status, problem) = coordinator.ask(Method::POST, path, Some(body)).await;
    (status.as_u16(), problem)
}

fn names_of_datasets(coordinator: &Coordinator) -> usize {
    std::fs::read_dir(coordinator.folder.path().join("datasets")).map_or(0, Iterator::count)
}

#[tokio::test]
async fn an_inspection_shows_the_plan_and_stores_nothing() {
    let coordinator = Coordinator::start().await;
    let id = upload(&coordinator, "rows.csv", small_csv()).await;
    let request = json!({ "uploads": [{ "id": id, "role": "data" }], "plan": {} });
    let plan = coordinator.post("/datasets/inspect", request.clone()).await;
    assert_eq!(plan["questions"], json!([]), "{plan}");
    let roles: Vec<_> = plan["columns"].as_array().unwrap().iter().map(|it| &it["role"]).collect();
    assert_eq!(roles, ["text", "label"]);
    assert_eq!(plan["classes"][0]["name"], "0");
    assert_eq!(names_of_datasets(&coordinator), 0);
    // The same again, and the file is still there for the import.
    assert_eq!(coordinator.post("/datasets/inspect", request).await, plan);
    assert_eq!(staged_files(&coordinator).len(), 1);

    let request = json!({ "name": "rows", "uploads": [{ "id": id }], "plan": plan["options"] });
    let added = coordinator.post("/datasets", request).await;
    assert_eq!(added["plan"]["splits"], plan["splits"]);
    let info = &added["info"];
    assert_eq!((&info["validation_rows"], &info["version"]), (&json!(0), &json!(1)));
    assert_eq!(coordinator.get("/datasets/rows").await["train_rows"], info["train_rows"]);
}

#[tokio::test]
async fn a_dataset_shows_its_validation_rows() {
    let coordinator = Coordinator::start().await;
    let train = upload(&coordinator, "a.csv", small_csv()).await;
    let validation = upload(&coordinator, "b.csv", small_csv()).await;
    let request = json!({
        "name": "both", "uploads": [{ "id": train }, { "id": validation, "role": "validation" }]
    });
    let added = coordinator.post("/datasets", request).await;
    assert_eq!(added["info"]["validation_rows"], 20, "{added}");
    let listed = coordinator.get("/datasets").await;
    let rows = |name: &str| -> Vec<Value> {
        let entries = listed.as_array().unwrap().iter().filter(|entry| entry["name"] == name);
        entries.map(|entry| entry["validation_rows"].clone()).collect()
    };
    assert_eq!(rows("both"), [json!(20)]);
    assert_eq!(rows("synthetic"), [json!(0)]);
    assert_eq!(rows("mnist"), [Value::Null], "unknown before the download");
    assert_eq!(coordinator.get("/datasets/both").await["validation_rows"], 20);
    assert_eq!(coordinator.get("/datasets/synthetic").await["validation_rows"], 0);
    assert_eq!(coordinator.get("/datasets/mnist").await["validation_rows"], Value::Null);
}

/// The models of this version predict a class, so no job can train on texts without labels.
#[tokio::test]
async fn a_dataset_without_labels_is_shown_and_refused_for_jobs() {
    let coordinator = Coordinator::start().await;
    let lines: Vec<String> = (0..40).map(|n| format!("line {n} of a book\n")).collect();
    let lines = lines.concat();
    let id = upload(&coordinator, "book.txt", lines).await;
    let plan = json!({ "task": "language", "test_split": "tail" });
    let request = json!({ "name": "book", "uploads": [{ "id": id }], "plan": plan });
    let added = coordinator.post("/datasets", request).await;
    assert_eq!(added["info"]["classes"], json!([]), "{added}");

    let detail = coordinator.get("/datasets/book").await;
    assert_eq!((&detail["here"], &detail["classes"]), (&json!(true), &json!([])));
    assert_eq!(
        (&detail["train_class_counts"], &detail["test_class_counts"]),
        (&json!([]), &json!([]))
    );
    let rows = coordinator.get("/datasets/book/rows?limit=2").await;
    assert_eq!(rows[0], json!({ "label": 0, "text": "line 0 of a book", "image": null }));

    let mut job = tiny_job();
    job["dataset"] = json!("book");
    let named = {
        let mut job = job.clone();
        job["dataset"] = json!("book@1");
        job
    };
    for (path, job) in [
        ("/jobs/check", job.clone()),
        ("/jobs", job),
        ("/jobs/check", named.clone()),
        ("/jobs", named),
    ] {
        let (status, problem) = refused(&coordinator, path, job).await;
        assert_eq!((status, &problem["type"]), (422, &json!("dataset-without-labels")), "{path}");
        assert_eq!(problem["field"], "dataset");
        let detail = problem["detail"].as_str().unwrap();
        assert!(detail.contains("'book' has no labels"), "{detail}");
        assert!(detail.contains("--label"), "{detail}");
    }
    assert_eq!(coordinator.get("/jobs").await, json!([]));
    let path = "/datasets/book/partitions";
    let (status, problem) = refused(&coordinator, path, json!({ "seed": 1 })).await;
    assert_eq!((status, &problem["type"]), (422, &json!("dataset-without-labels")), "{problem}");
}

#[tokio::test]
async fn roles_and_options_decide_how_files_are_read() {
    let coordinator = Coordinator::start().await;
    let train = upload(&coordinator, "a.csv", small_csv()).await;
    let test = upload(&coordinator, "b.csv", small_csv()).await;
    let request = json!({
        "name": "both",
        "uploads": [{ "id": train }, { "id": test, "role": "test" }],
        "plan": { "text": ["text"], "label": "label", "header": true }
    });
    let added = coordinator.post("/datasets", request).await;
    assert_eq!(
        (&added["info"]["train_rows"], &added["info"]["test_rows"]),
        (&json!(20), &json!(20))
    );
    assert_eq!(staged_files(&coordinator).len(), 0);
}

#[tokio::test]
async fn a_request_that_can_t_be_right_names_the_field() {
    let coordinator = Coordinator::start().await;
    let id = upload(&coordinator, "rows.csv", small_csv()).await;
    let with = |plan: Value| json!({ "name": "rows", "uploads": [{ "id": id }], "plan": plan });
    for (plan, kind, field) in [
        (json!({ "text": [] }), "bad-plan", json!("plan.text")),
        (json!({ "text": ["a"], "label": "a" }), "bad-plan", json!("plan.label")),
        (json!({ "separator": "tabs" }), "bad-plan", json!("plan.separator")),
        (json!({ "limit": 0 }), "bad-plan", json!("plan.limit")),
        (json!({ "resize": { "height": 0, "width": 1 } }), "bad-plan", json!("plan.resize")),
        (json!({ "header": "no" }), "invalid-body", Value::Null),
        (json!({ "quote": "backtick" }), "invalid-body", Value::Null),
        (json!({ "lable": "a" }), "invalid-body", Value::Null),
    ] {
        let (status, problem) = refused(&coordinator, "/datasets", with(plan.clone())).await;
        assert_eq!((status, &problem["type"]), (422, &json!(kind)), "{plan}: {problem}");
        assert_eq!(problem["field"], field, "{plan}");
    }
    for (uploads, kind) in [
        (json!([]), "bad-dataset"),
        (json!([{ "id": id }, { "id": id }]), "bad-dataset"),
        (json!([{ "id": "01890a5d-ac96-774b-bcce-b302099a8057" }]), "unknown-upload"),
    ] {
        let body = json!({ "uploads": uploads });
        let (_, problem) = refused(&coordinator, "/datasets/inspect", body).await;
        assert_eq!((&problem["type"], &problem["field"]), (&json!(kind), &json!("uploads")));
    }
    for (body, field) in [
        (json!({ "hub": "no id" }), "hub"),
        (json!({ "hub": "a/b", "uploads": [{ "id": id }] }), "hub"),
        (json!({}), "uploads"),
    ] {
        let (status, problem) = refused(&coordinator, "/datasets/inspect", body).await;
        assert_eq!((status, &problem["field"]), (422, &json!(field)), "{problem}");
    }
    // The tests' coordinators have no network.
    let body = json!({ "hub": "owner/name" });
    let (status, problem) = refused(&coordinator, "/datasets/inspect", body).await;
    assert_eq!((status, &problem["field"]), (422, &json!("hub")), "{problem}");
    assert_eq!((names_of_datasets(&coordinator), staged_files(&coordinator).len()), (0, 1));
}

#[tokio::test]
async fn a_bad_or_taken_name_fails_before_the_file_is_read() {
    let coordinator = Coordinator::start().await;
    // The file can't be read, so another error would name it.
    let id = upload(&coordinator, "broken.zip", "PK\u{3}\u{4}broken").await;
    for (name, status, kind) in [
        ("", 422, "bad-dataset"),
        ("Bad Name", 422, "bad-dataset"),
        ("uploads", 422, "bad-dataset"),
        ("synthetic", 409, "name-taken"),
    ] {
        let body = json!({ "name": name, "uploads": [{ "id": id }] });
        let (found, problem) = refused(&coordinator, "/datasets", body).await;
        assert_eq!((found, &problem["type"]), (status, &json!(kind)), "{name}: {problem}");
        assert_eq!(problem["field"], "name");
        let path = format!("/datasets?name={}&filename=x.zip", name.replace(' ', "%20"));
        let sent = coordinator.request(Method::POST, &path, &coordinator.admin).body("PK");
        assert_eq!(answer(sent).await.1["field"], "name", "{name}");
    }
    assert_eq!(names_of_datasets(&coordinator), 0);
}

#[tokio::test]
async fn a_file_that_failed_leaves_no_name_behind_and_the_upload_for_another_try() {
    let coordinator = Coordinator::start().await;
    let id = upload(&coordinator, "bad.csv", "text,label\na,0\nb\nc\nd,1\n").await;
    let body = json!({ "name": "bad", "uploads": [{ "id": id }] });
    let (status, problem) = refused(&coordinator, "/datasets", body).await;
    assert_eq!(status, 422, "{problem}");
    assert!(!problem["detail"].as_str().unwrap().contains("staging"), "{problem}");
    assert_eq!(names_of_datasets(&coordinator), 0);
    assert_eq!(staged_files(&coordinator).len(), 1);
    let good = upload(&coordinator, "good.csv", small_csv()).await;
    let body = json!({ "name": "bad", "uploads": [{ "id": good }] });
    assert_eq!(coordinator.post("/datasets", body).await["info"]["name"], "bad");
}

/// Returns a table with two columns that can be the label. Nothing says which one is.
fn undecided_csv() -> String {
    let row = |row: usize| {
        let (b, c) = (["red", "blue"][row % 2], ["round", "square", "flat"][row % 3]);
        format!("some words about the thing {row},{b},{c}\n")
    };
    format!("a,b,c\n{}", (0..60).map(row).collect::<String>())
}

#[tokio::test]
async fn an_import_with_an_open_question_is_refused_with_the_question() {
    let coordinator = Coordinator::start().await;
    let id = upload(&coordinator, "undecided.csv", undecided_csv()).await;
    let inspect = json!({ "uploads": [{ "id": id }] });
    let plan = coordinator.post("/datasets/inspect", inspect).await;
    assert_eq!(
        (&plan["confidence"], &plan["questions"][0]["flag"]),
        (&json!("open"), &json!("--label"))
    );

    let body = json!({ "name": "undecided", "uploads": [{ "id": id }] });
    let (status, problem) = refused(&coordinator, "/datasets", body).await;
    assert_eq!((status, &problem["type"]), (422, &json!("import-undecided")), "{problem}");
    assert_eq!((&problem["field"], &problem["questions"]), (&json!("plan"), &plan["questions"]));
    let path = "/datasets?name=undecided&filename=undecided.csv";
    let sent = coordinator.request(Method::POST, path, &coordinator.admin).body(undecided_csv());
    let (status, old) = answer(sent).await;
    assert_eq!(
        (status, &old["type"]),
        (StatusCode::UNPROCESSABLE_ENTITY, &json!("import-undecided"))
    );
    assert_eq!(old["questions"], plan["questions"]);
    assert_eq!(names_of_datasets(&coordinator), 0);

    let decided = json!({ "label": plan["questions"][0]["choices"][0] });
    let body = json!({ "name": "undecided", "uploads": [{ "id": id }], "plan": decided });
    assert_eq!(coordinator.post("/datasets", body).await["info"]["name"], "undecided");
}
