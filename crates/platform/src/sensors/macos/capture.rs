//! macOS: whether any process uses a camera or the microphone, which usually means a call. The devices are
//! not opened, so no permission is needed.

use std::ffi::c_void;
use std::ptr::{NonNull, null};

use objc2_core_audio::{
    AudioObjectGetPropertyData, AudioObjectID, AudioObjectPropertyAddress,
    AudioObjectPropertySelector, kAudioDevicePropertyDeviceIsRunningSomewhere,
    kAudioHardwarePropertyDefaultInputDevice, kAudioObjectPropertyElementMain,
    kAudioObjectPropertyScopeGlobal, kAudioObjectUnknown,
};
use objc2_core_media_io::{
    CMIOObjectGetPropertyData, CMIOObjectGetPropertyDataSize, CMIOObjectID,
    CMIOObjectPropertyAddress, kCMIODevicePropertyDeviceIsRunningSomewhere,
    kCMIOHardwarePropertyDevices, kCMIOObjectPropertyElementMain, kCMIOObjectPropertyScopeGlobal,
};

/// `kAudioObjectSystemObject` and `kCMIOObjectSystemObject`.
const SYSTEM: u32 = 1;

pub(super) fn camera_or_microphone() -> Result<bool, String> {
    match (microphone(), camera()) {
        (Ok(true), _) | (_, Ok(true)) => Ok(true),
        (Err(reason), _) | (_, Err(reason)) => Err(reason),
        (Ok(false), Ok(false)) => Ok(false),
    }
}

/// Checks the default input device, which calls use unless another was chosen. A headset that is one device
/// for input and output counts as in use while it plays.
fn microphone() -> Result<bool, String> {
    let device: AudioObjectID = audio(SYSTEM, kAudioHardwarePropertyDefaultInputDevice)?;
    if device == kAudioObjectUnknown {
        // A machine without a microphone.
        return Ok(false);
    }
    Ok(audio(device, kAudioDevicePropertyDeviceIsRunningSomewhere)? != 0)
}

/// Reads a property that is one 32-bit number.
#[expect(unsafe_code, reason = "Core Audio writes through pointers")]
fn audio(object: AudioObjectID, selector: AudioObjectPropertySelector) -> Result<u32, String> {
    let mut address = AudioObjectPropertyAddress {
        mSelector: selector,
        mScope: kAudioObjectPropertyScopeGlobal,
        mElement: kAudioObjectPropertyElementMain,
    };
    let (mut value, mut length) = (0_u32, 4_u32);
    // SAFETY: the address, the value and its length outlive the call, there is no qualifier, and the
    // length is that of the value.
    let status = unsafe {
        AudioObjectGetPropertyData(
            object,
            NonNull::from(&mut address),
            0,
            null(),
            NonNull::from(&mut length),
            NonNull::from(&mut value).cast::<c_void>(),
        )
    };
    if status == 0 { Ok(value) } else { Err(format!("Core Audio error {status}")) }
}

fn camera() -> Result<bool, String> {
    let mut reason = None;
    for camera in cameras()? {
        let mut running = [0];
        match video(camera, kCMIODevicePropertyDeviceIsRunningSomewhere, &mut running) {
            Ok(1) if running != [0] => return Ok(true),
            Ok(_) => {}
            Err(error) => reason = Some(error),
        }
    }
    reason.map_or(Ok(false), Err)
}

#[expect(unsafe_code, reason = "Core Media IO writes through pointers")]
fn cameras() -> Result<Vec<CMIOObjectID>, String> {
    let address = address(kCMIOHardwarePropertyDevices);
    let mut length = 0;
    // SAFETY: the address and the length outlive the call, and there is no qualifier.
    let status = unsafe {
        CMIOObjectGetPropertyDataSize(SYSTEM, &raw const address, 0, null(), &raw mut length)
    };
    if status != 0 {
        return Err(format!("Core Media IO error {status}"));
    }
    let mut cameras = vec![0; length as usize / size_of::<CMIOObjectID>()];
    let found = video(SYSTEM, kCMIOHardwarePropertyDevices, &mut cameras)?;
    cameras.truncate(found);
    Ok(cameras)
}

/// Reads a property that is a list of 32-bit numbers. Returns their count.
#[expect(unsafe_code, reason = "Core Media IO writes through pointers")]
fn video(object: CMIOObjectID, selector: u32, values: &mut [u32]) -> Result<usize, String> {
    let address = address(selector);
    let room = u32::try_from(size_of_val(values)).unwrap_or(u32::MAX);
    let mut used = 0;
    // SAFETY: the address, the values and the number used outlive the call, there is no qualifier,
    // and `room` is the size of the values.
    let status = unsafe {
        CMIOObjectGetPropertyData(
            object,
            &raw const address,
            0,
            null(),
            room,
            &raw mut used,
            values.as_mut_ptr().cast(),
        )
    };
    if status != 0 {
        return Err(format!("Core Media IO error {status}"));
    }
    Ok((used as usize / size_of::<u32>()).min(values.len()))
}

fn address(selector: u32) -> CMIOObjectPropertyAddress {
    CMIOObjectPropertyAddress {
        mSelector: selector,
        mScope: kCMIOObjectPropertyScopeGlobal,
        mElement: kCMIOObjectPropertyElementMain,
    }
}
