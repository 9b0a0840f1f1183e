//! What a machine knows of its owner, as its owner calls it.

/// The name of a field of [`platform::sensors::SensorReading`].
pub(super) fn words(name: &'static str) -> &'static str {
    match name {
        "input" => "When somebody last touched it",
        "has_screen" => "Whether another account has the screen",
        "locked" => "Whether the screen is locked",
        "display_on" => "Whether the display is on",
        "power" => "Mains or battery",
        "low_power" => "Low power mode",
        "thermal" => "How warm it is",
        "other_load" => "What other programs use",
        "memory_pressure" => "How scarce memory is",
        "network" => "Whether the network costs money",
        "camera_or_microphone" => "Calls",
        "keeps_display_awake" => "Videos and presentations",
        "full_screen" => "Full-screen programs",
        other => other,
    }
}
