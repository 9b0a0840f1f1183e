//! Operating-system layer: machine identity, sensors, sleep, processes, folders and locks. Only this crate uses
//! `cfg(target_os)` and `unsafe`.

pub mod account;
pub mod addresses;
pub mod awake;
pub mod browser;
pub mod device;
pub mod display;
pub mod files;
pub mod folders;
pub mod hardware;
pub mod login_item;
pub mod managed;
pub mod memory;
pub mod output_file;
pub mod private;
pub mod process;
pub mod proxies;
mod secrets;
pub mod sensors;
pub mod system;
pub mod wake;

pub use device::DeviceFacts;
pub use files::{FolderLock, LockError};
pub use output_file::OutputFile;
pub use secrets::Secrets;
pub use system::SystemFacts;
