//! Errors on the wire: RFC 9457 problem details that say what to change.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The body of every error answer, as `application/problem+json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema, thiserror::Error)]
#[error("{detail}")]
pub struct Problem {
    /// What kind of problem this is, e.g. `unknown-dataset`; stable, for programs.
    #[serde(rename = "type")]
    pub kind: String,
    /// The kind in a few words, for people.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// What is wrong here and what to change.
    pub detail: String,
    /// The field of the request at fault, as a dotted path, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
}

impl Problem {
    pub fn new(status: u16, kind: &str, title: &str, detail: impl Into<String>) -> Self {
        Self {
            kind: kind.to_owned(),
            title: title.to_owned(),
            status,
            detail: detail.into(),
            field: None,
        }
    }

    pub fn at(mut self, field: impl Into<String>) -> Self {
        self.field = Some(field.into());
        self
    }
}
