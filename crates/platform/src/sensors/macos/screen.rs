//! What the display shows to somebody who doesn't touch anything: a video, a presentation.

use objc2_core_foundation::{CFArray, CFDictionary, CFNumber, CFRetained, CFType, CGRect};
use objc2_core_graphics::{
    CGDirectDisplayID, CGDisplayBounds, CGError, CGGetActiveDisplayList,
    CGRectMakeWithDictionaryRepresentation, CGWindowListCopyWindowInfo, CGWindowListOption,
};
use objc2_io_kit::{IOPMCopyAssertionsByProcess, kIOReturnSuccess};

use super::dictionary::{number, text, value, whole};

/// IOPMLib.h: what keeps a display awake, by its new name and its old one.
const DISPLAY_ASSERTIONS: [&str; 2] = ["PreventUserIdleDisplaySleep", "NoDisplaySleepAssertion"];
/// More displays than this are looked at no further.
const MOST_DISPLAYS: usize = 16;
/// Windows lie in layers; those of programs in this one.
const NORMAL_LAYER: i64 = 0;

/// Whether another process keeps the display awake.
#[expect(unsafe_code, reason = "IOKit gives a dictionary through a pointer")]
pub(super) fn keeps_display_awake() -> Result<bool, String> {
    let mut by_process: *const CFDictionary = std::ptr::null();
    // SAFETY: the pointer outlives the call.
    let answer = unsafe { IOPMCopyAssertionsByProcess(&raw mut by_process) };
    if answer != kIOReturnSuccess {
        return Err(format!("IOKit answers {answer:#x}"));
    }
    let Some(by_process) = std::ptr::NonNull::new(by_process.cast_mut()) else {
        // Nobody holds anything.
        return Ok(false);
    };
    // SAFETY: the dictionary is ours to release, its keys are numbers and its values arrays of
    // dictionaries (IOPMLib.h).
    let by_process: CFRetained<CFDictionary<CFNumber, CFArray<CFDictionary>>> =
        unsafe { CFRetained::cast_unchecked(CFRetained::from_raw(by_process)) };
    let own = i64::from(std::process::id());
    let (processes, assertions) = by_process.to_vecs();
    let others = processes.iter().zip(&assertions).filter(|(pid, _)| pid.as_i64() != Some(own));
    Ok(others.into_iter().any(|(_, held)| held.iter().any(|one| is_for_display(&one))))
}

fn is_for_display(assertion: &CFDictionary) -> bool {
    let kind = text(assertion, "AssertType").unwrap_or_default();
    // An assertion may be there and be off.
    let is_on = whole(assertion, "AssertLevel").unwrap_or(0) > 0;
    is_on && DISPLAY_ASSERTIONS.contains(&kind.as_str())
}

/// Whether a window of another process is as large as a display. Beside a camera's notch a program
/// may leave the top free, and isn't seen then.
#[expect(unsafe_code, reason = "the bindings leave the types of an array open")]
pub(super) fn is_full() -> Result<bool, String> {
    let displays = displays()?;
    let options =
        CGWindowListOption::OptionOnScreenOnly | CGWindowListOption::ExcludeDesktopElements;
    let windows = CGWindowListCopyWindowInfo(options, 0);
    let windows = windows.ok_or("this process is in no session with a screen")?;
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
    let mut displays = [0 as CGDirectDisplayID; MOST_DISPLAYS];
    let mut count = 0;
    let room = u32::try_from(MOST_DISPLAYS).unwrap_or(u32::MAX);
    // SAFETY: there is room for as many as we say, and both outlive the call.
    let answer = unsafe { CGGetActiveDisplayList(room, displays.as_mut_ptr(), &raw mut count) };
    if answer != CGError::Success {
        return Err(format!("Core Graphics answers {}", answer.0));
    }
    Ok(displays.iter().take(count as usize).map(|display| CGDisplayBounds(*display)).collect())
}

#[expect(unsafe_code, reason = "Core Graphics writes through pointers")]
fn bounds(window: &CFDictionary) -> Option<CGRect> {
    let bounds: CFRetained<CFType> = value(window, "kCGWindowBounds")?;
    let mut rectangle = CGRect::default();
    // SAFETY: the dictionary is one that Core Graphics made of a rectangle, and ours outlives the
    // call.
    let is_one = unsafe {
        CGRectMakeWithDictionaryRepresentation(
            Some(bounds.downcast_ref::<CFDictionary>()?),
            &raw mut rectangle,
        )
    };
    is_one.then_some(rectangle)
}
