//! The first label's share in mixed rows: the `lambda` of [`Targets::Mixed`](crate::Targets::Mixed).
//!
//! Mixup (Zhang et al. 2017, arXiv 1710.09412) uses the share of the inputs for the labels too; these
//! methods favour the rarer class. Cost: a few operations per row, on the host.

use crate::Result;
use crate::classes::parameter;

/// The default of [`remix_lambda`]'s `kappa`, the paper's.
pub const REMIX_KAPPA: f64 = 3.0;
/// The default of [`remix_lambda`]'s `tau`, the paper's.
pub const REMIX_TAU: f64 = 0.5;

/// Remix: the label's share where the inputs are mixed as `lambda_x x_a + (1 - lambda_x) x_b`.
///
/// ```text
/// 0         where n_a / n_b >= kappa     and      lambda_x < tau
/// 1         where n_a / n_b <= 1 / kappa and  1 - lambda_x < tau
/// lambda_x  otherwise
/// ```
/// `n_a`, `n_b`: the two classes' counts, not both 0. `kappa`: at least 1, the paper's 3 ([`REMIX_KAPPA`]);
/// `tau`: in `[0, 1]`, the paper's 0.5 ([`REMIX_TAU`]). The loss is the mean over N even with class weights
/// ([`Reduction::Mean`](crate::Reduction::Mean)) in the implementation of the library imbalanced-DL; the
/// authors published none.
///
/// Chou et al. 2020, Remix: Rebalanced Mixup, arXiv 2007.03943.
///
/// ```
/// use longtail::softmax::mixing::remix_lambda;
/// // 0.3 of a head sample in a tail sample: the label is the tail's alone.
/// assert_eq!(remix_lambda(0.3, 500, 5, 3.0, 0.5)?, 0.0);
/// assert_eq!(remix_lambda(0.3, 500, 400, 3.0, 0.5)?, 0.3);
/// # Ok::<(), longtail::Error>(())
/// ```
///
/// # Errors
/// [`Error::Parameter`](crate::Error::Parameter) for values out of range.
pub fn remix_lambda(lambda_x: f64, n_a: u64, n_b: u64, kappa: f64, tau: f64) -> Result<f64> {
    parameter("lambda_x", lambda_x, (0.0..=1.0).contains(&lambda_x), "in [0, 1]")?;
    parameter("kappa", kappa, kappa >= 1.0, "finite and at least 1")?;
    parameter("tau", tau, (0.0..=1.0).contains(&tau), "in [0, 1]")?;
    let (a, b) = some_samples(n_a, n_b)?;
    // Multiplied out: a count of 0 is the extreme minority, not a division by zero.
    Ok(if a >= kappa * b && lambda_x < tau {
        0.0
    } else if kappa * a <= b && 1.0 - lambda_x < tau {
        1.0
    } else {
        lambda_x
    })
}

/// UniMix: the share of the first sample, of inputs and labels alike.
///
/// ```text
/// x = beta_draw + n_j / (n_i + n_j) ,   lambda = x where x <= 1, else x - 1
/// ```
/// `beta_draw`: a draw of `Beta(alpha, alpha)`, in `[0, 1]`; the authors' `alpha` is 0.8 on CIFAR-10-LT.
/// `n_i`, `n_j`: the counts of the first and second sample's class, not both 0. The second sample is drawn with
/// probability proportional to `n_y^tau` per sample (`tau` -0.5 on CIFAR-10-LT, -0.1 on CIFAR-100-LT in the
/// authors' configurations). Train with [`SoftmaxLoss::bayias`](crate::SoftmaxLoss::bayias).
///
/// Xu et al. 2021, arXiv 2111.03874, its code.
///
/// # Errors
/// [`Error::Parameter`](crate::Error::Parameter) for values out of range.
pub fn unimix_lambda(beta_draw: f64, n_i: u64, n_j: u64) -> Result<f64> {
    parameter("beta_draw", beta_draw, (0.0..=1.0).contains(&beta_draw), "in [0, 1]")?;
    let (first, second) = some_samples(n_i, n_j)?;
    let share = beta_draw + second / (first + second);
    Ok(if share > 1.0 { share - 1.0 } else { share })
}

/// BBN: the conventional branch's share in an epoch, of features and labels alike.
///
/// ```text
/// lambda = 1 - ((epoch - 1) / epochs)^2
/// ```
/// `epoch`: from 1 on, at most `epochs + 1`; `epochs`: how long the schedule is, at least 1. It falls from 1 to 0, so
/// that training goes over from samples as they come to samples of reversed frequency. The two branches' features are
/// joined as `[2 lambda f_c, 2 (1 - lambda) f_r]` before one linear layer, and the loss is
/// `lambda CE(y_c) + (1 - lambda) CE(y_r)`: cross-entropy with [two labels](crate::Targets::Mixed).
///
/// Deviations: the paper has `1 - (T / T_max)^2` with epochs from 0; the factor 2 is the code's. For schedules of 90 and
/// 180 epochs the code divides by 100 and 200.
///
/// Zhou et al. 2019, BBN: Bilateral-Branch Network with Cumulative Learning, arXiv 1912.02413, its code.
///
/// ```
/// use longtail::softmax::mixing::bbn_lambda;
/// assert_eq!(bbn_lambda(1, 200)?, 1.0);
/// assert_eq!(bbn_lambda(101, 200)?, 0.75);
/// # Ok::<(), longtail::Error>(())
/// ```
///
/// # Errors
/// [`Error::Parameter`](crate::Error::Parameter) for epochs out of range.
pub fn bbn_lambda(epoch: u64, epochs: u64) -> Result<f64> {
    parameter("the number of epochs", epochs as f64, epochs >= 1, "at least 1")?;
    let in_range = epoch >= 1 && epoch - 1 <= epochs;
    parameter("the epoch", epoch as f64, in_range, "from 1 to the number of epochs + 1")?;
    let past = (epoch - 1) as f64 / epochs as f64;
    Ok(1.0 - past * past)
}

/// The two counts as f64, which must not both be 0.
fn some_samples(a: u64, b: u64) -> Result<(f64, f64)> {
    let (a, b) = (a as f64, b as f64);
    parameter("the two counts' sum", a + b, a + b > 0.0, "above 0: one of the classes has samples")?;
    Ok((a, b))
}
