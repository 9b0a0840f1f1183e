//! Account that runs this process.

/// User id of the first account of a person.
const FIRST: u32 = if cfg!(target_os = "macos") { 501 } else { 1000 };

/// Returns the number of the account on this machine: 0 for the first account and for system accounts. Accounts
/// share the hardware id but no folder and no key, so this number distinguishes their workers.
pub fn number() -> u32 {
    number_of(rustix::process::getuid().as_raw())
}

/// Returns the effective user id of this process.
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
