//! Whether the network costs money or is to be spared: Network's path monitor, which calls at each
//! change. Nobody asks it for the first time before it has called, but for a moment at the start.

use std::ffi::c_void;
use std::ptr::NonNull;
use std::sync::Once;
use std::sync::atomic::{AtomicU8, Ordering};

use block2::{Block, RcBlock};
use dispatch2::{DispatchQoS, DispatchQueue, GlobalQueueIdentifier};

use crate::sensors::Network;

/// What the monitor said last, in bits.
static LATEST: AtomicU8 = AtomicU8::new(0);
static BEGUN: Once = Once::new();

const SAID: u8 = 1;
const EXPENSIVE: u8 = 2;
const CONSTRAINED: u8 = 4;

// Network/path_monitor.h and Network/path.h.
#[expect(unsafe_code, reason = "no crate binds Network")]
#[link(name = "Network", kind = "framework")]
unsafe extern "C" {
    fn nw_path_monitor_create() -> *mut c_void;
    fn nw_path_monitor_set_queue(monitor: NonNull<c_void>, queue: &DispatchQueue);
    fn nw_path_monitor_set_update_handler(
        monitor: NonNull<c_void>,
        handler: &Block<dyn Fn(*mut c_void)>,
    );
    fn nw_path_monitor_start(monitor: NonNull<c_void>);
    fn nw_path_is_expensive(path: NonNull<c_void>) -> bool;
    fn nw_path_is_constrained(path: NonNull<c_void>) -> bool;
}

/// Has the system call, from now on and for as long as this process lives.
pub(super) fn begin() {
    BEGUN.call_once(follow);
}

pub(super) fn network() -> Result<Network, String> {
    match LATEST.load(Ordering::Relaxed) {
        0 => Err("macOS hasn't told of the network yet".to_owned()),
        said => {
            Ok(Network { expensive: said & EXPENSIVE != 0, constrained: said & CONSTRAINED != 0 })
        }
    }
}

#[expect(unsafe_code, reason = "no crate binds Network")]
fn follow() {
    // SAFETY: it takes nothing, and gives an object that is ours or nothing.
    let Some(monitor) = NonNull::new(unsafe { nw_path_monitor_create() }) else { return };
    let queue =
        DispatchQueue::global_queue(GlobalQueueIdentifier::QualityOfService(DispatchQoS::Utility));
    let handler = RcBlock::new(|path| {
        if let Some(path) = NonNull::new(path) {
            LATEST.store(said_of(path), Ordering::Relaxed);
        }
    });
    // SAFETY: the monitor is one, is never given up, and keeps the queue and a copy of the handler,
    // which may be called on any thread.
    unsafe {
        nw_path_monitor_set_queue(monitor, &queue);
        nw_path_monitor_set_update_handler(monitor, &handler);
        nw_path_monitor_start(monitor);
    }
}

#[expect(unsafe_code, reason = "no crate binds Network")]
fn said_of(path: NonNull<c_void>) -> u8 {
    // SAFETY: the monitor called with the path, which lives during the call.
    let (expensive, constrained) =
        unsafe { (nw_path_is_expensive(path), nw_path_is_constrained(path)) };
    let bits = |is: bool, bit: u8| if is { bit } else { 0 };
    SAID | bits(expensive, EXPENSIVE) | bits(constrained, CONSTRAINED)
}
