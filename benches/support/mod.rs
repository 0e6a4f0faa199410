//! A prebuilt problem of one method and shape on the adapter, checked against the reference before it is timed.
#![allow(dead_code, reason = "each bench uses its part")]

use longtail::gpu::{Context, Inputs, Outputs, Plan, PlanRequest, RowChoice, TargetViews, View};
use longtail::method::Method;
use longtail::softmax::GateSource;
use longtail::{Batch, ClassCounts, Element, SoftmaxLoss, TargetKind, Targets, Upstream, reference};
use rand::{RngExt as _, SeedableRng as _};
use std::time::{Duration, Instant};

/// N x K, with the reason for each.
pub const SHAPES: [(usize, usize); 4] = [
    (256, 100),   // CIFAR-100-LT
    (256, 1203),  // LVIS
    (256, 8142),  // iNaturalist 2018
    (64, 32_768), // a vocabulary, rows that no chip holds
];

/// Logits, targets and extras of a shape, the same for every method.
pub struct Data {
    pub rows: usize,
    pub classes: usize,
    pub counts: ClassCounts,
    logits: Vec<f32>,
    labels: Vec<i32>,
    second: Vec<i32>,
    lambda: Vec<f32>,
    norms: Vec<f32>,
    dense: Vec<f32>,
}

impl Data {
    pub fn new(rows: usize, classes: usize) -> Self {
        let mut random = rand::rngs::SmallRng::seed_from_u64(7);
        let counts: Vec<u64> = (1..=classes as u64).map(|rank| 1 + 100_000 / rank).collect();
        // Two standard deviations about 0, by the sum of twelve uniform numbers.
        let mut normal = || 2.0 * ((0..12).map(|_| random.random::<f32>()).sum::<f32>() - 6.0);
        let logits = (0..rows * classes).map(|_| normal()).collect();
        let mut label = || random.random_range(0..classes as i32);
        let labels = (0..rows).map(|_| label()).collect();
        let second = (0..rows).map(|_| label()).collect();
        Self {
            rows,
            classes,
            counts: ClassCounts::new(counts).expect("counts"),
            logits,
            labels,
            second,
            lambda: (0..rows).map(|row| row as f32 / rows as f32).collect(),
            norms: vec![10.0; rows],
            dense: (0..rows * classes).map(|i| if i % 3 == 0 { 0.0 } else { 1.5 / classes as f32 }).collect(),
        }
    }

    fn targets(&self, kind: TargetKind) -> Targets<'_> {
        match kind {
            TargetKind::Mixed => {
                Targets::Mixed { first: &self.labels, second: &self.second, lambda: &self.lambda }
            }
            TargetKind::Soft => Targets::Soft(&self.dense),
            _ => Targets::Hard(&self.labels),
        }
    }
}

/// How a problem is laid out.
#[derive(Clone, Copy, Default)]
pub struct Setup {
    /// The element type of logits and gradient.
    pub element: Element,
    /// The row layout; `None` is the plan's own choice.
    pub choice: Option<RowChoice>,
}

/// A plan with its buffers, ready to be recorded.
pub struct Problem {
    context: Context,
    pub plan: Plan,
    element: Element,
    logits: wgpu::Buffer,
    gradient: wgpu::Buffer,
    targets: Vec<wgpu::Buffer>,
    norms: Option<wgpu::Buffer>,
    gates: Option<wgpu::Buffer>,
    plan_is_soft: bool,
}

/// What a number of passes took, in all.
#[derive(Clone, Copy, Default)]
pub struct Took {
    pub wall: Duration,
    /// Time on all processors, this process's threads together (the software adapter's among them).
    pub processor: Duration,
    /// By the device's clock, where it has one.
    pub device: Option<Duration>,
}

impl Problem {
    /// Plans `method` for the data, runs it once and compares it with the reference.
    pub fn new(
        context: &Context,
        method: &Method,
        data: &Data,
        setup: Setup,
    ) -> Result<Self, Box<dyn std::error::Error>> {
        let spec = (method.build)(&data.counts)?;
        let kernels = context.kernels();
        let element = setup.element;
        let mut request = PlanRequest::new(data.rows, data.classes)
            .with_targets(method.targets)
            .with_elements(element, element);
        request.choice = setup.choice;
        let plan = kernels.plan(&spec, &request)?;
        let upload = |bytes: &[u8]| {
            let mut bytes = bytes.to_vec();
            bytes.resize(bytes.len().next_multiple_of(4), 0);
            let bytes = &bytes[..];
            let buffer = kernels.device().create_buffer(&wgpu::BufferDescriptor {
                label: None,
                size: bytes.len() as u64,
                usage: wgpu::BufferUsages::STORAGE
                    | wgpu::BufferUsages::COPY_DST
                    | wgpu::BufferUsages::COPY_SRC,
                mapped_at_creation: false,
            });
            kernels.queue().write_buffer(&buffer, 0, bytes);
            buffer
        };
        let targets = match data.targets(method.targets) {
            Targets::Mixed { first, second, lambda } => vec![
                upload(bytemuck::cast_slice(first)),
                upload(bytemuck::cast_slice(second)),
                upload(bytemuck::cast_slice(lambda)),
            ],
            Targets::Soft(dense) => vec![upload(bytemuck::cast_slice(dense))],
            _ => vec![upload(bytemuck::cast_slice(&data.labels))],
        };
        let given = spec.gate.as_ref().is_some_and(|gate| gate.source == GateSource::Given);
        let problem = Self {
            context: context.clone(),
            logits: upload(&element.encode(&data.logits)),
            gradient: upload(&element.encode(&data.logits)),
            element,
            targets,
            norms: spec.influence.is_some().then(|| upload(bytemuck::cast_slice(&data.norms))),
            gates: given.then(|| upload(bytemuck::cast_slice(&data.dense))),
            plan_is_soft: method.targets == TargetKind::Soft,
            plan,
        };
        problem.check(method, &spec, data)?;
        Ok(problem)
    }

    /// The first pass against the reference.
    fn check(
        &self,
        method: &Method,
        spec: &SoftmaxLoss,
        data: &Data,
    ) -> Result<(), Box<dyn std::error::Error>> {
        self.run(1);
        let got = self.element.decode(&self.read(&self.gradient));
        let rounded = self.element.decode(&self.element.encode(&data.logits));
        let logits: Vec<f64> = rounded.iter().map(|&z| f64::from(z)).collect();
        let mut batch = Batch::new(&logits, data.classes, data.targets(method.targets));
        if self.norms.is_some() {
            batch = batch.with_feature_norms(&data.norms);
        }
        if self.gates.is_some() {
            batch = batch.with_gates(&data.dense);
        }
        let want = reference::softmax(spec, &batch, Upstream::One)?.gradient;
        let top = want.iter().fold(0.0f64, |top, g| top.max(g.abs()));
        let worst = want.iter().zip(&got).fold(0.0f64, |worst, (w, &g)| worst.max((w - f64::from(g)).abs()));
        let rounding = match self.element {
            Element::F32 => 0.0,
            Element::F16 => 2f64.powi(-11),
            _ => 2f64.powi(-8),
        };
        // A NaN fails the comparison.
        match worst <= (1e-4 + rounding) * top && got.iter().all(|g| g.is_finite()) {
            true => Ok(()),
            false => Err(format!("{}: gradient is off by {worst:e} of {top:e}", method.name).into()),
        }
    }

    fn read(&self, buffer: &wgpu::Buffer) -> Vec<u8> {
        let (device, queue) = (self.context.kernels().device(), self.context.kernels().queue());
        let staging = device.create_buffer(&wgpu::BufferDescriptor {
            label: None,
            size: buffer.size(),
            usage: wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST,
            mapped_at_creation: false,
        });
        let mut encoder = device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        encoder.copy_buffer_to_buffer(buffer, 0, &staging, 0, buffer.size());
        queue.submit([encoder.finish()]);
        staging.map_async(wgpu::MapMode::Read, .., |mapped| mapped.expect("mapping"));
        device.poll(wgpu::PollType::wait_indefinitely()).expect("waiting");
        let view = staging.get_mapped_range(..).expect("the mapped range");
        view[..].to_vec()
    }

    /// Logits read once, the gradient written once.
    pub fn minimal_bytes(&self) -> u64 {
        self.logits.size() + self.gradient.size()
    }

    /// Records `passes` passes, submits them together and waits.
    pub fn run(&self, passes: u64) -> Took {
        let inputs = Inputs {
            row_weights: None,
            feature_norms: self.norms.as_ref().map(View::whole),
            gates: self.gates.as_ref().map(View::whole).map(Into::into),
            ..Inputs::new(
                View::whole(&self.logits),
                match self.targets.as_slice() {
                    [first, second, lambda] => TargetViews::Mixed {
                        first: View::whole(first),
                        second: View::whole(second),
                        lambda: View::whole(lambda),
                    },
                    [only] if self.plan_is_soft => TargetViews::Soft(View::whole(only).into()),
                    targets => TargetViews::Hard(View::whole(&targets[0])),
                },
            )
        };
        timed(&self.context, |encoder| {
            for _ in 0..passes {
                self.plan
                    .encode_loss_and_grad(
                        encoder,
                        &inputs,
                        Some(View::whole(&self.gradient).into()),
                        None,
                        &Outputs::default(),
                    )
                    .expect("encoding");
            }
        })
    }

    /// Copies the logits over the gradient, `passes` times: the device's copy bandwidth.
    pub fn copy(&self, passes: u64) -> Took {
        timed(&self.context, |encoder| {
            for _ in 0..passes {
                encoder.copy_buffer_to_buffer(&self.logits, 0, &self.gradient, 0, self.logits.size());
            }
        })
    }
}

/// Submits what `record` records and waits for it, by three clocks.
pub fn timed(context: &Context, record: impl FnOnce(&mut wgpu::CommandEncoder)) -> Took {
    let (device, queue) = (context.kernels().device(), context.kernels().queue());
    let clock = device.features().contains(wgpu::Features::TIMESTAMP_QUERY_INSIDE_ENCODERS).then(|| {
        let buffer = |usage| {
            device.create_buffer(&wgpu::BufferDescriptor {
                label: None,
                size: 16,
                usage,
                mapped_at_creation: false,
            })
        };
        let queries = device.create_query_set(&wgpu::QuerySetDescriptor {
            label: None,
            ty: wgpu::QueryType::Timestamp,
            count: 2,
        });
        let resolve = buffer(wgpu::BufferUsages::QUERY_RESOLVE | wgpu::BufferUsages::COPY_SRC);
        (queries, resolve, buffer(wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST))
    });
    let (processor, wall) = (processor_time(), Instant::now());
    let mut encoder = device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
    if let Some((queries, _, _)) = &clock {
        encoder.write_timestamp(queries, 0);
    }
    record(&mut encoder);
    if let Some((queries, resolve, staging)) = &clock {
        encoder.write_timestamp(queries, 1);
        encoder.resolve_query_set(queries, 0..2, resolve, 0);
        encoder.copy_buffer_to_buffer(resolve, 0, staging, 0, 16);
    }
    queue.submit([encoder.finish()]);
    if let Some((_, _, staging)) = &clock {
        staging.map_async(wgpu::MapMode::Read, .., |mapped| mapped.expect("mapping"));
    }
    device.poll(wgpu::PollType::wait_indefinitely()).expect("waiting");
    let (wall, processor) = (wall.elapsed(), processor_time().saturating_sub(processor));
    let device = clock.map(|(_, _, staging)| {
        let view = staging.get_mapped_range(..).expect("the mapped range");
        let ticks: Vec<u64> = bytemuck::pod_collect_to_vec(&view[..]);
        let nanoseconds = ticks[1].saturating_sub(ticks[0]) as f64 * f64::from(queue.get_timestamp_period());
        Duration::from_nanos(nanoseconds as u64)
    });
    Took { wall, processor, device }
}

/// Time that this process's threads have been on a processor, where the system tells (Linux), else 0.
fn processor_time() -> Duration {
    let Ok(tasks) = std::fs::read_dir("/proc/self/task") else { return Duration::ZERO };
    let nanoseconds = tasks.flatten().filter_map(|task| {
        let text = std::fs::read_to_string(task.path().join("schedstat")).ok()?;
        text.split_whitespace().next()?.parse::<u64>().ok()
    });
    Duration::from_nanos(nanoseconds.sum())
}

impl Took {
    /// The device's time where it has a clock and is no processor itself, else the processors' time, else the
    /// wall's: what is least disturbed by other work.
    pub fn steady(&self, software: bool) -> Duration {
        match (software, self.device) {
            (false, Some(device)) => device,
            (true, _) if !self.processor.is_zero() => self.processor,
            _ => self.wall,
        }
    }
}

/// Whether the adapter is a driver that runs on the processor.
pub fn software(context: &Context) -> bool {
    context.adapter_info().device_type == wgpu::DeviceType::Cpu
}
