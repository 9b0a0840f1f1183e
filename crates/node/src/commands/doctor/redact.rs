//! Removes secrets from text that leaves this machine: secrets with a known value, and text that looks like a secret.

use std::path::Path;

use protocol::join::{Join, LINK_PREFIX};

use crate::settings::Settings;

const REMOVED: &str = "[removed]";
/// Minimum length of the secrets that Constellation generates; longer random-looking words are removed.
const SECRET_LENGTH: usize = 32;

/// Known secrets to remove.
#[derive(Default)]
pub(super) struct Redactor {
    /// Longest first, because one secret can contain another.
    secrets: Vec<String>,
    home: Option<String>,
}

impl Redactor {
    /// Collects the secrets of the settings, the environment, and the given folders of a worker and a coordinator.
    pub(super) fn gather(settings: Option<&Settings>, folders: &[&Path]) -> Self {
        let mut secrets = Vec::new();
        if let Some(join) = settings.and_then(|settings| settings.enrollment_code.value.as_ref()) {
            let typed = join.secret().typed();
            secrets.extend([typed.replace('-', ""), typed.to_lowercase(), typed]);
            if let Join::Link(code) = join {
                secrets.push(code.link());
            }
        }
        for (name, value) in std::env::vars() {
            let is_own = name.starts_with("CONSTELLATION_");
            if is_own && ["TOKEN", "JOIN", "SECRET", "CODE"].iter().any(|word| name.contains(word))
            {
                secrets.push(value);
            }
        }
        for folder in folders {
            secrets.extend(std::fs::read_to_string(folder.join("admin-token")).ok());
            let identity = std::fs::read(folder.join("identity.json")).unwrap_or_default();
            let identity: serde_json::Value = serde_json::from_slice(&identity).unwrap_or_default();
            secrets.extend(identity["enrolment"]["token"].as_str().map(str::to_owned));
        }
        let home = std::env::var("HOME").ok();
        Self::from_secrets(&secrets, home)
    }

    fn from_secrets(secrets: &[String], home: Option<String>) -> Self {
        let mut secrets: Vec<String> =
            secrets.iter().map(|secret| secret.trim().to_owned()).collect();
        // A shorter secret would also match parts of ordinary words.
        secrets.retain(|secret| secret.len() >= 8);
        secrets.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
        Self { secrets, home: home.filter(|home| home.len() > 1) }
    }

    /// Removes known secrets, join links, sign-in links, passwords in URLs, typed join codes and the home folder's name.
    pub(super) fn redact(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for secret in &self.secrets {
            text = text.replace(secret, REMOVED);
        }
        if let Some(home) = &self.home {
            text = text.replace(home, "~");
        }
        replace_words(&without_passwords(&without_links(&text)), is_typed_code)
    }

    /// Like [`Self::redact`], and also removes long random-looking words. For logs, which can contain text from elsewhere.
    pub(super) fn redact_strict(&self, text: &str) -> String {
        replace_words(&self.redact(text), looks_random)
    }
}

fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '-' || c == '_'
}

fn without_links(text: &str) -> String {
    let mut parts = text.split(LINK_PREFIX);
    let mut clean = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        clean.push_str(REMOVED);
        clean.push_str(part.trim_start_matches(is_word));
    }
    // A sign-in link can grant administrator access.
    let mut parts = clean.split("#/sign-in/");
    let mut signed_out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        signed_out.push_str(REMOVED);
        signed_out.push_str(part.trim_start_matches(is_word));
    }
    signed_out
}

/// Removes user names and passwords from URLs such as `https://name:password@host`.
fn without_passwords(text: &str) -> String {
    let mut parts = text.split("://");
    let mut clean = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let end =
            part.find(|c: char| c.is_whitespace() || "/?#\"'".contains(c)).unwrap_or(part.len());
        clean.push_str("://");
        match part[..end].rfind('@') {
            Some(at) => clean = clean + REMOVED + &part[at..],
            None => clean.push_str(part),
        }
    }
    clean
}

fn replace_words(text: &str, is_secret: impl Fn(&str) -> bool) -> String {
    let mut clean = String::with_capacity(text.len());
    let mut rest = text;
    while !rest.is_empty() {
        let end = rest.find(|c| !is_word(c)).unwrap_or(rest.len());
        let (word, after) = rest.split_at(end);
        clean.push_str(if is_secret(word) { REMOVED } else { word });
        let next = after.find(is_word).unwrap_or(after.len());
        clean.push_str(&after[..next]);
        rest = &after[next..];
    }
    clean
}

/// Whether the word has the form of a typed join code: 16 letters and digits in four groups.
fn is_typed_code(word: &str) -> bool {
    let groups: Vec<&str> = word.split('-').collect();
    groups.len() == 4
        && groups
            .iter()
            .all(|group| group.len() == 4 && group.bytes().all(|b| b.is_ascii_alphanumeric()))
}

fn looks_random(word: &str) -> bool {
    let is_id = word.parse::<uuid::Uuid>().is_ok() && word.contains('-');
    word.len() >= SECRET_LENGTH && word.bytes().any(|b| b.is_ascii_digit()) && !is_id
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_removed_and_ids_are_kept() {
        let proxied =
            Redactor::default().redact("at https://anna:geheim@lab:8000/x?a@b and http://lab/a@b");
        assert_eq!(proxied, format!("at https://{REMOVED}@lab:8000/x?a@b and http://lab/a@b"));
        let token = "AbCdEf0123456789AbCdEf0123456789AbCd";
        let redactor = Redactor::from_secrets(
            &["hunter2-hunter2\n".into(), "short".into()],
            Some("/home/anna".into()),
        );
        let id = "01890a5d-ac96-774b-bcce-b302099a8057";
        let text = format!(
            "/home/anna/x short hunter2-hunter2, {LINK_PREFIX}AQGJ_c-x. code 0123-4567-89AB-CDEF device {id} Bearer {token}"
        );
        let redacted = redactor.redact(&text);
        assert_eq!(
            redacted,
            format!("~/x short {REMOVED}, {REMOVED}. code {REMOVED} device {id} Bearer {token}")
        );
        assert_eq!(redactor.redact_strict(&text), redacted.replace(token, REMOVED));
        assert_eq!(
            redactor.redact("https://lab:8000/#/sign-in/abc_D"),
            format!("https://lab:8000/{REMOVED}")
        );
    }
}
