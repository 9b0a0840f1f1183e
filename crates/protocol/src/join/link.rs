//! Link of a join code: `constellation://join/` and base64url without padding of
//!
//! ```text
//! version 1 │ cluster id 16 │ pin 32 │ secret 10 │ length 1, cluster's name │
//! number 1, of addresses: length 1, host:port │ checksum 4
//! ```
//!
//! The checksum is BLAKE3 over everything before it. It detects links that a mail program cut off or
//! changed, which would otherwise look like an unreachable coordinator.

use std::fmt;
use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use uuid::Uuid;

use super::{JoinSecret, SECRET_BYTES};
use crate::Pin;
use crate::text::{self, HiddenCharacter};

/// Prefix of every link.
pub const LINK_PREFIX: &str = "constellation://join/";
const VERSION: u8 = 1;
const CHECKSUM: usize = 4;
/// Maximum size of the name in bytes. It is for display only, and a QR code must stay small.
const LONGEST_NAME: usize = 64;
const LONGEST_ADDRESS: usize = 128;
const MOST_ADDRESSES: usize = 8;
/// Maximum length of a link in characters. Longer than any link that this version creates.
const LONGEST_LINK: usize = 4096;

/// Contents of a join code: all data that a device needs to enroll.
#[derive(Clone, PartialEq, Eq)]
pub struct JoinCode {
    /// Display name.
    pub cluster_name: String,
    pub cluster_id: Uuid,
    /// Possible addresses of the coordinator, each `host:port`, the most likely first. They are hints: the
    /// pin proves the coordinator's identity.
    pub addresses: Vec<String>,
    pub pin: Pin,
    pub secret: JoinSecret,
}

/// Text that is not a join link, or one that this version can't read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidLink {
    #[error("this is not a join link: one begins with {LINK_PREFIX}")]
    NotALink,
    #[error("this join link is cut off: copy it whole, to its last character")]
    CutOff,
    #[error("this join link is damaged: copy it again")]
    Damaged,
    #[error(
        "the name of the cluster in this join link {0}; start the coordinator with another --name and \
         make a new link"
    )]
    ClusterName(HiddenCharacter),
    #[error(
        "this join link is of a newer Constellation (version {found}; this one reads {VERSION}): \
         update this machine's"
    )]
    Newer { found: u8 },
}

impl JoinCode {
    /// Returns the link. Shortens a name or a list of addresses that is too long.
    pub fn link(&self) -> String {
        let mut bytes = vec![VERSION];
        bytes.extend_from_slice(self.cluster_id.as_bytes());
        bytes.extend_from_slice(self.pin.as_bytes());
        bytes.extend_from_slice(self.secret.as_bytes());
        put_text(
            &mut bytes,
            &self.cluster_name[..self.cluster_name.floor_char_boundary(LONGEST_NAME)],
        );
        let fitting = self.addresses.iter().filter(|address| address.len() <= LONGEST_ADDRESS);
        let fitting: Vec<&String> = fitting.take(MOST_ADDRESSES).collect();
        bytes.push(length_byte(fitting.len()));
        for address in fitting {
            put_text(&mut bytes, address);
        }
        bytes.extend_from_slice(&checksum(&bytes));
        format!("{LINK_PREFIX}{}", URL_SAFE_NO_PAD.encode(bytes))
    }
}

/// Returns the length as one byte. Every text in a link is far shorter than 256 bytes.
fn length_byte(length: usize) -> u8 {
    u8::try_from(length).unwrap_or(u8::MAX)
}

fn put_text(bytes: &mut Vec<u8>, text: &str) {
    bytes.push(length_byte(text.len()));
    bytes.extend_from_slice(text.as_bytes());
}

fn checksum(bytes: &[u8]) -> [u8; CHECKSUM] {
    let mut sum = [0; CHECKSUM];
    sum.copy_from_slice(&blake3::hash(bytes).as_bytes()[..CHECKSUM]);
    sum
}

impl FromStr for JoinCode {
    type Err = InvalidLink;

    fn from_str(text: &str) -> Result<Self, InvalidLink> {
        let text = text.trim();
        let body = match text.get(..LINK_PREFIX.len()) {
            Some(start) if start.eq_ignore_ascii_case(LINK_PREFIX) => &text[LINK_PREFIX.len()..],
            Some(_) | None => return Err(InvalidLink::NotALink),
        };
        if body.len() > LONGEST_LINK {
            return Err(InvalidLink::Damaged);
        }
        if !body.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_') {
            return Err(InvalidLink::Damaged);
        }
        // If the text ends in the middle of a byte, use the whole bytes.
        let whole = if body.len() % 4 == 1 { &body[..body.len() - 1] } else { body };
        let lenient = base64::engine::GeneralPurposeConfig::new()
            .with_decode_padding_mode(base64::engine::DecodePaddingMode::RequireNone)
            .with_decode_allow_trailing_bits(true);
        let engine = base64::engine::GeneralPurpose::new(&base64::alphabet::URL_SAFE, lenient);
        let bytes = engine.decode(whole).map_err(|_| InvalidLink::Damaged)?;
        let code = read(&bytes)?;
        // Unused bits in the last character would be another text for the same link.
        if code.is_canonical(text) { Ok(code) } else { Err(InvalidLink::Damaged) }
    }
}

impl JoinCode {
    fn is_canonical(&self, text: &str) -> bool {
        self.link()[LINK_PREFIX.len()..] == text[LINK_PREFIX.len()..]
    }
}

fn read(bytes: &[u8]) -> Result<JoinCode, InvalidLink> {
    let mut rest = Rest(bytes);
    match rest.byte()? {
        VERSION => {}
        0 => return Err(InvalidLink::Damaged),
        found => return Err(InvalidLink::Newer { found }),
    }
    let cluster_id = Uuid::from_bytes(rest.array()?);
    let pin = Pin::from_bytes(rest.array()?);
    let secret = JoinSecret::from_bytes(rest.array::<SECRET_BYTES>()?);
    let name = rest.text()?;
    let number = usize::from(rest.byte()?);
    let addresses = (0..number).map(|_| rest.text()).collect::<Result<Vec<_>, _>>()?;
    let content = bytes.len() - rest.0.len();
    let sum: [u8; CHECKSUM] = rest.array()?;
    if !rest.0.is_empty() || sum != checksum(&bytes[..content]) {
        return Err(InvalidLink::Damaged);
    }
    // The checksum is verified, so the texts are unchanged.
    let utf8 = |text: &[u8]| String::from_utf8(text.to_vec()).map_err(|_| InvalidLink::Damaged);
    let fits = name.len() <= LONGEST_NAME
        && addresses.len() <= MOST_ADDRESSES
        && addresses.iter().all(|address| address.len() <= LONGEST_ADDRESS);
    if !fits {
        return Err(InvalidLink::Damaged);
    }
    let cluster_name = utf8(name)?;
    text::check(&cluster_name).map_err(InvalidLink::ClusterName)?;
    let addresses: Vec<String> = addresses.into_iter().map(utf8).collect::<Result<_, _>>()?;
    if addresses.iter().any(|address| text::check(address).is_err()) {
        return Err(InvalidLink::Damaged);
    }
    Ok(JoinCode { cluster_name, cluster_id, addresses, pin, secret })
}

/// Unread rest of the link.
struct Rest<'a>(&'a [u8]);

impl<'a> Rest<'a> {
    fn take(&mut self, length: usize) -> Result<&'a [u8], InvalidLink> {
        let (taken, rest) = self.0.split_at_checked(length).ok_or(InvalidLink::CutOff)?;
        self.0 = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], InvalidLink> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N)?);
        Ok(array)
    }

    fn byte(&mut self) -> Result<u8, InvalidLink> {
        self.array::<1>().map(|[byte]| byte)
    }

    fn text(&mut self) -> Result<&'a [u8], InvalidLink> {
        let length = self.byte()?;
        self.take(usize::from(length))
    }
}

impl fmt::Debug for JoinCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JoinCode")
            .field("cluster_name", &self.cluster_name)
            .field("cluster_id", &self.cluster_id)
            .field("addresses", &self.addresses)
            .field("pin", &self.pin)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn code() -> JoinCode {
        JoinCode {
            cluster_name: "Büro Nord".into(),
            cluster_id: Uuid::from_u128(0x0189_0a5d_ac96_774b_bcce_b302_099a_8057),
            addresses: vec!["192.0.2.7:8000".into(), "[2001:db8::7]:8000".into()],
            pin: Pin::from_bytes([0xab; 32]),
            secret: JoinSecret::from_bytes([9; SECRET_BYTES]),
        }
    }

    #[test]
    fn a_link_carries_everything_and_keeps_its_form() {
        let link = code().link();
        assert_eq!(link.parse(), Ok(code()));
        assert_eq!(format!("  {link}\n").parse(), Ok(code()));
        // Links are on paper and in profiles: this format must stay readable.
        assert_eq!(
            link,
            "constellation://join/AQGJCl2slndLvM6zAgmagFerq6urq6urq6urq6urq6urq6urq6urq6urq6urq6urqwkJCQkJCQkJCQkKQsO8cm8gTm9yZAIOMTkyLjAuMi43OjgwMDASWzIwMDE6ZGI4Ojo3XTo4MDAw"
                .to_owned()
                + &link[link.len() - 6..]
        );
    }

    #[test]
    fn every_shorter_link_is_cut_off_and_every_changed_one_damaged() {
        let link = code().link();
        for end in LINK_PREFIX.len()..link.len() {
            assert_eq!(link[..end].parse::<JoinCode>(), Err(InvalidLink::CutOff), "{end}");
        }
        for place in LINK_PREFIX.len() + 2..link.len() {
            let other = if link.as_bytes()[place] == b'A' { "B" } else { "A" };
            let mut changed = link.clone();
            changed.replace_range(place..=place, other);
            let error = changed.parse::<JoinCode>().unwrap_err();
            // A larger length reads beyond the end.
            assert!(
                matches!(error, InvalidLink::Damaged | InvalidLink::CutOff),
                "{place}: {error}"
            );
        }
        assert_eq!(format!("{link}AAAA").parse::<JoinCode>(), Err(InvalidLink::Damaged));
        assert_eq!(format!("{link} and more").parse::<JoinCode>(), Err(InvalidLink::Damaged));
    }

    #[test]
    fn other_links_are_told_apart() {
        for text in ["", "constellation", "https://example.com/", "constellation://leave/AQ"] {
            assert_eq!(text.parse::<JoinCode>(), Err(InvalidLink::NotALink), "{text}");
        }
        let newer = format!("{LINK_PREFIX}{}", URL_SAFE_NO_PAD.encode([2, 0, 0]));
        assert_eq!(newer.parse::<JoinCode>(), Err(InvalidLink::Newer { found: 2 }));
    }

    #[test]
    fn what_is_too_long_for_a_link_is_shortened() {
        let mut long = code();
        long.cluster_name = "ü".repeat(100);
        long.addresses = (0..20).map(|n| format!("192.0.2.{n}:8000")).collect();
        long.addresses.insert(0, "x".repeat(200));
        let read: JoinCode = long.link().parse().unwrap();
        assert_eq!(read.cluster_name, "ü".repeat(32));
        assert_eq!(read.addresses, long.addresses[1..9]);
    }

    #[test]
    fn a_link_is_shown_without_its_secret() {
        assert!(!format!("{:?}", code()).contains("secret"));
    }

    proptest! {
        #[test]
        fn every_code_goes_through_its_link(
            name in "\\PC{0,16}".prop_map(|name| crate::text::cleaned(&name)),
            id: u128,
            addresses in prop::collection::vec("[a-z0-9.:]{1,30}", 0..8),
            pin: [u8; 32],
            secret: [u8; SECRET_BYTES],
        ) {
            let code = JoinCode {
                cluster_name: name,
                cluster_id: Uuid::from_u128(id),
                addresses,
                pin: Pin::from_bytes(pin),
                secret: JoinSecret::from_bytes(secret),
            };
            prop_assert_eq!(code.link().parse::<JoinCode>().unwrap(), code);
        }

        #[test]
        fn any_bytes_are_an_answer(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let mut bytes = bytes;
            if let Some(first) = bytes.first_mut() {
                *first = VERSION;
            }
            let link = format!("{LINK_PREFIX}{}", URL_SAFE_NO_PAD.encode(bytes));
            drop(link.parse::<JoinCode>());
        }

        #[test]
        fn any_text_is_an_answer(text in "(constellation://join/)?.{0,60}") {
            drop(text.parse::<JoinCode>());
            drop(text.parse::<crate::join::Join>());
        }
    }
}
