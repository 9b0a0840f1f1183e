//! Tests with shell scripts as trainers that follow or violate the protocol, each a real process.

use std::time::Duration;

use protocol::BlobHash;
use protocol::lease::Progress;
use protocol::model::{InputSpec, LayerSpec, ModelSpec};
use protocol::trainer::{InitializeRequest, TrainerFailure, TrainerReply, TrainerRequest};

use tokio_util::sync::CancellationToken;
use trainer::{Limits, Trainer, TrainerCommand, TrainerError};

const PROGRESS: &str =
    r#"{"reply":"progress","step":1,"steps":9,"loss":0.5,"examples_per_second":10.0}"#;
const STOPPED: &str = r#"{"reply":"stopped","step":1}"#;

#[tokio::test]
async fn a_request_is_answered_after_its_progress() {
    let (mut trainer, ready) = started(&format!("say '{PROGRESS}'; {}", done())).await.unwrap();
    assert_eq!(ready.reason, "asked for");
    let (reply, progress) = run(&mut trainer, &CancellationToken::new()).await;
    assert_eq!(reply.unwrap(), TrainerReply::Initialized { model: BlobHash::compute(b"weights") });
    let expected = Progress { step: 1, steps: 9, loss: 0.5, examples_per_second: 10.0 };
    assert_eq!(progress, [expected]);
    trainer.stop(Duration::from_secs(20)).await;
}

#[tokio::test]
async fn the_number_of_threads_is_passed_by_environment() {
    let script =
        r#"say "{\"reply\":\"failed\",\"failure\":\"spec\",\"message\":\"$RAYON_NUM_THREADS\"}""#;
    let (mut trainer, _) = started(script).await.unwrap();
    let (reply, _) = run(&mut trainer, &CancellationToken::new()).await;
    let error = reply.unwrap_err();
    assert!(error.is_alive());
    assert!(
        matches!(error, TrainerError::Failed { failure: TrainerFailure::Spec, message } if message == "3")
    );
}

#[tokio::test]
async fn a_missing_program_is_named() {
    let command = TrainerCommand { program: "no-such-trainer".into(), args: vec![] };
    let error = Trainer::start(&command, &Limits::new(1)).await.err().unwrap();
    assert!(matches!(&error, TrainerError::Start { program, .. } if program == "no-such-trainer"));
}

#[tokio::test]
async fn a_trainer_that_is_never_ready_times_out() {
    let limits = Limits { start_timeout: Duration::from_millis(50), ..Limits::new(1) };
    let error = Trainer::start(&shell("while read line; do :; done"), &limits).await.err().unwrap();
    assert!(error.to_string().contains("ready"), "{error}");
}

#[tokio::test]
async fn a_trainer_that_cannot_work_reports_the_reason() {
    let script = r#"echo '{"reply":"failed","failure":"backend","message":"no GPU"}'"#;
    let error = Trainer::start(&shell(script), &Limits::new(1)).await.err().unwrap();
    assert!(matches!(error, TrainerError::Failed { failure: TrainerFailure::Backend, .. }));
}

#[tokio::test]
async fn an_unexpected_exit_carries_the_last_lines_of_standard_error() {
    let script = format!("say '{PROGRESS}'; echo 'out of memory' >&2; exit 7");
    let (mut trainer, _) = started(&script).await.unwrap();
    let (reply, progress) = run(&mut trainer, &CancellationToken::new()).await;
    assert_eq!(progress.len(), 1);
    let error = reply.unwrap_err();
    assert!(!error.is_alive());
    assert!(error.to_string().contains("out of memory"), "{error}");
    assert!(
        matches!(error, TrainerError::Exited { status: Some(status), .. } if status.code() == Some(7))
    );
    let (again, _) = run(&mut trainer, &CancellationToken::new()).await;
    assert!(matches!(again, Err(TrainerError::Exited { .. } | TrainerError::Cancelled { .. })));
}

#[tokio::test]
async fn a_kill_from_outside_is_an_exit() {
    let (mut trainer, _) = started("kill -9 $$").await.unwrap();
    let (reply, _) = run(&mut trainer, &CancellationToken::new()).await;
    assert!(matches!(reply, Err(TrainerError::Exited { status: Some(_), .. })));
}

#[tokio::test]
async fn an_invalid_reply_is_a_protocol_error_and_kills_the_trainer() {
    let (mut trainer, _) = started("say 'loading weights ...'").await.unwrap();
    let (reply, _) = run(&mut trainer, &CancellationToken::new()).await;
    assert!(matches!(reply, Err(TrainerError::Protocol(line)) if line == "loading weights ..."));
    assert_eq!(trainer.pid(), None);
}

#[tokio::test]
async fn an_endless_line_is_a_protocol_error_and_kills_the_trainer() {
    let (mut trainer, _) = started("exec cat /dev/zero").await.unwrap();
    let (reply, _) = run(&mut trainer, &CancellationToken::new()).await;
    assert!(matches!(reply, Err(TrainerError::Protocol(line)) if line.len() == 200));
    assert_eq!(trainer.pid(), None);
}

#[tokio::test]
async fn a_trainer_that_stops_in_time_takes_further_requests() {
    let script = format!("say '{PROGRESS}'; read stop; say '{STOPPED}'; read again; {}", done());
    let (mut trainer, _) = started_with_long_grace(&script).await;
    let cancel = CancellationToken::new();
    let reply = cancelled_at_first_progress(&mut trainer, &cancel).await;
    assert!(matches!(reply, Err(TrainerError::Cancelled { killed: false })));
    let (reply, _) = run(&mut trainer, &CancellationToken::new()).await;
    reply.unwrap();
}

#[tokio::test]
async fn a_request_that_finishes_during_a_stop_counts_as_finished() {
    let script = format!("say '{PROGRESS}'; read stop; {}; say '{STOPPED}'", done());
    let (mut trainer, _) = started_with_long_grace(&script).await;
    let cancel = CancellationToken::new();
    cancelled_at_first_progress(&mut trainer, &cancel).await.unwrap();
}

#[tokio::test]
async fn a_trainer_that_ignores_a_stop_is_killed() {
    let script = format!("say '{PROGRESS}'; while read line; do :; done");
    let (mut trainer, _) = started(&script).await.unwrap();
    let cancel = CancellationToken::new();
    let reply = cancelled_at_first_progress(&mut trainer, &cancel).await;
    assert!(matches!(reply, Err(TrainerError::Cancelled { killed: true })));
    assert_eq!(trainer.pid(), None);
}

#[tokio::test]
async fn a_trainer_whose_request_was_dropped_is_killed() {
    let script = format!("say '{PROGRESS}'; while read line; do :; done");
    let (mut trainer, _) = started(&script).await.unwrap();
    let first_progress = tokio::sync::Notify::new();
    let never = CancellationToken::new();
    let request = request();
    let mut on_progress = |_| first_progress.notify_one();
    tokio::select! {
        _ = trainer.run(&request, &mut on_progress, &never) => panic!("it never ends"),
        () = first_progress.notified() => {}
    }
    let (reply, _) = run(&mut trainer, &never).await;
    assert!(matches!(reply, Err(TrainerError::Cancelled { killed: true })));
}

/// Starts a trainer that is ready and runs `script` for its first request.
async fn started(script: &str) -> Result<(Trainer, protocol::trainer::Ready), TrainerError> {
    Trainer::start(&ready_then(script), &Limits::new(3)).await
}

#[expect(clippy::unwrap_used, reason = "a test's helper")]
/// Like [`started`], with a stop grace that does not expire on a busy machine.
async fn started_with_long_grace(script: &str) -> (Trainer, protocol::trainer::Ready) {
    let limits = Limits { stop_grace: Duration::from_mins(1), ..Limits::new(3) };
    Trainer::start(&ready_then(script), &limits).await.unwrap()
}

fn ready_then(script: &str) -> TrainerCommand {
    let ready = r#"{"reply":"ready","fingerprint":{"app":"0","burn":"0","backend":"cpu","hardware":"x"},"gpu_name":null,"reason":"asked for"}"#;
    shell(&format!(
        "say() {{ printf '%s\\n' \"$1\"; }}; say '{ready}'; read request; {script}; read line"
    ))
}

fn shell(script: &str) -> TrainerCommand {
    TrainerCommand { program: "sh".into(), args: vec!["-c".into(), script.into()] }
}

fn done() -> String {
    format!("say '{{\"reply\":\"initialized\",\"model\":\"{}\"}}'", BlobHash::compute(b"weights"))
}

fn request() -> TrainerRequest {
    let input = InputSpec::Image { channels: 1, height: 2, width: 2, mean: 0.0, deviation: 1.0 };
    let spec =
        ModelSpec { input, layers: vec![LayerSpec::Flatten, LayerSpec::Linear { outputs: 2 }] };
    TrainerRequest::Initialize(InitializeRequest { spec, seed: 1, output: "weights".into() })
}

async fn run(
    trainer: &mut Trainer,
    cancel: &CancellationToken,
) -> (Result<TrainerReply, TrainerError>, Vec<Progress>) {
    let mut progress = Vec::new();
    let reply = trainer.run(&request(), &mut |step| progress.push(step), cancel).await;
    (reply, progress)
}

async fn cancelled_at_first_progress(
    trainer: &mut Trainer,
    cancel: &CancellationToken,
) -> Result<TrainerReply, TrainerError> {
    trainer.run(&request(), &mut |_| cancel.cancel(), cancel).await
}

#[tokio::test]
async fn a_trainer_that_exceeds_its_memory_limit_is_killed() {
    // The shell's variable grows without limit.
    let script = r#"x=xxxxxxxxxxxxxxxx; while :; do x="$x$x"; done"#;
    let limits = Limits { memory: Some(40_000_000), ..Limits::new(1) };
    let (mut trainer, _) = Trainer::start(&ready_then(script), &limits).await.unwrap();
    let (reply, _) = run(&mut trainer, &CancellationToken::new()).await;
    let error = reply.unwrap_err();
    assert!(!error.is_alive());
    // The system's limit may end the process before the check does.
    assert!(
        matches!(
            &error,
            TrainerError::Memory { limit: 40_000_000, .. } | TrainerError::Exited { .. }
        ),
        "{error}"
    );
}
