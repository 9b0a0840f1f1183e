//! Stateless challenges for the registration of devices.
//!
//! A challenge is the time, random bytes, and a MAC of both under a key that lives as long as this
//! process. A valid MAC proves that this coordinator issued the challenge, and the time that it did so
//! recently.

use std::fmt;
use std::time::Duration;

use protocol::{Opaque, Timestamp};

/// Validity of a challenge. A device signs it at once.
pub(crate) const LIFETIME: Duration = Duration::from_mins(2);

const TIME_BYTES: usize = 8;
const RANDOM_BYTES: usize = 16;
const MAC_BYTES: usize = 32;

/// Issues and checks challenges.
pub(crate) struct Challenges {
    key: [u8; 32],
}

/// Reason for refusing a challenge.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum WrongChallenge {
    #[error("this coordinator did not issue the challenge; request a new one")]
    Foreign,
    #[error("the challenge has expired; request a new one and sign it at once")]
    Old,
}

impl Challenges {
    pub(crate) const fn new(key: [u8; 32]) -> Self {
        Self { key }
    }

    pub(crate) fn make(&self, now: Timestamp, random: [u8; RANDOM_BYTES]) -> String {
        let mut bytes = Vec::with_capacity(TIME_BYTES + RANDOM_BYTES + MAC_BYTES);
        bytes.extend_from_slice(&now.as_millis().to_be_bytes());
        bytes.extend_from_slice(&random);
        let mac = blake3::keyed_hash(&self.key, &bytes);
        bytes.extend_from_slice(mac.as_bytes());
        Opaque(bytes).to_string()
    }

    pub(crate) fn check(&self, challenge: &str, now: Timestamp) -> Result<(), WrongChallenge> {
        let Opaque(bytes) = challenge.parse().map_err(|_| WrongChallenge::Foreign)?;
        let (message, mac) =
            bytes.split_at_checked(TIME_BYTES + RANDOM_BYTES).ok_or(WrongChallenge::Foreign)?;
        let mac = blake3::Hash::from_slice(mac).map_err(|_| WrongChallenge::Foreign)?;
        // BLAKE3 hashes compare in constant time.
        if blake3::keyed_hash(&self.key, message) != mac {
            return Err(WrongChallenge::Foreign);
        }
        let mut issued_at = [0; TIME_BYTES];
        issued_at.copy_from_slice(&message[..TIME_BYTES]);
        let issued_at = Timestamp::from_millis(i64::from_be_bytes(issued_at));
        // The second check keeps a clock that was set back from extending a challenge's validity.
        let is_recent = now.since(issued_at) <= LIFETIME && issued_at.since(now) <= LIFETIME;
        if is_recent { Ok(()) } else { Err(WrongChallenge::Old) }
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
    fn a_challenge_is_valid_for_two_minutes() {
        let challenges = Challenges::new([1; 32]);
        let challenge = challenges.make(NOW, [2; RANDOM_BYTES]);
        assert_eq!(challenges.check(&challenge, NOW.after(LIFETIME)), Ok(()));
        let later = NOW.after(LIFETIME + Duration::from_millis(1));
        assert_eq!(challenges.check(&challenge, later), Err(WrongChallenge::Old));
        let earlier = Timestamp::from_millis(NOW.as_millis() - 120_001);
        assert_eq!(challenges.check(&challenge, earlier), Err(WrongChallenge::Old));
    }

    #[test]
    fn a_foreign_or_altered_challenge_is_refused() {
        let challenges = Challenges::new([1; 32]);
        let challenge = challenges.make(NOW, [2; RANDOM_BYTES]);
        let foreign = Challenges::new([3; 32]).make(NOW, [2; RANDOM_BYTES]);
        let cut = &challenge[..challenge.len() - 4];
        for wrong in [foreign.as_str(), cut, "", "!", &format!("B{}", &challenge[1..])] {
            assert_eq!(challenges.check(wrong, NOW), Err(WrongChallenge::Foreign), "{wrong}");
        }
    }
}
