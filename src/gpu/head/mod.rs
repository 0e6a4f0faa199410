//! Classifier heads on the device: from features to logits and back, chunk by chunk, without N x K.
//!
//! [`Kernels::head`](super::Kernels::head) checks and compiles a [`Head`](crate::head::Head) for a shape; the [`HeadPlan`]
//! records into the caller's compute pass. A chunk of rows has its logits in a scratch buffer of the caller's, where a
//! loss makes their gradient of them, in place; the [`HeadLossPlan`] of a loss without a way back keeps them on chip and
//! needs no scratch. [`HeadPredict`] names the largest logits, [`RunningMean`] and
//! [`ClassMeans`] compute mean features.
//!
//! ```text
//! z = X^ W^^T                 one product, rows normalised by factors, with scales, distances and biases; then margins
//! G = d loss / d z            from the caller, in place of z
//! dX^ = G' (f s W^)           G' is G times the margin's slope; then through the normalisation of the rows
//! dW^ = f s G'^T X^           added up over the chunks; through the normalisation once, at the end
//! df_j = s sum_n G_nj t_nj    from w^_j . (G'^T X^)_j, so that the similarities t need not be kept
//! ```
//!
//! # Cost and accuracy
//! 2 N K D operations forwards and 4 N K D backwards. Normalised weights are read once more before the chunks, and their
//! gradient is read and written once more after them. The scratch buffer is read and written once more where a margin comes
//! with a bias, a learned scale or a distance, or a distance with a learned scale; and backwards for the gradient by scales
//! where there is a margin or a distance. Memory is what [`bytes`](HeadPlan::bytes) says: for each row and each class some
//! numbers.
//!
//! Elements of features and weights are f32, f16 or bf16; logits, gradients and all sums are f32. A number that is a sum of
//! n products has an error of about `n 2^-24` times the same sum of absolute values. A squared distance is computed as
//! `2 a.b - |a|^2 - |b|^2`: its error is relative to the norms, not to the distance. Near the angle 0 the angular margin is
//! as steep as [`SINE_FLOOR`](crate::head::SINE_FLOOR) lets it be, and multiplies the cosine's error by that.
//!
//! Rows of norm 0 have similarity 0 and finite gradients, as in the reference. NaN and infinity spread to what they are
//! part of.
//!
//! ```
//! use longtail::gpu::head::{HeadGradients, HeadRequest, HeadViews};
//! use longtail::gpu::{Context, View};
//! use longtail::head::Head;
//! use longtail::wgpu;
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let context = Context::new()?;
//! let (device, queue) = (context.kernels().device(), context.kernels().queue());
//! let buffer = |values: &[f32]| {
//!     let usage = wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_SRC | wgpu::BufferUsages::COPY_DST;
//!     let size = 4 * values.len() as u64;
//!     let descriptor = wgpu::BufferDescriptor { label: None, size, usage, mapped_at_creation: false };
//!     let buffer = device.create_buffer(&descriptor);
//!     queue.write_buffer(&buffer, 0, bytemuck::cast_slice(values));
//!     buffer
//! };
//! // Two rows of features and one class, in chunks of one row; the "loss" leaves the logits as their own gradient.
//! let (features, weights) = (buffer(&[3.0, 4.0, 0.0, 2.0]), buffer(&[0.0, 5.0]));
//! let (scratch, to_weights) = (buffer(&[0.0]), buffer(&[0.0; 2]));
//! let mut request = HeadRequest::new(2, 1, 2).with_chunk(1);
//! request.feature_gradient = false;
//! let plan = context.kernels().head(&Head::cosine(10.0), &request)?;
//! let views = HeadViews::new(View::whole(&features), View::whole(&weights));
//! let gradients = HeadGradients { weights: Some(View::whole(&to_weights)), ..Default::default() };
//! let mut encoder = device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
//! {
//!     let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default());
//!     plan.begin(&mut pass, &views)?;
//!     for chunk in 0..plan.chunks().len() {
//!         plan.forward(&mut pass, chunk, &views, View::whole(&scratch))?;
//!         plan.backward(&mut pass, chunk, &views, &gradients, View::whole(&scratch))?;
//!     }
//!     plan.finish(&mut pass, &views, &gradients)?;
//! }
//! # let staging = device.create_buffer(&wgpu::BufferDescriptor {
//! #     label: None,
//! #     size: 8,
//! #     usage: wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST,
//! #     mapped_at_creation: false,
//! # });
//! # encoder.copy_buffer_to_buffer(&to_weights, 0, &staging, 0, 8);
//! queue.submit([encoder.finish()]);
//! # staging.map_async(wgpu::MapMode::Read, .., |_| {});
//! # device.poll(wgpu::PollType::wait_indefinitely())?;
//! # let read: Vec<f32> = bytemuck::pod_collect_to_vec(&staging.get_mapped_range(..)?[..]);
//! // z = 10 cos = 8 and 10; sum of 10 z x^ = (48, 164); without its part along w and divided by |w| = 5: (9.6, 0).
//! // `read` is what has been copied back from `to_weights`.
//! assert!((read[0] - 9.6).abs() < 1e-4 && read[1].abs() < 1e-4);
//! # Ok(()) }
//! ```

mod chunk;
mod encode;
mod fold;
mod fold_key;
mod key;
mod loss;
mod loss_request;
mod means;
mod params;
mod plan;
mod predict;
mod predict_request;
mod range;
mod request;
mod slices;
mod step;
mod text;
mod tile;
mod views;
mod window;

pub use fold::FoldParams;
pub use fold_key::FoldKey;
pub use key::{HeadKernel, HeadKey, HeadTerms, MarginKind};
pub use loss::HeadLossPlan;
pub use loss_request::{HeadLossRequest, HeadLossViews};
pub use means::{ClassMeans, ClassMeansRequest, RunningMean, RunningMeanRequest};
pub use params::HeadParams;
pub use plan::HeadPlan;
pub use predict::{HeadPredict, PredictViews};
pub use predict_request::PredictRequest;
pub use request::HeadRequest;
pub use slices::HeadOutput;
pub use views::{HeadGradients, HeadViews};
