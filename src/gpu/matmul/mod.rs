//! Matrix products and row normalisation: what classifier heads are made of.
//!
//! ```text
//! C[m, n] = alpha sum_k A B  (+ C)      Layout::Nt  A[m, k] B[n, k]     logits from features and weights
//!                                       Layout::Nn  A[m, k] B[k, n]     features' gradient
//!                                       Layout::Tn  A[k, m] B[k, n]     weights' gradient
//! ```
//! [`Kernels::matmul`](super::Kernels::matmul) checks and compiles a [`MatmulRequest`]; the [`Matmul`] records into the
//! caller's compute pass. Sums are in f32, in an order that only the request and the [`Tile`] decide: the same bits on
//! every run. Each row of A and B may be multiplied by a factor on its way in, which is how normalised rows are
//! multiplied without being written: [`RowNorms`] computes the factors, [`ThroughNorm`] takes a gradient back through
//! them. Where C is stored a number for each of its rows and for each of its columns may be added to it, and the sums over k
//! of what stands before its rows may be written on the way: neither costs a pass over a matrix.
//!
//! Elements are f32, f16 or bf16, each matrix on its own. f16 needs no feature of the device: it is read and written
//! two to a 32-bit word. Only an f16 or bf16 C with odd rows cannot be written so: f16 then needs `SHADER_F16`, bf16
//! is refused.
//!
//! # Cost and accuracy
//! 2 m n k operations. Every element of A is read once for each tile's width of columns of C, B once for each tile's
//! height of rows. With `u = 2^-24` an element of C has an error of at most `(k + 4) u sum |a b| |alpha|` in f32, and
//! half a unit in its last place more in 16 bits; numbers that are added bring `(k + 6) u` of their own size. A sum of A has
//! `k u` times the sum of absolute values.
//! NaN and infinity in a row of A or B spread through the sums that they are part of, and nowhere else.
//!
//! ```
//! use longtail::gpu::matmul::{Layout, MatmulRequest, MatmulViews};
//! use longtail::gpu::{Context, View};
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
//! // One row of features, two rows of weights: their products are the logits.
//! let (features, weights, logits) = (buffer(&[1.0, 2.0]), buffer(&[3.0, 4.0, 0.5, -1.0]), buffer(&[0.0; 2]));
//! let product = context.kernels().matmul(&MatmulRequest::new(Layout::Nt, 1, 2, 2))?;
//! let views = MatmulViews::new(View::whole(&features), View::whole(&weights), View::whole(&logits));
//! let mut encoder = device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
//! product.encode(&mut encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default()), &views)?;
//! # let staging = device.create_buffer(&wgpu::BufferDescriptor {
//! #     label: None,
//! #     size: 8,
//! #     usage: wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST,
//! #     mapped_at_creation: false,
//! # });
//! # encoder.copy_buffer_to_buffer(&logits, 0, &staging, 0, 8);
//! queue.submit([encoder.finish()]);
//! # staging.map_async(wgpu::MapMode::Read, .., |_| {});
//! # device.poll(wgpu::PollType::wait_indefinitely())?;
//! # let read: Vec<f32> = bytemuck::pod_collect_to_vec(&staging.get_mapped_range(..)?[..]);
//! // `read` is what has been copied back from `logits`.
//! assert_eq!(read, [3.0 + 8.0, 0.5 - 2.0]);
//! # Ok(()) }
//! ```

mod inside;
mod key;
mod params;
mod product;
mod request;
mod rows;
mod step;
mod tile;
mod words;

pub use key::{MatmulKernel, MatmulKey};
pub use params::MatmulParams;
pub(in crate::gpu) use product::subgroup_size;
pub use product::{Matmul, MatmulViews};
pub(in crate::gpu) use request::dimension;
pub use request::{Layout, MatmulRequest, MatrixSpec, RowFactors};
pub(in crate::gpu) use rows::rows_own;
pub use rows::{RowNorms, RowNormsRequest, ThroughNorm, ThroughNormRequest};
pub use tile::{Manner, Tile};
pub use words::Words;
