//! Classifier heads on the device: from features to logits and back, chunk by chunk, without N x K.
//!
//! [`Kernels::head`](super::Kernels::head) checks and compiles a [`Head`](crate::head::Head) for a shape; the [`HeadPlan`]
//! records into the caller's compute pass. A chunk of rows has its logits in a scratch buffer of the caller's, where a
//! loss makes their gradient of them, in place.

mod chunk;
mod encode;
mod key;
mod means;
mod params;
mod plan;
mod predict;
mod request;
mod step;
mod text;
mod views;

pub use key::{HeadKernel, HeadKey, HeadTerms, MarginKind};
pub use means::{ClassMeans, ClassMeansRequest, RunningMean, RunningMeanRequest};
pub use params::HeadParams;
pub use plan::HeadPlan;
pub use predict::{HeadPredict, PredictRequest, PredictViews};
pub use request::HeadRequest;
pub use views::{HeadGradients, HeadViews};
