//! The account that this process runs under, among those of one machine.

/// What a person's first account is numbered by the system.
const FIRST: u32 = if cfg!(target_os = "macos") { 501 } else { 1000 };

/// 0 for the machine's first account, and for the system's own. Accounts share the machine's hardware
/// id but no folder and no key: this tells their workers apart (DESIGN §11.12).
pub fn number() -> u32 {
    number_of(rustix::process::getuid().as_raw())
}

/// The system's number of the user that this process acts as.
pub fn user_id() -> u32 {
    rustix::process::geteuid().as_raw()
}

const fn number_of(uid: u32) -> u32 {
    uid.saturating_sub(FIRST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accounts_have_numbers_of_their_own() {
        assert_eq!([0, FIRST, FIRST + 1, u32::MAX].map(number_of), [0, 0, 1, u32::MAX - FIRST]);
    }
}
