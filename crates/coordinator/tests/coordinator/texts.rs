//! Text that somebody else chose, at every door: what can't be shown as it is comes in nowhere.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::device::{Device, register, registration};
use crate::support::{Coordinator, answer, small_csv, tiny_job};

/// ESC, BEL, CR, LF, C1's CSI, DEL, right-to-left override, zero width space, line separator.
const HIDDEN: [char; 9] =
    ['\u{1b}', '\u{7}', '\r', '\n', '\u{9b}', '\u{7f}', '\u{202e}', '\u{200b}', '\u{2028}'];

/// The pointer's value with this character in its middle.
fn with(mut body: Value, pointer: &str, hidden: char) -> Value {
    let value = body.pointer_mut(pointer).unwrap();
    *value = json!(format!("a{hidden}b"));
    body
}

fn refused(said: (StatusCode, Value), field: &str, hidden: char, door: &str) {
    let (status, body) = said;
    let code = u32::from(hidden);
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{door} took U+{code:04X}: {body}");
    assert_eq!(body["field"], field, "{door} U+{code:04X}: {body}");
    assert!(body["detail"].as_str().unwrap().contains("seen"), "{door} U+{code:04X}: {body}");
}

#[tokio::test]
async fn no_door_takes_text_that_can_t_be_shown() {
    let coordinator = Coordinator::start().await;
    let device = Device::enroll(&coordinator, "one").await;
    let (path, quarantine) =
        (format!("/devices/{}", device.id), format!("/devices/{}/quarantine", device.id));
    let mut job = tiny_job();
    job["run"]["labels"] = json!(["lab"]);
    let model = json!({ "name": "m", "blob": "0".repeat(64), "dataset": "d", "classes": ["x"] });
    // Method, path, body, pointer of the text, field of the problem.
    let doors = [
        (Method::PATCH, path.as_str(), json!({ "name": "x" }), "/name", "name"),
        (Method::PATCH, &path, json!({ "labels": ["x"] }), "/labels/0", "labels"),
        (Method::POST, &quarantine, json!({ "reason": "x" }), "/reason", "reason"),
        (Method::POST, "/jobs", job.clone(), "/name", "name"),
        (Method::POST, "/jobs", job.clone(), "/dataset", "dataset"),
        (Method::POST, "/jobs", job, "/run/labels/0", "run.labels"),
        (Method::POST, "/tokens", json!({ "role": "viewer", "name": "x" }), "/name", "name"),
        (Method::POST, "/join-codes", json!({ "name": "x" }), "/name", "name"),
        (
            Method::POST,
            "/sessions/links",
            json!({ "role": "viewer", "name": "x" }),
            "/name",
            "name",
        ),
        (Method::POST, "/models", model.clone(), "/name", "name"),
        (Method::POST, "/models", model.clone(), "/dataset", "dataset"),
        (Method::POST, "/models", model, "/classes/0", "classes"),
        (Method::PATCH, "/models/m", json!({ "stage": "x" }), "/stage", "stage"),
    ];
    for (method, path, body, pointer, field) in doors {
        for hidden in HIDDEN {
            let body = with(body.clone(), pointer, hidden);
            let said = coordinator.ask(method.clone(), path, Some(body)).await;
            refused(said, field, hidden, &format!("{method} {path} {pointer}"));
        }
    }
    for hidden in HIDDEN {
        let mut said = String::from("a");
        said.push(hidden);
        let file: String =
            said.bytes().map(|byte| format!("%{byte:02x}")).chain([".csv".to_owned()]).collect();
        let path = format!("/datasets?name=x&filename={file}");
        let request = coordinator.request(Method::POST, &path, &coordinator.admin);
        let said = answer(request.body(small_csv())).await;
        refused(said, "filename", hidden, "POST /datasets filename");
    }
}

#[tokio::test]
async fn a_device_registers_with_nothing_that_can_t_be_shown() {
    let coordinator = Coordinator::start().await;
    let admin = coordinator.admin.clone();
    for field in [
        "name",
        "device_type",
        "hardware_id",
        "gpu_name",
        "fingerprint.app",
        "fingerprint.burn",
        "fingerprint.hardware",
    ] {
        let pointer = format!("/{}", field.replace('.', "/"));
        for hidden in HIDDEN {
            let body = with(registration("one"), &pointer, hidden);
            let said = register(&coordinator, &admin, "one", body).await;
            refused(said, field, hidden, "POST /devices/register");
        }
    }
    assert_eq!(coordinator.get("/devices").await, json!([]));
    let mut body = registration("one");
    body["name"] = json!("Zoë's 日本 Mac 👩‍💻");
    assert_eq!(register(&coordinator, &admin, "one", body).await.0, StatusCode::OK);
}

#[tokio::test]
async fn classes_have_no_hidden_characters_and_a_warning_names_labels_that_did() {
    let coordinator = Coordinator::start().await;
    for (name, label, shown, classes) in [
        ("one", "\u{1b}1", "\\u{1b}1", json!(["0", "1"])),
        ("two", "b\u{202e}ad", "b\\u{202e}ad", json!(["0", "bad"])),
    ] {
        let path = format!("/datasets?name={name}&filename=x.csv");
        let csv = small_csv().replace(",1", &format!(",{label}"));
        let asked = coordinator.request(Method::POST, &path, &coordinator.admin).body(csv);
        let (status, added) = answer(asked).await;
        assert_eq!(status, StatusCode::CREATED, "{added}");
        assert_eq!((&added["bad_rows"], &added["info"]["classes"]), (&json!(0), &classes));
        assert!(
            added["plan"]["warnings"].to_string().contains(&shown.replace('\\', "\\\\")),
            "{added}"
        );
    }
    // A label of nothing else is no class.
    let csv = format!("{}text,\u{200b}\n", small_csv());
    let path = "/datasets?name=three&filename=x.csv";
    let asked = coordinator.request(Method::POST, path, &coordinator.admin).body(csv);
    let (status, added) = answer(asked).await;
    assert_eq!((status, &added["bad_rows"]), (StatusCode::CREATED, &json!(1)), "{added}");
    assert!(
        added["problems"][0]["reason"].as_str().unwrap().contains("U+200B")
            || added["problems"][0]["reason"].as_str().unwrap().contains("\\u{200b}"),
        "{added}"
    );
}

/// Its words come from a trainer, and no work is refused because of them.
#[tokio::test]
async fn why_a_lease_is_given_back_is_escaped() {
    let coordinator = Coordinator::start().await;
    let device = Device::enroll(&coordinator, "one").await;
    let id = coordinator.start_job(tiny_job()).await;
    let lease = device.next_job(&coordinator, 60).await.unwrap();
    let body = json!({ "reason": "failed", "detail": "a\u{1b}[2J\nb" });
    let path = format!("/leases/{}/return", lease.id);
    let (status, _) = device.ask(&coordinator, Method::POST, &path, body).await;
    assert_eq!(status, StatusCode::NO_CONTENT);
    let job = coordinator.get(&format!("/jobs/{id}")).await;
    let explanation = job["explanation"].to_string();
    assert!(explanation.contains(r"a\\u{1b}[2J\\u{a}b"), "{explanation}");
}
