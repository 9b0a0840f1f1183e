//! Why a coordinator can't start.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

use crate::cluster::ClusterError;

/// Why a coordinator can't start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error(
        "{address} is in use by another program: stop that one, or give another address with \
         --listen (port 0 takes a free one)"
    )]
    AddressInUse { address: SocketAddr },
    #[error("can't listen on {address}: {source}; give another address with --listen")]
    Listen { address: SocketAddr, source: io::Error },
    #[error(
        "{} is in use by another Constellation: stop that one, or give another --data-dir",
        folder.display()
    )]
    DataDirLocked { folder: PathBuf },
    #[error(
        "can't write to {}: {source}; make it writable, or give another --data-dir",
        folder.display()
    )]
    DataDirUnwritable { folder: PathBuf, source: io::Error },
    #[error("the disk of {} is full: free some space", folder.display())]
    DiskFull { folder: PathBuf },
    #[error(
        "the database in {} is of a newer Constellation (version {found}; this one knows {known}): \
         start that one, or give another --data-dir", folder.display()
    )]
    NewerDatabase { folder: PathBuf, found: u32, known: u32 },
    #[error(
        "the database in {} can't be used: {reason}; restore a backup, or give another --data-dir",
        folder.display()
    )]
    Database { folder: PathBuf, reason: String },
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    #[error("the system refuses a thread: {0}")]
    Thread(io::Error),
}
