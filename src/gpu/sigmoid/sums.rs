//! Accumulated gradients on the device.

use crate::gpu::kernels::Kernels;
use crate::gpu::plan::storage;
use crate::gpu::readback;
use crate::statistics::GradientSums;
use crate::{Error, Result};
use std::sync::Arc;

/// The gradients that each class has accumulated as a positive and as a negative (equalization v2; Tan et al. 2021,
/// arXiv 2012.08548), on the device. Each sum is a pair of f32 whose total it is, about 48 bits.
///
/// A plan with gradient balance makes its own, or shares one
/// ([`PlanRequest::with_gradient_sums`](crate::gpu::PlanRequest::with_gradient_sums)); every pass adds its batch after it
/// has used what was there. Clones share the same sums.
#[derive(Debug, Clone)]
pub struct DeviceGradientSums {
    kernels: Kernels,
    pub(crate) buffer: Arc<wgpu::Buffer>,
    classes: usize,
}

impl DeviceGradientSums {
    pub(crate) const LABEL: &'static str = "longtail gradient sums";
    /// Bytes of one class.
    pub(crate) const BYTES: u64 = 16;

    /// Sums that start at `initial`, `[K]` each; 16 K bytes on the device.
    ///
    /// # Errors
    /// [`Error::Length`] for columns of two lengths, [`Error::Limit`] for more classes than a buffer holds (16 bytes a
    /// class), [`Error::OutOfMemory`], [`Error::Device`].
    pub fn new(kernels: &Kernels, initial: &GradientSums) -> Result<Self> {
        let classes = initial.positive.len();
        let (needed, allowed) =
            (Self::BYTES * classes.max(1) as u64, kernels.device.limits().max_buffer_size);
        if needed > allowed {
            return Err(Error::Limit {
                what: "gradient sums (bytes in one buffer)".into(),
                needed,
                allowed,
                cure: "request the device with a higher max_buffer_size",
            });
        }
        let buffer = kernels.scoped("gradient sums", || Ok(storage(kernels, Self::LABEL, needed)))?;
        let sums = Self { kernels: kernels.clone(), buffer: Arc::new(buffer), classes };
        sums.set(initial)?;
        Ok(sums)
    }

    /// K.
    pub fn classes(&self) -> usize {
        self.classes
    }

    /// Bytes on the device.
    pub fn bytes(&self) -> u64 {
        self.buffer.size()
    }

    /// Overwrites the sums, before whatever is submitted next.
    ///
    /// # Errors
    /// [`Error::Length`], [`Error::Device`].
    pub fn set(&self, sums: &GradientSums) -> Result<()> {
        for column in [&sums.positive, &sums.negative] {
            if column.len() != self.classes {
                return Err(Error::Length {
                    what: "gradient sums",
                    expected: self.classes as u64,
                    found: column.len() as u64,
                });
            }
        }
        let pairs = sums.positive.iter().zip(&sums.negative);
        let words: Vec<f32> = pairs
            .flat_map(|(positive, negative)| {
                let ([a, b], [c, d]) = (pair(*positive), pair(*negative));
                [a, b, c, d]
            })
            .collect();
        if words.is_empty() {
            return Ok(());
        }
        self.kernels.scoped("gradient sums", || {
            self.kernels.queue.write_buffer(&self.buffer, 0, bytemuck::cast_slice(&words));
            Ok(())
        })
    }

    /// Reads the sums back, after everything submitted so far. Blocks; see [`read_async`](Self::read_async).
    ///
    /// # Errors
    /// [`Error::DeviceLost`], [`Error::Device`].
    pub fn read(&self) -> Result<GradientSums> {
        pollster::block_on(self.read_async())
    }

    /// [`read`](Self::read) without blocking on the web; native drivers are waited for.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub async fn read_async(&self) -> Result<GradientSums> {
        let bytes = Self::BYTES * self.classes as u64;
        let parts = readback::read(&self.kernels, &[(&self.buffer, 0, bytes)]).await?;
        let words: Vec<f32> = readback::words(parts.first().map_or(&[], Vec::as_slice));
        let mut sums = GradientSums::new(0);
        for class in words.chunks_exact(4) {
            if let [a, b, c, d] = class {
                sums.positive.push(f64::from(*a) + f64::from(*b));
                sums.negative.push(f64::from(*c) + f64::from(*d));
            }
        }
        Ok(sums)
    }

    /// Adds what another replica accumulated on its own since both started from the same sums: `own + other - start`,
    /// class by class. Reads the sums back.
    ///
    /// # Errors
    /// [`Error::Length`], and those of [`read`](Self::read).
    pub fn merge(&self, other: &GradientSums, start: &GradientSums) -> Result<()> {
        let mut merged = self.read()?;
        merged.add(other)?;
        if start.positive.len() != self.classes || start.negative.len() != self.classes {
            return Err(Error::Length {
                what: "gradient sums",
                expected: self.classes as u64,
                found: start.positive.len() as u64,
            });
        }
        let columns = [(&mut merged.positive, &start.positive), (&mut merged.negative, &start.negative)];
        for (column, start) in columns {
            for (sum, start) in column.iter_mut().zip(start) {
                *sum = (*sum - start).max(0.0);
            }
        }
        self.set(&merged)
    }
}

/// A number as the sum of two f32.
#[expect(clippy::cast_possible_truncation, reason = "rounding to f32 is what the pair is for")]
fn pair(value: f64) -> [f32; 2] {
    let high = (value as f32).min(f32::MAX);
    [high, (value - f64::from(high)) as f32]
}
