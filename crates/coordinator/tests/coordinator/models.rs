//! Registered models: stages and predictions.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use data::image_decode;
use protocol::codec;
use protocol::model::ModelSpec;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::support::Coordinator;

const TEXT: &str = r#"{ "input": { "kind": "text", "buckets": 16, "ngrams": 1, "max_words": 8 },
    "layers": [{ "kind": "embedding_bag", "dimension": 2 }, { "kind": "linear", "outputs": 3 }] }"#;
const IMAGE: &str = r#"{ "input": { "kind": "image", "channels": 1, "height": 4, "width": 4,
    "mean": 0.0, "deviation": 1.0 }, "layers": [{ "kind": "flatten" }, { "kind": "linear", "outputs": 3 }] }"#;

impl Coordinator {
    /// Registers a model whose last layer's biases are 0, 2 and 1.
    async fn register(&self, name: &str, spec: &str) -> Value {
        let spec: ModelSpec = serde_json::from_str(spec).unwrap();
        let mut weights = vec![0.0; spec.layout().unwrap().parameters];
        let biases = weights.len() - 3;
        weights[biases + 1] = 2.0;
        weights[biases + 2] = 1.0;
        let bytes = codec::encode(&weights);
        let blob = protocol::BlobHash::compute(&bytes);
        let put = self.request(Method::PUT, &format!("/blobs/{blob}"), &self.admin);
        let put = put.header("Upload-Offset", 0).body(bytes).send().await.unwrap();
        assert!(put.status().is_success(), "{}", put.text().await.unwrap());
        let kind = if name == "shapes" { "vision" } else { "nlp" };
        let body = json!({ "name": name, "blob": blob, "spec": spec, "model_type": kind,
            "classes": ["low", "high", "middle"] });
        self.post("/models", body).await
    }
}

#[tokio::test]
async fn a_stage_holds_one_version_of_a_model() {
    let coordinator = Coordinator::start().await;
    for _ in 0..2 {
        assert_eq!(coordinator.register("topics", TEXT).await["stage"], Value::Null);
    }
    coordinator.register("others", TEXT).await;
    let known = coordinator.audit().await.len();
    let set = async |path: &str, stage: Value| {
        let body = Some(json!({ "stage": stage }));
        let (status, model) = coordinator.ask(Method::PATCH, path, body).await;
        assert_eq!(status, StatusCode::OK, "{model}");
        model
    };
    let stages = async || -> Vec<Value> {
        let models = coordinator.get("/models").await;
        let models = models.as_array().unwrap().iter();
        models.map(|model| json!([model["name"], model["version"], model["stage"]])).collect()
    };
    set("/models/others", json!("production")).await;
    let first = set("/models/topics?version=1", json!("production")).await;
    assert_eq!((&first["version"], &first["stage"]), (&json!(1), &json!("production")));
    set("/models/topics", json!(" production ")).await;
    assert_eq!(
        stages().await,
        [
            json!(["others", 1, "production"]),
            json!(["topics", 1, null]),
            json!(["topics", 2, "production"])
        ]
    );
    assert_eq!(coordinator.get("/models/topics/card").await["model"]["stage"], "production");
    assert_eq!(set("/models/topics", Value::Null).await["stage"], Value::Null);
    assert_eq!(
        coordinator.audit_after(known).await,
        ["others 1", "topics 1", "topics 2", "topics 2"].map(|it| {
            let (name, version) = it.split_once(' ').unwrap();
            format!("this machine (admin, 127.0.0.1): model changed name={name} version={version}")
        })
    );
    for (path, body, status) in [
        ("/models/none", json!({ "stage": "x" }), StatusCode::NOT_FOUND),
        ("/models/topics?version=9", json!({ "stage": "x" }), StatusCode::NOT_FOUND),
        ("/models/topics", json!({}), StatusCode::UNPROCESSABLE_ENTITY),
        ("/models/topics", json!({ "stage": "" }), StatusCode::UNPROCESSABLE_ENTITY),
        ("/models/topics", json!({ "stage": "x".repeat(51) }), StatusCode::UNPROCESSABLE_ENTITY),
    ] {
        let (found, problem) = coordinator.ask(Method::PATCH, path, Some(body)).await;
        assert_eq!(found, status, "{problem}");
    }
    let before = stages().await;
    let coordinator = coordinator.restart().await;
    let models = coordinator.get("/models").await;
    assert_eq!(models.as_array().unwrap().len(), before.len());
    assert_eq!(models[0]["stage"], "production");
}

#[tokio::test]
async fn a_prediction_lists_the_probability_of_each_class() {
    let coordinator = Coordinator::start().await;
    coordinator.register("topics", TEXT).await;
    coordinator.register("shapes", IMAGE).await;
    let viewer = coordinator.token("viewer").await;
    let sum = 1.0 + 1.0_f64.exp() + 2.0_f64.exp();
    let png = STANDARD.encode(image_decode::png(3, 9, 5, &[7; 135]).unwrap());
    for (path, body) in [
        ("/models/topics/predict", json!({ "text": "some words" })),
        ("/models/shapes/predict?version=1", json!({ "image": png })),
        ("/models/shapes/predict", json!({ "image": format!("data:image/png;base64,{png}") })),
    ] {
        let request = coordinator.request(Method::POST, path, &viewer).json(&body);
        let (status, answer) = crate::support::answer(request).await;
        assert_eq!(status, StatusCode::OK, "{answer}");
        assert!(answer["seconds"].as_f64().unwrap() > 0.0, "{answer}");
        let classes = answer["classes"].as_array().unwrap();
        for (class, (name, bias)) in
            classes.iter().zip([("high", 2.0_f64), ("middle", 1.0), ("low", 0.0)])
        {
            assert_eq!(class["name"], name);
            let probability = class["probability"].as_f64().unwrap();
            assert!((probability - bias.exp() / sum).abs() < 1e-9, "{class}");
        }
    }
}

#[tokio::test]
async fn an_unusable_input_is_refused_with_what_to_send() {
    let coordinator = Coordinator::start().await;
    coordinator.register("topics", TEXT).await;
    coordinator.register("shapes", IMAGE).await;
    let long = "x".repeat(100_001);
    for (path, body, field, expected) in [
        ("/models/topics/predict", json!({}), "text", "reads texts"),
        ("/models/topics/predict", json!({ "image": "" }), "text", "reads texts"),
        ("/models/topics/predict", json!({ "text": "x", "image": "" }), "text", "nothing else"),
        ("/models/topics/predict", json!({ "text": long }), "text", "more than 100000"),
        ("/models/shapes/predict", json!({ "text": "x" }), "image", "reads images"),
        ("/models/shapes/predict", json!({ "image": "?" }), "image", "base64"),
        ("/models/shapes/predict", json!({ "image": "AAAA" }), "image", "PNG or JPEG"),
    ] {
        let (status, problem) = coordinator.ask(Method::POST, path, Some(body)).await;
        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{problem}");
        assert_eq!(problem["field"], field, "{problem}");
        assert!(problem["detail"].as_str().unwrap().contains(expected), "{problem}");
    }
    let body = Some(json!({ "text": "x" }));
    let (status, _) = coordinator.ask(Method::POST, "/models/none/predict", body).await;
    assert_eq!(status, StatusCode::NOT_FOUND);
}
