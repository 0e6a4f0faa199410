//! The papers' heads: one constructor each, which fills the terms of [`Head`].
//!
//! Every constructor's doc has the formula in this notation: `x` a row of features `[D]`, `w_j` the weights of class
//! `j` `[D]`, `z_j` its logit, `b_j` its bias, `y` the row's label, `|.|` the L2 norm. Where paper, authors' code and
//! the survey (Zhang et al. 2021, arXiv 2110.04596) differ, the default is the authors' code. Numbers are looked at by
//! [`check`](Head::check).

use super::{Beyond, ClassScale, Head, MarginGradient, RowNorm, Similarity, TargetMargin};

/// Linear and normalised classifiers.
impl Head {
    /// The linear classifier.
    ///
    /// ```text
    /// z_j = w_j . x  (+ b_j)
    /// ```
    /// Without a bias; [`with_bias`](Self::with_bias) adds one.
    ///
    /// Cost: 2 N K D operations forwards, 4 N K D backwards, as every head.
    ///
    /// ```
    /// use longtail::head::{Head, HeadInput};
    /// let input = HeadInput::new(&[1.0, 2.0], &[3.0, 4.0, 0.5, -1.0], 2, 2);
    /// let logits = longtail::reference::logits(&Head::linear(), &input)?;
    /// assert_eq!(logits, [3.0 + 8.0, 0.5 - 2.0]);
    /// # Ok::<(), longtail::Error>(())
    /// ```
    pub fn linear() -> Self {
        Self::default()
    }

    /// The cosine classifier.
    ///
    /// ```text
    /// z_j = scale (x / max(|x|, 1e-12)) . (w_j / max(|w_j|, 1e-12))
    /// ```
    /// `scale`, 1/tau of the temperature: finite, above 0. LDAM's code has the scale 30 in its loss, which takes this
    /// head with scale 1. Rows of norm 0 have logits 0, as with PyTorch's `normalize`.
    ///
    /// The survey adds a bias after the scale: [`with_bias`](Self::with_bias).
    ///
    /// Paper: Gidaris and Komodakis 2018, arXiv 1804.09458; in LDAM (Cao et al. 2019, arXiv 1906.07413) and the survey
    /// (Zhang et al. 2021, arXiv 2110.04596).
    ///
    /// ```
    /// use longtail::head::{Head, HeadInput};
    /// let input = HeadInput::new(&[30.0, 0.0], &[3.0, 4.0, 0.0, 0.0], 2, 2);
    /// let logits = longtail::reference::logits(&Head::cosine(16.0), &input)?;
    /// assert!((logits[0] - 16.0 * 0.6).abs() < 1e-12);
    /// assert_eq!(logits[1], 0.0);
    /// # Ok::<(), longtail::Error>(())
    /// ```
    pub fn cosine(scale: f64) -> Self {
        Self { features: RowNorm::unit(), weights: RowNorm::unit(), scale, ..Self::default() }
    }

    /// OLTR's cosine classifier: the features' norm is squashed, not removed.
    ///
    /// ```text
    /// z_j = scale (x / (1 + |x|)) . (w_j / max(|w_j|, 1e-12))
    /// ```
    /// `scale`: finite, above 0; the authors' code 16.
    ///
    /// Deviation: the code divides by norms without a floor, which is NaN for rows of 0; here their logits are 0, and
    /// the gradient by such a row of features is that of the identity.
    ///
    /// Paper: Liu et al. 2019, arXiv 1904.05160.
    pub fn squashed_cosine(scale: f64) -> Self {
        Self { features: RowNorm::offset(1.0), weights: RowNorm::unit(), scale, ..Self::default() }
    }

    /// The tau-normalised classifier: a trained linear one, rebalanced by its weights' norms.
    ///
    /// ```text
    /// z_j = (w_j / max(|w_j|, 1e-12)^tau) . x
    /// ```
    /// `tau`: finite, at least 0; 0 is [`linear`](Self::linear), 1 removes the norms. The authors try 0 to 2 in steps of
    /// 0.1 on the validation split. Meant for trained weights at test time; the gradients are there as well.
    ///
    /// The bias is dropped, as paper and code do.
    ///
    /// Paper: Kang et al. 2019, arXiv 1910.09217.
    pub fn tau_normalised(tau: f64) -> Self {
        Self { weights: RowNorm::power(tau), ..Self::default() }
    }

    /// LWS, learnable weight scaling, as the paper states it.
    ///
    /// ```text
    /// z_j = f_j w_j . x  (+ b_j)
    /// ```
    /// `f`, `[K]`, comes with the batch ([`HeadInput::with_class_scale`](super::HeadInput::with_class_scale)); the
    /// authors start at 1 and train it alone, on frozen weights. Without a bias the same as
    /// [`learnable_logit_scaling`](Self::learnable_logit_scaling).
    ///
    /// Paper: Kang et al. 2019, arXiv 1910.09217.
    pub fn learnable_weight_scaling() -> Self {
        Self { class_scale: ClassScale::Weights, ..Self::default() }
    }

    /// LWS as the authors' code computes it: the logits are scaled, their bias included.
    ///
    /// ```text
    /// z_j = f_j (w_j . x + b_j)
    /// ```
    /// The code keeps it under the name of the tau-normalised classifier. The rest as
    /// [`learnable_weight_scaling`](Self::learnable_weight_scaling).
    ///
    /// Paper: Kang et al. 2019, arXiv 1910.09217.
    pub fn learnable_logit_scaling() -> Self {
        Self { class_scale: ClassScale::Logits, bias: true, ..Self::default() }
    }

    /// The causal classifier, which training and plain inference share; at test time
    /// [`Inference::with_effect`](super::Inference::with_effect) takes the mean feature's effect out (TDE).
    ///
    /// ```text
    /// z_j = (tau / heads) sum_h (x_h / max(|x_h|, 1e-12)) . (w_jh / (|w_jh| + gamma))
    /// ```
    /// Rows are cut into `heads` equal parts `h`, each with its own norm. `heads`: at least 1, a divisor of D; the
    /// authors' code 2. `tau`: finite, above 0; 16. `gamma`: finite, above 0; 1/32.
    ///
    /// Deviation: the code has no floor of the features' norm, which is NaN for a part of 0; here its logit is 0.
    ///
    /// Paper: Tang et al. 2020, arXiv 2009.12991.
    pub fn causal(heads: usize, tau: f64, gamma: f64) -> Self {
        let scale = tau / heads.max(1) as f64;
        Self {
            parts: heads,
            features: RowNorm::unit(),
            weights: RowNorm::offset(gamma),
            scale,
            ..Self::default()
        }
    }
}

/// Classifiers with a margin in the cosine.
impl Head {
    /// CosFace: a margin in the label's cosine.
    ///
    /// ```text
    /// z_j = scale (cos_j - m [j = y]) ,   cos_j = x . w_j / (|x| |w_j|)
    /// ```
    /// `margin` `m`: finite, at least 0; `scale`: finite, above 0; 0.4 and 30 in the code that this is compared with
    /// (arcface-pytorch), 0.35 and 64 in the paper. Norms have the floor 1e-12.
    ///
    /// Paper: Wang et al. 2018, arXiv 1801.09414.
    pub fn cosface(margin: f64, scale: f64) -> Self {
        Self::cosine(scale).with_margin(TargetMargin::Cosine { margin })
    }

    /// ArcFace: a margin in the label's angle, with the true gradient.
    ///
    /// ```text
    /// z_j = scale cos(theta_j)      z_y = scale cos(theta_y + m) where theta_y + m < pi ,
    ///                                     scale (cos(theta_y) - m sin(m)) elsewhere
    /// ```
    /// `margin` `m`, in radians: in `[0, pi]`; `scale`: finite, above 0; 0.5 and 30 in the code that this is compared
    /// with (arcface-pytorch), 0.5 and 64 in the paper. Norms have the floor 1e-12, the gradient's sine
    /// [`SINE_FLOOR`](super::SINE_FLOOR).
    ///
    /// Paper: Deng et al. 2018, arXiv 1801.07698.
    pub fn arcface(margin: f64, scale: f64) -> Self {
        Self::angular(margin, scale, Beyond::Linear, MarginGradient::Exact)
    }

    /// ArcFace with the "easy margin": only where the label's angle is below a right one.
    ///
    /// ```text
    /// z_y = scale cos(theta_y + m) where cos(theta_y) > 0 , scale cos(theta_y) elsewhere
    /// ```
    /// The rest as [`arcface`](Self::arcface).
    ///
    /// Paper: Deng et al. 2018, arXiv 1801.07698 (its code).
    pub fn arcface_easy(margin: f64, scale: f64) -> Self {
        Self::angular(margin, scale, Beyond::Easy, MarginGradient::Exact)
    }

    /// ArcFace as the insightface project computes it.
    ///
    /// ```text
    /// z_y = scale cos(theta_y + m) ,   d z_y / d cos(theta_y) = scale
    /// ```
    /// The margin is applied outside of the gradient, and also where `theta_y + m` exceeds pi. The project's numbers
    /// are a margin of 0.5 and a scale of 64; its rows without a label have the label -1, which is
    /// [`SoftmaxLoss::with_ignore_index`](crate::SoftmaxLoss::with_ignore_index). The rest as
    /// [`arcface`](Self::arcface).
    ///
    /// Paper: Deng et al. 2018, arXiv 1801.07698 (code of the insightface project).
    pub fn arcface_straight_through(margin: f64, scale: f64) -> Self {
        Self::angular(margin, scale, Beyond::Nothing, MarginGradient::StraightThrough)
    }

    fn angular(margin: f64, scale: f64, beyond: Beyond, gradient: MarginGradient) -> Self {
        Self::cosine(scale).with_margin(TargetMargin::Angle { margin, beyond, gradient })
    }
}

/// Nearest class mean. The weights are the classes' means, which [`class_means`](super::class_means) computes.
impl Head {
    /// Nearest class mean by Euclidean distance.
    ///
    /// ```text
    /// z_j = -|x - w_j|^2
    /// ```
    /// Paper: Mensink et al. 2013 (IEEE TPAMI 35); Kang et al. 2019, arXiv 1910.09217.
    pub fn nearest_class_mean() -> Self {
        Self { similarity: Similarity::NegativeSquaredDistance, ..Self::default() }
    }

    /// Nearest class mean of unit features, by Euclidean distance: the code of the decoupling paper ("l2n").
    ///
    /// ```text
    /// z_j = -|x / max(|x|, 1e-12) - w_j|^2
    /// ```
    /// The weights are means of unit features and not normalised again.
    ///
    /// Paper: Kang et al. 2019, arXiv 1910.09217.
    pub fn nearest_class_mean_unit() -> Self {
        Self { features: RowNorm::unit(), ..Self::nearest_class_mean() }
    }

    /// Nearest class mean of centred unit features: the default of the decoupling paper's code ("cl2n").
    ///
    /// ```text
    /// z_j = -|(x - c) / max(|x - c|, 1e-12) - w_j|^2
    /// ```
    /// `c`, `[D]`: the mean of all training features ([`HeadInput::with_centre`](super::HeadInput::with_centre)). The
    /// weights are means of such features.
    ///
    /// Paper: Kang et al. 2019, arXiv 1910.09217; Wang et al. 2019, arXiv 1911.04623.
    pub fn nearest_class_mean_centred() -> Self {
        Self { centred: true, ..Self::nearest_class_mean_unit() }
    }

    /// Nearest class mean by cosine.
    ///
    /// ```text
    /// z_j = x . w_j / (max(|x|, 1e-12) max(|w_j|, 1e-12))
    /// ```
    /// Paper: Kang et al. 2019, arXiv 1910.09217.
    pub fn nearest_class_mean_cosine() -> Self {
        Self::cosine(1.0)
    }
}
