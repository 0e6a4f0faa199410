//! The tables of methods, which tests, benches and the shader dump iterate.

mod heads;
mod softmax;

pub use heads::{HEADS, HeadMethod, find_head};
pub use softmax::SOFTMAX;

use crate::{ClassCounts, Result, SoftmaxLoss, TargetKind};

/// A method of the field: what it is called, where it comes from and how it is built.
#[derive(Debug, Clone, Copy)]
pub struct Method {
    /// The identifier, in snake case: the method's name in benches, in `dump_wgsl` and for [`find`].
    pub name: &'static str,
    /// The name for people.
    pub title: &'static str,
    /// A row's loss in one line: `z` logits, `y` label, `p` the probability of the label, `n_j` counts, `pi_j`
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
    pub build: fn(&ClassCounts) -> Result<SoftmaxLoss>,
}

/// The method with this [`name`](Method::name).
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
