//! Sampling from a symmetric Dirichlet distribution, and partitioning by its shares.

use protocol::SeededRng;

/// Hsu et al. 2019, §3.1: each partition draws its own class shares and then its rows by them,
/// without replacement. Partitions take turns, one row each, so that the leftover classes are
/// spread over all of them.
pub(super) fn by_class(
    rng: &mut SeededRng,
    alpha: f64,
    mut classes: Vec<Vec<u32>>,
    partitions: usize,
) -> Vec<Vec<u32>> {
    for class in &mut classes {
        rng.shuffle(class);
    }
    let class_shares: Vec<Vec<f64>> =
        (0..partitions).map(|_| shares(rng, alpha, classes.len())).collect();
    let rows: usize = classes.iter().map(Vec::len).sum();
    let mut divided = vec![Vec::with_capacity(rows.div_ceil(partitions)); partitions];
    for turn in 0..rows {
        let partition = turn % partitions;
        let class = draw(rng, &class_shares[partition], &classes);
        divided[partition].extend(class.and_then(|class| classes[class].pop()));
    }
    divided
}

/// Draws a class that has rows left, by its share, or by its number of rows if no share is left.
fn draw(rng: &mut SeededRng, shares: &[f64], classes: &[Vec<u32>]) -> Option<usize> {
    let left = |class: usize| if classes[class].is_empty() { 0.0 } else { shares[class] };
    let pick = |weight: &dyn Fn(usize) -> f64, uniform: f64| {
        let total: f64 = (0..classes.len()).map(weight).sum();
        let mut at = uniform * total;
        let mut last = None;
        for class in (0..classes.len()).filter(|class| weight(*class) > 0.0) {
            last = Some(class);
            at -= weight(class);
            if at < 0.0 {
                break;
            }
        }
        last
    };
    let uniform = rng.uniform();
    pick(&left, uniform).or_else(|| pick(&|class| classes[class].len() as f64, uniform))
}

/// Draws `count` shares that add up to 1, from Dir(alpha, …, alpha).
///
/// Works with logarithms of gamma draws: for a small alpha nearly all draws are too small for an
/// f64, but their ratios are not.
pub(super) fn shares(rng: &mut SeededRng, alpha: f64, count: usize) -> Vec<f64> {
    let logarithms: Vec<f64> = (0..count).map(|_| ln_gamma_draw(rng, alpha)).collect();
    let largest = logarithms.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let weights: Vec<f64> = logarithms.iter().map(|ln| libm::exp(ln - largest)).collect();
    let total: f64 = weights.iter().sum();
    weights.into_iter().map(|weight| weight / total).collect()
}

/// Draws the logarithm of Gamma(alpha, 1): Marsaglia & Tsang 2000, "A Simple Method for Generating
/// Gamma Variables". Below 1 by their §6: Gamma(alpha) = Gamma(alpha + 1) · U^(1/alpha).
fn ln_gamma_draw(rng: &mut SeededRng, alpha: f64) -> f64 {
    // Bounded because the loop would not end for values that no valid job has.
    let alpha = if alpha > 0.0 { alpha.clamp(1e-6, 1e9) } else { 1.0 };
    let boost = if alpha < 1.0 { libm::log(above_zero(rng)) / alpha } else { 0.0 };
    let shape = if alpha < 1.0 { alpha + 1.0 } else { alpha };
    let d = shape - 1.0 / 3.0;
    let c = 1.0 / (9.0 * d).sqrt();
    loop {
        let x = normal(rng);
        let root = 1.0 + c * x;
        if root <= 0.0 {
            continue;
        }
        let v = root * root * root;
        if libm::log(above_zero(rng)) < 0.5 * x * x + d - d * v + d * libm::log(v) {
            return libm::log(d * v) + boost;
        }
    }
}

/// Draws a standard normal number by Marsaglia's polar method, with square roots and `libm` alone.
fn normal(rng: &mut SeededRng) -> f64 {
    loop {
        let (x, y) = (2.0 * rng.uniform() - 1.0, 2.0 * rng.uniform() - 1.0);
        let square = x * x + y * y;
        if square > 0.0 && square < 1.0 {
            return x * (-2.0 * libm::log(square) / square).sqrt();
        }
    }
}

/// Draws a uniform number in `(0, 1]`.
fn above_zero(rng: &mut SeededRng) -> f64 {
    1.0 - rng.uniform()
}

/// Returns whole numbers that add up to `total`, closest to the shares (largest remainders).
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a share of a count of rows, rounded down"
)]
pub(super) fn apportion(shares: &[f64], total: usize) -> Vec<usize> {
    let exact: Vec<f64> = shares.iter().map(|share| share * total as f64).collect();
    let mut parts: Vec<usize> = exact.iter().map(|part| part.floor() as usize).collect();
    let mut by_remainder: Vec<usize> = (0..parts.len()).collect();
    by_remainder.sort_by(|a, b| {
        let remainder = |index: &usize| exact[*index] - exact[*index].floor();
        remainder(b).total_cmp(&remainder(a)).then(a.cmp(b))
    });
    let assigned: usize = parts.iter().sum();
    for index in by_remainder.iter().cycle().take(total.saturating_sub(assigned)) {
        parts[*index] += 1;
    }
    // Shares that add up to slightly more than 1 may have assigned one too many.
    let mut excess = assigned.saturating_sub(total);
    for part in parts.iter_mut().rev() {
        let less = excess.min(*part);
        *part -= less;
        excess -= less;
    }
    parts
}
