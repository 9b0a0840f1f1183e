//! Kind and shape of rows.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Kind and shape of one row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum SampleShape {
    /// Text of any length.
    Text,
    /// `channels × height × width` bytes, row-major, 0 dark to 255 bright.
    Image { channels: u32, height: u32, width: u32 },
}
