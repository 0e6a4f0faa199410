//! The parameters of many steps in one buffer, and what stands for arrays without elements.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use super::kernels::Kernels;
use super::shader::Access;
use super::view::View;
use crate::Result;
use wgpu::BufferUsages;

/// Blocks start at multiples of this: the strictest alignment that WebGPU allows a device to ask for.
const STEP: usize = 256;

/// Bytes of each array that stands for one without elements.
const NOTHING: u64 = 16;

/// Blocks of parameters: gathered while steps are made, in one buffer from the first [`upload`](Self::upload) on.
#[derive(Debug)]
pub(crate) struct Uniforms {
    kernels: Kernels,
    blocks: Mutex<Vec<u8>>,
    buffer: OnceLock<wgpu::Buffer>,
    /// What is read and what is written where an array has no element: the same buffer may not be both.
    nothing: [wgpu::Buffer; 2],
}

/// One step's parameters.
#[derive(Debug)]
pub(crate) struct Block {
    uniforms: Arc<Uniforms>,
    offset: usize,
    len: usize,
}

impl Uniforms {
    /// Without a block yet.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`](crate::Error::OutOfMemory), [`Error::Device`](crate::Error::Device).
    pub(crate) fn new(kernels: &Kernels) -> Result<Arc<Self>> {
        let nothing = kernels.scoped("arrays without elements", || {
            Ok([0; 2].map(|_| buffer(kernels, "longtail nothing", NOTHING, BufferUsages::STORAGE)))
        })?;
        let (blocks, buffer) = (Mutex::default(), OnceLock::new());
        Ok(Arc::new(Self { kernels: kernels.clone(), blocks, buffer, nothing }))
    }

    /// Adds a block, before the first upload.
    pub(crate) fn add(self: &Arc<Self>, bytes: &[u8]) -> Block {
        let mut blocks = self.blocks.lock().unwrap_or_else(PoisonError::into_inner);
        let offset = blocks.len().next_multiple_of(STEP);
        blocks.resize(offset, 0);
        blocks.extend_from_slice(bytes);
        Block { uniforms: Arc::clone(self), offset, len: bytes.len() }
    }

    /// Writes all blocks; passes submitted from now on use them.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`](crate::Error::OutOfMemory), [`Error::Device`](crate::Error::Device).
    pub(crate) fn upload(&self) -> Result<()> {
        let blocks = self.blocks.lock().unwrap_or_else(PoisonError::into_inner);
        if blocks.is_empty() {
            return Ok(());
        }
        self.kernels.scoped("parameters", || {
            let usage = BufferUsages::UNIFORM | BufferUsages::COPY_DST;
            let make = || buffer(&self.kernels, "longtail parameters", blocks.len() as u64, usage);
            self.kernels.queue.write_buffer(self.buffer.get_or_init(make), 0, &blocks);
            Ok(())
        })
    }

    /// The kernels that the blocks are for.
    pub(crate) fn kernels(&self) -> &Kernels {
        &self.kernels
    }

    /// Bytes on the device.
    pub(crate) fn bytes(&self) -> u64 {
        self.buffer.get().map_or(0, wgpu::Buffer::size) + 2 * NOTHING
    }
}

impl Block {
    /// Changes the block, from the next upload on.
    pub(crate) fn set(&self, bytes: &[u8]) {
        let mut blocks = self.uniforms.blocks.lock().unwrap_or_else(PoisonError::into_inner);
        let own = blocks.get_mut(self.offset..self.offset + self.len);
        own.into_iter().flatten().zip(bytes).for_each(|(own, byte)| *own = *byte);
    }

    /// The blocks that this is one of.
    pub(crate) fn uniforms(&self) -> &Uniforms {
        &self.uniforms
    }

    /// The block as it is bound; none before the first upload.
    pub(crate) fn view(&self) -> Option<View<'_>> {
        let buffer = self.uniforms.buffer.get()?;
        Some(View::new(buffer, self.offset as u64, self.len as u64))
    }

    /// What stands for an array without elements.
    pub(crate) fn nothing(&self, access: Access) -> View<'_> {
        let [read, written] = &self.uniforms.nothing;
        View::whole(if access == Access::Read { read } else { written })
    }
}

/// To be called in a scope.
fn buffer(kernels: &Kernels, label: &str, size: u64, usage: BufferUsages) -> wgpu::Buffer {
    kernels.device.create_buffer(&wgpu::BufferDescriptor {
        label: Some(label),
        size,
        usage,
        mapped_at_creation: false,
    })
}
