//! Thread pool that trains for the simulated devices. It runs as many trainings in parallel as the
//! cores allow. Each uses the threads of its plan, so that it gives the same bits as when it runs
//! alone.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};

use data::Row;
use engine::{ComputeDevice, Control, EngineError, TrainJob, Trained, TrainingEnd};
use protocol::lease::Lease;

/// One lease to train.
pub(super) struct Task {
    pub(super) lease: Lease,
    pub(super) base: Arc<Vec<f32>>,
    pub(super) rows: Arc<Vec<Row>>,
    pub(super) reply: Sender<Result<Trained, EngineError>>,
}

/// Handle of the pool. Its threads end when it is dropped.
pub(super) struct WorkerPool {
    tasks: Sender<Task>,
}

impl WorkerPool {
    /// Starts the threads: one for every `threads` cores, at least one.
    pub(super) fn start(compute: &ComputeDevice, threads: u32) -> std::io::Result<Self> {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let (tasks, queue) = channel();
        let queue = Arc::new(Mutex::new(queue));
        for number in 0..(cores / threads.max(1) as usize).max(1) {
            let (compute, queue) = (compute.clone(), Arc::clone(&queue));
            let thread = std::thread::Builder::new().name(format!("device {number}"));
            thread.spawn(move || run_tasks(&compute, &queue))?;
        }
        Ok(Self { tasks })
    }

    /// Queues the training of a lease. Its result arrives on the returned channel.
    pub(super) fn submit(
        &self,
        lease: Lease,
        base: Arc<Vec<f32>>,
        rows: Arc<Vec<Row>>,
    ) -> Receiver<Result<Trained, EngineError>> {
        let (reply, result) = channel();
        // If no thread is left, the reply channel closes and the receiver gets an error.
        drop(self.tasks.send(Task { lease, base, rows, reply }));
        result
    }
}

fn run_tasks(compute: &ComputeDevice, queue: &Mutex<Receiver<Task>>) {
    loop {
        let next = queue.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(Task { lease, base, rows, reply }) = next else { return };
        drop(reply.send(train(compute, &lease, &base, &rows)));
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
