//! Finds what a person means on the command line: an id, a name, or a unique start of either.

use anyhow::bail;
use protocol::api::{Job, Token};
use protocol::device::Device;
use protocol::join::JoinCodeView;
use protocol::notice::Notice;
use protocol::webhook::Webhook;
use serde::de::DeserializeOwned;
use uuid::Uuid;

use crate::client::Client;

/// Maximum number of candidates in an error.
const SHOWN: usize = 10;

/// Kind of object that a command refers to.
pub(super) trait Listed: DeserializeOwned {
    /// Name of the kind in messages.
    const KIND: &'static str;
    /// Paths of the lists in the API.
    const PATHS: &'static [&'static str];
    /// Command that lists the objects.
    const LIST: &'static str;

    fn id(&self) -> String;

    /// Name, or what distinguishes the object for people. Empty if there is none.
    fn name(&self) -> &str;
}

/// Returns the id of the object that `text` means. A whole id is not looked up.
///
/// # Errors
/// Fails if nothing matches, and if several objects do; the error lists them.
pub(super) async fn id_of<T: Listed>(client: &Client, text: &str) -> anyhow::Result<String> {
    if let Ok(id) = text.parse::<Uuid>() {
        return Ok(id.to_string());
    }
    let mut all = Vec::new();
    for path in T::PATHS {
        all.extend(client.get::<Vec<T>>(path).await?);
    }
    choose(text, &all)
}

/// Like [`id_of`], as the type of the id.
pub(super) async fn typed_id_of<T: Listed, I>(client: &Client, text: &str) -> anyhow::Result<I>
where
    I: std::str::FromStr<Err: std::error::Error + Send + Sync + 'static>,
{
    Ok(id_of::<T>(client, text).await?.parse()?)
}

fn choose<T: Listed>(text: &str, all: &[T]) -> anyhow::Result<String> {
    let lower = text.to_ascii_lowercase();
    let by_id = |one: &&T| one.id().to_ascii_lowercase() == lower;
    let by_name = |one: &&T| !text.is_empty() && one.name() == text;
    let by_start = |one: &&T| {
        !text.is_empty()
            && (one.id().to_ascii_lowercase().starts_with(&lower) || one.name().starts_with(text))
    };
    // An exact match comes before a start: a name may be the start of another one.
    let rules: [&dyn Fn(&&T) -> bool; 3] = [&by_id, &by_name, &by_start];
    let found = rules
        .iter()
        .map(|rule| all.iter().filter(*rule).collect::<Vec<&T>>())
        .find(|found| !found.is_empty());
    let (kind, list) = (T::KIND, T::LIST);
    match found.as_deref() {
        Some([one]) => Ok(one.id()),
        Some(several) => {
            let shown: Vec<String> =
                several.iter().take(SHOWN).map(|one| described(*one)).collect();
            let more = match several.len().saturating_sub(SHOWN) {
                0 => String::new(),
                more => format!(" and {more} more"),
            };
            bail!(
                "'{text}' means {} {kind}s: {}{more}. Give a longer part of the id",
                several.len(),
                shown.join(", ")
            )
        }
        None => bail!(
            "there is no {kind} with the id or name '{text}'. `constellation {list}` lists them"
        ),
    }
}

fn described<T: Listed>(one: &T) -> String {
    match one.name() {
        "" => one.id(),
        name => format!("{} ({name})", one.id()),
    }
}

impl Listed for Job {
    const KIND: &'static str = "job";
    const PATHS: &'static [&'static str] = &["/jobs", "/jobs?archived=true"];
    const LIST: &'static str = "job list";

    fn id(&self) -> String {
        self.id.to_string()
    }

    fn name(&self) -> &str {
        &self.name
    }
}

impl Listed for Device {
    const KIND: &'static str = "device";
    const PATHS: &'static [&'static str] = &["/devices"];
    const LIST: &'static str = "device list";

    fn id(&self) -> String {
        self.id.to_string()
    }

    fn name(&self) -> &str {
        &self.name
    }
}

impl Listed for Token {
    const KIND: &'static str = "token";
    const PATHS: &'static [&'static str] = &["/tokens"];
    const LIST: &'static str = "token list";

    fn id(&self) -> String {
        self.id.clone()
    }

    fn name(&self) -> &str {
        &self.name
    }
}

impl Listed for JoinCodeView {
    const KIND: &'static str = "join code";
    const PATHS: &'static [&'static str] = &["/join-codes"];
    const LIST: &'static str = "join-code list";

    fn id(&self) -> String {
        self.id.clone()
    }

    fn name(&self) -> &str {
        &self.name
    }
}

impl Listed for Webhook {
    const KIND: &'static str = "webhook";
    const PATHS: &'static [&'static str] = &["/webhooks"];
    const LIST: &'static str = "webhook list";

    fn id(&self) -> String {
        self.id.to_string()
    }

    fn name(&self) -> &str {
        &self.url
    }
}

impl Listed for Notice {
    const KIND: &'static str = "notice";
    const PATHS: &'static [&'static str] = &["/notices?all=true"];
    const LIST: &'static str = "notice list --all";

    fn id(&self) -> String {
        self.id.to_string()
    }

    fn name(&self) -> &str {
        &self.text
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn token(id: &str, name: &str) -> Token {
        let token: Value = json!({
            "id": id, "role": "viewer", "name": name, "created_at": "2025-01-01T00:00:00Z"
        });
        serde_json::from_value(token).unwrap()
    }

    fn tokens() -> Vec<Token> {
        vec![
            token("0189aa", "grafana"),
            token("0189ab", "grafana-two"),
            token("0190cc", "wall"),
            token("0191dd", "wall"),
            token("0192ee", ""),
        ]
    }

    #[test]
    fn an_id_a_name_and_a_unique_start_of_either_are_enough() {
        for (text, id) in [
            ("0189aa", "0189aa"),
            ("0190CC", "0190cc"),
            ("0190", "0190cc"),
            // An exact name, although another name starts with it.
            ("grafana", "0189aa"),
            ("grafana-", "0189ab"),
        ] {
            assert_eq!(choose(text, &tokens()).unwrap(), id, "{text}");
        }
    }

    #[test]
    fn several_matches_are_listed_and_none_is_chosen() {
        let error = |text| choose(text, &tokens()).unwrap_err().to_string();
        insta::assert_snapshot!([error("wall"), error("0189a"), error("none"), error("")].join("\n"), @"
        'wall' means 2 tokens: 0190cc (wall), 0191dd (wall). Give a longer part of the id
        '0189a' means 2 tokens: 0189aa (grafana), 0189ab (grafana-two). Give a longer part of the id
        there is no token with the id or name 'none'. `constellation token list` lists them
        there is no token with the id or name ''. `constellation token list` lists them
        ");
        let many: Vec<Token> = (0..13).map(|n| token(&format!("a{n:02}"), "")).collect();
        let error = choose("a", &many).unwrap_err().to_string();
        assert!(error.contains("means 13 tokens: a00, a01") && error.contains("a09 and 3 more"));
    }
}
