//! Text in requests that somebody chose for others to read: refused here where it can't be shown as it is.

use protocol::text;

use super::problem::{Answer, Failure};

/// Text that may be empty, of at most so many characters.
pub(super) fn check_text(
    kind: &'static str,
    field: &'static str,
    text: &str,
    longest: usize,
) -> Answer<()> {
    if text.chars().count() > longest {
        let words = format!("has more than {longest} characters");
        return Err(Failure::invalid(kind, words).at(field));
    }
    text::check(text).map_err(|hidden| Failure::invalid(kind, hidden.to_string()).at(field))
}

/// Text without the spaces around it, which must be one line of 1 to so many characters.
pub(super) fn line(
    kind: &'static str,
    field: &'static str,
    text: &str,
    longest: usize,
) -> Answer<String> {
    let text = text.trim();
    if text.is_empty() || text.chars().count() > longest {
        let words = format!("must be 1 to {longest} characters on one line");
        return Err(Failure::invalid(kind, words).at(field));
    }
    check_text(kind, field, text, longest)?;
    Ok(text.to_owned())
}
