//! Signature of deliveries: HMAC-SHA256 as in the "Standard Webhooks" specification, so that receivers
//! can verify it with an existing library.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// Prefix of a secret's base64 text.
const PREFIX: &str = "whsec_";

/// Generates a secret of 32 random bytes.
pub(crate) fn new_secret() -> String {
    let secret: [u8; 32] = rand::random();
    format!("{PREFIX}{}", STANDARD.encode(secret))
}

/// Returns whether a person may set this secret: base64 of 24 to 64 bytes after the prefix.
pub(crate) fn check_secret(secret: &str) -> bool {
    key(secret).is_some_and(|key| (24..=64).contains(&key.len()))
}

/// Returns the signature header's value for the delivery's id, the attempt's Unix time in seconds, and
/// the body. Returns `None` if the secret is malformed.
pub(super) fn signature(secret: &str, id: &str, seconds: i64, body: &str) -> Option<String> {
    // HMAC accepts a key of any length.
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

    /// Test vector of the specification's reference libraries.
    #[test]
    fn signatures_match_the_reference_vector() {
        let signed = signature(
            "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
            "msg_p5jXN8AQM9LWM0D4loKWxJek",
            1_614_265_330,
            "{\"test\": 2432232314}",
        );
        assert_eq!(signed.as_deref(), Some("v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="));
    }

    #[test]
    fn only_well_formed_secrets_are_accepted() {
        assert!(check_secret(&new_secret()));
        for secret in ["", "whsec_", "secret", "whsec_c2hvcnQ=", "whsec_not base64"] {
            assert!(!check_secret(secret), "{secret}");
        }
    }
}
