//! Tables of pixels: each row is a gray image, each column one of its pixels.

use super::names::is_pixel;
use super::source::Table;

/// Smallest side of an image from columns without names of pixels. A smaller square is probably a table of
/// measurements.
const LEAST_SIDE: usize = 8;

/// Columns of an image and the range of its values.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Pixels {
    pub columns: Vec<usize>,
    pub side: u32,
    /// Value that becomes 0.
    pub dark: f64,
    /// Value that becomes 255.
    pub bright: f64,
}

/// Recognizes pixels: all columns but the label and those of `others` are numbers, and their number is a square.
/// Returns the label too. Without a name it is the first or last column, whichever has the more even values,
/// because pixels at the border are mostly dark.
pub(super) fn detect(
    table: &Table,
    named: Option<usize>,
    others: &[usize],
) -> Option<(usize, Pixels)> {
    let columns: Vec<usize> = (0..table.names.len()).filter(|at| !others.contains(at)).collect();
    let count = columns.len().checked_sub(1)?;
    let side = count.isqrt();
    if side < 2 || side * side != count {
        return None;
    }
    let (left, right) = (*columns.first()?, *columns.last()?);
    let evenness = |at: usize| table.profiles[at].evenness();
    let evener = if evenness(right) >= evenness(left) { right } else { left };
    let label = named.unwrap_or(evener);
    let pixels: Vec<usize> = columns.into_iter().filter(|at| *at != label).collect();
    let profile = |at: &usize| &table.profiles[*at];
    let numeric = pixels.iter().all(|at| profile(at).is_numeric());
    let are_named = table.named && pixels.iter().all(|at| is_pixel(&table.names[*at]));
    if table.profiles[label].evenness() == 0.0 || !numeric || (side < LEAST_SIDE && !are_named) {
        return None;
    }
    let least = pixels.iter().map(|at| profile(at).least).fold(f64::INFINITY, f64::min);
    let greatest = pixels.iter().map(|at| profile(at).greatest).fold(f64::NEG_INFINITY, f64::max);
    let (dark, bright) = range(least, greatest);
    let side = u32::try_from(side).ok()?;
    Some((label, Pixels { columns: pixels, side, dark, bright }))
}

/// Returns the usual range that contains the values.
fn range(least: f64, greatest: f64) -> (f64, f64) {
    if least < 0.0 {
        return (least, greatest.max(least + f64::EPSILON));
    }
    let bright = match greatest {
        0.0 => 1.0,
        value if value <= 1.0 => 1.0,
        value if value <= 128.0 => value,
        value if value <= 255.0 => 255.0,
        value if value > 32_767.0 && value <= 65_535.0 => 65_535.0,
        value => value,
    };
    (0.0, bright)
}

impl Pixels {
    /// Scales a value to a byte, rounded to the nearest integer.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "the value is clamped to 0..=255"
    )]
    pub(super) fn byte(&self, value: f64) -> u8 {
        let scaled = (value - self.dark) / (self.bright - self.dark) * 255.0;
        scaled.round().clamp(0.0, 255.0) as u8
    }

    /// Returns the scaling in words.
    pub(super) fn scaling(&self) -> String {
        format!("values from {} to {} become 0 to 255", self.dark, self.bright)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_usual_ranges_are_recognized() {
        assert_eq!(range(0.0, 16.0), (0.0, 16.0));
        assert_eq!(range(0.0, 254.0), (0.0, 255.0));
        assert_eq!(range(0.0, 0.98), (0.0, 1.0));
        assert_eq!(range(-1.0, 1.0), (-1.0, 1.0));
        let pixels = Pixels { columns: Vec::new(), side: 8, dark: 0.0, bright: 16.0 };
        assert_eq!((pixels.byte(0.0), pixels.byte(8.0), pixels.byte(16.0)), (0, 128, 255));
    }
}
