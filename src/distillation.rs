//! Distillation: a student's softmax towards a teacher's.

use crate::batch::{Batch, length};
use crate::check::{check_classes, combination, number, structure};
use crate::classes::parameter;
use crate::{ClassCounts, Reduction, Result, SoftmaxLoss, TargetKind};

/// A teacher that knows some of the classes.
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Expert {
    /// The student's classes that its logits stand for, in their order; no other expert has one of them.
    pub classes: Vec<u32>,
    /// Its factor. Finite, at least 0.
    pub weight: f64,
}

impl Expert {
    /// With the factor 1.
    pub fn new(classes: impl Into<Vec<u32>>) -> Self {
        Self { classes: classes.into(), weight: 1.0 }
    }

    /// Sets the factor.
    #[must_use]
    pub fn with_weight(mut self, weight: f64) -> Self {
        self.weight = weight;
        self
    }
}

/// A loss between the student's logits and a teacher's: plain data, as every spec.
///
/// Formula, for the student's logits `z`, `[N, K]`, and the teacher's `t`, `[N, K]` or one run of columns for each expert:
/// ```text
/// q = softmax(teacher_power t / T) ,   s = softmax(z / T) ,   over all classes, or over each expert's
/// D_n = w_n c sum_experts e.weight KL(q || s) ,   c = T^2 if squared, else 1
/// L   = weight reduce_n(D_n) + base_weight base
/// dD_n / dz_j = w_n c e.weight (s_j - q_j) / T
/// ```
/// `softmax(t / T)^p`, made to sum to 1, is `softmax(p t / T)`. The teacher is a constant. Rows whose label is ignored do
/// not count in either part; `w_n` is the batch's row weight. `-inf` masks a class: of the teacher, it wants none of it;
/// of the student, the loss is +inf where the teacher wants some, and its gradient still finite.
///
/// A pass needs two log-sum-exps per row and expert and reads student and teacher twice: once for the losses, once for the
/// gradient. A base goes along in the same passes and may be any softmax loss; seesaw with its floor reads the student once
/// more in rows where a class is above it.
///
/// On the device ([`gpu`](crate::gpu)) the teacher's logits are contiguous and f32, f16 or bf16: what the student's logits are,
/// unless the request [says otherwise](crate::gpu::PlanRequest::with_teacher) ([`Inputs::teacher`](crate::gpu::Inputs::teacher);
/// slices, [`Batch::teacher`](Batch::teacher), are rounded to it). A row of student and teacher
/// has to fit a binding, experts' classes are below 2^24, and there are at most 4,096 experts
/// ([`Error::Limit`](crate::Error::Limit)). The gradient may take the student's place. Log-sum-exp and target probability are
/// the base's; without one there is no one softmax of a row, and they are NaN. A student that masks what the teacher wants has loss +inf also where the teacher's
/// probability is too small for f32.
///
/// ```
/// use longtail::{Batch, DistillationLoss, Targets, gpu::Context};
/// # fn main() -> longtail::Result<()> {
/// let teacher = [0.0, 3f32.ln()]; // q = 1/4, 3/4
/// let batch = Batch::new(&[0.0, 0.0], 2, Targets::Hard(&[0])).with_teacher(&teacher);
/// let out = Context::new()?.loss_and_grad(&DistillationLoss::hinton(1.0), &batch)?;
/// assert!((out.gradient[0] - 0.25).abs() < 1e-6); // s - q
/// # Ok(()) }
/// ```
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct DistillationLoss {
    /// T. Finite, above 0.
    pub temperature: f64,
    /// Whether the divergence is multiplied by `T^2`, which keeps the gradient's size.
    pub squared: bool,
    /// The power of the teacher's probabilities. Finite, above 0. Default 1.
    pub teacher_power: f64,
    /// Experts for some of the classes each. Absent: one teacher for all.
    pub experts: Option<Vec<Expert>>,
    /// The divergence's factor. Finite, at least 0. Default 1.
    pub weight: f64,
    /// A loss of the student's logits and labels to add. Absent: none.
    pub base: Option<SoftmaxLoss>,
    /// Its factor. Finite, at least 0. Default 1.
    pub base_weight: f64,
    /// The label of rows that do not count. Default `Some(-100)`.
    pub ignore_index: Option<i32>,
    /// How the rows' divergences become one number; the base has its own. The weighted mean is that over the kept rows.
    /// Default [`Reduction::Mean`].
    pub reduction: Reduction,
}

impl Default for DistillationLoss {
    /// The divergence at temperature 1.
    fn default() -> Self {
        Self {
            temperature: 1.0,
            squared: false,
            teacher_power: 1.0,
            experts: None,
            weight: 1.0,
            base: None,
            base_weight: 1.0,
            ignore_index: Some(-100),
            reduction: Reduction::Mean,
        }
    }
}

/// The methods.
impl DistillationLoss {
    /// Knowledge distillation.
    ///
    /// ```text
    /// L_n = T^2 KL( softmax(t / T) || softmax(z / T) ) ,   sum_n L_n / N
    /// ```
    /// `temperature` `T`: finite, above 0; long-tailed recognition uses 2 to 3. Without the factor:
    /// [`with_squared`](Self::with_squared)`(false)`.
    ///
    /// Paper: Hinton et al. 2015, arXiv 1503.02531.
    /// Cost: student and teacher are read twice (16 bytes per f32 logit), the gradient written once (4 bytes).
    /// Errors: [`check`](Self::check) refuses other temperatures.
    ///
    /// ```
    /// let loss = longtail::DistillationLoss::hinton(3.0);
    /// assert!(loss.check(1000).is_ok());
    /// ```
    pub fn hinton(temperature: f64) -> Self {
        Self { temperature, squared: true, ..Self::default() }
    }

    /// LFME, learning from multiple experts: each expert teaches its own classes.
    ///
    /// ```text
    /// L_n = sum_e w_e KL( softmax(t_e / 2) || softmax(z_{classes of e} / 2) ) ,   sum_n L_n / N
    /// ```
    /// `experts`: for example of the many, the medium and the few. The teachers' logits, `[N, M]`, are those of the
    /// experts one after the other. [`expert_weight`] says how `w_e` falls as the student catches up. There is no `T^2`.
    ///
    /// Deviations: the code takes a mean over elements and multiplies it by the number of the expert's classes, which is
    /// the mean over N. It adds cross-entropy ([`with_base`](Self::with_base)) of logits that it multiplies by a weight of
    /// each sample, which is not part of this loss.
    ///
    /// Paper: Xiang et al. 2020, arXiv 2001.01536.
    /// Cost: as [`hinton`](Self::hinton), and three columns of K.
    /// Errors: [`check`](Self::check) refuses experts that share a class.
    pub fn lfme(experts: impl Into<Vec<Expert>>) -> Self {
        Self { temperature: 2.0, experts: Some(experts.into()), ..Self::default() }
    }

    /// DiVE, distilling virtual examples: a teacher flattened by a power, mixed with balanced softmax.
    ///
    /// ```text
    /// L = (1 - alpha) mean_n [ -log( n_y e^{z_y} / sum_j n_j e^{z_j} ) ]
    ///   + alpha T^2 mean_n KL( softmax(power t / T) || softmax(z / T) )
    /// ```
    /// `alpha`: in `[0, 1]`, 0.5 in the configurations. `temperature` `T`: finite, above 0; 3 there. `power`: finite,
    /// above 0; 0.5 where it is used, 1 is none. `counts`, `[K]`: of the training split.
    ///
    /// Paper: He et al. 2021, arXiv 2103.15042; code: BagofTricks-LT.
    /// Cost: as [`hinton`](Self::hinton), and one column of K: both parts go along in the same passes.
    ///
    /// # Errors
    /// [`Error::Parameter`](crate::Error::Parameter) for the numbers.
    pub fn dive(counts: &ClassCounts, alpha: f64, temperature: f64, power: f64) -> Result<Self> {
        parameter("alpha", alpha, (0.0..=1.0).contains(&alpha), "in [0, 1]")?;
        parameter("temperature", temperature, temperature > 0.0, "finite and above 0")?;
        parameter("teacher_power", power, power > 0.0, "finite and above 0")?;
        let loss = Self { teacher_power: power, weight: alpha, ..Self::hinton(temperature) };
        Ok(loss.with_base(Some(SoftmaxLoss::balanced(counts).with_reduction(Reduction::Mean)), 1.0 - alpha))
    }
}

/// LFME's weight of an expert: 1 until the student has `threshold` of its accuracy, then falling to 0 as it gets to it.
///
/// ```text
/// w = 1 where student < threshold teacher, else max(0, (teacher - student) / (teacher (1 - threshold)))
/// ```
/// `student`, `teacher`: accuracies on the expert's classes, in `[0, 1]`, the teacher's above 0; `threshold`: in `[0, 1)`.
///
/// Xiang et al. 2020, arXiv 2001.01536, its code.
///
/// ```
/// use longtail::distillation::expert_weight;
/// assert_eq!(expert_weight(0.3, 0.5, 0.75)?, 1.0);
/// assert_eq!(expert_weight(0.4375, 0.5, 0.75)?, 0.5);
/// assert_eq!(expert_weight(0.6, 0.5, 0.75)?, 0.0);
/// # Ok::<(), longtail::Error>(())
/// ```
///
/// # Errors
/// [`Error::Parameter`](crate::Error::Parameter) for values out of range.
pub fn expert_weight(student: f64, teacher: f64, threshold: f64) -> Result<f64> {
    parameter("the student's accuracy", student, (0.0..=1.0).contains(&student), "in [0, 1]")?;
    parameter("the teacher's accuracy", teacher, teacher > 0.0 && teacher <= 1.0, "in (0, 1]")?;
    parameter("the threshold", threshold, (0.0..1.0).contains(&threshold), "in [0, 1)")?;
    Ok(match student < threshold * teacher {
        true => 1.0,
        false => ((teacher - student) / teacher / (1.0 - threshold)).max(0.0),
    })
}

/// Changes that go with every method.
impl DistillationLoss {
    /// Sets whether the divergence is multiplied by `T^2`.
    #[must_use]
    pub fn with_squared(mut self, squared: bool) -> Self {
        self.squared = squared;
        self
    }

    /// Sets the power of the teacher's probabilities.
    #[must_use]
    pub fn with_teacher_power(mut self, power: f64) -> Self {
        self.teacher_power = power;
        self
    }

    /// Sets the divergence's factor.
    #[must_use]
    pub fn with_weight(mut self, weight: f64) -> Self {
        self.weight = weight;
        self
    }

    /// Adds a loss of the student's logits and labels, with its factor. It ignores the same rows from here on.
    #[must_use]
    pub fn with_base(mut self, base: Option<SoftmaxLoss>, weight: f64) -> Self {
        self.base = base.map(|base| base.with_ignore_index(self.ignore_index));
        self.base_weight = weight;
        self
    }

    /// Sets the label of rows that do not count, for both parts; `None`: every row counts.
    #[must_use]
    pub fn with_ignore_index(mut self, index: Option<i32>) -> Self {
        self.ignore_index = index;
        self.base = self.base.map(|base| base.with_ignore_index(index));
        self
    }

    /// Sets the reduction of the divergences.
    #[must_use]
    pub fn with_reduction(mut self, reduction: Reduction) -> Self {
        self.reduction = reduction;
        self
    }

    /// M, how many logits the teacher has for a row of `classes` classes.
    pub fn teacher_columns(&self, classes: usize) -> usize {
        match &self.experts {
            Some(experts) => experts.iter().map(|expert| expert.classes.len()).fold(0, usize::saturating_add),
            None => classes,
        }
    }

    /// Checks every number and the experts for `classes` classes. Every plan and every reference run begins with it.
    ///
    /// # Errors
    /// [`Error::Parameter`](crate::Error::Parameter), [`Error::Structure`](crate::Error::Structure) for a class of two experts or of none of the K,
    /// [`Error::Combination`](crate::Error::Combination), and what the base's check reports.
    pub fn check(&self, classes: usize) -> Result<()> {
        check_classes(classes)?;
        let (positive, not_negative) = ("finite in f32 and above 0", "finite in f32 and at least 0");
        number("temperature", self.temperature, self.temperature > 0.0, positive)?;
        number("teacher_power", self.teacher_power, self.teacher_power > 0.0, positive)?;
        number("weight", self.weight, self.weight >= 0.0, not_negative)?;
        number("base_weight", self.base_weight, self.base_weight >= 0.0, not_negative)?;
        self.reduction.check()?;
        let mut taken = vec![false; classes];
        for (position, expert) in self.experts.iter().flatten().enumerate() {
            number("an expert's weight", expert.weight, expert.weight >= 0.0, not_negative)?;
            if expert.classes.is_empty() {
                return structure("expert", Some(position), "it has no class: drop it");
            }
            for &class in &expert.classes {
                let class = usize::try_from(class).unwrap_or(usize::MAX);
                let reason = match taken.get_mut(class) {
                    Some(taken) if !*taken => {
                        *taken = true;
                        continue;
                    }
                    Some(_) => "two experts have it, or one has it twice: leave it to one of them",
                    None => "an expert has it, but it is none of the student's classes",
                };
                return structure("class", Some(class), reason);
            }
        }
        if matches!(self.reduction, Reduction::Elements | Reduction::Positives) {
            return combination(
                "a mean over elements or positives",
                "distillation",
                "its units are rows: use the mean over rows",
            );
        }
        match &self.base {
            Some(base) if base.ignore_index != self.ignore_index => combination(
                "the distillation's ignored index",
                "the base's",
                "ignore the same rows: with_ignore_index sets both",
            ),
            _ => Ok(()),
        }
    }

    /// Checks a batch and the teacher's logits against the spec, after [`check`](Self::check).
    ///
    /// # Errors
    /// [`Error::Length`](crate::Error::Length), [`Error::Label`](crate::Error::Label), and what the base's check of a batch reports.
    pub fn check_batch<T>(&self, batch: &Batch<'_, T>, teacher: &[T]) -> Result<()> {
        self.check(batch.classes)?;
        // Without a base the labels only say which rows count.
        let plain = SoftmaxLoss::default().with_ignore_index(self.ignore_index);
        let base = self.base.as_ref().unwrap_or(&plain);
        batch.check(base)?;
        if batch.targets.kind() != TargetKind::Hard && self.base.is_none() {
            return combination("other targets than one label", "distillation without a base", "give labels");
        }
        let columns = self.teacher_columns(batch.classes);
        length("teacher logits", teacher.len(), batch.rows().saturating_mul(columns))
    }
}
