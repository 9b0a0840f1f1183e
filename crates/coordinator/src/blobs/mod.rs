//! Blob store: files named by the BLAKE3 hash of their bytes, under `DATA_DIR/blobs/ab/cdef…`.
//!
//! A blob becomes visible only once it is complete and durable. No other module knows the file
//! layout. The methods block.

mod folder;
mod partial;
mod quota;
mod turns;
mod writer;

pub(crate) use folder::{BlobHold, Blobs, is_full};
pub(crate) use partial::UploadError;
pub(crate) use quota::{DiskQuota, QuotaError};
