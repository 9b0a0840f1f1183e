//! Settings: the table that declares them, and their form in the API. Commands, the app's page, the documentation and the
//! files for MDM tools are made from the table.

mod declaration;
mod key;
mod kind;
mod table;
mod view;

pub use declaration::{ChangedBy, Declaration, Section, TakesEffect};
pub use kind::{Choice, SettingKind, Unit};
pub use table::Key;
pub use view::{Setting, SettingOrigin};

/// Converts gigabytes to bytes. Saturates.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "settings are above 0, and a conversion from floating point saturates"
)]
pub const fn bytes_of(gigabytes: f64) -> u64 {
    (gigabytes * 1e9) as u64
}
