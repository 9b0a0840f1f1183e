//! macOS: whether the network is metered or in Low Data Mode. The path monitor of the Network framework
//! calls back at every change. The value is unknown for a moment at the start, until the first callback.

use std::ffi::c_void;
use std::ptr::NonNull;
use std::sync::Once;
use std::sync::atomic::{AtomicU8, Ordering};

use block2::{Block, RcBlock};
use dispatch2::{DispatchQoS, DispatchQueue, GlobalQueueIdentifier};

use crate::sensors::Network;

/// Latest value of the monitor, as bits; 0 before the first callback.
static LATEST: AtomicU8 = AtomicU8::new(0);
static BEGUN: Once = Once::new();

const KNOWN: u8 = 1;
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

/// Starts the monitor, which runs until this process ends.
pub(super) fn begin() {
    BEGUN.call_once(follow);
}

pub(super) fn network() -> Result<Network, String> {
    match LATEST.load(Ordering::Relaxed) {
        0 => Err("macOS has not reported the network yet".to_owned()),
        bits => {
            Ok(Network { expensive: bits & EXPENSIVE != 0, constrained: bits & CONSTRAINED != 0 })
        }
    }
}

#[expect(unsafe_code, reason = "no crate binds Network")]
fn follow() {
    // SAFETY: the call takes no arguments, and returns an object that we own or null.
    let Some(monitor) = NonNull::new(unsafe { nw_path_monitor_create() }) else { return };
    let queue =
        DispatchQueue::global_queue(GlobalQueueIdentifier::QualityOfService(DispatchQoS::Utility));
    let handler = RcBlock::new(|path| {
        if let Some(path) = NonNull::new(path) {
            LATEST.store(bits_of(path), Ordering::Relaxed);
        }
    });
    // SAFETY: the monitor is valid and never released, and it keeps the queue and a copy of the handler,
    // which may be called on any thread.
    unsafe {
        nw_path_monitor_set_queue(monitor, &queue);
        nw_path_monitor_set_update_handler(monitor, &handler);
        nw_path_monitor_start(monitor);
    }
}

#[expect(unsafe_code, reason = "no crate binds Network")]
fn bits_of(path: NonNull<c_void>) -> u8 {
    // SAFETY: the monitor passes the path, which is valid during the callback.
    let (expensive, constrained) =
        unsafe { (nw_path_is_expensive(path), nw_path_is_constrained(path)) };
    let bits = |is: bool, bit: u8| if is { bit } else { 0 };
    KNOWN | bits(expensive, EXPENSIVE) | bits(constrained, CONSTRAINED)
}
