//! Cumulative class counts on the device.

use super::kernels::Kernels;
use super::plan::storage;
use super::readback;
use crate::{Error, Result};
use std::sync::Arc;

/// Cumulative class counts that live on the device: 64-bit integers, exact, independent of the order of rows.
///
/// A seesaw plan makes its own, or shares one that was made before
/// ([`PlanRequest::with_counts`](super::PlanRequest::with_counts)): several plans (other batch sizes, other
/// losses) then continue one count. Clones share the same counts.
#[derive(Debug, Clone)]
pub struct DeviceCounts {
    kernels: Kernels,
    pub(crate) buffer: Arc<wgpu::Buffer>,
    classes: usize,
}

impl DeviceCounts {
    pub(crate) const LABEL: &'static str = "longtail class counts";

    /// Counts that start at `initial`, `[K]`; 8 K bytes on the device.
    ///
    /// # Errors
    /// [`Error::Parameter`] for no classes, [`Error::Limit`] for more than a buffer holds (8 bytes a class),
    /// [`Error::OutOfMemory`], [`Error::Device`].
    pub fn new(kernels: &Kernels, initial: &[u64]) -> Result<Self> {
        if initial.is_empty() {
            return Err(Error::Parameter {
                name: "the number of classes",
                value: 0.0,
                expected: "at least 1",
            });
        }
        let (needed, allowed) = (8 * initial.len() as u64, kernels.device.limits().max_buffer_size);
        if needed > allowed {
            return Err(Error::Limit {
                what: "class counts (bytes in one buffer)".into(),
                needed,
                allowed,
                cure: "request the device with a higher max_buffer_size, or shard the classes",
            });
        }
        let buffer = kernels.scoped("class counts", || Ok(storage(kernels, Self::LABEL, needed)))?;
        let counts = Self { kernels: kernels.clone(), buffer: Arc::new(buffer), classes: initial.len() };
        counts.set(initial)?;
        Ok(counts)
    }

    /// K.
    pub fn classes(&self) -> usize {
        self.classes
    }

    /// Bytes on the device.
    pub fn bytes(&self) -> u64 {
        self.buffer.size()
    }

    /// Overwrites the counts, before whatever is submitted next.
    ///
    /// # Errors
    /// [`Error::Length`].
    pub fn set(&self, counts: &[u64]) -> Result<()> {
        if counts.len() != self.classes {
            return Err(Error::Length {
                what: "class counts",
                expected: self.classes as u64,
                found: counts.len() as u64,
            });
        }
        // Little-endian words, [low, high] per class, as the kernels add to them.
        let words: Vec<u32> =
            counts.iter().flat_map(|&count| [(count & 0xffff_ffff) as u32, (count >> 32) as u32]).collect();
        self.kernels.scoped("class counts", || {
            self.kernels.queue.write_buffer(&self.buffer, 0, bytemuck::cast_slice(&words));
            Ok(())
        })
    }

    /// Reads the counts back, after everything submitted so far. Blocks; see [`read_async`](Self::read_async).
    ///
    /// # Errors
    /// [`Error::DeviceLost`], [`Error::Device`].
    pub fn read(&self) -> Result<Vec<u64>> {
        pollster::block_on(self.read_async())
    }

    /// [`read`](Self::read) without blocking on the web; native drivers are waited for.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub async fn read_async(&self) -> Result<Vec<u64>> {
        let size = self.buffer.size();
        let bytes = readback::read(&self.kernels, &[(&self.buffer, 0, size)]).await?;
        let words: Vec<u32> = readback::words(bytes.first().map_or(&[], Vec::as_slice));
        Ok(words
            .chunks_exact(2)
            .map(|pair| match pair {
                [low, high] => u64::from(*low) | u64::from(*high) << 32,
                _ => 0,
            })
            .collect())
    }

    /// Adds what another replica counted on its own since both started from the same counts:
    /// `own + other - start`, class by class. Reads the counts back.
    ///
    /// # Errors
    /// [`Error::Length`], and those of [`read`](Self::read).
    pub fn merge(&self, other: &[u64], start: &[u64]) -> Result<()> {
        for counts in [other, start] {
            if counts.len() != self.classes {
                return Err(Error::Length {
                    what: "class counts",
                    expected: self.classes as u64,
                    found: counts.len() as u64,
                });
            }
        }
        let own = self.read()?;
        let merged: Vec<u64> = own
            .iter()
            .zip(other.iter().zip(start))
            .map(|(own, (other, start))| own.saturating_add(other.saturating_sub(*start)))
            .collect();
        self.set(&merged)
    }
}
