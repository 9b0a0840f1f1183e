//! Text from other parties: names of devices, files, classes, models and clusters. One rule defines the allowed
//! characters, and one escape displays text that breaks the rule.
//!
//! The rule forbids characters that readers can't see and that change the text around them: control characters
//! (which can control terminals and forge log lines), direction marks (which make a name look like another one),
//! line separators and invisible characters. Stored text may be older than the rule, so it is escaped again when
//! it is written to a terminal or a log.

use std::fmt::{self, Write as _};

/// Forbidden character in text from another party.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("has the character U+{:04X} at place {place}, which can't be seen: remove it", u32::from(*.character))]
pub struct HiddenCharacter {
    pub character: char,
    /// Position in characters, from 1.
    pub place: usize,
}

/// Returns whether the rule forbids this character.
pub const fn is_hidden(character: char) -> bool {
    matches!(
        character,
        // C0, DEL and C1.
        '\0'..='\u{1f}' | '\u{7f}'..='\u{9f}'
        // Arabic letter mark, Mongolian vowel separator.
        | '\u{61c}' | '\u{180e}'
        // Zero width space; direction marks, embeddings, overrides and isolates. The joiners U+200C and U+200D are
        // allowed: Persian and emoji need them.
        | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
        // Line and paragraph separators.
        | '\u{2028}' | '\u{2029}'
        // Word joiner, invisible operators, deprecated format characters.
        | '\u{2060}'..='\u{2065}' | '\u{206a}'..='\u{206f}'
        // Byte order mark, interlinear annotations, tags.
        | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}'
    )
}

/// Returns an error for text with a hidden character.
pub fn check(text: &str) -> Result<(), HiddenCharacter> {
    let hidden = text.chars().zip(1..).find(|(character, _)| is_hidden(*character));
    hidden.map_or(Ok(()), |(character, place)| Err(HiddenCharacter { character, place }))
}

/// Returns the text without hidden characters. Separators become spaces.
pub fn cleaned(text: &str) -> String {
    let kept = text.chars().filter_map(|character| match character {
        '\t' | '\n' | '\r' | '\u{85}' | '\u{2028}' | '\u{2029}' => Some(' '),
        hidden if is_hidden(hidden) => None,
        seen => Some(seen),
    });
    kept.collect::<String>().trim().to_owned()
}

/// Returns an error's text for people: without the numbers of the operating system's errors, such as ` (os error 2)`.
pub fn without_error_numbers(text: &str) -> String {
    const START: &str = " (os error ";
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once(START) {
        plain.push_str(before);
        let end = after.find(|letter: char| letter != '-' && !letter.is_ascii_digit());
        rest = match end.map(|end| after.split_at(end)) {
            Some((number, after)) if !number.is_empty() && after.starts_with(')') => &after[1..],
            Some(_) | None => {
                plain.push_str(START);
                after
            }
        };
    }
    plain + rest
}

/// Displays text on one line, with its hidden characters as `\u{1b}`.
#[derive(Debug, Clone, Copy)]
pub struct Escaped<T>(pub T);

impl<T: fmt::Display> fmt::Display for Escaped<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(Escaping(f), "{}", self.0)
    }
}

/// Writer that escapes hidden characters.
struct Escaping<'a, 'b>(&'a mut fmt::Formatter<'b>);

impl fmt::Write for Escaping<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let mut rest = text;
        while let Some(at) = rest.find(is_hidden) {
            let (seen, hidden) = rest.split_at(at);
            self.0.write_str(seen)?;
            let mut characters = hidden.chars();
            if let Some(character) = characters.next() {
                write!(self.0, "\\u{{{:x}}}", u32::from(character))?;
            }
            rest = characters.as_str();
        }
        self.0.write_str(rest)
    }
}

/// Returns the text on one line, with its hidden characters as `\u{1b}`.
pub fn escaped(text: &str) -> String {
    Escaped(text).to_string()
}

/// Returns one-line JSON with its hidden characters as `\u001b`. The JSON value is the same and can't control a
/// terminal.
pub fn escaped_json(json: &str) -> String {
    let mut shown = String::with_capacity(json.len());
    for character in json.chars() {
        if is_hidden(character) {
            for unit in character.encode_utf16(&mut [0; 2]) {
                // Writing to a string does not fail.
                let _ = write!(shown, "\\u{unit:04x}");
            }
        } else {
            shown.push(character);
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn people_see_no_numbers_of_system_errors() {
        for (text, plain) in [
            (
                "can't read a: No such file or directory (os error 2)",
                "can't read a: No such file or directory",
            ),
            ("a (os error 2): b (os error -13), c", "a: b, c"),
            ("a (os error two)", "a (os error two)"),
            ("a (os error ", "a (os error "),
            ("plain", "plain"),
        ] {
            assert_eq!(without_error_numbers(text), plain);
        }
    }

    #[test]
    fn what_steers_a_terminal_or_turns_text_around_is_refused_and_escaped() {
        for (text, shown, clean) in [
            ("\u{1b}]0;owned\u{7}Mac", "\\u{1b}]0;owned\\u{7}Mac", "]0;ownedMac"),
            ("a\r\nb\tc", "a\\u{d}\\u{a}b\\u{9}c", "a  b c"),
            ("a\u{7f}\u{9b}31m", "a\\u{7f}\\u{9b}31m", "a31m"),
            ("gpj.\u{202e}exe", "gpj.\\u{202e}exe", "gpj.exe"),
            ("a\u{2066}b\u{2069}\u{200e}\u{61c}", "a\\u{2066}b\\u{2069}\\u{200e}\\u{61c}", "ab"),
            ("a\u{2028}b\u{feff}\u{200b}", "a\\u{2028}b\\u{feff}\\u{200b}", "a b"),
            ("a\u{e0041}", "a\\u{e0041}", "a"),
        ] {
            assert!(check(text).is_err(), "{shown}");
            assert_eq!((escaped(text).as_str(), cleaned(text).as_str()), (shown, clean));
            let json = serde_json::to_string(text).unwrap();
            let shown = escaped_json(&json);
            assert_eq!(serde_json::from_str::<String>(&shown).unwrap(), text);
            assert!(!shown.contains(is_hidden), "{shown}");
        }
        let error = check("ab\u{1b}").unwrap_err().to_string();
        assert_eq!(error, "has the character U+001B at place 3, which can't be seen: remove it");
    }

    #[test]
    fn names_of_people_in_any_script_stay_as_they_are() {
        for name in ["Zoë's Mac", "日本語の名前", "שלום", "می‌خواهم", "👩‍💻 Mac", "a  b", "\\u{1b}"]
        {
            assert_eq!(check(name), Ok(()), "{name}");
            assert_eq!((escaped(name).as_str(), cleaned(name).as_str()), (name, name));
        }
    }

    proptest! {
        #[test]
        fn whatever_the_text_nothing_hidden_is_shown(text in any::<String>(), code in any::<char>()) {
            let text = format!("{text}{code}{text}");
            prop_assert!(!escaped(&text).contains(is_hidden));
            prop_assert!(!escaped(&text).contains(char::is_control));
            prop_assert_eq!(check(&cleaned(&text)), Ok(()));
            prop_assert_eq!(check(&text).is_ok(), escaped(&text) == text);
            let json = serde_json::to_string(&text).unwrap();
            let shown = escaped_json(&json);
            prop_assert!(!shown.contains(is_hidden));
            prop_assert_eq!(serde_json::from_str::<String>(&shown).unwrap(), text);
        }
    }
}
