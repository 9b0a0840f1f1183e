//! What this node is, as somebody chose it; kept as a file in the app's folder.

use std::path::Path;

use serde::{Deserialize, Serialize};

/// Both may be so: a coordinator's own machine may train too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mode {
    pub worker: bool,
    pub coordinator: bool,
}

impl Mode {
    /// None where nobody has chosen, or nobody can read what.
    pub(super) fn load(file: &Path) -> Option<Self> {
        serde_json::from_slice(&std::fs::read(file).ok()?).ok()
    }

    pub(super) fn save(self, file: &Path) -> std::io::Result<()> {
        platform::files::write_private(file, &serde_json::to_vec(&self)?)
    }
}
