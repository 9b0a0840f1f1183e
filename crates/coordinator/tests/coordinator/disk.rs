//! A full disk: writes are refused with a clear answer, nothing is lost, and work resumes when there is space.
//!
//! The tests mount a small file system, which needs root on Linux. Elsewhere they print that they are skipped.

use std::path::Path;
use std::process::Command;

use coordinator::CoordinatorSettings;
use reqwest::{Method, StatusCode};
use serde_json::json;
use tempfile::TempDir;

use crate::device::{Device, update};
use crate::support::{Coordinator, answer, settings, tiny_job};

/// A mounted memory disk.
pub(crate) struct SmallDisk {
    folder: TempDir,
}

impl SmallDisk {
    /// Mounts a disk of 2 MB, or prints why that is not possible.
    fn mount() -> Option<Self> {
        Self::mount_of("2m")
    }

    pub(crate) fn mount_of(size: &str) -> Option<Self> {
        let folder = TempDir::new().unwrap();
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs"])
            .arg(folder.path())
            .output();
        match mounted {
            Ok(output) if output.status.success() => Some(Self { folder }),
            Ok(output) => {
                let error = String::from_utf8_lossy(&output.stderr);
                println!("skipped: can't mount a small disk: {}", error.trim());
                None
            }
            Err(error) => {
                println!("skipped: can't mount a small disk: {error}");
                None
            }
        }
    }

    pub(crate) fn settings(&self) -> CoordinatorSettings {
        // Only the coordinator's own data is on the small disk.
        let mut settings = settings(&self.folder.path().join("data"));
        settings.sources.uploads = std::env::temp_dir().join("no-uploads");
        settings
    }

    /// Fills the disk completely.
    fn fill(&self) -> Ballast<'_> {
        let path = self.folder.path().join("ballast");
        let mut size = 2 << 20;
        while size > 0 {
            let written = std::fs::metadata(&path).map_or(0, |file| file.len());
            let more = vec![1; usize::try_from(written).unwrap() + size];
            if std::fs::write(&path, more).is_err() {
                size /= 2;
            }
        }
        Ballast { path: self.folder.path() }
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        drop(Command::new("umount").arg("-l").arg(self.folder.path()).output());
    }
}

struct Ballast<'a> {
    path: &'a Path,
}

impl Ballast<'_> {
    fn remove(self) {
        std::fs::remove_file(self.path.join("ballast")).unwrap();
    }
}

async fn coordinator(disk: &SmallDisk) -> Coordinator {
    let settings = disk.settings();
    let admin = settings.data_dir.join("admin-token");
    let running = coordinator::start(settings).await.unwrap();
    let copy = TempDir::new().unwrap();
    std::fs::copy(admin, copy.path().join("admin-token")).unwrap();
    Coordinator::from_running(running, copy)
}

#[tokio::test]
async fn writes_are_refused_and_nothing_acknowledged_is_lost() {
    let Some(disk) = SmallDisk::mount() else { return };
    let coordinator = coordinator(&disk).await;
    let device = Device::enroll(&coordinator, "one").await;
    let id = coordinator.start_job(tiny_job()).await;
    let lease = device.next_job(&coordinator, 60).await.unwrap();

    let ballast = disk.fill();
    let mut refused = 0;
    // The database file has some free space before it must grow.
    for _ in 0..1000 {
        let (status, body) = coordinator.ask(Method::POST, "/jobs", Some(tiny_job())).await;
        if status == StatusCode::INSUFFICIENT_STORAGE {
            assert_eq!(body["type"], "disk-full");
            refused += 1;
            break;
        }
        assert_eq!(status, StatusCode::CREATED, "{body}");
    }
    assert_eq!(refused, 1);
    let jobs = coordinator.get("/jobs").await.as_array().unwrap().len();
    let bytes = update(&lease);
    let hash = protocol::BlobHash::compute(&bytes);
    let sent = device.upload(&coordinator, lease.id, hash, 0, bytes.clone()).await;
    assert_eq!(sent.status(), StatusCode::INSUFFICIENT_STORAGE);

    ballast.remove();
    assert_eq!(coordinator.get("/jobs").await.as_array().unwrap().len(), jobs);
    let (status, answer) = device.report(&coordinator, &lease, bytes).await;
    assert_eq!((status, &answer["outcome"]), (StatusCode::OK, &json!("accepted")));
    device.work(&coordinator).await;
    // The device may have done the second round's work by now as well.
    coordinator.job_when(&id, |job| job["current_epoch"].as_u64() >= Some(1)).await;
    coordinator.running.stop().await;
}

#[tokio::test]
async fn a_step_waits_for_disk_space_and_reports_it() {
    let Some(disk) = SmallDisk::mount() else { return };
    let coordinator = coordinator(&disk).await;
    let device = Device::enroll(&coordinator, "one").await;
    let mut job = tiny_job();
    job["data"]["train_limit"] = json!(0);
    // The job's shards do not fit.
    let large = vec![1; 900 << 10];
    let ballast = disk.folder.path().join("ballast");
    std::fs::write(&ballast, large).unwrap();
    let id = coordinator.start_job(job).await;
    let waits = |job: &serde_json::Value| {
        job["reason"].as_str().is_some_and(|reason| reason.contains("disk quota is full"))
    };
    let job = coordinator.job_when(&id, waits).await;
    assert_eq!(job["status"], "preparing");
    std::fs::remove_file(ballast).unwrap();
    coordinator.job_in(&id, "running").await;
    device.work(&coordinator).await;
    coordinator.running.stop().await;
}

#[tokio::test]
async fn writes_over_the_quota_are_refused_and_other_work_continues() {
    let coordinator = Coordinator::start().await;
    let device = Device::enroll(&coordinator, "one").await;
    let id = coordinator.start_job(tiny_job()).await;
    let lease = device.next_job(&coordinator, 60).await.unwrap();
    let Coordinator { running, folder, .. } = coordinator;
    running.stop().await;
    let mut limited = settings(folder.path());
    limited.maximum_disk_bytes = Some(1);
    let running = coordinator::start(limited).await.unwrap();
    let coordinator = Coordinator::from_running(running, folder);

    let bytes = vec![7; 10_000];
    let path = format!("/blobs/{}", protocol::BlobHash::compute(&bytes));
    let dataset = "/datasets?name=large&filename=large.csv";
    for (method, path) in [(Method::PUT, path.as_str()), (Method::POST, dataset)] {
        let sized = coordinator.request(method.clone(), path, &coordinator.admin);
        let chunk = Ok::<_, std::io::Error>(bytes.clone());
        let streamed = coordinator.request(method, path, &coordinator.admin);
        let streamed = streamed.body(reqwest::Body::wrap_stream(futures::stream::iter([chunk])));
        for request in [sized.body(bytes.clone()), streamed] {
            let (status, problem) = answer(request).await;
            assert_eq!(status, StatusCode::INSUFFICIENT_STORAGE, "{problem}");
            let detail = problem["detail"].as_str().unwrap();
            assert!(detail.contains("--maximum-disk-gb"), "{detail}");
        }
    }
    // The quota does not apply to the database: leases and tokens still work.
    assert_eq!(device.next_job(&coordinator, 0).await.unwrap().id, lease.id);
    coordinator.token("viewer").await;

    let Coordinator { running, folder, .. } = coordinator;
    running.stop().await;
    let coordinator = Coordinator::start_in(folder).await;
    assert_eq!(device.work(&coordinator).await, 2);
    coordinator.job_when(&id, |job| job["current_epoch"] == 1).await;
}

/// Everything acknowledged before and while the disk was full is kept, also after a restart, and the job
/// resumes automatically.
#[tokio::test]
async fn a_job_completes_after_a_full_disk_and_a_restart() {
    let Some(disk) = SmallDisk::mount() else { return };
    let coordinator = coordinator(&disk).await;
    let device = Device::enroll(&coordinator, "one").await;
    let viewer = coordinator.token("viewer").await;
    let id = coordinator.start_job(tiny_job()).await;
    let lease = device.next_job(&coordinator, 60).await.unwrap();
    let bytes = update(&lease);
    let hash = protocol::BlobHash::compute(&bytes);
    device.report(&coordinator, &lease, bytes).await;
    let last = device.next_job(&coordinator, 0).await.unwrap();
    let bytes = update(&last);
    let last_hash = protocol::BlobHash::compute(&bytes);
    device.upload(&coordinator, last.id, last_hash, 0, bytes).await;

    let ballast = disk.fill();
    // The round's last update: the database may accept or refuse it; the aggregated model does not fit.
    let (status, answer) = device.submit(&coordinator, last.id, last_hash).await;
    let is_accepted = status == StatusCode::OK && answer["outcome"] == "accepted";
    assert!(is_accepted || status == StatusCode::INSUFFICIENT_STORAGE, "{status} {answer}");
    coordinator.running.stop().await;
    ballast.remove();
    let coordinator = self::coordinator(&disk).await;
    let (_, answer) = device.submit(&coordinator, lease.id, hash).await;
    assert_eq!(answer["outcome"], "duplicate");
    let (_, answer) = device.submit(&coordinator, last.id, last_hash).await;
    assert_eq!(answer["outcome"], if is_accepted { "duplicate" } else { "accepted" });
    let response = coordinator.request(Method::GET, "/jobs", &viewer).send().await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    coordinator.job_when(&id, |job| job["current_epoch"] == 1).await;
    device.work(&coordinator).await;
    coordinator.job_in(&id, "completed").await;
    coordinator.running.stop().await;
}
