//! A prebuilt problem of one method and shape on the adapter, checked against the reference before it is timed.
#![allow(dead_code, reason = "each bench uses its part")]

pub mod clock;
pub mod copy;
pub mod record;
pub mod unfused;

pub use clock::{Took, software, timed};
pub use copy::Copy;
use longtail::gpu::{
    Context, Inputs, Kernels, Mode, Outputs, Plan, PlanRequest, RowChoice, Storage, TargetViews, View,
};
use longtail::method::Method;
use longtail::softmax::GateSource;
use longtail::{Batch, ClassCounts, Element, TargetKind, Targets, Upstream, reference, wgpu};
use rand::{RngExt as _, SeedableRng as _};
use std::fmt;
use std::sync::{Arc, Mutex};

/// N x K, with the reason for each.
const ON_PROCESSOR: [(usize, usize); 5] = [
    (256, 100),    // CIFAR-100-LT
    (256, 1203),   // LVIS
    (256, 8142),   // iNaturalist 2018
    (64, 32_768),  // a vocabulary, rows that no chip holds
    (32, 128_256), // a large vocabulary
];

/// The same classes with as many rows as fill a GPU, and matrices that its caches do not hold.
const ON_GPU: [(usize, usize); 5] =
    [(32_768, 100), (32_768, 1203), (8192, 8142), (2048, 32_768), (1024, 128_256)];

/// The shapes for a kind of adapter.
pub fn shapes(software: bool) -> &'static [(usize, usize)] {
    if software { &ON_PROCESSOR } else { &ON_GPU }
}

/// What the oracle says of a method and an element type.
type Wanted = Arc<reference::Output>;

/// The latest references, and how many are kept.
struct Kept {
    all: Vec<(&'static str, Element, Wanted)>,
    most: usize,
}

/// Logits, targets and extras of a shape, the same for every method.
pub struct Data {
    pub rows: usize,
    pub classes: usize,
    pub counts: ClassCounts,
    pub logits: Vec<f32>,
    pub labels: Vec<i32>,
    second: Vec<i32>,
    lambda: Vec<f32>,
    norms: Vec<f32>,
    dense: Vec<f32>,
    wanted: Mutex<Kept>,
    /// Logits and gradient on the device, shared by all problems whose passes leave the logits as they are.
    shared: Mutex<Vec<(Element, wgpu::Buffer, wgpu::Buffer)>>,
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
            wanted: Mutex::new(Kept { all: Vec::new(), most: 1 }),
            shared: Mutex::default(),
        }
    }

    /// How many references may be worked on at a time: as many as there are processors, and fit half of the memory.
    pub fn at_a_time(&self) -> usize {
        processors().min(free_memory() / 2 / (24 * self.rows * self.classes)).max(1)
    }

    /// Computes references side by side, and keeps them for the problems that are made next.
    pub fn prepare(&self, all: &[(&'static Method, Element)]) -> Result<(), Box<dyn std::error::Error>> {
        if let Ok(mut kept) = self.wanted.lock() {
            kept.most = all.len().max(1);
        }
        std::thread::scope(|scope| {
            let work = |&(method, element): &(&'static Method, Element)| {
                scope.spawn(move || {
                    self.reference(method, element).map(drop).map_err(|error| error.to_string())
                })
            };
            let threads: Vec<_> = all.iter().map(work).collect();
            threads.into_iter().try_for_each(|thread| thread.join().map_err(|_| "a panic")?)
        })
        .map_err(Into::into)
    }

    /// The logits in an element type, and a gradient to be written.
    fn buffers(&self, context: &Context, element: Element) -> (wgpu::Buffer, wgpu::Buffer) {
        let mut shared = self.shared.lock().expect("no panic has the lock");
        if let Some((_, logits, gradient)) = shared.iter().find(|(other, ..)| *other == element) {
            return (logits.clone(), gradient.clone());
        }
        let logits = upload(context, &element.encode(&self.logits));
        let gradient = upload(context, &element.encode(&self.logits));
        shared.push((element, logits.clone(), gradient.clone()));
        (logits, gradient)
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

    /// Loss and gradient in f64, of the logits as `element` rounds them.
    pub fn reference(
        &self,
        method: &'static Method,
        element: Element,
    ) -> Result<Wanted, Box<dyn std::error::Error>> {
        let same = |kept: &&(&str, Element, Wanted)| (kept.0, kept.1) == (method.name, element);
        if let Ok(kept) = self.wanted.lock()
            && let Some((.., wanted)) = kept.all.iter().find(same)
        {
            return Ok(wanted.clone());
        }
        let wanted = Arc::new(self.compute(method, element)?);
        if let Ok(mut kept) = self.wanted.lock() {
            while kept.all.len() >= kept.most {
                kept.all.remove(0);
            }
            kept.all.push((method.name, element, wanted.clone()));
        }
        Ok(wanted)
    }

    fn compute(
        &self,
        method: &Method,
        element: Element,
    ) -> Result<reference::Output, Box<dyn std::error::Error>> {
        let spec = (method.build)(&self.counts)?;
        let rounded = element.decode(&element.encode(&self.logits));
        let logits: Vec<f64> = rounded.iter().map(|&z| f64::from(z)).collect();
        let mut batch = Batch::new(&logits, self.classes, self.targets(method.targets));
        if spec.influence.is_some() {
            batch = batch.with_feature_norms(&self.norms);
        }
        if spec.gate.as_ref().is_some_and(|gate| gate.source == GateSource::Given) {
            batch = batch.with_gates(&self.dense);
        }
        Ok(reference::softmax(&spec, &batch, Upstream::One)?)
    }
}

/// Which passes are timed.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub enum Pass {
    /// Loss and gradient together, the gradient in a buffer of its own.
    #[default]
    LossAndGrad,
    /// The same, the gradient over the logits. Passes after the first work on a gradient, which costs the same
    /// where the cost does not depend on the values.
    InPlace,
    /// A forward pass, then a backward pass.
    ForwardBackward,
}

impl fmt::Display for Pass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::LossAndGrad => "loss_and_grad",
            Self::InPlace => "in_place",
            Self::ForwardBackward => "forward_backward",
        })
    }
}

/// How a problem is laid out.
#[derive(Clone, Copy, Default)]
pub struct Setup {
    /// Which passes.
    pub pass: Pass,
    /// The element type of logits and gradient.
    pub element: Element,
    /// The row layout; `None` is the plan's own choice.
    pub choice: Option<RowChoice>,
}

/// A plan with its buffers, ready to be recorded.
pub struct Problem {
    context: Context,
    pub plan: Plan,
    pub element: Element,
    pub pass: Pass,
    /// The largest difference from the reference's gradient, of its largest entry.
    pub error: f64,
    logits: wgpu::Buffer,
    gradient: wgpu::Buffer,
    targets: Vec<wgpu::Buffer>,
    norms: Option<wgpu::Buffer>,
    gates: Option<wgpu::Buffer>,
    plan_is_soft: bool,
}

impl Problem {
    /// Plans `method` for the data, runs it once and compares it with the reference.
    pub fn new(
        context: &Context,
        method: &'static Method,
        data: &Data,
        setup: Setup,
    ) -> Result<Self, Box<dyn std::error::Error>> {
        let mut problem = Self::unchecked(context, context.kernels(), method, data, setup)?;
        problem.error = problem.check(method, data)?;
        Ok(problem)
    }

    /// The same of other kernels on the context's device, not run yet.
    pub fn unchecked(
        context: &Context,
        kernels: &Kernels,
        method: &'static Method,
        data: &Data,
        setup: Setup,
    ) -> Result<Self, Box<dyn std::error::Error>> {
        let spec = (method.build)(&data.counts)?;
        let element = setup.element;
        let mut request = PlanRequest::new(data.rows, data.classes)
            .with_targets(method.targets)
            .with_elements(element, element);
        request.choice = setup.choice;
        match setup.pass {
            Pass::LossAndGrad => {}
            Pass::InPlace => request = request.with_storage(Storage::InPlace),
            Pass::ForwardBackward => request = request.with_mode(Mode::ForwardBackward),
        }
        let plan = kernels.plan(&spec, &request)?;
        let upload = |bytes: &[u8]| upload(context, bytes);
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
        let (mut logits, gradient) = data.buffers(context, element);
        if setup.pass == Pass::InPlace {
            logits = upload(&element.encode(&data.logits));
        }
        Ok(Self {
            context: context.clone(),
            pass: setup.pass,
            error: f64::NAN,
            logits,
            gradient,
            element,
            targets,
            norms: spec.influence.is_some().then(|| upload(bytemuck::cast_slice(&data.norms))),
            gates: given.then(|| upload(bytemuck::cast_slice(&data.dense))),
            plan_is_soft: method.targets == TargetKind::Soft,
            plan,
        })
    }

    /// The first pass against the reference.
    fn check(&self, method: &'static Method, data: &Data) -> Result<f64, Box<dyn std::error::Error>> {
        // What another problem has left would pass for a result.
        if self.pass != Pass::InPlace {
            timed(&self.context, |encoder| encoder.clear_buffer(&self.gradient, 0, None));
        }
        self.run(1);
        let gradient = if self.pass == Pass::InPlace { &self.logits } else { &self.gradient };
        let got = self.element.decode(&read(&self.context, gradient));
        let want = data.reference(method, self.element)?;
        // Half a unit of the last place, and of the smallest number, of the largest gradient.
        let top = largest(&want.gradient, &got, |want, _| want.abs());
        let rounding = match self.element {
            Element::F32 => 0.0,
            Element::F16 => 2f64.powi(-11) + 2f64.powi(-25) / top,
            _ => 2f64.powi(-8),
        };
        let error = largest_error(&want.gradient, &got[..want.gradient.len()]);
        // A NaN fails the comparison.
        match error <= 1e-4 + rounding {
            true => Ok(error),
            false => Err(format!("{}: gradient is off by {error:e} of its largest", method.name).into()),
        }
    }

    /// Logits read once, the gradient written once.
    pub fn minimal_bytes(&self) -> u64 {
        self.logits.size() + self.gradient.size()
    }

    /// Records `passes` passes, submits them together and waits.
    pub fn run(&self, passes: u64) -> Took {
        timed(&self.context, |encoder| (0..passes).for_each(|_| self.record(encoder)))
    }

    /// Records a pass.
    pub fn record(&self, encoder: &mut wgpu::CommandEncoder) {
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
        let gradient = (self.pass != Pass::InPlace).then(|| View::whole(&self.gradient).into());
        let outputs = Outputs::default();
        if self.pass == Pass::ForwardBackward {
            self.plan.encode_forward(encoder, &inputs, &outputs).expect("encoding");
            self.plan.encode_backward(encoder, &inputs, None, gradient, None).expect("encoding");
        } else {
            self.plan.encode_loss_and_grad(encoder, &inputs, gradient, None, &outputs).expect("encoding");
        }
    }

    /// Submits one pass, and does not wait.
    pub fn submit(&self) {
        let kernels = self.context.kernels();
        let mut encoder = kernels.device().create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        self.record(&mut encoder);
        kernels.queue().submit([encoder.finish()]);
    }

    /// Waits until all that was submitted is done.
    pub fn wait(&self) {
        self.context.kernels().device().poll(wgpu::PollType::wait_indefinitely()).expect("waiting");
    }

    /// Copies of the logits over the gradient: the device's copy bandwidth.
    pub fn copy(&self) -> Copy {
        Copy::new(&self.context, &self.logits, &self.gradient)
    }
}

/// A buffer with these bytes.
pub fn upload(context: &Context, bytes: &[u8]) -> wgpu::Buffer {
    let mut bytes = bytes.to_vec();
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    let buffer = context.kernels().device().create_buffer(&wgpu::BufferDescriptor {
        label: None,
        size: bytes.len() as u64,
        usage: wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_DST | wgpu::BufferUsages::COPY_SRC,
        mapped_at_creation: false,
    });
    context.kernels().queue().write_buffer(&buffer, 0, &bytes);
    buffer
}

/// A buffer's bytes.
pub fn read(context: &Context, buffer: &wgpu::Buffer) -> Vec<u8> {
    let (device, queue) = (context.kernels().device(), context.kernels().queue());
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

/// Threads that run at once.
pub fn processors() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

/// Bytes that the system says are free (Linux), else 8 GB.
fn free_memory() -> usize {
    let text = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<usize>().ok());
    kib.map_or(8_000_000_000, |kib| kib * 1024)
}

/// The largest of what `of` makes of wanted and got, by all processors.
fn largest(want: &[f64], got: &[f32], of: impl Fn(f64, f32) -> f64 + Sync) -> f64 {
    let piece = want.len().div_ceil(processors()).max(1);
    std::thread::scope(|scope| {
        let work = |(want, got): (&'_ [f64], &'_ [f32])| {
            want.iter().zip(got).fold(0.0f64, |top, (&want, &got)| top.max(of(want, got)))
        };
        let pieces = want.chunks(piece).zip(got.chunks(piece));
        let threads: Vec<_> = pieces.map(|piece| scope.spawn(move || work(piece))).collect();
        threads.into_iter().fold(0.0, |top, thread| thread.join().map_or(f64::NAN, |piece| piece.max(top)))
    })
}

/// The largest difference, of the largest wanted entry; infinite where the gradient is not finite, NaN where it has another
/// length.
pub fn largest_error(want: &[f64], got: &[f32]) -> f64 {
    if want.len() != got.len() {
        return f64::NAN;
    }
    let difference = |want: f64, got: f32| match got.is_finite() {
        true => (want - f64::from(got)).abs(),
        false => f64::INFINITY,
    };
    largest(want, got, difference) / largest(want, got, |want, _| want.abs())
}
