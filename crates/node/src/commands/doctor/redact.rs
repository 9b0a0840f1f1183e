//! Taking secrets out of what leaves this machine: those that are known by their value, and whatever looks like one.

use std::path::Path;

use protocol::join::{Join, LINK_PREFIX};

use crate::settings::Settings;

const GONE: &str = "[removed]";
/// A secret of ours has at least so many characters; what has as many and none of the forms below could be one.
const LONG: usize = 32;

/// What must not be told.
#[derive(Default)]
pub(super) struct Redactor {
    /// The longest first: one may hold another.
    secrets: Vec<String>,
    home: Option<String>,
}

impl Redactor {
    /// Knows the secrets of the settings, the environment and these folders of a worker and a coordinator.
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
            let is_ours = name.starts_with("CONSTELLATION_");
            if is_ours && ["TOKEN", "JOIN", "SECRET", "CODE"].iter().any(|word| name.contains(word))
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
        Self::of(&secrets, home)
    }

    fn of(secrets: &[String], home: Option<String>) -> Self {
        let mut secrets: Vec<String> =
            secrets.iter().map(|secret| secret.trim().to_owned()).collect();
        // A shorter one would be found within words.
        secrets.retain(|secret| secret.len() >= 8);
        secrets.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
        Self { secrets, home: home.filter(|home| home.len() > 1) }
    }

    /// The text without known secrets, join links, typed codes and the name of the home folder.
    pub(super) fn told(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for secret in &self.secrets {
            text = text.replace(secret, GONE);
        }
        if let Some(home) = &self.home {
            text = text.replace(home, "~");
        }
        replace_words(&without_passwords(&without_links(&text)), is_typed_code)
    }

    /// As [`Self::told`], and also without anything that is long and looks random: for text that others wrote.
    pub(super) fn strict(&self, text: &str) -> String {
        replace_words(&self.told(text), looks_random)
    }
}

fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '-' || c == '_'
}

fn without_links(text: &str) -> String {
    let mut parts = text.split(LINK_PREFIX);
    let mut clean = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        clean.push_str(GONE);
        clean.push_str(part.trim_start_matches(is_word));
    }
    // Whoever may sign in by it is an administrator.
    let mut parts = clean.split("#/sign-in/");
    let mut signed_out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        signed_out.push_str(GONE);
        signed_out.push_str(part.trim_start_matches(is_word));
    }
    signed_out
}

/// Of addresses such as `https://name:password@host`, all before the host.
fn without_passwords(text: &str) -> String {
    let mut parts = text.split("://");
    let mut clean = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let end =
            part.find(|c: char| c.is_whitespace() || "/?#\"'".contains(c)).unwrap_or(part.len());
        clean.push_str("://");
        match part[..end].rfind('@') {
            Some(at) => clean = clean + GONE + &part[at..],
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
        clean.push_str(if is_secret(word) { GONE } else { word });
        let next = after.find(is_word).unwrap_or(after.len());
        clean.push_str(&after[..next]);
        rest = &after[next..];
    }
    clean
}

/// 16 letters and digits in four groups, as a join code is shown for typing.
fn is_typed_code(word: &str) -> bool {
    let groups: Vec<&str> = word.split('-').collect();
    groups.len() == 4
        && groups
            .iter()
            .all(|group| group.len() == 4 && group.bytes().all(|b| b.is_ascii_alphanumeric()))
}

fn looks_random(word: &str) -> bool {
    let is_id = word.parse::<uuid::Uuid>().is_ok() && word.contains('-');
    word.len() >= LONG && word.bytes().any(|b| b.is_ascii_digit()) && !is_id
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_secrets_and_what_looks_like_one_are_gone_and_ids_stay() {
        let proxied =
            Redactor::default().told("at https://anna:geheim@lab:8000/x?a@b and http://lab/a@b");
        assert_eq!(proxied, format!("at https://{GONE}@lab:8000/x?a@b and http://lab/a@b"));
        let token = "AbCdEf0123456789AbCdEf0123456789AbCd";
        let redactor =
            Redactor::of(&["hunter2-hunter2\n".into(), "short".into()], Some("/home/anna".into()));
        let id = "01890a5d-ac96-774b-bcce-b302099a8057";
        let text = format!(
            "/home/anna/x short hunter2-hunter2, {LINK_PREFIX}AQGJ_c-x. code 0123-4567-89AB-CDEF device {id} Bearer {token}"
        );
        let told = redactor.told(&text);
        assert_eq!(
            told,
            format!("~/x short {GONE}, {GONE}. code {GONE} device {id} Bearer {token}")
        );
        assert_eq!(redactor.strict(&text), told.replace(token, GONE));
        assert_eq!(
            redactor.told("https://lab:8000/#/sign-in/abc_D"),
            format!("https://lab:8000/{GONE}")
        );
    }
}
