//! Labels of the sensors, for the settings page.

/// Returns the label of a field of [`platform::sensors::SensorReading`].
pub(super) fn sensor_text(name: &'static str) -> &'static str {
    match name {
        "input" => "Last keyboard or mouse input",
        "has_screen" => "Another user at the screen",
        "locked" => "Screen lock",
        "display_on" => "Display on or off",
        "power" => "Power source",
        "low_power" => "Low power mode",
        "thermal" => "Temperature",
        "other_load" => "Load of other programs",
        "memory_pressure" => "Memory pressure",
        "network" => "Metered network",
        "camera_or_microphone" => "Camera and microphone use",
        "keeps_display_awake" => "Videos and presentations",
        "full_screen" => "Full-screen programs",
        other => other,
    }
}
