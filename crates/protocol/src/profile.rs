//! The configuration profile (`.mobileconfig`, not signed) with which a Mac becomes a device of a cluster, as an MDM pushes it:
//! Apple's "Configuration Profile Reference", an outer profile around a payload for each subject.
//!
//! The same code gives the same bytes, ids included: pushed again it replaces itself, and a new code is a new profile's content
//! under the same identifier.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use uuid::Builder;

use crate::join::JoinCode;

/// What MDMs send by this type are settings of the app with this bundle id.
pub const DOMAIN: &str = "com.constellation.app";
/// Keys the ids of payloads.
const ID_CONTEXT: &str = "Constellation 2026-11 ids of a configuration profile v1";

/// What a profile says.
#[derive(Debug, Clone)]
pub struct Profile<'a> {
    /// It is for as many devices, and for as long, as the code is.
    pub code: &'a JoinCode,
    /// Where the Macs find the coordinator: `https://HOST:PORT`.
    pub url: &'a str,
    /// The cluster's certificate in DER.
    pub certificate: Option<&'a [u8]>,
    /// Of who signed the app; with it the login item is allowed for this team's programs alone.
    pub team_id: Option<&'a str>,
}

impl Profile<'_> {
    /// The profile's text. It holds the code's secret.
    pub fn text(&self) -> String {
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
                    "Makes this Mac a device of the cluster and sets where its coordinator is."
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
        self.around(DOMAIN, "settings", "Constellation's settings", &settings.concat())
    }

    /// So that the app may say what needs a person, without asking first.
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
        self.around(kind, "notifications", "Constellation's notifications", &list)
    }

    /// So that the app starts at login and a person needn't allow it.
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
        self.around(kind, "login-item", "Constellation's login item", &list)
    }

    fn root(&self, der: &[u8]) -> String {
        let content = format!(
            "{}      <key>PayloadContent</key>\n      <data>{}</data>\n",
            string(3, "PayloadCertificateFileName", "constellation.cer"),
            STANDARD.encode(der)
        );
        self.around("com.apple.security.root", "certificate", "The cluster's certificate", &content)
    }

    fn around(&self, kind: &str, part: &str, shown: &str, content: &str) -> String {
        let payload = self.payload(3, kind, part);
        let shown = string(3, "PayloadDisplayName", shown);
        format!("    <dict>\n{payload}{shown}{content}    </dict>\n")
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

    /// Follows from the cluster and the part: a later profile of the same cluster replaces this one.
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
            |code| Profile { code, url: "u", certificate: Some(&[1, 2]), team_id: None }.text();
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
