//! One dispatch: a compiled kernel, its parameters and its grid.

use std::sync::Arc;

use super::key::MatmulKey;
use super::params::MatmulParams;
use super::tile::limits;
use crate::gpu::kernels::{Kernels, Pipeline};
use crate::gpu::uniforms::{Block, Uniforms};
use crate::gpu::view::View;
use crate::{Error, Result};
use wgpu::BufferUsages;

/// A kernel ready to be recorded.
#[derive(Debug)]
pub(super) struct Step {
    pub(super) kernels: Kernels,
    pub(super) key: MatmulKey,
    pub(super) params: MatmulParams,
    /// Nothing to do where it has no workgroups.
    pub(super) grid: (u32, u32),
    pipeline: Arc<Pipeline>,
    block: Block,
}

impl Step {
    /// Compiles a kernel for a grid of `groups` workgroups; its parameters go to a block of `uniforms`.
    pub(super) fn new(
        uniforms: &Arc<Uniforms>,
        key: MatmulKey,
        mut params: MatmulParams,
        groups: u64,
    ) -> Result<Self> {
        let kernels = uniforms.kernels();
        limits(key.tile.workgroup(), key.workgroup_bytes(), kernels.adapter)?;
        let across = kernels.device.limits().max_compute_workgroups_per_dimension.clamp(1, 65_535);
        let allowed = (u64::from(across) * u64::from(across)).min(1 << 31);
        params.tiles =
            u32::try_from(groups).ok().filter(|groups| u64::from(*groups) <= allowed).ok_or_else(|| {
                Error::Limit {
                    what: "workgroups in one dispatch".into(),
                    needed: groups,
                    allowed,
                    cure: "use fewer rows at a time, or a larger tile",
                }
            })?;
        let width = params.tiles.min(across);
        let grid = (width, params.tiles.div_ceil(width.max(1)));
        let pipeline = kernels.pipeline(key)?;
        let block = uniforms.add(bytemuck::bytes_of(&params));
        Ok(Self { kernels: kernels.clone(), key, params, grid, pipeline, block })
    }

    /// Changes the parameters, from the next upload on.
    pub(super) fn update(&mut self, change: impl FnOnce(&mut MatmulParams)) {
        change(&mut self.params);
        self.block.set(bytemuck::bytes_of(&self.params));
    }

    /// Writes the parameters; passes submitted from now on use them.
    pub(super) fn upload(&self) -> Result<()> {
        self.block.uniforms().upload()
    }

    /// Checks a view: long enough, aligned, bindable.
    pub(super) fn check(&self, what: &'static str, view: View<'_>, bytes: u64) -> Result<()> {
        if view.size < bytes {
            return Err(Error::Length { what, expected: bytes, found: view.size });
        }
        let limits = self.kernels.device.limits();
        let allowed = self.kernels.max_binding();
        if view.size > allowed {
            return Err(Error::Limit {
                what: format!("bytes in the binding of {what}"),
                needed: view.size,
                allowed,
                cure: "bind fewer rows at a time",
            });
        }
        let alignment = u64::from(limits.min_storage_buffer_offset_alignment).max(4);
        view.check(what, view.size, alignment, BufferUsages::STORAGE)
    }

    /// What is read against what is written.
    pub(super) fn check_apart(
        &self,
        written: (&'static str, View<'_>),
        read: (&'static str, View<'_>),
        may_share: bool,
    ) -> Result<()> {
        let (first, second) = (written.0, read.0);
        if written.1.overlaps(&read.1) {
            return Err(Error::Overlap { first, second, cure: "give them bytes of their own" });
        }
        if written.1.buffer == read.1.buffer && !may_share {
            let cure =
                "views in one buffer need a request that is shared; factors and sums need their own buffer";
            return Err(Error::Overlap { first, second, cure });
        }
        Ok(())
    }

    /// Records the dispatch with a view for each of the key's bindings by name.
    pub(super) fn record<'a>(
        &'a self,
        pass: &mut wgpu::ComputePass<'_>,
        view: impl Fn(&str) -> Option<View<'a>>,
    ) -> Result<()> {
        if self.grid.0 == 0 {
            return Ok(());
        }
        let entries: Vec<_> = self
            .key
            .bindings()
            .into_iter()
            .filter_map(|binding| {
                let view = match binding.name {
                    "params" => self.block.view(),
                    name => view(name).filter(|view| view.size >= 16 || self.fits(name, view.size)),
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
            self.pipeline.dispatch(device, Some("longtail product"), &entries, self.grid, pass);
            Ok(())
        })
    }

    /// Whether a short view can be bound: it holds a whole word of its matrix.
    fn fits(&self, name: &str, size: u64) -> bool {
        let words = match name {
            "a" => self.key.a,
            "b" => self.key.b,
            "c" => self.key.c,
            _ => return size >= 4,
        };
        size >= words.bytes()
    }
}
