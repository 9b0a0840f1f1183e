//! Images of one shape each at any position, in three sizes, brighter or darker than the
//! background, with noise. Averaged over positions and signs every class looks the same, so a
//! linear model learns almost nothing, while a convolution sees edges and corners.

use protocol::SeededRng;
use protocol::dataset::SampleShape;

use crate::{Row, Sample};

pub(super) const CLASSES: [&str; 4] = ["circle", "square", "triangle", "cross"];
const SIDE: i64 = 16;
pub(super) const SHAPE: SampleShape = SampleShape::Image { channels: 1, height: 16, width: 16 };

const RADII: std::ops::RangeInclusive<i64> = 4..=6;

pub(super) fn draw(rng: &mut SeededRng) -> Row {
    let class = rng.index(CLASSES.len());
    let mut within = |low: i64, high: i64| -> i64 {
        low + i64::try_from(rng.below((high - low + 1).unsigned_abs())).unwrap_or(0)
    };
    let radius = within(*RADII.start(), *RADII.end());
    let figure = Figure {
        class,
        radius,
        across: within(radius, SIDE - 1 - radius),
        down: within(radius, SIDE - 1 - radius),
        turned: within(0, 1) == 1,
    };
    let ground = within(96, 160);
    let contrast = within(35, 80) * if within(0, 1) == 1 { 1 } else { -1 };
    let mut pixels = Vec::with_capacity(256);
    for y in 0..SIDE {
        for x in 0..SIDE {
            // The sum of two uniform draws: triangular noise with a standard deviation of 16.
            let noise = within(-20, 20) + within(-20, 20);
            let ink = if figure.covers(x, y) { contrast } else { 0 };
            pixels.push(u8::try_from((ground + ink + noise).clamp(0, 255)).unwrap_or(0));
        }
    }
    Row { label: u32::try_from(class).unwrap_or(0), sample: Sample::Image(pixels) }
}

struct Figure {
    class: usize,
    radius: i64,
    across: i64,
    down: i64,
    /// Upside down.
    turned: bool,
}

impl Figure {
    fn covers(&self, x: i64, y: i64) -> bool {
        let (x, mut y, r) = (x - self.across, y - self.down, self.radius);
        if self.turned {
            y = -y;
        }
        let in_square = x.abs() <= r && y.abs() <= r;
        match self.class {
            0 => x * x + y * y <= r * r,
            // As large as the circle in area, so that brightness reveals nothing.
            1 => x.abs() * 8 <= r * 7 && y.abs() * 8 <= r * 7,
            2 => in_square && 2 * x.abs() <= y + r,
            _ => in_square && (x.abs() * 3 <= r || y.abs() * 3 <= r),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Dataset;
    use crate::synthetic::Synthetic;

    #[test]
    fn a_linear_model_stays_far_below_the_best_accuracy() {
        let dataset = Synthetic::Shapes.generate();
        let accuracy = softmax_regression(&dataset);
        assert!(accuracy < 0.55, "{accuracy}");
    }

    /// Correlation with every clean shape, regardless of its sign, as filters and pooling can
    /// compute it.
    #[test]
    fn matched_filters_reach_a_high_accuracy() {
        let dataset = Synthetic::Shapes.generate();
        let filters = filters();
        let rows = &dataset.test[..400];
        let right = rows.iter().filter(|row| {
            let pixels = pixels(row);
            let best = filters
                .iter()
                .map(|(class, filter)| {
                    let dot: f32 = pixels.iter().zip(filter).map(|(a, b)| a * b).sum();
                    (dot.abs(), *class)
                })
                .max_by(|a, b| a.0.total_cmp(&b.0));
            best.unwrap().1 == row.label as usize
        });
        let accuracy = right.count() as f64 / rows.len() as f64;
        assert!(accuracy > 0.93, "{accuracy}");
    }

    /// Every shape at every position, with mean 0 and length 1.
    fn filters() -> Vec<(usize, Vec<f32>)> {
        let mut filters = Vec::new();
        for class in 0..CLASSES.len() {
            for radius in RADII {
                for position in 0..(SIDE - 2 * radius).pow(2) * 2 {
                    let (turned, position) = (position % 2 == 1, position / 2);
                    let (across, down) =
                        (position % (SIDE - 2 * radius), position / (SIDE - 2 * radius));
                    let figure = Figure {
                        class,
                        radius,
                        across: across + radius,
                        down: down + radius,
                        turned,
                    };
                    let ink: Vec<f32> = (0..SIDE * SIDE)
                        .map(|at| f32::from(u8::from(figure.covers(at % SIDE, at / SIDE))))
                        .collect();
                    let mean = ink.iter().sum::<f32>() / 256.0;
                    let length = ink.iter().map(|i| (i - mean).powi(2)).sum::<f32>().sqrt();
                    filters.push((class, ink.iter().map(|i| (i - mean) / length).collect()));
                }
            }
        }
        filters
    }

    fn softmax_regression(dataset: &Dataset) -> f64 {
        let mut weights = vec![[0.0_f32; 4]; 257];
        let scores = |weights: &[[f32; 4]], pixels: &[f32]| {
            let mut scores = weights[256];
            for (pixel, weight) in pixels.iter().zip(weights) {
                for class in 0..4 {
                    scores[class] += pixel * weight[class];
                }
            }
            scores
        };
        let train: Vec<Vec<f32>> = dataset.train.iter().map(pixels).collect();
        for epoch in 1..=15 {
            for (row, pixels) in dataset.train.iter().zip(&train) {
                let mut error = scores(&weights, pixels).map(f32::exp);
                let sum: f32 = error.iter().sum();
                error = error.map(|e| e / sum);
                error[row.label as usize] -= 1.0;
                let rate = 0.01 / epoch as f32;
                for (pixel, weight) in pixels.iter().chain(&[1.0]).zip(&mut weights) {
                    for class in 0..4 {
                        weight[class] -= rate * pixel * error[class];
                    }
                }
            }
        }
        let right = dataset.test.iter().filter(|row| {
            let scores = scores(&weights, &pixels(row));
            let best = (0..4).max_by(|a, b| scores[*a].total_cmp(&scores[*b])).unwrap();
            best == row.label as usize
        });
        right.count() as f64 / dataset.test.len() as f64
    }

    fn pixels(row: &Row) -> Vec<f32> {
        match &row.sample {
            Sample::Image(pixels) => {
                pixels.iter().map(|pixel| (f32::from(*pixel) - 128.0) / 64.0).collect()
            }
            Sample::Text(_) => panic!("an image"),
        }
    }
}
