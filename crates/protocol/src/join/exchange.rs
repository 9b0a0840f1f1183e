//! How a typed code is used: both sides prove that they know it, and nobody between them learns
//! anything (SPAKE2, RFC 9382, in the group and encoding of the crate `spake2`).
//!
//! ```text
//! worker                                    coordinator
//!   hint, message ──────────────────────────▶ finds the code, counts a try
//!   checks the confirmation ◀──── cluster, message, confirmation
//!   registers over the pinned connection, with the code's proof ──▶ the try was a good one
//! ```
//!
//! The pin of the certificate that each side sees on its own end is part of the exchange: whoever
//! sits between has another one, and both sides' keys then differ. The coordinator confirms first, so
//! a stranger never gets anything to try codes on: one exchange tries one code.

use rand_core_06::{CryptoRng, Error as RandomError, RngCore};
use serde::{Deserialize, Serialize};
use spake2::{Ed25519Group, Identity, Password, Spake2};
use utoipa::ToSchema;

use super::{JoinHint, JoinSecret};
use crate::{Opaque, Pin};

/// Bytes of chance that each side puts into an exchange.
pub const CHANCE_BYTES: usize = 64;

const WORKER: &[u8] = b"Constellation worker";
const COORDINATOR: &[u8] = b"Constellation coordinator";
const CONFIRMATION_CONTEXT: &str = "Constellation 2026-11 join confirmation v1";

/// Body of `POST /join`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct JoinRequest {
    pub hint: JoinHint,
    /// The worker's part of the exchange.
    pub message: Opaque,
}

/// Answer to `POST /join`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct JoinAnswer {
    pub cluster_id: String,
    pub cluster_name: String,
    /// The coordinator's part of the exchange.
    pub message: Opaque,
    /// That the coordinator knows the code, and that it said all of this answer.
    pub confirmation: Opaque,
}

/// A message that is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the message is not one of a join exchange")]
pub struct InvalidMessage;

/// Whoever answered did not prove that it knows the code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "who answered does not know this join code, or somebody stands between this machine and the \
     coordinator (it showed the pin {seen}; compare it with the one that the coordinator prints)"
)]
pub struct NotProven {
    pub seen: Pin,
}

/// A worker's side between question and answer.
pub struct Asking {
    exchange: Spake2<Ed25519Group>,
    request: JoinRequest,
    pin: Pin,
}

impl Asking {
    /// Begins an exchange over a connection whose certificate has this pin.
    pub fn begin(secret: &JoinSecret, pin: Pin, chance: [u8; CHANCE_BYTES]) -> Self {
        let password = Password::new(secret.password());
        let (worker, coordinator) = identities(&pin);
        let (exchange, message) =
            Spake2::start_a_with_rng(&password, &worker, &coordinator, Given(chance));
        let request = JoinRequest { hint: secret.hint(), message: Opaque(message) };
        Self { exchange, request, pin }
    }

    pub const fn request(&self) -> &JoinRequest {
        &self.request
    }

    /// Whether whoever answered knows the code; then its certificate is the cluster's.
    ///
    /// # Errors
    /// [`NotProven`].
    pub fn check(self, answer: &JoinAnswer) -> Result<(), NotProven> {
        let not_proven = NotProven { seen: self.pin };
        let key = self.exchange.finish(&answer.message.0).map_err(|_| not_proven)?;
        let expected = confirmation(&key, &self.pin, &self.request, answer);
        let found = blake3::Hash::from_slice(&answer.confirmation.0).map_err(|_| not_proven)?;
        // Compares in constant time.
        if expected == found { Ok(()) } else { Err(not_proven) }
    }
}

/// The coordinator's answer, by the code's [`JoinSecret::password`] and its own pin.
///
/// # Errors
/// Where the request's message is none.
pub fn answer(
    password: &[u8; 32],
    pin: Pin,
    (cluster_id, cluster_name): (String, String),
    request: &JoinRequest,
    chance: [u8; CHANCE_BYTES],
) -> Result<JoinAnswer, InvalidMessage> {
    let (worker, coordinator) = identities(&pin);
    let (exchange, message) = Spake2::<Ed25519Group>::start_b_with_rng(
        &Password::new(password),
        &worker,
        &coordinator,
        Given(chance),
    );
    let key = exchange.finish(&request.message.0).map_err(|_| InvalidMessage)?;
    let mut answer = JoinAnswer {
        cluster_id,
        cluster_name,
        message: Opaque(message),
        confirmation: Opaque(Vec::new()),
    };
    let confirmation = confirmation(&key, &pin, request, &answer);
    answer.confirmation = Opaque(confirmation.as_bytes().to_vec());
    Ok(answer)
}

fn identities(pin: &Pin) -> (Identity, Identity) {
    let coordinator = [COORDINATOR, pin.as_bytes()].concat();
    (Identity::new(WORKER), Identity::new(&coordinator))
}

/// A MAC by the exchange's key over everything that was said.
fn confirmation(key: &[u8], pin: &Pin, request: &JoinRequest, answer: &JoinAnswer) -> blake3::Hash {
    let mut mac = blake3::Hasher::new_keyed(&blake3::derive_key(CONFIRMATION_CONTEXT, key));
    let hint = request.hint.to_string();
    let parts: [&[u8]; 6] = [
        pin.as_bytes(),
        hint.as_bytes(),
        &request.message.0,
        &answer.message.0,
        answer.cluster_id.as_bytes(),
        answer.cluster_name.as_bytes(),
    ];
    for part in parts {
        mac.update(&(part.len() as u64).to_le_bytes());
        mac.update(part);
    }
    mac.finalize()
}

/// Chance that the caller drew, as the generator that `spake2` wants: it takes one scalar's worth.
struct Given([u8; CHANCE_BYTES]);

impl RngCore for Given {
    fn next_u32(&mut self) -> u32 {
        rand_core_06::impls::next_u32_via_fill(self)
    }

    fn next_u64(&mut self) -> u64 {
        rand_core_06::impls::next_u64_via_fill(self)
    }

    /// Each call's bytes are derived from all that was given, and from the calls before.
    fn fill_bytes(&mut self, bytes: &mut [u8]) {
        let mut output = blake3::Hasher::new_derive_key("Constellation 2026-11 join chance v1");
        output.update(&self.0);
        let mut output = output.finalize_xof();
        output.fill(bytes);
        output.fill(&mut self.0);
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), RandomError> {
        self.fill_bytes(bytes);
        Ok(())
    }
}

impl CryptoRng for Given {}

#[cfg(test)]
mod tests {
    use super::super::SECRET_BYTES;
    use super::*;

    const OWN: Pin = Pin::from_bytes([1; 32]);
    const ANOTHER: Pin = Pin::from_bytes([2; 32]);

    fn secret() -> JoinSecret {
        JoinSecret::from_bytes([3; SECRET_BYTES])
    }

    fn answered(asking: &Asking, secret: &JoinSecret, pin: Pin) -> JoinAnswer {
        let cluster = ("id".to_owned(), "name".to_owned());
        answer(&secret.password(), pin, cluster, asking.request(), [5; CHANCE_BYTES]).unwrap()
    }

    fn asking() -> Asking {
        Asking::begin(&secret(), OWN, [4; CHANCE_BYTES])
    }

    #[test]
    fn who_knows_the_code_is_believed() {
        let asking = asking();
        let answer = answered(&asking, &secret(), OWN);
        assert_eq!(asking.check(&answer), Ok(()));
    }

    #[test]
    fn who_does_not_know_the_code_is_not() {
        let asking = asking();
        let answer = answered(&asking, &JoinSecret::from_bytes([4; SECRET_BYTES]), OWN);
        assert_eq!(asking.check(&answer), Err(NotProven { seen: OWN }));
    }

    /// The worker sees the pin of whoever stands between, the coordinator its own.
    #[test]
    fn who_stands_between_gains_nothing() {
        let asking = Asking::begin(&secret(), ANOTHER, [4; CHANCE_BYTES]);
        let answer = answered(&asking, &secret(), OWN);
        let error = asking.check(&answer).unwrap_err();
        assert!(error.to_string().contains(&ANOTHER.to_string()), "{error}");
    }

    #[test]
    fn nothing_of_an_answer_can_be_changed() {
        let changes: [fn(&mut JoinAnswer); 5] = [
            |answer| answer.cluster_id.push('x'),
            |answer| answer.cluster_name = "nam".into(),
            |answer| answer.confirmation.0[7] ^= 1,
            |answer| answer.confirmation.0.truncate(16),
            |answer| answer.message.0[9] ^= 1,
        ];
        for change in changes {
            let asking = asking();
            let mut answer = answered(&asking, &secret(), OWN);
            change(&mut answer);
            assert!(asking.check(&answer).is_err(), "{answer:?}");
        }
    }

    #[test]
    fn a_message_that_is_none_is_refused() {
        let asking = asking();
        let good = &asking.request().message.0;
        let own_side = [&[0x42], &good[1..]].concat();
        for message in [vec![], good[..32].to_vec(), own_side] {
            let request = JoinRequest { message: Opaque(message), ..asking.request().clone() };
            let cluster = (String::new(), String::new());
            let answer = answer(&secret().password(), OWN, cluster, &request, [5; CHANCE_BYTES]);
            assert_eq!(answer, Err(InvalidMessage));
        }
    }

    #[test]
    fn other_chance_gives_other_messages() {
        let other = Asking::begin(&secret(), OWN, [6; CHANCE_BYTES]);
        assert_ne!(asking().request().message, other.request().message);
        assert_eq!(asking().request().hint, other.request().hint);
    }
}
