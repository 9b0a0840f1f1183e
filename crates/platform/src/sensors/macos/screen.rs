//! macOS: signs that a display is watched without input: a video, a presentation, a full-screen window.

use objc2_core_foundation::{CFArray, CFDictionary, CFNumber, CFRetained, CFType, CGRect};
use objc2_core_graphics::{
    CGDirectDisplayID, CGDisplayBounds, CGError, CGGetActiveDisplayList,
    CGRectMakeWithDictionaryRepresentation, CGWindowListCopyWindowInfo, CGWindowListOption,
};
use objc2_io_kit::{IOPMCopyAssertionsByProcess, kIOReturnSuccess};

use super::dictionary::{number, text, value, whole};

/// Types of assertions that keep a display awake, the current and the old name (IOPMLib.h).
const DISPLAY_ASSERTIONS: [&str; 2] = ["PreventUserIdleDisplaySleep", "NoDisplaySleepAssertion"];
/// Maximum number of displays that are checked.
const MAXIMUM_DISPLAYS: usize = 16;
/// Window layer of ordinary program windows.
const NORMAL_LAYER: i64 = 0;

/// Whether another process keeps the display awake.
#[expect(unsafe_code, reason = "IOKit gives a dictionary through a pointer")]
pub(super) fn keeps_display_awake() -> Result<bool, String> {
    let mut by_process: *const CFDictionary = std::ptr::null();
    // SAFETY: the pointer outlives the call.
    let answer = unsafe { IOPMCopyAssertionsByProcess(&raw mut by_process) };
    if answer != kIOReturnSuccess {
        return Err(format!("IOKit error {answer:#x}"));
    }
    let Some(by_process) = std::ptr::NonNull::new(by_process.cast_mut()) else {
        // There are no assertions.
        return Ok(false);
    };
    // SAFETY: we own the dictionary; its keys are numbers and its values are arrays of dictionaries
    // (IOPMLib.h).
    let by_process: CFRetained<CFDictionary<CFNumber, CFArray<CFDictionary>>> =
        unsafe { CFRetained::cast_unchecked(CFRetained::from_raw(by_process)) };
    let own = i64::from(std::process::id());
    let (processes, assertions) = by_process.to_vecs();
    let others = processes.iter().zip(&assertions).filter(|(pid, _)| pid.as_i64() != Some(own));
    Ok(others.into_iter().any(|(_, held)| held.iter().any(|one| is_for_display(&one))))
}

fn is_for_display(assertion: &CFDictionary) -> bool {
    let kind = text(assertion, "AssertType").unwrap_or_default();
    // An assertion may exist and be off.
    let is_on = whole(assertion, "AssertLevel").unwrap_or(0) > 0;
    is_on && DISPLAY_ASSERTIONS.contains(&kind.as_str())
}

/// Whether a window of another process covers a whole display. A program that leaves the area beside a
/// camera notch free is not detected.
#[expect(unsafe_code, reason = "the bindings leave the types of an array open")]
pub(super) fn is_full() -> Result<bool, String> {
    let displays = displays()?;
    let options =
        CGWindowListOption::OptionOnScreenOnly | CGWindowListOption::ExcludeDesktopElements;
    let windows = CGWindowListCopyWindowInfo(options, 0);
    let windows = windows.ok_or("this process is not in a graphical session")?;
    // SAFETY: the list holds dictionaries (CGWindow.h).
    let windows: CFRetained<CFArray<CFDictionary>> = unsafe { CFRetained::cast_unchecked(windows) };
    let own = i64::from(std::process::id());
    Ok(windows.iter().any(|window| {
        let is_another = whole(&window, "kCGWindowOwnerPID").is_some_and(|owner| owner != own);
        let is_normal = whole(&window, "kCGWindowLayer") == Some(NORMAL_LAYER);
        let is_seen = number(&window, "kCGWindowAlpha").is_none_or(|alpha| alpha > 0.0);
        is_another
            && is_normal
            && is_seen
            && bounds(&window).is_some_and(|it| displays.contains(&it))
    }))
}

#[expect(unsafe_code, reason = "Core Graphics writes through pointers")]
fn displays() -> Result<Vec<CGRect>, String> {
    let mut displays = [0 as CGDirectDisplayID; MAXIMUM_DISPLAYS];
    let mut count = 0;
    let room = u32::try_from(MAXIMUM_DISPLAYS).unwrap_or(u32::MAX);
    // SAFETY: `room` is the length of the array, and both outlive the call.
    let answer = unsafe { CGGetActiveDisplayList(room, displays.as_mut_ptr(), &raw mut count) };
    if answer != CGError::Success {
        return Err(format!("Core Graphics error {}", answer.0));
    }
    Ok(displays.iter().take(count as usize).map(|display| CGDisplayBounds(*display)).collect())
}

#[expect(unsafe_code, reason = "Core Graphics writes through pointers")]
fn bounds(window: &CFDictionary) -> Option<CGRect> {
    let bounds: CFRetained<CFType> = value(window, "kCGWindowBounds")?;
    let mut rectangle = CGRect::default();
    // SAFETY: Core Graphics made the dictionary from a rectangle, and `rectangle` outlives the call.
    let is_one = unsafe {
        CGRectMakeWithDictionaryRepresentation(
            Some(bounds.downcast_ref::<CFDictionary>()?),
            &raw mut rectangle,
        )
    };
    is_one.then_some(rectangle)
}
