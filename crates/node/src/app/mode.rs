//! What this node is, as the setting `Mode` has it.

use crate::settings::{Key, Settings, Source};

/// Both may be so: a coordinator's own machine may train too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mode {
    pub worker: bool,
    pub coordinator: bool,
}

impl Mode {
    /// None where nobody has chosen.
    pub(super) fn of(settings: &Settings) -> Option<Self> {
        let chosen = settings.text(Key::Mode);
        if chosen.source == Source::Default {
            return None;
        }
        let text = chosen.value.unwrap_or_default();
        Some(Self { worker: text != "coordinator", coordinator: text != "worker" })
    }

    /// As the setting is written; none where it is neither.
    pub(super) const fn text(self) -> Option<&'static str> {
        match (self.worker, self.coordinator) {
            (true, true) => Some("both"),
            (true, false) => Some("worker"),
            (false, true) => Some("coordinator"),
            (false, false) => None,
        }
    }
}
