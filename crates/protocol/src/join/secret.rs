//! Secret of a join code: 80 random bits, their typed form and the values derived from them.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

/// Bytes of a secret.
pub const SECRET_BYTES: usize = 10;
/// Characters of a typed code, five bits each.
const CHARACTERS: usize = 16;
const GROUP: usize = 4;
/// Crockford's base 32 (crockford.com/base32.html): no I, L, O and U.
const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";

const HINT_CONTEXT: &str = "Constellation 2026-11 join code hint v1";
const PROOF_CONTEXT: &str = "Constellation 2026-11 join code proof v1";
const PASSWORD_CONTEXT: &str = "Constellation 2026-11 join code password v1";
/// Prefix of a proof as a bearer credential.
const PROOF_PREFIX: &str = "constellation-join-";

/// Secret that authorizes enrollment. Shown once and never stored by the coordinator.
#[derive(Clone, PartialEq, Eq)]
pub struct JoinSecret([u8; SECRET_BYTES]);

/// Text that is not a typed code.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidSecret {
    #[error("a join code has {CHARACTERS} letters and digits, this one has {found}")]
    Length { found: usize },
    #[error("'{0}' is not allowed in a join code: use digits and letters except U")]
    Character(char),
}

impl JoinSecret {
    /// Creates a secret from random bytes.
    pub const fn from_bytes(bytes: [u8; SECRET_BYTES]) -> Self {
        Self(bytes)
    }

    pub const fn as_bytes(&self) -> &[u8; SECRET_BYTES] {
        &self.0
    }

    /// Returns the form that people type: `XXXX-XXXX-XXXX-XXXX`.
    pub fn typed(&self) -> String {
        let bits = self.0.iter().fold(0_u128, |bits, byte| (bits << 8) | u128::from(*byte));
        let mut text = String::with_capacity(CHARACTERS + CHARACTERS / GROUP);
        for place in 0..CHARACTERS {
            if place > 0 && place % GROUP == 0 {
                text.push('-');
            }
            let digit = (bits >> (5 * (CHARACTERS - 1 - place))) & 31;
            text.push(char::from(ALPHABET[usize::try_from(digit).unwrap_or_default()]));
        }
        text
    }

    /// Returns the hint by which the coordinator finds the code. It is not secret: it reveals 32 of
    /// the 80 bits, and the rest can only be guessed at the coordinator, which counts the attempts.
    pub fn hint(&self) -> JoinHint {
        let mut hint = [0; 4];
        hint.copy_from_slice(&blake3::derive_key(HINT_CONTEXT, &self.0)[..4]);
        JoinHint(hint)
    }

    /// Returns the proof that a device sends to enroll, only to an authenticated coordinator.
    pub fn proof(&self) -> JoinProof {
        JoinProof(blake3::derive_key(PROOF_CONTEXT, &self.0))
    }

    /// Returns the password of the [`super::exchange`]. The coordinator stores it.
    pub fn password(&self) -> [u8; 32] {
        blake3::derive_key(PASSWORD_CONTEXT, &self.0)
    }
}

impl FromStr for JoinSecret {
    type Err = InvalidSecret;

    /// Parses a code as people type it: lower case, without or with other dashes, O for 0, I and L
    /// for 1.
    fn from_str(text: &str) -> Result<Self, InvalidSecret> {
        let mut bits = 0_u128;
        let mut found = 0;
        for character in text.chars() {
            if character.is_whitespace() || matches!(character, '-' | '–' | '—' | '_' | '.') {
                continue;
            }
            let digit = digit(character).ok_or(InvalidSecret::Character(character))?;
            found += 1;
            // More characters are an error anyway and must not overflow.
            if found <= CHARACTERS {
                bits = (bits << 5) | digit;
            }
        }
        if found != CHARACTERS {
            return Err(InvalidSecret::Length { found });
        }
        let mut secret = [0; SECRET_BYTES];
        secret.copy_from_slice(&bits.to_be_bytes()[16 - SECRET_BYTES..]);
        Ok(Self(secret))
    }
}

fn digit(character: char) -> Option<u128> {
    let upper = match character.to_ascii_uppercase() {
        'O' => '0',
        'I' | 'L' => '1',
        other => other,
    };
    let place = ALPHABET.iter().position(|known| char::from(*known) == upper)?;
    u128::try_from(place).ok()
}

impl fmt::Debug for JoinSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JoinSecret(…)")
    }
}

/// Lookup key of a join code ([`JoinSecret::hint`]). As text 8 lowercase hexadecimal characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct JoinHint([u8; 4]);

/// Text that is not a hint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a join hint has 8 hexadecimal characters")]
pub struct InvalidHint;

impl fmt::Display for JoinHint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}", u32::from_be_bytes(self.0))
    }
}

impl FromStr for JoinHint {
    type Err = InvalidHint;

    fn from_str(text: &str) -> Result<Self, InvalidHint> {
        let is_hex = text.len() == 8 && text.bytes().all(|b| b.is_ascii_hexdigit());
        let number = u32::from_str_radix(text, 16).ok().filter(|_| is_hex);
        number.map(|number| Self(number.to_be_bytes())).ok_or(InvalidHint)
    }
}

impl Serialize for JoinHint {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for JoinHint {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

impl PartialSchema for JoinHint {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new().schema_type(Type::String).pattern(Some("^[0-9a-f]{8}$")).into()
    }
}

impl ToSchema for JoinHint {}

/// Enrollment credential derived from a secret ([`JoinSecret::proof`]).
#[derive(Clone, PartialEq, Eq)]
pub struct JoinProof([u8; 32]);

impl JoinProof {
    /// Returns the bearer credential.
    pub fn bearer(&self) -> String {
        format!("{PROOF_PREFIX}{}", blake3::Hash::from_bytes(self.0).to_hex())
    }

    /// Returns the hash by which the coordinator stores and finds the proof. Looking up a hash
    /// reveals nothing about how close a guess came.
    pub fn hash(&self) -> [u8; 32] {
        *blake3::hash(&self.0).as_bytes()
    }

    /// Parses a bearer credential. Returns `None` for other kinds of credentials.
    pub fn from_bearer(text: &str) -> Option<Self> {
        let hash = blake3::Hash::from_hex(text.strip_prefix(PROOF_PREFIX)?).ok()?;
        Some(Self(*hash.as_bytes()))
    }
}

impl fmt::Debug for JoinProof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JoinProof(…)")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_code_is_parsed_in_every_typed_form() {
        let secret = JoinSecret([0x08, 0x42, 0x10, 0x84, 0x21, 0xff, 0xff, 0xff, 0x00, 0x00]);
        assert_eq!(secret.typed(), "1111-1111-ZZZZ-Y000");
        for typed in [
            "1111-1111-ZZZZ-Y000",
            "1111 1111 zzzz y000",
            "iLlI-1i1l zzzzyoOo",
            "  1111\u{2013}1111\u{2014}ZZZZ.Y000\n",
        ] {
            assert_eq!(typed.parse::<JoinSecret>().as_ref(), Ok(&secret), "{typed}");
        }
    }

    #[test]
    fn an_invalid_code_is_refused_with_the_reason() {
        let error = |text: &str| text.parse::<JoinSecret>().unwrap_err().to_string();
        assert_eq!(error(""), "a join code has 16 letters and digits, this one has 0");
        assert!(error(&"1".repeat(300)).contains("this one has 300"));
        assert!(error("1111-1111-ZZZZ-Y00U").contains("'U'"));
        assert!(error("1111-1111-ZZZZ-Y00ü").contains("'ü'"));
    }

    #[test]
    fn only_a_proof_parses_as_a_bearer_credential() {
        let proof = JoinSecret([7; SECRET_BYTES]).proof();
        assert_eq!(JoinProof::from_bearer(&proof.bearer()), Some(proof));
        assert_eq!(JoinProof::from_bearer("constellation-admin-00"), None);
        assert_eq!(JoinProof::from_bearer("constellation-join-00"), None);
    }

    #[test]
    fn debug_output_hides_secrets() {
        let secret = JoinSecret([7; SECRET_BYTES]);
        assert_eq!(format!("{secret:?} {:?}", secret.proof()), "JoinSecret(…) JoinProof(…)");
    }

    proptest! {
        #[test]
        fn every_secret_round_trips_through_its_typed_form(bytes: [u8; SECRET_BYTES]) {
            let secret = JoinSecret(bytes);
            prop_assert_eq!(secret.typed().parse::<JoinSecret>().unwrap(), secret.clone());
            prop_assert_eq!(secret.typed().to_lowercase().parse::<JoinSecret>().unwrap(), secret);
        }

        #[test]
        fn any_text_is_parsed_or_refused(text in ".{0,40}") {
            drop(text.parse::<JoinSecret>());
            let is_hint = text.len() == 8 && text.bytes().all(|b| b.is_ascii_hexdigit());
            prop_assert_eq!(text.parse::<JoinHint>().is_ok(), is_hint);
        }
    }
}
