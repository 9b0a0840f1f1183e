//! Challenges for devices that register: made and recognized without keeping any.
//!
//! A challenge is the time, some chance, and a MAC over both by a key that lives as long as this
//! process. Whoever sends one back that the MAC fits has it from here, lately.

use std::fmt;
use std::time::Duration;

use protocol::{Opaque, Timestamp};

/// For which a challenge counts; a device signs at once.
pub(crate) const LIFETIME: Duration = Duration::from_mins(2);

const TIME: usize = 8;
const CHANCE: usize = 16;
const MAC: usize = 32;

/// The maker of challenges.
pub(crate) struct Challenges {
    key: [u8; 32],
}

/// Why a challenge doesn't count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum WrongChallenge {
    #[error("the challenge is not one of this coordinator's; ask for another")]
    Foreign,
    #[error("the challenge is too old; ask for another and sign it at once")]
    Old,
}

impl Challenges {
    pub(crate) const fn new(key: [u8; 32]) -> Self {
        Self { key }
    }

    pub(crate) fn make(&self, now: Timestamp, chance: [u8; CHANCE]) -> String {
        let mut bytes = Vec::with_capacity(TIME + CHANCE + MAC);
        bytes.extend_from_slice(&now.as_millis().to_be_bytes());
        bytes.extend_from_slice(&chance);
        let mac = blake3::keyed_hash(&self.key, &bytes);
        bytes.extend_from_slice(mac.as_bytes());
        Opaque(bytes).to_string()
    }

    pub(crate) fn check(&self, challenge: &str, now: Timestamp) -> Result<(), WrongChallenge> {
        let Opaque(bytes) = challenge.parse().map_err(|_| WrongChallenge::Foreign)?;
        let (said, mac) = bytes.split_at_checked(TIME + CHANCE).ok_or(WrongChallenge::Foreign)?;
        let mac = blake3::Hash::from_slice(mac).map_err(|_| WrongChallenge::Foreign)?;
        // Compares in constant time.
        if blake3::keyed_hash(&self.key, said) != mac {
            return Err(WrongChallenge::Foreign);
        }
        let mut made = [0; TIME];
        made.copy_from_slice(&said[..TIME]);
        let made = Timestamp::from_millis(i64::from_be_bytes(made));
        // A clock that was set back must not give challenges a longer life.
        let is_young = now.since(made) <= LIFETIME && made.since(now) <= LIFETIME;
        if is_young { Ok(()) } else { Err(WrongChallenge::Old) }
    }
}

impl fmt::Debug for Challenges {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Challenges(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_763_888_400_000);

    #[test]
    fn a_challenge_counts_for_two_minutes() {
        let challenges = Challenges::new([1; 32]);
        let challenge = challenges.make(NOW, [2; CHANCE]);
        assert_eq!(challenges.check(&challenge, NOW.after(LIFETIME)), Ok(()));
        let later = NOW.after(LIFETIME + Duration::from_millis(1));
        assert_eq!(challenges.check(&challenge, later), Err(WrongChallenge::Old));
        let earlier = Timestamp::from_millis(NOW.as_millis() - 120_001);
        assert_eq!(challenges.check(&challenge, earlier), Err(WrongChallenge::Old));
    }

    #[test]
    fn another_s_or_a_changed_challenge_does_not_count() {
        let challenges = Challenges::new([1; 32]);
        let challenge = challenges.make(NOW, [2; CHANCE]);
        let foreign = Challenges::new([3; 32]).make(NOW, [2; CHANCE]);
        let cut = &challenge[..challenge.len() - 4];
        for wrong in [foreign.as_str(), cut, "", "!", &format!("B{}", &challenge[1..])] {
            assert_eq!(challenges.check(wrong, NOW), Err(WrongChallenge::Foreign), "{wrong}");
        }
    }
}
