//! Methods that treat the other classes of a row unequally: equalization and seesaw.

use super::{ClassCounts, Result, SoftmaxLoss, parameter};
use crate::softmax::{Gate, GateSource, Seesaw};

/// Gates and pairwise factors.
impl SoftmaxLoss {
    /// Softmax equalization loss: tail classes randomly leave the softmax of other classes' rows.
    ///
    /// ```text
    /// L_n = -log( e^{z_y} / sum_j w_j e^{z_j} ) ,   w_j = 1 - b T_j [j != y] ,   b ~ Bernoulli(g)
    /// T_j = 1 where pi_j < lambda, else 0
    /// ```
    /// `lambda`: the prior below which a class is tail, finite, at least 0; BagofTricks-LT has 0.005, the
    /// survey's code 4.3e-4 on ImageNet-LT. `drop_probability` `g`, in `[0, 1]`: 0.9 in both.
    /// `seed`: of the counter-based generator; advance it with [`with_step`](Self::with_step) once per step.
    /// `source`: how finely `b` is drawn; both code bases draw one per row and class, [`GateSource::Element`];
    /// the paper writes one `b` for all classes ([`GateSource::Sample`]). With [`GateSource::Given`] the caller
    /// brings the gates ([`equalization_given`](Self::equalization_given)).
    ///
    /// Deviation: the code base's exponential overflows f32 for logits above 88; this one does not.
    ///
    /// Paper: Tan et al. 2020, arXiv 2003.05176 (the softmax form of its classification experiments); code:
    /// BagofTricks-LT (Zhang et al., AAAI 2021).
    /// Cost: 8 to 12 bytes per f32 logit as [`cross_entropy`](Self::cross_entropy), and one column of K; the
    /// gates are computed where they are used and never stored.
    ///
    /// # Errors
    /// [`Error::Parameter`](crate::Error::Parameter) for lambda and the probability.
    pub fn equalization(
        counts: &ClassCounts,
        lambda: f64,
        drop_probability: f64,
        seed: u64,
        source: GateSource,
    ) -> Result<Self> {
        Self::gated(counts.tail_below(lambda), lambda, drop_probability, seed, source)
    }

    /// Softmax equalization loss as in the survey's code: a class *at* the threshold is tail as well.
    ///
    /// ```text
    /// T_j = 1 where pi_j <= lambda, else 0
    /// ```
    /// Everything else is [`equalization`](Self::equalization) with one draw per row and class. `lambda`: the
    /// survey's code has 4.3e-4 for ImageNet-LT; `drop_probability`: 0.9.
    ///
    /// Deviation: that code masks by adding -1e7, which leaves a gated class a probability of 0 in f32 as
    /// here, unless every logit is that small.
    ///
    /// Paper: Zhang et al. 2021, arXiv 2110.04596, its code. Cost as [`equalization`](Self::equalization).
    ///
    /// # Errors
    /// [`Error::Parameter`](crate::Error::Parameter) for lambda and the probability.
    pub fn equalization_survey(
        counts: &ClassCounts,
        lambda: f64,
        drop_probability: f64,
        seed: u64,
    ) -> Result<Self> {
        let tail = counts.tail_at_or_below(lambda);
        Self::gated(tail, lambda, drop_probability, seed, GateSource::Element)
    }

    /// Softmax equalization loss with the caller's gates.
    ///
    /// ```text
    /// L_n = -log( e^{z_y} / sum_j w_nj e^{z_j} ) ,   w_nj = 0 where the gate is 0 and j != y, else 1
    /// ```
    /// Gates `[N, K]` come with the batch ([`Batch::with_gates`](crate::Batch::with_gates)); a row's target is
    /// never gated. For gates from another generator, and for any other rule of who competes with whom.
    ///
    /// Paper: Tan et al. 2020, arXiv 2003.05176.
    /// Cost: 8 to 12 bytes per f32 logit as [`cross_entropy`](Self::cross_entropy), and the gates are read as
    /// often as the logits.
    pub fn equalization_given() -> Self {
        let source = GateSource::Given;
        let gate = Gate { tail: Vec::new(), drop_probability: 0.0, source, seed: 0, step: 0 };
        Self { gate: Some(gate), ..Self::default() }
    }

    fn gated(
        tail: Vec<bool>,
        lambda: f64,
        drop_probability: f64,
        seed: u64,
        source: GateSource,
    ) -> Result<Self> {
        parameter("lambda", lambda, lambda >= 0.0, "finite and at least 0")?;
        let in_range = (0.0..=1.0).contains(&drop_probability);
        parameter("drop_probability", drop_probability, in_range, "in [0, 1]")?;
        Ok(Self { gate: Some(Gate { tail, drop_probability, source, seed, step: 0 }), ..Self::default() })
    }

    /// Seesaw loss with the numbers of the authors' code: `p` 0.8, `q` 2, `eps` 0.01.
    ///
    /// ```text
    /// u_j = z_j + log M_yj + log C_yj (j != y) ,   L_n = -log softmax(u)_y ,   s = softmax(z)
    /// M_yj = min(1, n_j / n_y)^p ,   C_yj = max(1, s_j / max(s_y, eps))^q
    /// ```
    /// `counts`, `[K]`: the samples of each class seen so far, *before* this batch; its labels are added before
    /// the factors are computed, as in the code. Counts below 1 count as 1, so that an empty class is fine.
    /// `M` and `C` are constants in the gradient.
    ///
    /// Deviations: the paper has no `eps` ([`seesaw_paper`](Self::seesaw_paper)). The code keeps its counts in
    /// f32 per process, which stop growing at 2^24, and builds a K x K matrix in every step; neither is so
    /// here. mmdetection adds two objectness logits: use this loss on the K class logits with the background
    /// as [ignored index](Self::with_ignore_index), cross-entropy on the two, and
    /// [`Reduction::Fixed`](crate::Reduction::Fixed) with the same `avg_factor` for both. The paper's
    /// normalised linear layer comes before the loss.
    ///
    /// Paper: Wang et al. 2020, arXiv 2008.10032; code: mmdetection and mmpretrain.
    /// Cost: 8 to 12 bytes per f32 logit, and one column of K; a row that does not fit on the chip is read once
    /// more (4 bytes), because `C` needs the whole row's softmax first.
    pub fn seesaw(counts: &ClassCounts) -> Self {
        Self::seesaw_with(counts, 0.8, 2.0, 0.01)
    }

    /// [`seesaw`](Self::seesaw) with other exponents and another floor.
    ///
    /// `p`, mitigation: finite, at least 0, 0 is none; `q`, compensation: finite, at least 0, 0 is none;
    /// `eps`, the floor of the target's probability: in `[0, 1)`. Formula, shapes, paper and cost as there.
    /// Errors: [`check`](Self::check) refuses other numbers.
    pub fn seesaw_with(counts: &ClassCounts, p: f64, q: f64, eps: f64) -> Self {
        let counts = counts.counts().to_vec();
        Self { seesaw: Some(Seesaw { p, q, eps, counts, count_batch: true }), ..Self::default() }
    }

    /// Seesaw loss as the paper states it: `p` 0.8, `q` 2, no floor, the counts as given.
    ///
    /// ```text
    /// M_yj = min(1, n_j / n_y)^p ,   C_yj = max(1, s_j / s_y)^q
    /// ```
    /// `counts`, `[K]`: used as they are; the batch's labels are not added. Shapes and cost as
    /// [`seesaw`](Self::seesaw), from which it departs for rows whose target has a probability below 0.01:
    /// `log C` then grows without bound as the target's probability falls.
    ///
    /// Paper: Wang et al. 2020, arXiv 2008.10032.
    pub fn seesaw_paper(counts: &ClassCounts) -> Self {
        let counts = counts.counts().to_vec();
        Self {
            seesaw: Some(Seesaw { p: 0.8, q: 2.0, eps: 0.0, counts, count_batch: false }),
            ..Self::default()
        }
    }
}
