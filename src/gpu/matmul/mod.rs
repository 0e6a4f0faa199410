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
//! them.
//!
//! Elements are f32, f16 or bf16, each matrix on its own. f16 needs no feature of the device: it is read and written
//! two to a 32-bit word. Only an f16 or bf16 C with odd rows cannot be written so: f16 then needs `SHADER_F16`, bf16
//! is refused.
//!
//! # Cost and accuracy
//! 2 m n k operations. Every element of A is read once for each tile's width of columns of C, B once for each tile's
//! height of rows. With `u = 2^-24` an element of C has an error of at most `(k + 4) u sum |a b| |alpha|` in f32, and
//! half a unit in its last place more in 16 bits.
//! NaN and infinity in a row of A or B spread through the sums that they are part of, and nowhere else.

mod key;
mod params;
mod product;
mod request;
mod rows;
mod step;
mod tile;

pub use key::{MatmulKernel, MatmulKey, Words};
pub use params::MatmulParams;
pub use product::{Matmul, MatmulViews};
pub use request::{Elem, Layout, MatmulRequest, MatrixSpec, RowFactors};
pub use rows::{RowNorms, RowNormsRequest, ThroughNorm, ThroughNormRequest};
pub use tile::{Manner, Tile};
