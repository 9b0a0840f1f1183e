//! Validation of text that others will read. Rejects text that can't be displayed unchanged.

use protocol::text;

use super::problem::{ApiError, ApiResult};

/// Checks text that may be empty. `most` characters at most.
pub(super) fn check_text(
    kind: &'static str,
    field: &'static str,
    text: &str,
    longest: usize,
) -> ApiResult<()> {
    if text.chars().count() > longest {
        let words = format!("has more than {longest} characters");
        return Err(ApiError::invalid(kind, words).at(field));
    }
    text::check(text).map_err(|hidden| ApiError::invalid(kind, hidden.to_string()).at(field))
}

/// Trims the text and checks that it is one line of 1 to `most` characters.
pub(super) fn line(
    kind: &'static str,
    field: &'static str,
    text: &str,
    longest: usize,
) -> ApiResult<String> {
    let text = text.trim();
    if text.is_empty() || text.chars().count() > longest {
        let words = format!("must be 1 to {longest} characters on one line");
        return Err(ApiError::invalid(kind, words).at(field));
    }
    check_text(kind, field, text, longest)?;
    Ok(text.to_owned())
}
