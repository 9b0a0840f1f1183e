//! Errors on the wire: RFC 9457 problem details.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Body of every error response, as `application/problem+json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema, thiserror::Error)]
#[error("{detail}")]
pub struct Problem {
    /// Kind of problem, such as `unknown-dataset`. Stable, for programs.
    #[serde(rename = "type")]
    pub kind: String,
    /// Short description of the kind, for people.
    pub title: String,
    /// HTTP status code.
    pub status: u16,
    /// Problem of this request, and the change that solves it.
    pub detail: String,
    /// Dotted path of the request's field at fault, if any.
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
