//! Coordinator process for the crash tests: kills itself at a given crash point. It prints its URL and the
//! crash points that it passes, and stops in an orderly way when its standard input ends.
//!
//! ```text
//! crashing-coordinator DATA_DIR TRAINER [POINT PASSING]
//! ```

use std::collections::HashMap;
use std::error::Error;
use std::io::{Read, Write};
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use coordinator::{
    BackupSchedule, CoordinatorSettings, CrashPoint, CrashPoints, HubSettings, Observer, Sources,
    TrainerCommand,
};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (folder, trainer, crash_at) = match arguments.as_slice() {
        [folder, trainer] => (folder, trainer, None),
        [folder, trainer, point, passing] => {
            let point: CrashPoint = serde_json::from_value(point.as_str().into())?;
            (folder, trainer, Some((point, passing.parse()?)))
        }
        _ => return Err("DATA_DIR TRAINER [POINT PASSING]".into()),
    };
    let observer = Observer::default().with_points(points(crash_at));
    let running = coordinator::start_observed(settings(folder, trainer), observer).await?;
    print_line(&format!("listening {}", running.url()));
    tokio::task::spawn_blocking(|| std::io::stdin().read_to_end(&mut Vec::new())).await??;
    running.stop().await;
    Ok(())
}

fn settings(folder: &str, trainer: &str) -> CoordinatorSettings {
    let data_dir = PathBuf::from(folder);
    let uploads = data_dir.join("datasets");
    let hub = HubSettings {
        endpoint: None,
        home: Some(data_dir.with_extension("hub")),
        token: None,
        offline: true,
    };
    CoordinatorSettings {
        listen: ([127, 0, 0, 1], 0).into(),
        name: "crashing".to_owned(),
        lease_timeout: std::time::Duration::from_mins(1),
        trainer: TrainerCommand { program: trainer.into(), args: vec![] },
        predictor: TrainerCommand { program: trainer.into(), args: vec![] },
        nice: false,
        shown: Vec::new(),
        sources: Sources { data_dir: None, uploads, hub },
        certificate: None,
        allow_origins: Vec::new(),
        maximum_disk_bytes: None,
        // The first backup is due at the first start.
        backups: Some(BackupSchedule {
            folder: data_dir.with_extension("backups"),
            every: Duration::from_hours(1),
            keep: 2,
        }),
        data_dir,
    }
}

/// Prints each passing of a crash point, and kills the process at the given one.
fn points(crash_at: Option<(CrashPoint, u32)>) -> CrashPoints {
    let passings = Mutex::new(HashMap::new());
    CrashPoints::new(move |point| {
        let mut passings = passings.lock().unwrap_or_else(PoisonError::into_inner);
        let passing = passings.entry(point).or_insert(0);
        *passing += 1;
        let name = serde_json::to_value(point).unwrap_or_default();
        print_line(&format!("passed {}", name.as_str().unwrap_or_default()));
        if crash_at == Some((point, *passing)) {
            // SIGKILL: nothing is flushed or dropped.
            drop(platform::process::kill(std::process::id()));
        }
    })
}

fn print_line(line: &str) {
    let mut out = std::io::stdout().lock();
    // Fails only if the parent process has ended.
    drop(writeln!(out, "{line}").and_then(|()| out.flush()));
}
