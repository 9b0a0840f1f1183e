//! Errors of decoding an image.

use super::format::{Format, MAX_SIDE, UnreadFormat};

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ImageError {
    #[error("is empty")]
    Empty,
    #[error("is not an image")]
    NotAnImage,
    #[error("is {}, which is not read", .0.name())]
    Unread(UnreadFormat),
    #[error("has more than {MAX_SIDE} pixels on a side")]
    TooLarge,
    #[error("can't be decoded as {} ({reason})", .format.name())]
    Damaged { format: Format, reason: String },
    #[error("can't be converted to {0} channels")]
    Channels(u32),
}

impl ImageError {
    /// Returns what to do about the image.
    pub const fn change(&self) -> &'static str {
        match self {
            Self::Empty | Self::NotAnImage => "save it again as PNG or JPEG, or remove it",
            Self::Unread(format) => format.change(),
            Self::TooLarge => "make it smaller",
            Self::Damaged { .. } => "save it again as PNG or JPEG",
            Self::Channels(_) => "use a model with 1 or 3 channels",
        }
    }

    /// Returns the reason without the library's words, so that images of one reason can be counted.
    pub fn kind(&self) -> String {
        match self {
            Self::Damaged { format, .. } => format!("can't be decoded as {}", format.name()),
            Self::Empty
            | Self::NotAnImage
            | Self::Unread(_)
            | Self::TooLarge
            | Self::Channels(_) => self.to_string(),
        }
    }
}
