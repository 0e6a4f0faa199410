//! Every loss of deep long-tailed learning as exact, fused GPU kernels in WGSL, driven through wgpu.
//!
//! A paper's method is plain data, for example a [`SoftmaxLoss`]: made by a named constructor from [`ClassCounts`],
//! changed by `with_` methods, combined freely. The same data goes to the GPU
//! ([`Kernels`](gpu::Kernels), [`Plan`](gpu::Plan), or [`Context`](gpu::Context) for slices) and to the f64 oracle
//! ([`reference`](mod@reference)):
//!
//! ```text
//! ClassCounts -> SoftmaxLoss (what) -> Plan (how, checked once) -> encode (record)      GPU
//!                                   -> reference::softmax (the same data, f64)          CPU
//! ```
//!
//! A classifier [`Head`](head::Head) in front of a loss is the same kind of data: [`HeadLoss`](head::HeadLoss) and
//! [`reference::head`].
//!
//! # One normal form
//! For row `n` with label `y`, logits `z` and classes `j`:
//! ```text
//! v_j = s * s_j * z_j + a_j                                      scale, bias
//! u_j = v_j - m_y [j = y] + [j != y] (mitigation + compensation)  margin, seesaw;  gated classes leave
//! l   = logsumexp(u) - u_y ,   p = exp(-l)
//! L_n = w_n * w_y * (1 - p)^gamma * l                             weights, focal
//! ```
//! then label smoothing, z-loss and the [`Reduction`]. No kernel ever builds an N x K intermediate.
//!
//! # The other families
//! Each has a normal form of its own, in the documentation of its spec; [`method`] has a table of methods for each. Sigmoids
//! run on the device like softmax losses; the others have f64 references so far, no kernels.
//! - [`SigmoidLoss`]: a binary question for every class: focal, class-balanced, equalization and its second version,
//!   adaptive suppression, distribution-balanced, and the multi-label forms of margins and weights.
//! - [`GroupedLoss`]: a softmax for each of several segments: balanced groups, hierarchies, the realistic taxonomic classifier.
//! - [`LadeLoss`]: a regulariser over the columns of the batch.
//! - [`DistillationLoss`]: a teacher's softmax, or several experts' for some of the classes each.
//! - [`ObjectnessLoss`]: a detector's classes and objectness.
//! - [`RangeLoss`]: distances of features.
#![cfg_attr(docsrs, feature(doc_cfg))]
#![warn(unreachable_pub)]
// Library code reports errors, it does not panic, print or lose bits.
#![deny(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::expect_used,
    clippy::float_cmp,
    clippy::indexing_slicing,
    clippy::missing_errors_doc,
    clippy::missing_panics_doc,
    clippy::panic,
    clippy::print_stderr,
    clippy::print_stdout,
    clippy::unimplemented,
    clippy::unreachable,
    clippy::unwrap_used
)]

mod batch;
mod check;
mod classes;
pub mod distillation;
mod element;
mod error;
pub mod gpu;
pub mod grouped;
pub mod head;
mod lade;
mod loss;
pub mod method;

pub mod metrics;
mod objectness;
pub mod random;
mod range_loss;
mod reduction;
pub mod reference;
pub mod sigmoid;
pub mod softmax;
pub mod statistics;

pub use batch::{Batch, TargetKind, Targets, Upstream};
pub use classes::{ClassCounts, Group, Normalisation, Profile};
pub use distillation::DistillationLoss;
pub use element::Element;
pub use error::{Error, Result};
pub use grouped::GroupedLoss;
pub use lade::LadeLoss;
pub use loss::Loss;
pub use objectness::ObjectnessLoss;
pub use range_loss::RangeLoss;
pub use reduction::Reduction;
pub use sigmoid::SigmoidLoss;
pub use softmax::SoftmaxLoss;

/// wgpu as this crate uses it: for buffers, devices and encoders of the same version.
pub use wgpu;

/// The README's examples are doctests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
