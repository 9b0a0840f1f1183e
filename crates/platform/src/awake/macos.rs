//! macOS: a power assertion. Type-checked only; it has never run on a Mac.

use objc2_core_foundation::CFString;
use objc2_io_kit::{
    IOPMAssertionCreateWithName, IOPMAssertionID, IOPMAssertionRelease, kIOPMAssertionLevelOn,
    kIOReturnSuccess,
};

/// IOPMLib.h: `kIOPMAssertPreventUserIdleSystemSleep`.
const PREVENT_IDLE_SLEEP: &str = "PreventUserIdleSystemSleep";

#[derive(Debug)]
pub(super) struct Hold(IOPMAssertionID);

impl Drop for Hold {
    fn drop(&mut self) {
        // Releasing an assertion that the system has dropped already does no harm.
        IOPMAssertionRelease(self.0);
    }
}

#[expect(unsafe_code, reason = "IOKit writes the assertion's id through a pointer")]
pub(super) fn hold(why: &str) -> Result<Hold, String> {
    let (kind, name) = (CFString::from_static_str(PREVENT_IDLE_SLEEP), CFString::from_str(why));
    let mut id: IOPMAssertionID = 0;
    // SAFETY: both strings and `id` outlive the call.
    let answer = unsafe {
        IOPMAssertionCreateWithName(Some(&kind), kIOPMAssertionLevelOn, Some(&name), &raw mut id)
    };
    if answer == kIOReturnSuccess {
        Ok(Hold(id))
    } else {
        Err(format!("macOS refused the request to stay awake (IOKit error {answer:#x})"))
    }
}
