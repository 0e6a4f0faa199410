//! Methods of long-tailed detection: rows are boxes, many of which show nothing.

use super::{Reduction, Result, SigmoidLoss, parameter};
use crate::classes::Group;
use crate::random::DrawSource;
use crate::sigmoid::{Background, GradientBalance, Suppression};
use crate::statistics::GradientSums;

/// Balanced, equalization, equalization v2, adaptive class suppression.
impl SigmoidLoss {
    /// Balanced softmax's sigmoid variant for boxes.
    ///
    /// ```text
    /// L_n = sum_j bce(u_nj, t_nj) ,   u_nj = z_nj - log((1 - f_j) / f_j) ,   sum_n L_n / N
    /// ```
    /// `frequencies` `f`, `[K]`: the share of images that show each class, in `[0, 1)`; a class with 0 leaves. Labels:
    /// classes, and `K` for boxes without an object, whose logits are not shifted and whose targets are all 0.
    ///
    /// Deviation: the paper's constant factor `1 / (K - 1)` inside the logarithm is dropped, as in the code.
    ///
    /// Paper: Ren et al. 2020, arXiv 2007.10740; code: its instance segmentation repository. With row weights from its
    /// meta re-weighter the gradient by a weight is the row's loss over N.
    /// Cost as [`bce`](Self::bce), and one column of K.
    ///
    /// # Errors
    /// [`Error::Parameter`](crate::Error::Parameter) for the frequencies.
    pub fn balanced(frequencies: &[f64]) -> Result<Self> {
        let bias = |&frequency: &f64| {
            parameter("a frequency", frequency, (0.0..1.0).contains(&frequency), "in [0, 1)")?;
            Ok(frequency.ln() - (-frequency).ln_1p())
        };
        let bias = frequencies.iter().map(bias).collect::<Result<Vec<f64>>>()?;
        let loss = Self { bias_on_background: false, ..Self::bce().with_bias(bias) };
        Ok(loss.of_boxes(frequencies.len()))
    }

    /// Equalization loss for boxes: negatives of tail classes do not count, except in background rows.
    ///
    /// ```text
    /// L_n = sum_j W_nj bce_nj ,   W_nj = 1 - E_n T_j (1 - t_nj) ,   T_j = 1 where f_j < lambda ,   sum_n L_n / N
    /// ```
    /// `frequencies` `f`, `[K]`: the share of images that show each class. `lambda`: finite, at least 0; the authors'
    /// code 1.77e-3 on LVIS. Labels: classes, and `K` for background rows, where `E` is 0 and every class is a negative.
    /// Nothing is random.
    ///
    /// Paper: Tan et al. 2020, arXiv 2003.05176. It starts the classifier's bias at [`prior_bias`](super::prior_bias)
    /// of 0.001.
    /// Cost as [`bce`](Self::bce), and one column of K.
    ///
    /// # Errors
    /// [`Error::Parameter`](crate::Error::Parameter) for lambda and undefined frequencies.
    pub fn equalization(frequencies: &[f64], lambda: f64) -> Result<Self> {
        parameter("lambda", lambda, lambda >= 0.0, "finite and at least 0")?;
        let tail = |&frequency: &f64| {
            parameter("a frequency", frequency, (0.0..=1.0).contains(&frequency), "in [0, 1]")?;
            Ok(frequency < lambda)
        };
        let tail = frequencies.iter().map(tail).collect::<Result<Vec<bool>>>()?;
        Ok(Self::gated(tail, 1.0, 0).of_boxes(frequencies.len()))
    }

    /// Equalization loss v2: weights from the gradients that each class has received.
    ///
    /// ```text
    /// L_n = sum_j ( t_nj P_j + (1 - t_nj) Q_j ) bce_nj ,   sum_n L_n / N
    /// Q_j = 1 / (1 + exp(-12 (g_j - 0.8))) ,   P_j = 1 + 4 (1 - Q_j) ,   g_j = G+_j / (G-_j + 1e-10)
    /// G+_j = sum t |dL/dz_j| ,   G-_j = sum (1 - t) |dL/dz_j|   over all batches before
    /// ```
    /// `classes`: K classes of objects. The logits have `K + 1` columns; the last one is background, with weight 1.
    /// The sums are data of the spec: a run returns the batch's, and [`add_gradients`](Self::add_gradients) adds them for the
    /// next step, after those of all replicas have been added up.
    ///
    /// At test time a class's score is `s_j (1 - s_background)` ([`reference::sigmoid_scores`](crate::reference::sigmoid_scores)).
    ///
    /// Paper: Tan et al. 2021, arXiv 2012.08548; numbers of its code. Before the first step the weights are 1.
    /// Cost as [`bce`](Self::bce), two columns of K, and sums of the gradient over the rows.
    ///
    /// ```
    /// let loss = longtail::SigmoidLoss::equalization_v2(1203);
    /// assert_eq!(loss.columns(1203), 1204);
    /// assert!(loss.check(1204, longtail::TargetKind::Hard).is_ok());
    /// ```
    pub fn equalization_v2(classes: usize) -> Self {
        let sums = GradientSums::new(classes.saturating_add(1));
        Self {
            gradient_balance: Some(GradientBalance { sums, gamma: 12.0, mu: 0.8, alpha: 4.0 }),
            background: Some(Background::Column(u32::try_from(classes).unwrap_or(u32::MAX))),
            reduction: Reduction::Mean,
            ..Self::default()
        }
    }

    /// Adaptive class suppression loss: only negatives with a high score count.
    ///
    /// ```text
    /// L_n = sum_j W_nj bce_nj ,   sum_n L_n / N
    /// object rows:      W = 1 for the label and where s_nj >= 0.7, else 0
    /// background rows:  W = 1 for the background, for frequent classes, in 10 % of the rows for common and in 1 % for
    ///                   rare ones, else 0
    /// ```
    /// `groups`, `[K]`: rare, common or frequent, as of [`ClassCounts::lvis_groups`](crate::ClassCounts::lvis_groups). The logits have `K + 1` columns,
    /// the first one is background; labels are 0 for background and `1..=K`. `seed`: of the draws; advance them with
    /// [`with_step`](Self::with_step) once per step.
    ///
    /// Deviations: a comment in the authors' code says one and two thirds of the background rows, the code 1 % and 10 %;
    /// their number is rounded down. The paper states the threshold alone. The code draws with the global generator of
    /// its library; here rows are [drawn by a counter](crate::random::sample_rows), so that they can be drawn again.
    ///
    /// Paper: Wang et al. 2021, arXiv 2104.00885.
    /// Cost as [`bce`](Self::bce), one column of K, and one number per row.
    pub fn adaptive_suppression(groups: &[Group], seed: u64) -> Self {
        let groups = std::iter::once(Group::Many).chain(groups.iter().copied()).collect();
        let suppression = Suppression {
            threshold: 0.7,
            groups,
            rare: 0.01,
            common: 0.1,
            frequent: 1.0,
            source: DrawSource::Counter,
            seed,
            step: 0,
        };
        Self {
            suppression: Some(suppression),
            background: Some(Background::Column(0)),
            reduction: Reduction::Mean,
            ..Self::default()
        }
    }
}
