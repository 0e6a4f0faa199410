//! The GPU side: everything that names wgpu.
//!
//! [`Kernels`] holds compiled kernels over the caller's device; [`Kernels::plan`] checks and prepares a
//! [`Loss`](crate::Loss) for a shape; the [`Plan`] records passes into the caller's encoder.
//! [`Context`] is the convenience for slices.

mod blocks;
mod choice;
mod context;
mod counts;
pub mod distillation;
pub mod grouped;
mod halves;
pub mod head;
mod kernels;
pub mod lade;
pub mod matmul;
pub mod objectness;
mod plan;
mod program;
pub mod range;
mod readback;
mod request;
mod session;
pub mod shader;
mod sigmoid;
mod softmax;
mod uniforms;
mod view;
mod walk;

pub use choice::RowChoice;
pub use context::Context;
pub use counts::DeviceCounts;
pub use kernels::Kernels;
pub use plan::{Plan, WindowNumbers};
pub use program::Program;
pub use request::{Mode, PlanRequest, Shard};
pub use session::{Output, Session};
pub use shader::Storage;
pub use sigmoid::{DeviceGradientSums, SigmoidDriver, SigmoidKey, SigmoidNumbers, SigmoidTerms};
pub use softmax::{SoftmaxNumbers, Statistics};
pub use view::{Inputs, MatrixView, Outputs, TargetViews, View};
