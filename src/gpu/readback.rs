//! Reading device buffers into host memory.

use super::kernels::Kernels;
use crate::{Error, Result};
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};

/// What a mapping callback leaves for the future that waits for it.
#[derive(Default)]
struct Mapping {
    result: Option<std::result::Result<(), wgpu::BufferAsyncError>>,
    waker: Option<Waker>,
}

/// Resolves once the buffer is mapped.
struct Mapped(Arc<Mutex<Mapping>>);

impl Future for Mapped {
    type Output = std::result::Result<(), wgpu::BufferAsyncError>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match state.result.take() {
            Some(result) => Poll::Ready(result),
            None => {
                state.waker = Some(context.waker().clone());
                Poll::Pending
            }
        }
    }
}

/// Copies `(buffer, offset, size)` ranges out, after everything submitted so far: in one submission, or in several
/// where they are longer than a buffer together. The ranges' buffers need `COPY_SRC`; offsets and sizes are multiples
/// of 4.
///
/// # Errors
/// [`Error::DeviceLost`], [`Error::OutOfMemory`], [`Error::Device`].
pub(crate) async fn read(kernels: &Kernels, ranges: &[(&wgpu::Buffer, u64, u64)]) -> Result<Vec<Vec<u8>>> {
    let most = kernels.device.limits().max_buffer_size;
    let mut parts = Vec::with_capacity(ranges.len());
    let mut rest = ranges;
    while !rest.is_empty() {
        let mut total = 0;
        let fits = |&&(_, _, size): &&(&wgpu::Buffer, u64, u64)| {
            total += size;
            total <= most
        };
        let count = rest.iter().take_while(fits).count().max(1);
        let (now, later) = rest.split_at_checked(count).unwrap_or((rest, &[]));
        parts.extend(read_together(kernels, now).await?);
        rest = later;
    }
    Ok(parts)
}

/// The same in one submission.
async fn read_together(kernels: &Kernels, ranges: &[(&wgpu::Buffer, u64, u64)]) -> Result<Vec<Vec<u8>>> {
    let device = &kernels.device;
    let total: u64 = ranges.iter().map(|(_, _, size)| size).sum();
    if total == 0 {
        return Ok(vec![Vec::new(); ranges.len()]);
    }
    let staging = kernels.scoped("reading back", || {
        let staging = device.create_buffer(&wgpu::BufferDescriptor {
            label: Some("longtail readback"),
            size: total,
            usage: wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST,
            mapped_at_creation: false,
        });
        let mut encoder = device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        let mut at = 0;
        for (buffer, offset, size) in ranges {
            encoder.copy_buffer_to_buffer(buffer, *offset, &staging, at, *size);
            at += size;
        }
        kernels.queue.submit([encoder.finish()]);
        Ok(staging)
    })?;
    let state = Arc::new(Mutex::new(Mapping::default()));
    let shared = Arc::clone(&state);
    kernels.scoped("reading back", || {
        staging.map_async(wgpu::MapMode::Read, .., move |result| {
            let mut state = shared.lock().unwrap_or_else(PoisonError::into_inner);
            state.result = Some(result);
            if let Some(waker) = state.waker.take() {
                waker.wake();
            }
        });
        Ok(())
    })?;
    let failed = |message: String| Error::DeviceLost { reason: message };
    // Native callbacks only run inside a poll; on the web this returns at once and the callback comes by itself.
    device.poll(wgpu::PollType::wait_indefinitely()).map_err(|error| failed(error.to_string()))?;
    Mapped(state).await.map_err(|error| failed(error.to_string()))?;
    let view = staging.get_mapped_range(..).map_err(|error| failed(error.to_string()))?;
    let mut rest: &[u8] = &view;
    let mut parts = Vec::with_capacity(ranges.len());
    for (_, _, size) in ranges {
        let size = usize::try_from(*size).unwrap_or(usize::MAX);
        let (part, after) = rest.split_at_checked(size).unwrap_or((rest, &[]));
        parts.push(part.to_vec());
        rest = after;
    }
    Ok(parts)
}

/// Bytes as numbers, whatever their alignment.
pub(crate) fn words<T: bytemuck::Pod>(bytes: &[u8]) -> Vec<T> {
    let size = std::mem::size_of::<T>().max(1);
    bytes.chunks_exact(size).map(bytemuck::pod_read_unaligned).collect()
}
