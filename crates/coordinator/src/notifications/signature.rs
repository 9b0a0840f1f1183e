//! The signature by which a receiver knows that a delivery is ours: HMAC-SHA256 as the specification
//! "Standard Webhooks" has it, so that receivers can check it with the library of their language.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// In front of the base64 of a secret.
const PREFIX: &str = "whsec_";

/// A new secret of 32 random bytes.
pub(crate) fn new_secret() -> String {
    let secret: [u8; 32] = rand::random();
    format!("{PREFIX}{}", STANDARD.encode(secret))
}

/// Whether a person may give this secret.
pub(crate) fn check_secret(secret: &str) -> bool {
    key(secret).is_some_and(|key| (24..=64).contains(&key.len()))
}

/// The value of the header: of the delivery's id, the seconds of this attempt, and the body. None
/// where the secret is not one.
pub(super) fn signature(secret: &str, id: &str, seconds: i64, body: &str) -> Option<String> {
    // A key of any length will do.
    let mut mac = Hmac::<Sha256>::new_from_slice(&key(secret)?).ok()?;
    mac.update(format!("{id}.{seconds}.{body}").as_bytes());
    Some(format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes())))
}

fn key(secret: &str) -> Option<Vec<u8>> {
    STANDARD.decode(secret.strip_prefix(PREFIX)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of the specification's reference libraries.
    #[test]
    fn it_signs_as_the_reference_does() {
        let signed = signature(
            "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
            "msg_p5jXN8AQM9LWM0D4loKWxJek",
            1_614_265_330,
            "{\"test\": 2432232314}",
        );
        assert_eq!(signed.as_deref(), Some("v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="));
    }

    #[test]
    fn secrets_are_of_the_form_that_is_asked_for() {
        assert!(check_secret(&new_secret()));
        for secret in ["", "whsec_", "secret", "whsec_c2hvcnQ=", "whsec_not base64"] {
            assert!(!check_secret(secret), "{secret}");
        }
    }
}
