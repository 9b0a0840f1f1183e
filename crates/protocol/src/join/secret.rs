//! The secret of a join code: 80 bits of chance, how people type them, and what is derived.

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
/// What a proof looks like as a credential.
const PROOF_PREFIX: &str = "constellation-join-";

/// What whoever enrols a device must know. Shown once, never stored by the coordinator.
#[derive(Clone, PartialEq, Eq)]
pub struct JoinSecret([u8; SECRET_BYTES]);

/// Text that is not a typed code.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidSecret {
    #[error("a join code has {CHARACTERS} letters and digits, this has {found}")]
    Length { found: usize },
    #[error("'{0}' is in no join code: it has digits and letters, without U")]
    Character(char),
}

impl JoinSecret {
    /// Of bytes that nobody can guess.
    pub const fn from_bytes(bytes: [u8; SECRET_BYTES]) -> Self {
        Self(bytes)
    }

    pub const fn as_bytes(&self) -> &[u8; SECRET_BYTES] {
        &self.0
    }

    /// As people type it: `XXXX-XXXX-XXXX-XXXX`.
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

    /// By which the coordinator finds the code. It may be seen by a stranger: 32 of the secret's 80
    /// bits follow from it, and the rest can only be tried at the coordinator, which counts.
    pub fn hint(&self) -> JoinHint {
        let mut hint = [0; 4];
        hint.copy_from_slice(&blake3::derive_key(HINT_CONTEXT, &self.0)[..4]);
        JoinHint(hint)
    }

    /// What a device shows to be enrolled, to a coordinator that has proven itself.
    pub fn proof(&self) -> JoinProof {
        JoinProof(blake3::derive_key(PROOF_CONTEXT, &self.0))
    }

    /// What both sides of an [`super::exchange`] know; the coordinator stores it.
    pub fn password(&self) -> [u8; 32] {
        blake3::derive_key(PASSWORD_CONTEXT, &self.0)
    }
}

impl FromStr for JoinSecret {
    type Err = InvalidSecret;

    /// Whatever people make of it: lower case, without or with other dashes, O for 0, I and L for 1.
    fn from_str(text: &str) -> Result<Self, InvalidSecret> {
        let mut bits = 0_u128;
        let mut found = 0;
        for character in text.chars() {
            if character.is_whitespace() || matches!(character, '-' | '–' | '—' | '_' | '.') {
                continue;
            }
            let digit = digit(character).ok_or(InvalidSecret::Character(character))?;
            found += 1;
            // More than these are wrong anyhow, and must not overflow.
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

/// See [`JoinSecret::hint`]; 8 lower-case hexadecimal characters as text.
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

/// See [`JoinSecret::proof`].
#[derive(Clone, PartialEq, Eq)]
pub struct JoinProof([u8; 32]);

impl JoinProof {
    /// As a bearer credential.
    pub fn bearer(&self) -> String {
        format!("{PROOF_PREFIX}{}", blake3::Hash::from_bytes(self.0).to_hex())
    }

    /// What the coordinator keeps of it, and looks it up by: looking a hash up tells nothing about
    /// the proof that it came near to.
    pub fn hash(&self) -> [u8; 32] {
        *blake3::hash(&self.0).as_bytes()
    }

    /// The proof in a bearer credential; none where it is another kind of credential.
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
    fn a_code_is_read_however_it_is_typed() {
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
    fn what_is_no_code_is_refused_in_words() {
        let error = |text: &str| text.parse::<JoinSecret>().unwrap_err().to_string();
        assert_eq!(error(""), "a join code has 16 letters and digits, this has 0");
        assert!(error(&"1".repeat(300)).contains("this has 300"));
        assert!(error("1111-1111-ZZZZ-Y00U").contains("'U'"));
        assert!(error("1111-1111-ZZZZ-Y00ü").contains("'ü'"));
    }

    #[test]
    fn a_proof_is_a_credential_and_no_other_is() {
        let proof = JoinSecret([7; SECRET_BYTES]).proof();
        assert_eq!(JoinProof::from_bearer(&proof.bearer()), Some(proof));
        assert_eq!(JoinProof::from_bearer("constellation-admin-00"), None);
        assert_eq!(JoinProof::from_bearer("constellation-join-00"), None);
    }

    #[test]
    fn nothing_shows_a_secret_by_accident() {
        let secret = JoinSecret([7; SECRET_BYTES]);
        assert_eq!(format!("{secret:?} {:?}", secret.proof()), "JoinSecret(…) JoinProof(…)");
    }

    proptest! {
        #[test]
        fn every_secret_goes_through_its_typed_form(bytes: [u8; SECRET_BYTES]) {
            let secret = JoinSecret(bytes);
            prop_assert_eq!(secret.typed().parse::<JoinSecret>().unwrap(), secret.clone());
            prop_assert_eq!(secret.typed().to_lowercase().parse::<JoinSecret>().unwrap(), secret);
        }

        #[test]
        fn any_text_is_an_answer(text in ".{0,40}") {
            drop(text.parse::<JoinSecret>());
            let is_hint = text.len() == 8 && text.bytes().all(|b| b.is_ascii_hexdigit());
            prop_assert_eq!(text.parse::<JoinHint>().is_ok(), is_hint);
        }
    }
}
