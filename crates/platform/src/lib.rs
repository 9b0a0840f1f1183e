//! What differs by operating system: who this machine is, its idle time, its processes, folders and
//! locks. The one crate with `cfg(target_os)`, and the one where `unsafe` may stand.

pub mod addresses;
pub mod device;
pub mod files;
pub mod folders;
pub mod hardware;
pub mod idle;
pub mod process;
pub mod secrets;
pub mod system;

pub use device::DeviceFacts;
pub use files::{FolderLock, LockError};
pub use idle::{IdleError, IdleSource, SystemIdle};
pub use secrets::Secrets;
pub use system::SystemFacts;
