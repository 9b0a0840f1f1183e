//! What differs by operating system: who this machine is, what its sensors say, its sleep, processes, folders
//! and locks. The one crate with `cfg(target_os)`, and the one where `unsafe` may stand.

pub mod account;
pub mod addresses;
pub mod awake;
pub mod device;
pub mod display;
pub mod files;
pub mod folders;
pub mod hardware;
pub mod login_item;
pub mod managed;
pub mod memory;
pub mod private;
pub mod process;
pub mod proxies;
pub mod secrets;
pub mod sensors;
pub mod system;
pub mod wake;

pub use device::DeviceFacts;
pub use files::{FolderLock, LockError};
pub use secrets::Secrets;
pub use system::SystemFacts;
