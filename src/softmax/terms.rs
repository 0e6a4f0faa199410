//! The terms that are more than one number or one column.

/// The focal modulator `(1 - prob)^gamma` (Lin et al. 2017, arXiv 1708.02002).
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Focal {
    /// The exponent. Finite, at least 0; 0 is no modulation.
    pub gamma: f64,
    /// Whether the modulator is a constant in the gradient (the code of OLTR, LADE and the survey), or
    /// not (the paper, and the code of LDAM).
    pub detached: bool,
    /// Whether the class weight goes inside: `(1 - prob^{w_y})^gamma w_y l`, as in the code of LDAM and of
    /// the influence-balanced loss, which modulate by the weighted cross-entropy.
    pub weight_inside: bool,
}

impl Focal {
    /// The paper's: the true gradient, the class weight outside.
    pub fn new(gamma: f64) -> Self {
        Self { gamma, detached: false, weight_inside: false }
    }
}

/// The influence-balanced factor `alpha / (2 (1 - prob) h_n + eps)`, `h_n` the L1 norm of the row's features
/// (Park et al. 2021, arXiv 2110.02444); multiplies `F`.
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Influence {
    /// Finite, above 0. The authors' code: 1000.
    pub alpha: f64,
    /// Finite, above 0. The authors' code: 1e-3.
    pub eps: f64,
    /// Whether the factor is a constant in the gradient (the paper's reading), or not (the authors' code).
    pub detached: bool,
}

/// Seesaw's factors (Wang et al. 2021, arXiv 2008.10032): mitigation
/// `log M_yj = p min(0, log n_j - log n_y)` and compensation `log C_j = q max(0, v_j - t)`, both constants in
/// the gradient, with `t = max(v_y, logsumexp(v) + log eps)`.
///
/// With `s = softmax(v)` (before margin and the factors themselves, over the classes that gates leave) the compensation is
/// `C_j = (s_j / max(s_y, eps))^q` where that ratio is above 1, else 1. Counts below 1 count as 1.
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Seesaw {
    /// Mitigation's exponent, in `[0, 1.9]`; 0 switches it off. The paper and its code: 0.8. Up to 1.9 the power
    /// of the ratio of any two 64-bit counts stays within f32.
    pub p: f64,
    /// Compensation's exponent. Finite, at least 0; 0 switches it off. The paper and its code: 2.
    pub q: f64,
    /// The floor of the target's probability in the ratio, in `[0, 1)`. The authors' code: 0.01; the paper: 0.
    pub eps: f64,
    /// `[K]`: the cumulative class counts before the batch.
    pub counts: Vec<u64>,
    /// Whether the batch's labels are added to the counts before the loss (the authors' code), or the counts
    /// are used as they are.
    pub count_batch: bool,
}

/// Equalization's gates (Tan et al. 2020, arXiv 2003.05176): a gated class leaves the softmax of a row,
/// unless it is the row's target.
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Gate {
    /// `[K]`: the classes that may be gated; not looked at for [`GateSource::Given`].
    pub tail: Vec<bool>,
    /// The probability that a tail class is gated, in `[0, 1]`, in steps of 2^-16.
    pub drop_probability: f64,
    /// Where the gates come from.
    pub source: GateSource,
    /// The generator's seed.
    pub seed: u64,
    /// The generator's step: the same seed, step, row and class give the same gate everywhere.
    pub step: u64,
}

/// Where gates come from, and how finely they are drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum GateSource {
    /// One draw per row and class (the code of BagofTricks and of the survey).
    Element,
    /// One draw per row, shared by its tail classes.
    Sample,
    /// One draw per class, shared by all rows.
    Class,
    /// The caller gives a gate for every element, `[N, K]`: 0 gates, anything else keeps.
    Given,
}

impl Gate {
    /// Whether `class` takes part in the softmax of `row` whose target is another class, as the kernels
    /// decide it: bit-identical on every adapter. Always true for [`GateSource::Given`].
    pub fn keeps(&self, row: u32, class: u32) -> bool {
        let tail =
            usize::try_from(class).ok().and_then(|class| self.tail.get(class)).copied().unwrap_or(false);
        if !tail {
            return true;
        }
        let (row, class) = match self.source {
            GateSource::Element => (row, class),
            GateSource::Sample => (row, u32::MAX),
            GateSource::Class => (u32::MAX, class),
            GateSource::Given => return true,
        };
        crate::random::draw_16(crate::random::step_key(self.seed, self.step), row, class)
            >= self.drop_threshold()
    }

    /// The 16-bit draw below which a gate closes.
    pub(crate) fn drop_threshold(&self) -> u32 {
        crate::random::threshold_16(self.drop_probability)
    }
}
