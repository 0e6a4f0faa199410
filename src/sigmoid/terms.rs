//! The terms that are more than one number or one column.

use crate::Group;
use crate::random::DrawSource;
use crate::statistics::GradientSums;

/// How a logit becomes a probability.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum Link {
    /// `sigmoid(u_j)`, each class for itself. The default.
    #[default]
    Sigmoid,
    /// `softmax(u)_j`, then the binary cross-entropy of each class, with PyTorch's clamps: a logarithm is at least
    /// -100, and `1 / (p (1 - p))` in the gradient at most 1e12. It is the "softmax" form of one port of the
    /// class-balanced loss, not cross-entropy.
    Softmax,
}

/// How rows without an object are labelled; they are exempt from some terms.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum Background {
    /// A label outside `0..K`: no class is present (equalization loss: `K`).
    Label(i32),
    /// A class of its own, with a column among the K (adaptive class suppression: 0; equalization v2: the last one).
    Column(u32),
}

/// A shift of the positives, `u_nj = v_nj - m`, in units of `u` (after scaling).
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Margin {
    /// `[K]`: each class's margin. Finite.
    pub columns: Vec<f64>,
    /// Whether every positive of a row is shifted by `sum_k t_nk m_k`, the margins of all of them (VideoLT's code), or
    /// each by its own `m_j`.
    pub summed: bool,
}

/// A weight for the whole row, from its positives alone; for a label `y` it is that of class `y`.
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum RowWeight {
    /// `sum_k t_nk w_k / sum_k t_nk` of these weights, `[K]`, finite, at least 0; 1 for a row without a positive.
    Mean(Vec<f64>),
    /// `(1 - beta) / (1 - beta^n)` with `n = sum_k t_nk n_k / sum_k t_nk`; 1 for a row without a positive.
    EffectiveOfMean {
        /// `[K]`: the class counts, at least 1.
        counts: Vec<u64>,
        /// In `[0, 1)`.
        beta: f64,
    },
    /// `(1 - beta) / (1 - beta^n)` with `n = min_k ( t_nk n_k + (1 - t_nk) absent )`.
    EffectiveOfMin {
        /// `[K]`: the class counts, at least 1.
        counts: Vec<u64>,
        /// In `[0, 1)`.
        beta: f64,
        /// What a class that is not present counts as, finite, above 0; the authors' code: 100,000.
        absent: f64,
    },
}

/// Re-balanced weights `alpha + sigmoid(beta (r_nj - gamma))`, `r_nj = (1 / n_j) / sum_k (t_nk / n_k)`: how much more
/// often a class would be seen alone than with the row's other classes (Wu et al. 2020, arXiv 2007.09654). For a row
/// without a positive `r` is infinite. Constants in the gradient.
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Rebalance {
    /// `[K]`: the class counts, at least 1.
    pub counts: Vec<u64>,
    /// Finite, at least 0. The authors' configurations: 0.1; the code's default 10.
    pub alpha: f64,
    /// Finite. The authors' configurations: 10; the code's default 0.2.
    pub beta: f64,
    /// Finite. The authors' configurations: 0.2 (COCO), 0.3 (VOC); the code's default 0.1.
    pub gamma: f64,
}

/// What the weights of columns, rows and re-balancing are divided by; where that is 0 they stay 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum WeightNorm {
    /// Nothing. The default.
    #[default]
    None,
    /// The row's largest weight (`by_instance` in the code of the distribution-balanced loss).
    Row,
    /// The largest weight of the kept rows (`by_batch`).
    Batch,
}

/// Weights from accumulated gradients (Tan et al. 2021, arXiv 2012.08548), constants in the gradient:
/// ```text
/// g_j = positive_j / (negative_j + 1e-10) ,   Q_j = sigmoid(gamma (g_j - mu)) ,   P_j = 1 + alpha (1 - Q_j)
/// ```
/// `P` for positives and `Q` for negatives. A class whose sums are both 0 has no history: `P = Q = 1`, which is also
/// what the authors' code does in its first step. A [background column](Background::Column) is never accumulated and
/// so keeps weight 1.
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct GradientBalance {
    /// The sums over all batches before this one, `[K]` each.
    pub sums: GradientSums,
    /// Finite, at least 0. The paper and its code: 12.
    pub gamma: f64,
    /// Finite. The paper and its code: 0.8.
    pub mu: f64,
    /// Finite, at least 0. The paper and its code: 4.
    pub alpha: f64,
}

impl GradientBalance {
    /// `(P_j, Q_j)`, the weights of a positive and of a negative of class `class`; 1 beyond the last class.
    pub fn weights(&self, class: usize) -> (f64, f64) {
        let sum = |column: &[f64]| column.get(class).copied().unwrap_or(0.0);
        let (positive, negative) = (sum(&self.sums.positive), sum(&self.sums.negative));
        if positive == 0.0 && negative == 0.0 {
            return (1.0, 1.0);
        }
        let x = self.gamma * (positive / (negative + 1e-10) - self.mu);
        // 1 - Q from its own exponential, so that neither loses digits.
        let small = (-x.abs()).exp();
        let (larger, smaller) = (1.0 / (1.0 + small), small / (1.0 + small));
        let (q, rest) = if x > 0.0 { (larger, smaller) } else { (smaller, larger) };
        (1.0 + self.alpha * rest, q)
    }
}

/// Which negatives count (Wang et al. 2021, arXiv 2104.00885, and its code); constants in the gradient.
///
/// In a row of an object: those whose score is at least the threshold, `sigmoid(v_nj) >= threshold`, the background
/// column among them. In a background row: the frequent classes of `int(frequent N_b)` rows, the common ones of
/// `int(common N_b)` and the rare ones of `int(rare N_b)`, where `N_b` is the number of background rows and each set of
/// rows is [drawn without replacement](crate::random::sample_rows), with the streams `2^32 - 2`, `2^32 - 3` and
/// `2^32 - 4` for rare, common and frequent. Positives always count.
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Suppression {
    /// In `(0, 1)`. The paper and its code: 0.7.
    pub threshold: f64,
    /// `[K]`: rare ([`Group::Few`]), common or frequent; the background column's own entry is not looked at.
    pub groups: Vec<Group>,
    /// The share of background rows in which rare classes count, in `[0, 1]`. The authors' code: 0.01.
    pub rare: f64,
    /// The same for common classes. The authors' code: 0.1.
    pub common: f64,
    /// The same for frequent classes. The authors' code: 1.
    pub frequent: f64,
    /// Whether the rows are drawn here, or the batch's gates, `[N, K]`, say which elements of background rows count
    /// (0: not; rows of objects follow the threshold either way).
    pub source: DrawSource,
    /// The generator's seed.
    pub seed: u64,
    /// The generator's step.
    pub step: u64,
}

impl Suppression {
    /// The share of background rows in which a group counts, and the generator's stream for it.
    pub fn share(&self, group: Group) -> (f64, u32) {
        match group {
            Group::Few => (self.rare, u32::MAX - 1),
            Group::Medium => (self.common, u32::MAX - 2),
            Group::Many => (self.frequent, u32::MAX - 3),
        }
    }
}
