//! Authentication with a typed code: both sides prove that they know it, and nobody in between
//! learns anything (SPAKE2, RFC 9382, in the group and encoding of the crate `spake2`).
//!
//! ```text
//! worker                                    coordinator
//!   hint, message ──────────────────────────▶ finds the code, counts an attempt
//!   verifies the confirmation ◀── cluster, message, confirmation
//!   registers over the pinned connection with the code's proof ──▶ removes the attempt
//! ```
//!
//! Each side includes the pin of the certificate that it sees on its own end. A machine in the
//! middle has another certificate, so the two sides derive different keys. The coordinator confirms
//! first, so a client without the code never gets anything to test guesses against: each exchange
//! tests one code.

use rand_core_06::{CryptoRng, Error as RandomError, RngCore};
use serde::{Deserialize, Serialize};
use spake2::{Ed25519Group, Identity, Password, Spake2};
use utoipa::ToSchema;

use super::{JoinHint, JoinSecret};
use crate::{Opaque, Pin};

/// Random bytes that each side puts into an exchange.
pub const RANDOM_BYTES: usize = 64;

const WORKER: &[u8] = b"Constellation worker";
const COORDINATOR: &[u8] = b"Constellation coordinator";
const CONFIRMATION_CONTEXT: &str = "Constellation 2026-11 join confirmation v1";

/// Request body of `POST /join`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct JoinRequest {
    pub hint: JoinHint,
    /// The worker's SPAKE2 message.
    pub message: Opaque,
}

/// Response of `POST /join`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct JoinAnswer {
    pub cluster_id: String,
    pub cluster_name: String,
    /// The coordinator's SPAKE2 message.
    pub message: Opaque,
    /// Proof that the coordinator knows the code and sent this whole response.
    pub confirmation: Opaque,
}

/// Message that is not a valid SPAKE2 message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the message is not a valid join message")]
pub struct InvalidMessage;

/// The server did not prove that it knows the code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "the server at this address does not know this join code, or another machine intercepts the \
     connection (the server's pin is {seen}; compare it with the pin that the coordinator prints)"
)]
pub struct NotProven {
    pub seen: Pin,
}

/// The worker's side of an exchange, between request and response.
pub struct WorkerExchange {
    exchange: Spake2<Ed25519Group>,
    request: JoinRequest,
    pin: Pin,
}

impl WorkerExchange {
    /// Starts an exchange over a connection whose certificate has this pin.
    pub fn begin(secret: &JoinSecret, pin: Pin, random_bytes: [u8; RANDOM_BYTES]) -> Self {
        let password = Password::new(secret.password());
        let (worker, coordinator) = identities(&pin);
        let (exchange, message) =
            Spake2::start_a_with_rng(&password, &worker, &coordinator, SeedRng(random_bytes));
        let request = JoinRequest { hint: secret.hint(), message: Opaque(message) };
        Self { exchange, request, pin }
    }

    pub const fn request(&self) -> &JoinRequest {
        &self.request
    }

    /// Verifies that the server knows the code. Its certificate is then the cluster's.
    ///
    /// # Errors
    /// [`NotProven`] if the server does not know the code.
    pub fn check(self, answer: &JoinAnswer) -> Result<(), NotProven> {
        let not_proven = NotProven { seen: self.pin };
        let key = self.exchange.finish(&answer.message.0).map_err(|_| not_proven)?;
        let expected = confirmation(&key, &self.pin, &self.request, answer);
        let found = blake3::Hash::from_slice(&answer.confirmation.0).map_err(|_| not_proven)?;
        // Compares in constant time.
        if expected == found { Ok(()) } else { Err(not_proven) }
    }
}

/// Returns the coordinator's response, from the code's [`JoinSecret::password`] and its own pin.
///
/// # Errors
/// [`InvalidMessage`] if the request's message is not valid.
pub fn answer(
    password: &[u8; 32],
    pin: Pin,
    (cluster_id, cluster_name): (String, String),
    request: &JoinRequest,
    random_bytes: [u8; RANDOM_BYTES],
) -> Result<JoinAnswer, InvalidMessage> {
    let (worker, coordinator) = identities(&pin);
    let (exchange, message) = Spake2::<Ed25519Group>::start_b_with_rng(
        &Password::new(password),
        &worker,
        &coordinator,
        SeedRng(random_bytes),
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

/// Returns the MAC, under the exchange's key, over both messages.
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

/// Random number generator for `spake2`, which draws one scalar, from bytes that the caller drew.
struct SeedRng([u8; RANDOM_BYTES]);

impl RngCore for SeedRng {
    fn next_u32(&mut self) -> u32 {
        rand_core_06::impls::next_u32_via_fill(self)
    }

    fn next_u64(&mut self) -> u64 {
        rand_core_06::impls::next_u64_via_fill(self)
    }

    /// Derives each call's bytes from the seed and the calls before.
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

impl CryptoRng for SeedRng {}

#[cfg(test)]
mod tests {
    use super::super::SECRET_BYTES;
    use super::*;

    const OWN: Pin = Pin::from_bytes([1; 32]);
    const ANOTHER: Pin = Pin::from_bytes([2; 32]);

    fn secret() -> JoinSecret {
        JoinSecret::from_bytes([3; SECRET_BYTES])
    }

    fn respond(exchange: &WorkerExchange, secret: &JoinSecret, pin: Pin) -> JoinAnswer {
        let cluster = ("id".to_owned(), "name".to_owned());
        answer(&secret.password(), pin, cluster, exchange.request(), [5; RANDOM_BYTES]).unwrap()
    }

    fn exchange() -> WorkerExchange {
        WorkerExchange::begin(&secret(), OWN, [4; RANDOM_BYTES])
    }

    #[test]
    fn a_server_that_knows_the_code_is_accepted() {
        let exchange = exchange();
        let answer = respond(&exchange, &secret(), OWN);
        assert_eq!(exchange.check(&answer), Ok(()));
    }

    #[test]
    fn a_server_that_does_not_know_the_code_is_refused() {
        let exchange = exchange();
        let answer = respond(&exchange, &JoinSecret::from_bytes([4; SECRET_BYTES]), OWN);
        assert_eq!(exchange.check(&answer), Err(NotProven { seen: OWN }));
    }

    /// The worker sees the pin of the machine in the middle, the coordinator its own.
    #[test]
    fn a_machine_in_the_middle_is_detected() {
        let exchange = WorkerExchange::begin(&secret(), ANOTHER, [4; RANDOM_BYTES]);
        let answer = respond(&exchange, &secret(), OWN);
        let error = exchange.check(&answer).unwrap_err();
        assert!(error.to_string().contains(&ANOTHER.to_string()), "{error}");
    }

    #[test]
    fn every_changed_field_of_a_response_is_detected() {
        let changes: [fn(&mut JoinAnswer); 5] = [
            |answer| answer.cluster_id.push('x'),
            |answer| answer.cluster_name = "nam".into(),
            |answer| answer.confirmation.0[7] ^= 1,
            |answer| answer.confirmation.0.truncate(16),
            |answer| answer.message.0[9] ^= 1,
        ];
        for change in changes {
            let exchange = exchange();
            let mut answer = respond(&exchange, &secret(), OWN);
            change(&mut answer);
            assert!(exchange.check(&answer).is_err(), "{answer:?}");
        }
    }

    #[test]
    fn an_invalid_message_is_refused() {
        let exchange = exchange();
        let good = &exchange.request().message.0;
        let own_side = [&[0x42], &good[1..]].concat();
        for message in [vec![], good[..32].to_vec(), own_side] {
            let request = JoinRequest { message: Opaque(message), ..exchange.request().clone() };
            let cluster = (String::new(), String::new());
            let answer = answer(&secret().password(), OWN, cluster, &request, [5; RANDOM_BYTES]);
            assert_eq!(answer, Err(InvalidMessage));
        }
    }

    #[test]
    fn other_random_bytes_give_other_messages() {
        let other = WorkerExchange::begin(&secret(), OWN, [6; RANDOM_BYTES]);
        assert_ne!(exchange().request().message, other.request().message);
        assert_eq!(exchange().request().hint, other.request().hint);
    }
}
