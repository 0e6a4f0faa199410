//! The GPU side: everything that names wgpu.
//!
//! [`Kernels`] holds compiled kernels over the caller's device; [`Kernels::plan`] checks and prepares a
//! [`SoftmaxLoss`](crate::SoftmaxLoss) for a shape; the [`Plan`] records passes into the caller's encoder.
//! [`Context`] is the convenience for slices.

mod choice;
mod context;
mod counts;
mod encode;
pub mod head;
mod kernels;
pub mod matmul;
mod memory;
mod params;
mod plan;
mod readback;
mod request;
mod session;
pub mod shader;
mod view;
mod windows;

pub use choice::RowChoice;
pub use context::Context;
pub use counts::DeviceCounts;
pub use encode::Statistics;
pub use kernels::Kernels;
pub use params::Params;
pub use plan::Plan;
pub use request::{Mode, PlanRequest, Shard};
pub use session::{Output, Session};
pub use shader::Storage;
pub use view::{Inputs, MatrixView, Outputs, TargetViews, View};
