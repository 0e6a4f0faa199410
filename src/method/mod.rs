//! The tables of methods, one for each family, which tests, benches and the shader dump iterate.

mod grouped;
mod heads;
mod others;
mod sigmoid;
mod softmax;

pub use grouped::GROUPED;
pub use heads::{HEADS, HeadMethod, find_head};
pub use others::{DISTILLATION, LADE, OBJECTNESS, RANGE};
pub use sigmoid::SIGMOID;
pub use softmax::SOFTMAX;

use std::fmt;

use crate::{ClassCounts, Result, SoftmaxLoss, TargetKind};

/// A method of the field: what it is called, where it comes from and how it is built. `L` is the spec of its family.
pub struct Method<L = SoftmaxLoss> {
    /// The identifier, in snake case: the method's name in benches, in `dump_wgsl` and for [`find`]. No two methods of all
    /// families share one.
    pub name: &'static str,
    /// The name for people.
    pub title: &'static str,
    /// A row's loss in one line: `z` logits, `y` label, `p` the probability of the label, `t` targets, `n_j` counts, `pi_j`
    /// priors.
    pub formula: &'static str,
    /// Authors, year and arXiv number or venue.
    pub paper: &'static str,
    /// The terms of the normal form that it uses, separated by commas.
    pub terms: &'static str,
    /// The targets that it is trained on.
    pub targets: TargetKind,
    /// The `method` names of the golden files, made by the authors' code, that belong to it.
    pub golden: &'static [&'static str],
    /// Builds it with the authors' defaults.
    pub build: fn(&ClassCounts) -> Result<L>,
}

// Not derived, which would ask the same of the spec.
impl<L> Clone for Method<L> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<L> Copy for Method<L> {}

impl<L> fmt::Debug for Method<L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Method").field("name", &self.name).finish_non_exhaustive()
    }
}

/// The families of losses, by the spec that states them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Family {
    /// [`SoftmaxLoss`].
    Softmax,
    /// [`SigmoidLoss`](crate::SigmoidLoss).
    Sigmoid,
    /// [`GroupedLoss`](crate::GroupedLoss).
    Grouped,
    /// [`LadeLoss`](crate::LadeLoss).
    Lade,
    /// [`DistillationLoss`](crate::DistillationLoss).
    Distillation,
    /// [`ObjectnessLoss`](crate::ObjectnessLoss).
    Objectness,
    /// [`RangeLoss`](crate::RangeLoss).
    Range,
}

impl Family {
    /// All families, in the order of a list of methods.
    pub const ALL: [Family; 7] = [
        Family::Softmax,
        Family::Sigmoid,
        Family::Grouped,
        Family::Lade,
        Family::Distillation,
        Family::Objectness,
        Family::Range,
    ];

    /// The name of its spec, its home in the documentation.
    pub fn spec(self) -> &'static str {
        match self {
            Family::Softmax => "SoftmaxLoss",
            Family::Sigmoid => "SigmoidLoss",
            Family::Grouped => "GroupedLoss",
            Family::Lade => "LadeLoss",
            Family::Distillation => "DistillationLoss",
            Family::Objectness => "ObjectnessLoss",
            Family::Range => "RangeLoss",
        }
    }

    /// The name for people.
    pub fn title(self) -> &'static str {
        match self {
            Family::Softmax => "Softmax",
            Family::Sigmoid => "Sigmoid",
            Family::Grouped => "Grouped softmax",
            Family::Lade => "Columns of the batch",
            Family::Distillation => "Distillation",
            Family::Objectness => "Classes and objectness",
            Family::Range => "Distances of features",
        }
    }

    /// Its methods, without what builds them.
    pub fn methods(self) -> Vec<Entry> {
        fn entries<L>(family: Family, methods: &[Method<L>]) -> Vec<Entry> {
            methods.iter().map(|method| method.entry(family)).collect()
        }
        match self {
            Family::Softmax => entries(self, SOFTMAX),
            Family::Sigmoid => entries(self, SIGMOID),
            Family::Grouped => entries(self, GROUPED),
            Family::Lade => entries(self, LADE),
            Family::Distillation => entries(self, DISTILLATION),
            Family::Objectness => entries(self, OBJECTNESS),
            Family::Range => entries(self, RANGE),
        }
    }
}

/// What a table of methods says about one of them: the fields of [`Method`] but the builder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Entry {
    /// The method's family.
    pub family: Family,
    /// [`Method::name`].
    pub name: &'static str,
    /// [`Method::title`].
    pub title: &'static str,
    /// [`Method::formula`].
    pub formula: &'static str,
    /// [`Method::paper`].
    pub paper: &'static str,
    /// [`Method::terms`].
    pub terms: &'static str,
    /// [`Method::targets`].
    pub targets: TargetKind,
    /// [`Method::golden`].
    pub golden: &'static [&'static str],
}

impl<L> Method<L> {
    /// Its line in a table of methods.
    fn entry(&self, family: Family) -> Entry {
        let Self { name, title, formula, paper, terms, targets, golden, .. } = *self;
        Entry { family, name, title, formula, paper, terms, targets, golden }
    }
}

/// Every method of every family.
///
/// ```
/// let all = longtail::method::all();
/// assert!(all.iter().any(|entry| entry.name == "equalization_v2"));
/// ```
pub fn all() -> Vec<Entry> {
    Family::ALL.iter().flat_map(|family| family.methods()).collect()
}

/// The method of the softmax family with this [`name`](Method::name). Other families' tables are searched alike:
/// `SIGMOID.iter().find(|method| method.name == name)`.
///
/// ```
/// let method = longtail::method::find("balanced_softmax").expect("is in the table");
/// let loss = (method.build)(&longtail::ClassCounts::new([10, 1])?)?;
/// assert_eq!(loss.bias, Some(vec![10f64.ln(), 0.0]));
/// # Ok::<(), longtail::Error>(())
/// ```
pub fn find(name: &str) -> Option<&'static Method> {
    SOFTMAX.iter().find(|method| method.name == name)
}
