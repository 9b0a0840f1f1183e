//! Turns of uploads: each partial file has one writer, and a later writer replaces an earlier one.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use tokio_util::sync::CancellationToken;

/// Uploads in progress, by file. Each file has one writer; a later writer replaces an earlier one.
pub(super) type Uploads = Mutex<HashMap<PathBuf, Arc<Turn>>>;

/// Turn of one partial file.
#[derive(Debug, Default)]
pub(super) struct Turn {
    /// Lock of the current writer.
    pub(super) writing: Arc<tokio::sync::Mutex<()>>,
    /// Tells the current writer to stop.
    pub(super) superseded: CancellationToken,
}
