//! Menu-bar images: black and transparent templates that the system colors.

use node::app::view::Icon;
use tauri::image::Image;

/// Embeds a PNG file of `assets/menu-bar`.
macro_rules! picture {
    ($name:literal) => {
        include_bytes!(concat!("../../assets/menu-bar/", $name, ".png"))
    };
}

const TRAINING: [&[u8]; 9] = [
    picture!("training-0"),
    picture!("training-1"),
    picture!("training-2"),
    picture!("training-3"),
    picture!("training-4"),
    picture!("training-5"),
    picture!("training-6"),
    picture!("training-7"),
    picture!("training-8"),
];

/// Menu-bar image of a state. Equal values are the same image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Picture(&'static [u8]);

impl Picture {
    pub(crate) fn from_icon(icon: Icon) -> Self {
        Self(match icon {
            Icon::Waiting => picture!("waiting"),
            Icon::Paused => picture!("paused"),
            Icon::Attention => picture!("attention"),
            Icon::Training { progress } => TRAINING[eighths(progress)],
        })
    }

    /// Decodes the image.
    ///
    /// # Errors
    /// The embedded file is not a PNG.
    pub(crate) fn image(self) -> tauri::Result<Image<'static>> {
        Image::from_bytes(self.0)
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "within 0 and 8")]
fn eighths(progress: f64) -> usize {
    (progress.clamp(0.0, 1.0) * 8.0).floor() as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_state_has_its_own_image() {
        let mut icons = vec![Icon::Waiting, Icon::Paused, Icon::Attention];
        icons.extend((0..=8_u8).map(|n| Icon::Training { progress: f64::from(n) / 8.0 }));
        for (index, icon) in icons.iter().enumerate() {
            let image = Picture::from_icon(*icon).image().unwrap();
            assert_eq!((image.width(), image.height()), (44, 44));
            for other in &icons[index + 1..] {
                assert_ne!(Picture::from_icon(*icon), Picture::from_icon(*other));
            }
        }
        assert_eq!(
            Picture::from_icon(Icon::Training { progress: f64::NAN }),
            Picture::from_icon(icons[3])
        );
    }
}
