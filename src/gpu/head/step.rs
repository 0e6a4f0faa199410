//! One dispatch of a head's kernel: compiled, with its parameters and its grid.

use std::sync::Arc;

use super::key::HeadKey;
use super::params::HeadParams;
use crate::gpu::kernels::{Kernels, Pipeline};
use crate::gpu::uniforms::{Block, Uniforms};
use crate::gpu::view::View;
use crate::{Error, Result};

/// A kernel ready to be recorded.
#[derive(Debug)]
pub(super) struct Step {
    kernels: Kernels,
    key: HeadKey,
    params: HeadParams,
    /// Nothing to do where it has no workgroups.
    grid: (u32, u32),
    pipeline: Arc<Pipeline>,
    block: Block,
}

impl Step {
    /// Compiles a kernel for a grid of `groups` workgroups; its parameters go to a block of `uniforms`.
    pub(super) fn new(
        uniforms: &Arc<Uniforms>,
        key: HeadKey,
        mut params: HeadParams,
        groups: u64,
    ) -> Result<Self> {
        let kernels = uniforms.kernels();
        let across = kernels.device.limits().max_compute_workgroups_per_dimension.clamp(1, 65_535);
        let allowed = (u64::from(across) * u64::from(across)).min(1 << 31);
        params.tiles =
            u32::try_from(groups).ok().filter(|groups| u64::from(*groups) <= allowed).ok_or_else(|| {
                Error::Limit {
                    what: "workgroups in one dispatch".into(),
                    needed: groups,
                    allowed,
                    cure: "use fewer rows at a time",
                }
            })?;
        let width = params.tiles.min(across);
        let grid = (width, params.tiles.div_ceil(width.max(1)));
        let pipeline = kernels.pipeline(key)?;
        let block = uniforms.add(bytemuck::bytes_of(&params));
        Ok(Self { kernels: kernels.clone(), key, params, grid, pipeline, block })
    }

    /// Changes the parameters, from the next upload on.
    pub(super) fn update(&mut self, change: impl FnOnce(HeadParams) -> HeadParams) {
        self.params = change(self.params);
        self.block.set(bytemuck::bytes_of(&self.params));
    }

    /// The kernel's key.
    pub(super) fn key(&self) -> HeadKey {
        self.key
    }

    /// Records the dispatch with a view for each of the key's bindings by name. The views have been checked.
    pub(super) fn record<'a>(
        &'a self,
        pass: &mut wgpu::ComputePass<'_>,
        view: impl Fn(&str) -> Option<View<'a>>,
    ) -> Result<()> {
        if self.grid.0 == 0 {
            return Ok(());
        }
        let word = |name: &str| match name {
            "a" => self.key.a.bytes(),
            "c" => self.key.c.bytes(),
            _ => 4,
        };
        let entries: Vec<_> = self
            .key
            .bindings()
            .into_iter()
            .filter_map(|binding| {
                let view = match binding.name {
                    "params" => self.block.view(),
                    name => view(name).filter(|view| view.size >= word(name)),
                };
                let resource = view.unwrap_or(self.block.nothing(binding.access)).binding()?;
                Some(wgpu::BindGroupEntry {
                    binding: binding.number,
                    resource: wgpu::BindingResource::Buffer(resource),
                })
            })
            .collect();
        let device = &self.kernels.device;
        self.kernels.scoped(&self.key.label(), || {
            self.pipeline.dispatch(device, Some("longtail head"), &entries, self.grid, pass);
            Ok(())
        })
    }
}
