//! Errors of starting a coordinator.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

use crate::cluster::ClusterError;

/// Error of starting a coordinator.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error(
        "{address} is in use by another program: stop that program, or set another address with \
         --listen (port 0 chooses a free port)"
    )]
    AddressInUse { address: SocketAddr },
    #[error("can't listen on {address}: {source}; set another address with --listen")]
    Listen { address: SocketAddr, source: io::Error },
    #[error(
        "{} is in use by another Constellation: stop it, or use another --data-dir",
        folder.display()
    )]
    DataDirLocked { folder: PathBuf },
    #[error(
        "can't write to {}: {source}; make it writable, or use another --data-dir",
        folder.display()
    )]
    DataDirUnwritable { folder: PathBuf, source: io::Error },
    #[error("the disk of {} is full: free some space", folder.display())]
    DiskFull { folder: PathBuf },
    #[error(
        "a newer Constellation wrote the database in {} (version {found}; this one reads up to \
         {known}): start the newer one, or use another --data-dir", folder.display()
    )]
    NewerDatabase { folder: PathBuf, found: u32, known: u32 },
    #[error(
        "the database in {} can't be used: {reason}; restore a backup, or use another --data-dir",
        folder.display()
    )]
    Database { folder: PathBuf, reason: String },
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    #[error("can't start a thread: {0}")]
    Thread(io::Error),
}
