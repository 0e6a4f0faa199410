//! A device of its own for slices in host memory.

use super::kernels::Kernels;
use super::request::{Mode, PlanRequest};
use super::session::{Output, Session};
use super::shader::Storage;
use crate::batch::{Batch, TargetKind, Upstream};
use crate::loss::Loss;
use crate::{Error, Result};

/// A device, its queue and this crate's kernels, for logits in slices.
///
/// The backend is Vulkan, Metal or DirectX 12, or what the environment variable `WGPU_BACKEND` names
/// (`vulkan`, `metal`, `dx12`, ...); among its adapters the fastest, or the first whose name contains what
/// `LONGTAIL_ADAPTER` says.
#[derive(Debug, Clone)]
pub struct Context {
    kernels: Kernels,
    info: wgpu::AdapterInfo,
}

impl Context {
    /// Makes a device. Blocks; see [`new_async`](Self::new_async).
    ///
    /// # Errors
    /// [`Error::NoAdapter`] with the package to install, [`Error::Device`].
    pub fn new() -> Result<Self> {
        pollster::block_on(Self::new_async())
    }

    /// Makes a device.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub async fn new_async() -> Result<Self> {
        let backends = wgpu::Backends::from_env().unwrap_or(wgpu::Backends::PRIMARY);
        Self::with_backends(backends).await
    }

    /// Makes a device on one of `backends`.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub async fn with_backends(backends: wgpu::Backends) -> Result<Self> {
        let none = |reason: String| Error::NoAdapter { backends: format!("{backends:?}"), reason };
        if backends.is_empty() || wgpu::Instance::enabled_backend_features().is_empty() {
            return Err(none("no such backend in this build".into()));
        }
        let instance = wgpu::Instance::new(wgpu::InstanceDescriptor {
            backends,
            // Validation layers only where the environment asks for them (WGPU_VALIDATION).
            flags: wgpu::InstanceFlags::empty().with_env(),
            ..wgpu::InstanceDescriptor::new_without_display_handle()
        });
        let adapter = match std::env::var("LONGTAIL_ADAPTER") {
            Ok(name) => {
                let adapters = instance.enumerate_adapters(backends).await;
                let found = adapters.into_iter().find(|adapter| adapter.get_info().name.contains(&name));
                found.ok_or_else(|| none(format!("none whose name contains {name}")))?
            }
            Err(_) => {
                let options = wgpu::RequestAdapterOptions {
                    power_preference: wgpu::PowerPreference::HighPerformance,
                    ..Default::default()
                };
                instance.request_adapter(&options).await.map_err(|error| none(error.to_string()))?
            }
        };
        let info = adapter.get_info();
        let wanted = wgpu::Features::TIMESTAMP_QUERY
            | wgpu::Features::TIMESTAMP_QUERY_INSIDE_ENCODERS
            | wgpu::Features::SHADER_F16
            | wgpu::Features::SUBGROUP;
        let (device, queue) = adapter
            .request_device(&wgpu::DeviceDescriptor {
                label: Some("longtail"),
                required_features: adapter.features() & wanted,
                required_limits: adapter.limits(),
                ..Default::default()
            })
            .await
            .map_err(|error| Error::Device { what: "making a device".into(), message: error.to_string() })?;
        Ok(Self { kernels: Kernels::new(&device, &queue)?, info })
    }

    /// The adapter's name, driver and kind.
    pub fn adapter_info(&self) -> &wgpu::AdapterInfo {
        &self.info
    }

    /// The kernels, and through them device and queue.
    pub fn kernels(&self) -> &Kernels {
        &self.kernels
    }

    /// Loss and gradient of one batch. Blocks. For many batches of one shape use a [`Session`].
    ///
    /// ```
    /// use longtail::{Batch, ClassCounts, SoftmaxLoss, Targets, gpu::Context};
    /// # fn main() -> longtail::Result<()> {
    /// let counts = ClassCounts::new(vec![900, 90, 10])?;
    /// let logits = [0.2, -0.1, 0.4, 1.0, 0.0, -1.0];
    /// let batch = Batch::new(&logits, 3, Targets::Hard(&[2, 0]));
    /// let out = Context::new()?.loss_and_grad(&SoftmaxLoss::balanced(&counts), &batch)?;
    /// let row: f32 = out.gradient[..3].iter().sum();
    /// assert!(out.loss > 0.0 && row.abs() < 1e-6);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// What [`Batch::check`] and [`Kernels::plan`] report; [`Error::NonFinite`] for rows with NaN or +inf logits.
    pub fn loss_and_grad<'a>(&self, loss: impl Into<Loss<'a>>, batch: &Batch<'_>) -> Result<Output> {
        pollster::block_on(self.loss_and_grad_async(loss, batch))
    }

    /// [`loss_and_grad`](Self::loss_and_grad) without blocking on the web.
    ///
    /// # Errors
    /// As [`loss_and_grad`](Self::loss_and_grad).
    pub async fn loss_and_grad_async<'a>(
        &self,
        loss: impl Into<Loss<'a>>,
        batch: &Batch<'_>,
    ) -> Result<Output> {
        let loss = loss.into();
        loss.check_batch(batch)?;
        let mut session = Session::of(&self.kernels, &loss, &self.request(&loss, batch, Mode::LossAndGrad))?;
        session.loss_and_grad_async(batch).await
    }

    /// A forward pass and a backward pass with an upstream gradient. Blocks.
    ///
    /// # Errors
    /// As [`loss_and_grad`](Self::loss_and_grad), and [`Error::Length`] for an upstream gradient that is not `[N]`.
    pub fn forward_backward<'a>(
        &self,
        loss: impl Into<Loss<'a>>,
        batch: &Batch<'_>,
        upstream: Upstream<'_>,
    ) -> Result<Output> {
        pollster::block_on(self.forward_backward_async(loss, batch, upstream))
    }

    /// [`forward_backward`](Self::forward_backward) without blocking on the web.
    ///
    /// # Errors
    /// As [`forward_backward`](Self::forward_backward).
    pub async fn forward_backward_async<'a>(
        &self,
        loss: impl Into<Loss<'a>>,
        batch: &Batch<'_>,
        upstream: Upstream<'_>,
    ) -> Result<Output> {
        let loss = loss.into();
        loss.check_batch(batch)?;
        let mut session =
            Session::of(&self.kernels, &loss, &self.request(&loss, batch, Mode::ForwardBackward))?;
        session.forward_backward_async(batch, upstream).await
    }

    fn request(&self, loss: &Loss<'_>, batch: &Batch<'_>, mode: Mode) -> PlanRequest {
        let mut request = PlanRequest::new(batch.rows(), batch.classes)
            .with_targets(batch.targets.kind())
            .with_mode(mode)
            .with_storage(Storage::InPlace)
            .with_argmax();
        request.row_weights = batch.row_weights.is_some();
        request.class_scale_gradient = loss.has_class_scale();
        request
    }

    /// A session for batches of `rows` rows, without row weights: planned, compiled and allocated once.
    ///
    /// # Errors
    /// As [`Kernels::plan`].
    pub fn session<'a>(
        &self,
        loss: impl Into<Loss<'a>>,
        rows: usize,
        classes: usize,
        targets: TargetKind,
    ) -> Result<Session> {
        let loss = loss.into();
        let mut request = PlanRequest::new(rows, classes)
            .with_targets(targets)
            .with_storage(Storage::InPlace)
            .with_argmax();
        request.class_scale_gradient = loss.has_class_scale();
        Session::of(&self.kernels, &loss, &request)
    }
}
