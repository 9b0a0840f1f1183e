//! Configuration profile (`.mobileconfig`, unsigned) with which an MDM enrolls a Mac in a cluster.
//! The format is Apple's "Configuration Profile Reference": an outer profile with one payload for
//! each subject.
//!
//! The same code gives the same bytes, ids included, so a profile that is pushed again replaces
//! itself. A new code changes the content under the same identifiers.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use uuid::Builder;

use crate::join::JoinCode;

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
        let name = &self.code.cluster_name;
        let mut payloads = vec![self.settings(), self.notifications(), self.login_item()];
        payloads.extend(self.certificate.map(|der| self.root(der)));
        format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
             <!DOCTYPE plist PUBLIC \"-//Apple//DTD PLIST 1.0//EN\" \
             \"http://www.apple.com/DTDs/PropertyList-1.0.dtd\">\n\
             <plist version=\"1.0\">\n<dict>\n{head}  <key>PayloadContent</key>\n  <array>\n{payloads}  </array>\n\
             </dict>\n</plist>\n",
            head = [
                self.payload(1, "Configuration", "profile"),
                string(1, "PayloadDisplayName", &format!("Constellation: {name}")),
                string(1, "PayloadOrganization", name),
                string(
                    1,
                    "PayloadDescription",
                    "Enrolls this Mac in the cluster and sets its coordinator's address."
                ),
                string(1, "PayloadScope", "System"),
            ]
            .concat(),
            payloads = payloads.concat(),
        )
    }

    fn settings(&self) -> String {
        let (pin, secret) = (self.code.pin.to_string(), self.code.secret.typed());
        let settings = [
            string(3, "Mode", "worker"),
            string(3, "CoordinatorURL", self.url),
            string(3, "CoordinatorPin", &pin),
            string(3, "EnrollmentCode", &secret),
            flag(3, "StartAtLogin"),
        ];
        self.payload_with_content(
            DOMAIN,
            "settings",
            "Constellation's settings",
            &settings.concat(),
        )
    }

    /// Allows the app's notifications without a prompt.
    fn notifications(&self) -> String {
        let app = [
            string(5, "BundleIdentifier", DOMAIN),
            flag(5, "NotificationsEnabled"),
            integer(5, "AlertType", 1),
            flag(5, "ShowInNotificationCenter"),
        ];
        let list = format!(
            "      <key>NotificationSettings</key>\n      <array>\n        <dict>\n{}        </dict>\n      </array>\n",
            app.concat()
        );
        let kind = "com.apple.notificationsettings";
        self.payload_with_content(kind, "notifications", "Constellation's notifications", &list)
    }

    /// Lets the app start at login without a person's approval.
    fn login_item(&self) -> String {
        let rule = match self.team_id {
            Some(team) => [string(5, "RuleType", "TeamIdentifier"), string(5, "RuleValue", team)],
            None => [string(5, "RuleType", "BundleIdentifier"), string(5, "RuleValue", DOMAIN)],
        };
        let list = format!(
            "      <key>Rules</key>\n      <array>\n        <dict>\n{}{}        </dict>\n      </array>\n",
            rule.concat(),
            string(5, "Comment", "Constellation starts at login")
        );
        let kind = "com.apple.servicemanagement";
        self.payload_with_content(kind, "login-item", "Constellation's login item", &list)
    }

    fn root(&self, der: &[u8]) -> String {
        let content = format!(
            "{}      <key>PayloadContent</key>\n      <data>{}</data>\n",
            string(3, "PayloadCertificateFileName", "constellation.cer"),
            STANDARD.encode(der)
        );
        self.payload_with_content(
            "com.apple.security.root",
            "certificate",
            "The cluster's certificate",
            &content,
        )
    }

    fn payload_with_content(&self, kind: &str, part: &str, name: &str, content: &str) -> String {
        let payload = self.payload(3, kind, part);
        let name = string(3, "PayloadDisplayName", name);
        format!("    <dict>\n{payload}{name}{content}    </dict>\n")
    }

    fn payload(&self, depth: usize, kind: &str, part: &str) -> String {
        [
            string(depth, "PayloadType", kind),
            string(depth, "PayloadIdentifier", &format!("{DOMAIN}.{part}")),
            string(depth, "PayloadUUID", &self.id(part)),
            integer(depth, "PayloadVersion", 1),
        ]
        .concat()
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

fn string(depth: usize, key: &str, value: &str) -> String {
    let value = value.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    entry(depth, key, &format!("<string>{value}</string>"))
}

fn integer(depth: usize, key: &str, value: u32) -> String {
    entry(depth, key, &format!("<integer>{value}</integer>"))
}

fn flag(depth: usize, key: &str) -> String {
    entry(depth, key, "<true/>")
}

fn entry(depth: usize, key: &str, value: &str) -> String {
    let indent = "  ".repeat(depth);
    format!("{indent}<key>{key}</key>\n{indent}{value}\n")
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
        assert!(
            text(&one).contains("Example &amp; Co") && text(&one).contains("<data>AQI=</data>")
        );
    }
}
