//! Role of this node, from the setting `Mode`.

use crate::settings::{Key, Settings, Source};

/// Roles of this node. A machine can be worker and coordinator at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mode {
    pub worker: bool,
    pub coordinator: bool,
}

impl Mode {
    /// Returns the mode; `None` if it has not been chosen yet.
    pub(super) fn from_settings(settings: &Settings) -> Option<Self> {
        let chosen = settings.text(Key::Mode);
        if chosen.source == Source::Default {
            return None;
        }
        let text = chosen.value.unwrap_or_default();
        Some(Self { worker: text != "coordinator", coordinator: text != "worker" })
    }

    /// Value of the setting; `None` if no role is selected.
    pub(super) const fn text(self) -> Option<&'static str> {
        match (self.worker, self.coordinator) {
            (true, true) => Some("both"),
            (true, false) => Some("worker"),
            (false, true) => Some("coordinator"),
            (false, false) => None,
        }
    }
}
