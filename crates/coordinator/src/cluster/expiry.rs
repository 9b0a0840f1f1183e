//! Expiry date of a certificate, for the notice about it. This is the only field of X.509 that is read here
//! (RFC 5280, §4.1).

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use protocol::Timestamp;

const SEQUENCE: u8 = 0x30;
const VERSION: u8 = 0xa0;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;

/// Returns the end of a certificate's validity, or `None` if it can't be read.
pub(super) fn not_after(certificate: &[u8]) -> Option<Timestamp> {
    let (_, certificate, _) = element(certificate)?;
    let (_, mut body, _) = element(certificate)?;
    if let (VERSION, _, rest) = element(body)? {
        body = rest;
    }
    // Serial number, algorithm, issuer.
    for _ in 0..3 {
        (_, _, body) = element(body)?;
    }
    let (SEQUENCE, validity, _) = element(body)? else { return None };
    let (_, _, validity) = element(validity)?;
    let (tag, text, _) = element(validity)?;
    time(tag, std::str::from_utf8(text).ok()?)
}

/// Splits off one DER element: its tag, its content, and the bytes after it.
fn element(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&tag, bytes) = bytes.split_first()?;
    let (&first, bytes) = bytes.split_first()?;
    let (length, bytes) = match first {
        0..=0x7f => (usize::from(first), bytes),
        // Long form: this many bytes of length follow. No certificate needs more than four.
        0x81..=0x84 => {
            let (length, bytes) = bytes.split_at_checked(usize::from(first - 0x80))?;
            let length = length.iter().fold(0, |sum, byte| (sum << 8) | usize::from(*byte));
            (length, bytes)
        }
        _ => return None,
    };
    let (content, rest) = bytes.split_at_checked(length)?;
    Some((tag, content, rest))
}

fn time(tag: u8, text: &str) -> Option<Timestamp> {
    let text = match tag {
        // Two-digit year: 50 and above mean 19xx.
        UTC_TIME => {
            let century = if text.get(..2)?.parse::<u8>().ok()? >= 50 { "19" } else { "20" };
            format!("{century}{text}")
        }
        GENERALIZED_TIME => text.to_owned(),
        _ => return None,
    };
    let time = DateTime::strptime("%Y%m%d%H%M%SZ", text).ok()?;
    let point = TimeZone::UTC.to_timestamp(time).ok()?;
    Some(Timestamp::from_millis(point.as_millisecond()))
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair, date_time_ymd};

    use super::*;

    fn expiry(year: i32, month: u8, day: u8) -> Option<String> {
        let mut params = CertificateParams::new(["lab.example".to_owned()]).unwrap();
        params.not_after = date_time_ymd(year, month, day);
        let made = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
        not_after(made.der()).map(|at| at.to_string())
    }

    #[test]
    fn utc_time_and_generalized_time_are_read() {
        assert_eq!(expiry(2031, 2, 3).as_deref(), Some("2031-02-03T00:00:00Z"));
        assert_eq!(expiry(2050, 12, 31).as_deref(), Some("2050-12-31T00:00:00Z"));
    }

    #[test]
    fn malformed_certificates_have_no_expiry() {
        let mut params = CertificateParams::new(["lab.example".to_owned()]).unwrap();
        params.not_after = date_time_ymd(2031, 2, 3);
        let made = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
        let certificate = made.der().to_vec();
        // Truncated or malformed bytes must not panic.
        for length in 0..certificate.len().min(200) {
            not_after(&certificate[..length]);
        }
        for bytes in [&b""[..], b"0", b"\x30\x84\xff\xff\xff\xff", b"\x30\x80\x00\x00"] {
            assert_eq!(not_after(bytes), None);
        }
    }
}
