//! Approval of a known machine's new key, which leaves the old record unchanged until then.

use protocol::audit::Action;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::device::{Device, register, registration};
use crate::identity::{after_silence, proof};
use crate::support::{Coordinator, tiny_job};

/// A sleeping Mac with the label `lab`, and another machine that claims its hardware id.
struct Claimed {
    coordinator: Coordinator,
    proof: String,
    real: Device,
    stranger: Device,
}

impl Claimed {
    async fn new() -> Self {
        let coordinator = Coordinator::start().await;
        let proof = proof(&coordinator).await;
        let (_, body) = register(&coordinator, &proof, "real key", registration("one")).await;
        let real = Device::from_registration(&body);
        let change = json!({ "name": "the lab's first", "labels": ["lab"] });
        let path = format!("/devices/{}", real.id);
        coordinator.ask(Method::PATCH, &path, Some(change)).await;
        let coordinator = after_silence(coordinator).await;
        let (status, body) =
            register(&coordinator, &proof, "stranger's key", registration("one")).await;
        assert_eq!((status, &body["awaiting_approval"]), (StatusCode::OK, &json!(true)));
        assert_eq!(body["enrolment"], "new", "workers of before approvals know no other word");
        let stranger = Device::from_registration(&body);
        Self { coordinator, proof, real, stranger }
    }

    async fn device(&self, device: &Device) -> Value {
        self.coordinator.get(&format!("/devices/{}", device.id)).await
    }

    async fn approve(&self, device: &Device, body: Value) -> Value {
        self.coordinator.post(&format!("/devices/{}/approve", device.id), body).await
    }

    async fn beat(&self, device: &Device) -> (StatusCode, Value) {
        let path = format!("/devices/{}/heartbeat", device.id);
        device.ask(&self.coordinator, Method::POST, &path, json!({ "state": "waiting" })).await
    }

    async fn restart(self) -> Self {
        Self { coordinator: self.coordinator.restart().await, ..self }
    }
}

/// Starts a job for the label and one for every device. Returns their ids.
async fn start_jobs(coordinator: &Coordinator) -> [String; 2] {
    let mut labeled = tiny_job();
    labeled["run"]["labels"] = json!(["lab"]);
    let ids = [coordinator.start_job(labeled).await, coordinator.start_job(tiny_job()).await];
    for id in &ids {
        coordinator.job_in(id, "running").await;
    }
    ids
}

#[tokio::test]
async fn a_hardware_id_that_a_stranger_names_takes_neither_labels_nor_work_nor_the_old_token() {
    let claimed = Claimed::new().await;
    let Claimed { coordinator, real, stranger, .. } = &claimed;
    assert_ne!(stranger.id, real.id);
    let shown = claimed.device(stranger).await;
    let approval = json!({ "replaces": real.id, "name": "the lab's first" });
    assert_eq!((&shown["labels"], &shown["approval"]), (&json!([]), &approval));
    assert!(shown["note"].as_str().unwrap().contains("the lab's first"), "{shown}");
    let shown = claimed.device(real).await;
    assert_eq!((&shown["labels"], shown.get("approval")), (&json!(["lab"]), None));

    let ids = start_jobs(coordinator).await;
    assert!(stranger.next_job(coordinator, 0).await.is_none());
    let explanation =
        coordinator.get(&format!("/jobs/{}", ids[1])).await["explanation"].to_string();
    assert!(explanation.contains("1 offline") && !explanation.contains("free"), "{explanation}");
    let (status, told) = claimed.beat(stranger).await;
    assert_eq!((status, &told["awaiting_approval"]), (StatusCode::OK, &json!(true)));
    let reason = told["quarantined"]["reason"].as_str().unwrap();
    assert_eq!(reason, "Waiting for an administrator to approve this Mac");

    // The real Mac wakes up and continues as before.
    let (status, told) = claimed.beat(real).await;
    assert_eq!((status, told.get("quarantined")), (StatusCode::OK, None));
    assert_eq!(real.next_job(coordinator, 60).await.unwrap().job_id.to_string(), ids[0]);
    let page = coordinator.request(Method::GET, "/metrics", &coordinator.admin);
    let page = page.send().await.unwrap().text().await.unwrap();
    assert!(page.contains("constellation_devices{state=\"waiting\"} 1\n"), "{page}");
    assert!(page.contains("constellation_devices_awaiting_approval 1\n"), "{page}");
}

#[tokio::test]
async fn administrators_are_told_of_it_and_may_refuse_it() {
    let claimed = Claimed::new().await;
    let Claimed { coordinator, proof, real, stranger } = &claimed;
    let notice = &coordinator.get("/notices").await[0];
    assert_eq!(notice["kind"], "device_awaiting_approval");
    assert_eq!(notice["subject"], stranger.id.as_str());
    let text = notice["text"].as_str().unwrap();
    assert!(
        text.contains("one's Mac shows a new key") && text.contains("the lab's first"),
        "{text}"
    );
    let entries = coordinator.audit().await;
    let enrolled = entries.iter().rev().find(|it| it.record.action == Action::Enrolled).unwrap();
    assert_eq!(enrolled.record.detail["enrolment"], "awaiting_approval");
    assert_eq!(enrolled.record.detail["for_machine_of"], real.id);

    // Only an administrator can approve.
    let path = format!("/devices/{}/approve", stranger.id);
    let viewer = coordinator.token("viewer").await;
    for token in [&viewer, &stranger.token] {
        let request = coordinator.request(Method::POST, &path, token).json(&json!({}));
        assert_eq!(request.send().await.unwrap().status(), StatusCode::FORBIDDEN);
    }
    coordinator.post(&format!("/devices/{}/revoke", stranger.id), Value::Null).await;
    assert_eq!(coordinator.get("/notices").await, json!([]));
    let (status, problem) = coordinator.ask(Method::POST, &path, Some(json!({}))).await;
    assert_eq!((status, &problem["type"]), (StatusCode::CONFLICT, &json!("device-revoked")));
    let (status, _) = register(coordinator, proof, "stranger's key", registration("one")).await;
    assert_eq!(status, StatusCode::FORBIDDEN);
    assert_eq!(claimed.beat(stranger).await.0, StatusCode::UNAUTHORIZED);
    assert_eq!(claimed.beat(real).await.0, StatusCode::OK);
    // The machine's own key is its device, even while another record waits.
    let (status, again) = register(coordinator, proof, "real key", registration("one")).await;
    assert_eq!((status, &again["id"]), (StatusCode::OK, &json!(real.id)));
    assert_eq!(claimed.device(real).await["labels"], json!(["lab"]));
    let path = format!("/devices/{}/approve", real.id);
    let (status, problem) = coordinator.ask(Method::POST, &path, Some(json!({}))).await;
    assert_eq!((status, &problem["type"]), (StatusCode::CONFLICT, &json!("not-awaiting-approval")));
}

#[tokio::test]
async fn an_approved_key_takes_the_record_s_place_and_its_labels_only_where_asked() {
    for (asked, labels) in
        [(json!({}), json!([])), (json!({ "keep_labels": true }), json!(["lab"]))]
    {
        let claimed = Claimed::new().await;
        let Claimed { coordinator, proof, real, stranger: new } = &claimed;
        let known = coordinator.audit().await.len();
        let ids = start_jobs(coordinator).await;
        // A work request is pending while the approval happens.
        let (lease, approved) =
            tokio::join!(new.next_job(coordinator, 60), claimed.approve(new, asked));
        assert_eq!((&approved["labels"], approved.get("approval")), (&labels, None));
        assert_eq!(approved["name"], "the lab's first", "an administrator chose it");
        let expected = if labels == json!([]) { &ids[1] } else { &ids[0] };
        assert_eq!(lease.unwrap().job_id.to_string(), *expected);

        let devices = coordinator.get("/devices").await;
        assert_eq!((devices.as_array().unwrap().len(), &devices[0]["id"]), (1, &json!(new.id)));
        assert_eq!(claimed.beat(real).await.0, StatusCode::UNAUTHORIZED);
        assert_eq!(coordinator.get("/notices").await, json!([]));
        let words = coordinator.audit_after(known).await;
        let of_devices: Vec<&String> = words.iter().filter(|it| it.contains("device ")).collect();
        assert_eq!(
            of_devices,
            [
                "this machine (admin, 127.0.0.1): device removed name=the lab's first",
                "this machine (admin, 127.0.0.1): device approved name=the lab's first"
            ]
        );
        // It is the machine's device from now on, also after a restart.
        let claimed = Claimed {
            proof: proof.clone(),
            real: real.clone(),
            stranger: new.clone(),
            coordinator: claimed.coordinator,
        }
        .restart()
        .await;
        let (_, again) =
            register(&claimed.coordinator, &claimed.proof, "stranger's key", registration("one"))
                .await;
        assert_eq!(again["id"], claimed.stranger.id);
        assert_eq!(claimed.device(&claimed.stranger).await["labels"], labels);
    }
}

#[tokio::test]
async fn one_record_waits_for_a_machine_and_a_restart_keeps_it() {
    let claimed = Claimed::new().await.restart().await;
    let Claimed { coordinator, proof, real, stranger } = &claimed;
    let approval = claimed.device(stranger).await["approval"].clone();
    assert_eq!(approval["replaces"], real.id.as_str());
    // Registering again with its own key changes nothing.
    let (_, again) = register(coordinator, proof, "stranger's key", registration("one")).await;
    assert_eq!((&again["id"], &again["awaiting_approval"]), (&json!(stranger.id), &json!(true)));
    let stranger = Device::from_registration(&again);
    assert!(stranger.next_job(coordinator, 0).await.is_none());
    // While it sends heartbeats, no other key can replace it.
    let third = registration("one");
    let (status, body) = register(coordinator, proof, "third key", third.clone()).await;
    assert_eq!((status, &body["type"]), (StatusCode::CONFLICT, &json!("device-at-work")));

    let Claimed { coordinator, proof, real, .. } = claimed;
    let coordinator = after_silence(coordinator).await;
    let (status, body) = register(&coordinator, &proof, "third key", third).await;
    assert_eq!((status, &body["awaiting_approval"]), (StatusCode::OK, &json!(true)));
    let third = Device::from_registration(&body);
    let claimed = Claimed { coordinator, proof, real, stranger };
    let devices = claimed.coordinator.get("/devices").await;
    let ids: Vec<&Value> = devices.as_array().unwrap().iter().map(|it| &it["id"]).collect();
    assert_eq!(ids, [&json!(claimed.real.id), &json!(third.id)]);
    assert_eq!(claimed.beat(&claimed.stranger).await.0, StatusCode::UNAUTHORIZED);
    assert_eq!(claimed.beat(&claimed.real).await.0, StatusCode::OK);
    let notices = claimed.coordinator.get("/notices").await;
    assert_eq!(notices.as_array().unwrap().len(), 1);
    assert_eq!(notices[0]["subject"], third.id.as_str());
}

#[tokio::test]
async fn a_machine_whose_record_is_gone_enrols_anew_and_what_waits_goes_on_waiting() {
    let claimed = Claimed::new().await;
    let Claimed { coordinator, proof, real, stranger } = &claimed;
    let path = format!("/devices/{}/leave", real.id);
    assert_eq!(
        real.ask(coordinator, Method::POST, &path, Value::Null).await.0,
        StatusCode::NO_CONTENT
    );
    let (_, anew) = register(coordinator, proof, "a key of its own", registration("one")).await;
    assert_eq!((&anew["enrolment"], anew.get("awaiting_approval")), (&json!("new"), None));
    let approval = claimed.device(stranger).await["approval"].clone();
    assert_eq!(approval, json!({ "replaces": anew["id"], "name": "one's Mac" }));
    // A new key doesn't release a device from quarantine.
    let path = format!("/devices/{}/quarantine", Device::from_registration(&anew).id);
    coordinator.post(&path, json!({ "reason": "a bad disk" })).await;
    let approved = claimed.approve(stranger, json!({})).await;
    assert_eq!(approved["quarantined"]["reason"], "a bad disk");
}
