//! Logits that are in no matrix: a loss's kernels compute them as they need them.

use super::extent::{LONGEST_LOOP, Window};
use crate::gpu::head::FoldKey;

/// How a plan's kernels have their logits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Computed {
    /// The kernel that computes them, for any of the loss's.
    pub key: FoldKey,
    /// D, what the products sum over.
    pub dim: usize,
    /// Classes whose weights fit a binding.
    pub most_classes: u64,
}

impl Computed {
    /// Rows and columns of a tile, which one workgroup computes at a time.
    pub(crate) fn tile(&self) -> (u64, u64) {
        (u64::from(self.key.tile.group_m()), u64::from(self.key.tile.group_n()))
    }

    /// Tiles that a workgroup computes one after another, at most: all loops of a kernel together stay well below what
    /// ends them.
    pub(crate) fn most_tiles(&self) -> u64 {
        let (_, columns) = self.tile();
        let of_tile = (self.dim as u64).div_ceil(4) + columns + 2;
        (4 * LONGEST_LOOP / of_tile).max(1)
    }
}

/// What such kernels bind beside the loss's own arrays.
pub(crate) trait Operands: std::fmt::Debug {
    /// The binding of a name for a window, which is the plan's number `index`.
    fn resource(&self, name: &str, index: usize, window: &Window) -> Option<wgpu::BufferBinding<'_>>;
}
