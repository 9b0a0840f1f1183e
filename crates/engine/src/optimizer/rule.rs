//! Optimizer arithmetic on slices: the same f32 operations in the same order as the tensor form in
//! [`super`], so that both give the same bits on the CPU.
//!
//! All operations are elementwise, so neither threads nor the vector width change a bit.

use protocol::plan::Optimizer;

const BETA_1: f32 = 0.9;
const BETA_2: f32 = 0.999;
const EPSILON: f64 = 1e-8;
/// Values of a row that catch up together, which fill one vector register.
const LANES: usize = 8;

/// Optimizer of a plan, with its numbers in f32.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Rule {
    /// `g += decay·p; m = momentum·m + g; p −= rate·m`, as PyTorch's SGD without dampening.
    Sgd { rate: f32, momentum: f32, decay: f32 },
    /// Kingma & Ba 2015, algorithm 1. Before the step, parameters lose the share `decay`
    /// (Loshchilov & Hutter 2019, algorithm 2: rate × weight decay).
    Adam { rate: f32, decay: f32 },
}

/// Adam's bias correction of one step: `p −= rate · (m·scale) / (√v + epsilon)`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Correction {
    pub(crate) scale: f32,
    pub(crate) epsilon: f32,
}

/// Corrections of all steps so far. Powers are computed as ordered products in f64, because `powi`
/// differs between platforms.
#[derive(Debug, Clone)]
pub(crate) struct Corrections {
    powers: (f64, f64),
    steps: Vec<Correction>,
}

impl Corrections {
    pub(crate) const fn new() -> Self {
        Self { powers: (1.0, 1.0), steps: Vec::new() }
    }

    /// Returns the correction of step `step`, counted from 1.
    #[expect(clippy::cast_possible_truncation, reason = "f32 is what the arithmetic is in")]
    pub(crate) fn at(&mut self, step: u32) -> Correction {
        while self.steps.len() < step as usize {
            self.powers.0 *= f64::from(BETA_1);
            self.powers.1 *= f64::from(BETA_2);
            let root = (1.0 - self.powers.1).sqrt();
            let scale = (root / (1.0 - self.powers.0)) as f32;
            self.steps.push(Correction { scale, epsilon: (EPSILON * root) as f32 });
        }
        self.steps[step as usize - 1]
    }

    /// Returns the corrections of the steps after `from` up to and including `to`.
    pub(crate) fn between(&mut self, from: u32, to: u32) -> &[Correction] {
        if to > 0 {
            self.at(to);
        }
        &self.steps[from as usize..to as usize]
    }
}

impl Rule {
    #[expect(clippy::cast_possible_truncation, reason = "f32 is what the arithmetic is in")]
    pub(crate) fn new(optimizer: &Optimizer) -> Self {
        match *optimizer {
            Optimizer::Sgd { learning_rate, momentum, weight_decay } => Self::Sgd {
                rate: learning_rate as f32,
                momentum: momentum as f32,
                decay: weight_decay as f32,
            },
            Optimizer::Adam { learning_rate } => {
                Self::Adam { rate: learning_rate as f32, decay: 0.0 }
            }
            Optimizer::AdamW { learning_rate, weight_decay } => Self::Adam {
                rate: learning_rate as f32,
                decay: (learning_rate * weight_decay) as f32,
            },
        }
    }

    /// Returns the number of state values per parameter.
    pub(crate) const fn moments(self) -> usize {
        match self {
            Self::Sgd { momentum, .. } => (momentum != 0.0) as usize,
            Self::Adam { .. } => 2,
        }
    }

    /// Returns whether a zero gradient leaves a parameter with zero moments unchanged.
    pub(crate) const fn keeps_untouched(self) -> bool {
        match self {
            Self::Sgd { decay, .. } | Self::Adam { decay, .. } => decay == 0.0,
        }
    }

    /// Does one step on parameters, their moments (empty if the rule has none) and gradients.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "inlined into code compiled for wider vectors")]
    pub(crate) fn step(
        self,
        correction: Correction,
        parameters: &mut [f32],
        first: &mut [f32],
        second: &mut [f32],
        gradients: &[f32],
    ) {
        match self {
            Self::Sgd { rate, momentum: 0.0, decay } => {
                for (p, g) in parameters.iter_mut().zip(gradients) {
                    *p -= decayed(*g, *p, decay) * rate;
                }
            }
            Self::Sgd { rate, momentum, decay } => {
                for ((p, m), g) in parameters.iter_mut().zip(first).zip(gradients) {
                    *m = *m * momentum + decayed(*g, *p, decay);
                    *p -= *m * rate;
                }
            }
            Self::Adam { rate, decay } => {
                let keep = 1.0 - decay;
                let state = parameters.iter_mut().zip(first).zip(second);
                for (((p, m), v), g) in state.zip(gradients) {
                    (*p, *m, *v) = adam(*p, *m, *v, *g, correction, rate, keep);
                }
            }
        }
    }

    /// Applies missed steps without a gradient, in order. Gives the same bits as [`Self::step`]
    /// with zeros for each, but reads and writes every value once.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "inlined into code compiled for wider vectors")]
    pub(crate) fn catch_up(
        self,
        missed: &[Correction],
        parameters: &mut [f32],
        first: &mut [f32],
        second: &mut [f32],
    ) {
        let zeros = [0.0; LANES];
        let lanes = parameters.len() / LANES * LANES;
        let (body, tail) = parameters.split_at_mut(lanes);
        let (first, first_tail) = first.split_at_mut(lanes.min(first.len()));
        let (second, second_tail) = second.split_at_mut(lanes.min(second.len()));
        let mut first = first.as_chunks_mut::<LANES>().0.iter_mut();
        let mut second = second.as_chunks_mut::<LANES>().0.iter_mut();
        for p in body.as_chunks_mut::<LANES>().0 {
            let (mut no_first, mut no_second) = (zeros, zeros);
            let m = first.next().unwrap_or(&mut no_first);
            let v = second.next().unwrap_or(&mut no_second);
            let (mut p_now, mut m_now, mut v_now) = (*p, *m, *v);
            for correction in missed {
                self.step(*correction, &mut p_now, &mut m_now, &mut v_now, &zeros);
            }
            (*p, *m, *v) = (p_now, m_now, v_now);
        }
        for correction in missed {
            self.step(*correction, tail, first_tail, second_tail, &zeros[..tail.len()]);
        }
    }
}

#[inline(always)]
#[expect(clippy::inline_always, reason = "inlined into code compiled for wider vectors")]
fn decayed(gradient: f32, parameter: f32, decay: f32) -> f32 {
    if decay == 0.0 { gradient } else { parameter * decay + gradient }
}

#[inline(always)]
#[expect(clippy::inline_always, reason = "inlined into code compiled for wider vectors")]
fn adam(
    p: f32,
    m: f32,
    v: f32,
    g: f32,
    correction: Correction,
    rate: f32,
    keep: f32,
) -> (f32, f32, f32) {
    let m = m * BETA_1 + g * (1.0 - BETA_1);
    let v = v * BETA_2 + g * g * (1.0 - BETA_2);
    let step = m * correction.scale / (v.sqrt() + correction.epsilon);
    (p * keep - step * rate, m, v)
}

pub(crate) const ADAM: (f32, f32) = (BETA_1, BETA_2);
