//! The threads of this machine that do the simulated devices' work: as many trainings at once as
//! fit, each on its plan's threads, so that each gives the bits that it gives alone.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};

use data::Row;
use engine::{ComputeDevice, Control, EngineError, TrainJob, Trained, TrainingEnd};
use protocol::lease::Lease;

/// One lease to train.
pub(super) struct Work {
    pub(super) lease: Lease,
    pub(super) base: Arc<Vec<f32>>,
    pub(super) rows: Arc<Vec<Row>>,
    pub(super) answer: Sender<Result<Trained, EngineError>>,
}

/// Where work is handed in; the threads end when it is dropped.
pub(super) struct WorkerPool {
    work: Sender<Work>,
}

impl WorkerPool {
    /// Starts the threads: as many as have `threads` cores each.
    pub(super) fn start(compute: &ComputeDevice, threads: u32) -> std::io::Result<Self> {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let (work, waiting) = channel();
        let waiting = Arc::new(Mutex::new(waiting));
        for number in 0..(cores / threads.max(1) as usize).max(1) {
            let (compute, waiting) = (compute.clone(), Arc::clone(&waiting));
            let thread = std::thread::Builder::new().name(format!("device {number}"));
            thread.spawn(move || serve(&compute, &waiting))?;
        }
        Ok(Self { work })
    }

    /// Begins a lease; its result comes when somebody asks for it.
    pub(super) fn begin(
        &self,
        lease: Lease,
        base: Arc<Vec<f32>>,
        rows: Arc<Vec<Row>>,
    ) -> Receiver<Result<Trained, EngineError>> {
        let (answer, result) = channel();
        // Without threads nobody answers, and whoever waits hears that.
        drop(self.work.send(Work { lease, base, rows, answer }));
        result
    }
}

fn serve(compute: &ComputeDevice, waiting: &Mutex<Receiver<Work>>) {
    loop {
        let next = waiting.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(Work { lease, base, rows, answer }) = next else { return };
        drop(answer.send(train(compute, &lease, &base, &rows)));
    }
}

fn train(
    compute: &ComputeDevice,
    lease: &Lease,
    base: &[f32],
    rows: &[Row],
) -> Result<Trained, EngineError> {
    let job = TrainJob {
        spec: &lease.spec,
        plan: &lease.plan,
        seed: lease.seed,
        round: lease.round,
        partition: lease.partition,
        base,
        rows,
    };
    let control = Control { stop: &|| false, progress: &mut |_| {}, checkpoints: None };
    match engine::train(compute, &job, control)? {
        TrainingEnd::Done(trained) => Ok(trained),
        TrainingEnd::Stopped { .. } => {
            Err(EngineError::Internal("training was stopped".to_owned()))
        }
    }
}
