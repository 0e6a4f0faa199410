//! Mean features: of each class, for nearest class mean, and of the training so far, for the causal classifier.

use super::RowNorm;
use super::batch::finite;
use crate::classes::parameter;
use crate::{Error, Result};

/// The mean of each class's features, `[classes, dim]`: the weights of a nearest-class-mean head.
///
/// ```text
/// w_j = mean over n with y_n = j of (x_n - c) / (max(|x_n - c|, eps) + offset)^power
/// ```
/// `features`, `[N, dim]`, finite. `norm` is the head's [`features`](super::Head::features), `centre` (`[dim]`) its
/// [`centred`](super::Head::centred) vector, the mean of all features. Rows labelled `ignore_index` are left out. In
/// f64 on the host; O(N D) time.
///
/// ```
/// use longtail::head::{RowNorm, class_means};
/// let features = [1.0, 0.0, 3.0, 2.0, 5.0, 5.0];
/// let means = class_means(&features, 2, &[1, 1, 0], 2, None, RowNorm::none(), None)?;
/// assert_eq!(means, [5.0, 5.0, 2.0, 1.0]);
/// # Ok::<(), longtail::Error>(())
/// ```
///
/// # Errors
/// [`Error::Length`] for labels or a centre of another length, [`Error::Label`] for a label out of range,
/// [`Error::NonFinite`], [`Error::Parameter`] for a dimension of 0, [`Error::Statistics`] for a class without a
/// feature: code that lists the classes it meets would shift all later ones instead.
pub fn class_means(
    features: &[f64],
    dim: usize,
    labels: &[i32],
    classes: usize,
    ignore_index: Option<i32>,
    norm: RowNorm,
    centre: Option<&[f64]>,
) -> Result<Vec<f64>> {
    check_rows(features, dim, labels.len())?;
    norm.check(["the features' power", "the features' eps", "the features' offset"])?;
    let zeros;
    let centre = match centre {
        Some(centre) => centre,
        None => {
            zeros = vec![0.0; dim];
            &zeros
        }
    };
    if centre.len() != dim {
        let (expected, found) = (dim as u64, centre.len() as u64);
        return Err(Error::Length { what: "the centre", expected, found });
    }
    finite("the centre", centre, 1)?;
    let mut sums = vec![0.0; classes.saturating_mul(dim)];
    let mut counts = vec![0u64; classes];
    let kept = labels.iter().zip(features.chunks_exact(dim)).enumerate();
    for (row, (&label, feature)) in kept.filter(|(_, (label, _))| Some(**label) != ignore_index) {
        let class = usize::try_from(label).ok().filter(|class| *class < classes);
        let sum = class.and_then(|class| sums.chunks_exact_mut(dim).nth(class).zip(counts.get_mut(class)));
        let Some((sum, count)) = sum else {
            return Err(Error::Label { row: row as u64, label: Some(label.into()), classes, rows: 1 });
        };
        *count += 1;
        let moved: Vec<f64> = feature.iter().zip(centre).map(|(value, centre)| value - centre).collect();
        let length = moved.iter().map(|value| value * value).sum::<f64>().sqrt();
        let divisor = (length.max(norm.eps) + norm.offset).powf(norm.power);
        sum.iter_mut().zip(&moved).for_each(|(sum, value)| *sum += value / divisor);
    }
    if let Some(class) = counts.iter().position(|count| *count == 0) {
        let reason = "it has no feature, so no mean: leave the class out or bring a sample of it".into();
        return Err(Error::Statistics { class: Some(class), reason });
    }
    for (sum, count) in sums.chunks_exact_mut(dim).zip(&counts) {
        sum.iter_mut().for_each(|sum| *sum /= *count as f64);
    }
    Ok(sums)
}

/// The causal classifier's mean feature: `m <- momentum m + mean(x)` once per batch (Tang et al. 2020, arXiv
/// 2009.12991).
///
/// The authors' code has no factor `1 - momentum`; only the direction counts at test time
/// ([`Inference::with_effect`](super::Inference::with_effect)).
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct RunningMean {
    /// `[D]`: the mean so far, from 0.
    pub mean: Vec<f64>,
    /// In `[0, 1]`. The authors' code: 0.9, on other data than CIFAR as a [`schedule`](Self::schedule).
    pub momentum: f64,
}

impl RunningMean {
    /// A mean of `dim` zeros.
    pub fn new(dim: usize, momentum: f64) -> Self {
        Self { mean: vec![0.0; dim], momentum }
    }

    /// The authors' momentum on other data than CIFAR, `1 - 0.1 min(50 learning_rate, 1)`: a slower model has a
    /// longer memory. `learning_rate`: at least 0, of the epoch.
    ///
    /// ```
    /// assert_eq!(longtail::head::RunningMean::schedule(0.01), 0.95);
    /// ```
    pub fn schedule(learning_rate: f64) -> f64 {
        1.0 - 0.1 * (50.0 * learning_rate).clamp(0.0, 1.0)
    }

    /// Takes a batch of features in, `[N, D]`, finite. A batch without rows changes nothing.
    ///
    /// ```
    /// let mut mean = longtail::head::RunningMean::new(2, 0.5);
    /// mean.update(&[1.0, 0.0, 3.0, 2.0])?;
    /// mean.update(&[4.0, 4.0])?;
    /// assert_eq!(mean.mean, [0.5 * 2.0 + 4.0, 0.5 * 1.0 + 4.0]);
    /// # Ok::<(), longtail::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Length`] for features that are not whole rows, [`Error::Parameter`] for the momentum or a dimension of
    /// 0, [`Error::NonFinite`].
    pub fn update(&mut self, features: &[f64]) -> Result<()> {
        let dim = self.mean.len();
        let momentum = self.momentum;
        parameter("the mean's momentum", momentum, (0.0..=1.0).contains(&momentum), "in [0, 1]")?;
        let rows = features.len() / dim.max(1);
        check_rows(features, dim, rows)?;
        if rows == 0 {
            return Ok(());
        }
        self.mean.iter_mut().for_each(|mean| *mean *= momentum);
        for row in features.chunks_exact(dim) {
            self.mean.iter_mut().zip(row).for_each(|(mean, value)| *mean += value / rows as f64);
        }
        Ok(())
    }
}

fn check_rows(features: &[f64], dim: usize, rows: usize) -> Result<()> {
    parameter("the feature dimension", dim as f64, dim > 0, "at least 1")?;
    let expected = rows.saturating_mul(dim);
    if features.len() != expected {
        let (expected, found) = (expected as u64, features.len() as u64);
        return Err(Error::Length { what: "features", expected, found });
    }
    finite("features", features, dim)
}
