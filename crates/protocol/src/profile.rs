//! Configuration profile (`.mobileconfig`, unsigned) with which an MDM enrolls a Mac in a cluster.
//! The format is Apple's "Configuration Profile Reference": an outer profile with one payload for
//! each subject.
//!
//! The same code gives the same bytes, ids included, so a profile that is pushed again replaces
//! itself. A new code changes the content under the same identifiers.

use plist::Value;
use uuid::Builder;

use crate::join::JoinCode;
use crate::property_list::to_xml;
use crate::setting::Key;

/// Bundle id of the app, and payload type of its managed settings.
pub const DOMAIN: &str = "com.constellation.app";
/// BLAKE3 context for the payloads' ids.
const ID_CONTEXT: &str = "Constellation 2026-11 ids of a configuration profile v1";

/// Content of a profile.
#[derive(Debug, Clone)]
pub struct Profile<'a> {
    /// Join code. It limits how many devices the profile enrolls, and until when.
    pub code: &'a JoinCode,
    /// The coordinator's URL: `https://HOST:PORT`.
    pub url: &'a str,
    /// The cluster's certificate in DER.
    pub certificate: Option<&'a [u8]>,
    /// Apple team id of the app's signer. If set, the login item is allowed for this team's
    /// programs alone.
    pub team_id: Option<&'a str>,
}

impl Profile<'_> {
    /// Returns the profile as XML. It contains the code's secret.
    pub fn to_xml(&self) -> String {
        let name = self.code.cluster_name.as_str();
        let mut payloads = vec![self.settings(), self.notifications(), self.login_item()];
        payloads.extend(self.certificate.map(|der| self.root(der)));
        let mut profile = self.payload("Configuration", "profile");
        profile.extend([
            entry("PayloadDisplayName", format!("Constellation: {name}")),
            entry("PayloadOrganization", name),
            entry(
                "PayloadDescription",
                "Enrolls this Mac in the cluster and sets its coordinator's address.",
            ),
            entry("PayloadScope", "System"),
            entry("PayloadContent", Value::Array(payloads)),
        ]);
        to_xml(&dictionary(profile), b' ', 2)
    }

    fn settings(&self) -> Value {
        let content = vec![
            entry(Key::Mode.name(), "worker"),
            entry(Key::CoordinatorUrl.name(), self.url),
            entry(Key::CoordinatorPin.name(), self.code.pin.to_string()),
            entry(Key::EnrollmentCode.name(), self.code.secret.typed()),
            entry(Key::StartAtLogin.name(), true),
        ];
        self.payload_with_content(DOMAIN, "settings", "Constellation's settings", content)
    }

    /// Allows the app's notifications without a prompt.
    fn notifications(&self) -> Value {
        let app = vec![
            entry("BundleIdentifier", DOMAIN),
            entry("NotificationsEnabled", true),
            entry("AlertType", 1),
            entry("ShowInNotificationCenter", true),
        ];
        let content = vec![entry("NotificationSettings", Value::Array(vec![dictionary(app)]))];
        let kind = "com.apple.notificationsettings";
        self.payload_with_content(kind, "notifications", "Constellation's notifications", content)
    }

    /// Lets the app start at login without a person's approval.
    fn login_item(&self) -> Value {
        let (kind, value) = match self.team_id {
            Some(team) => ("TeamIdentifier", team),
            None => ("BundleIdentifier", DOMAIN),
        };
        let rule = vec![
            entry("RuleType", kind),
            entry("RuleValue", value),
            entry("Comment", "Constellation starts at login"),
        ];
        let content = vec![entry("Rules", Value::Array(vec![dictionary(rule)]))];
        let kind = "com.apple.servicemanagement";
        self.payload_with_content(kind, "login-item", "Constellation's login item", content)
    }

    fn root(&self, der: &[u8]) -> Value {
        let content = vec![
            entry("PayloadCertificateFileName", "constellation.cer"),
            entry("PayloadContent", Value::Data(der.to_owned())),
        ];
        let kind = "com.apple.security.root";
        self.payload_with_content(kind, "certificate", "The cluster's certificate", content)
    }

    fn payload_with_content(
        &self,
        kind: &str,
        part: &str,
        name: &str,
        content: Vec<Entry>,
    ) -> Value {
        let mut payload = self.payload(kind, part);
        payload.push(entry("PayloadDisplayName", name));
        payload.extend(content);
        dictionary(payload)
    }

    fn payload(&self, kind: &str, part: &str) -> Vec<Entry> {
        vec![
            entry("PayloadType", kind),
            entry("PayloadIdentifier", format!("{DOMAIN}.{part}")),
            entry("PayloadUUID", self.id(part)),
            entry("PayloadVersion", 1),
        ]
    }

    /// Derives a payload id from the cluster and the part, so that a later profile of the cluster
    /// replaces this one.
    fn id(&self, part: &str) -> String {
        let named = [self.code.cluster_id.as_bytes(), part.as_bytes()].concat();
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&blake3::derive_key(ID_CONTEXT, &named)[..16]);
        Builder::from_random_bytes(bytes).into_uuid().hyphenated().to_string().to_uppercase()
    }
}

type Entry = (String, Value);

fn entry(key: &str, value: impl Into<Value>) -> Entry {
    (key.to_owned(), value.into())
}

/// Creates a dictionary that keeps the order of its entries.
fn dictionary(entries: Vec<Entry>) -> Value {
    Value::Dictionary(entries.into_iter().collect())
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::Pin;
    use crate::join::{JoinSecret, SECRET_BYTES};

    fn code() -> JoinCode {
        JoinCode {
            cluster_name: "Example & Co".into(),
            cluster_id: Uuid::from_u128(0x0189_0a5d_ac96_774b_bcce_b302_099a_8057),
            addresses: vec!["coordinator.example.com:8000".into()],
            pin: Pin::from_bytes([0; 32]),
            secret: JoinSecret::from_bytes([0; SECRET_BYTES]),
        }
    }

    #[test]
    fn the_same_code_gives_the_same_bytes_and_a_new_one_replaces_it() {
        let (one, mut other) = (code(), code());
        other.secret = JoinSecret::from_bytes([7; SECRET_BYTES]);
        let text =
            |code| Profile { code, url: "u", certificate: Some(&[1, 2]), team_id: None }.to_xml();
        assert_eq!(text(&one), text(&one));
        let ids = |text: &str| -> Vec<String> {
            text.split("<key>PayloadUUID</key>").skip(1).map(|rest| rest[..60].to_owned()).collect()
        };
        assert_ne!(text(&one), text(&other));
        assert_eq!(ids(&text(&one)), ids(&text(&other)));
        assert_eq!(ids(&text(&one)).len(), 5);
        assert!(text(&one).contains("Example &amp; Co"));
        let profile = Value::from_reader_xml(text(&one).as_bytes()).unwrap();
        let payloads = profile.as_dictionary().unwrap()["PayloadContent"].as_array().unwrap();
        let certificate = &payloads[3].as_dictionary().unwrap()["PayloadContent"];
        assert_eq!(certificate.as_data(), Some(&[1, 2][..]));
    }
}
