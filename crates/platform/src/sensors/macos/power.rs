//! macOS: power source and battery charge.

use objc2_core_foundation::{CFArray, CFRetained, CFType};
use objc2_io_kit::{
    IOPSCopyPowerSourcesInfo, IOPSCopyPowerSourcesList, IOPSGetPowerSourceDescription,
    IOPSGetProvidingPowerSourceType,
};

use super::dictionary::number;
use crate::sensors::{Power, PowerSource};

pub(super) fn power() -> Result<Power, String> {
    read().ok_or_else(|| "IOKit reports no power source".to_owned())
}

#[expect(unsafe_code, reason = "IOKit's calls take references of any type")]
fn read() -> Option<Power> {
    let snapshot = IOPSCopyPowerSourcesInfo()?;
    // SAFETY: the snapshot comes from IOPSCopyPowerSourcesInfo.
    let providing = unsafe { IOPSGetProvidingPowerSourceType(Some(&snapshot)) }?;
    // IOPSKeys.h: kIOPMACPowerKey. The other values are a battery and an uninterruptible power supply.
    let source =
        if providing.to_string() == "AC Power" { PowerSource::Mains } else { PowerSource::Battery };
    // SAFETY: as above.
    let list = unsafe { IOPSCopyPowerSourcesList(Some(&snapshot)) }?;
    // SAFETY: the list holds objects, and CFType is any type.
    let list: CFRetained<CFArray<CFType>> = unsafe { CFRetained::cast_unchecked(list) };
    let levels = list.iter().filter_map(|entry| {
        // SAFETY: the entry comes from this snapshot's list.
        let about = unsafe { IOPSGetPowerSourceDescription(Some(&snapshot), Some(&entry)) }?;
        let (now, most) = (number(&about, "Current Capacity")?, number(&about, "Max Capacity")?);
        #[expect(clippy::cast_possible_truncation, reason = "a share, from 0 to 1")]
        (most > 0.0).then(|| (now / most).clamp(0.0, 1.0) as f32)
    });
    Some(Power { source, level: levels.reduce(f32::min) })
}
