//! The adapter under test, and batches run through plans with buffers laid out in every way.
#![allow(dead_code, reason = "each test file uses a part")]

#[path = "pass.rs"]
mod pass_of_batch;

use crate::inputs::Data;
use longtail::gpu::{Context, Kernels, MatrixView, Mode, Plan, PlanRequest, RowChoice, Storage, View};
use longtail::{Element, SoftmaxLoss};
pub use pass_of_batch::{Given, pass_of};
use std::sync::OnceLock;

/// The adapter: Vulkan, always; a missing one is a failure.
pub fn context() -> &'static Context {
    static CONTEXT: OnceLock<Context> = OnceLock::new();
    CONTEXT.get_or_init(|| {
        let context = pollster::block_on(Context::with_backends(wgpu::Backends::VULKAN))
            .unwrap_or_else(|error| panic!("these tests need a Vulkan adapter: {error}"));
        let info = context.adapter_info();
        println!("adapter: {} ({:?}, {:?}, {})", info.name, info.backend, info.device_type, info.driver_info);
        context
    })
}

/// The upstream gradient of a backward pass.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Up {
    One,
    Scalar(f32),
    PerRow,
}

/// How a batch is run.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Manner {
    pub mode: Mode,
    pub storage: Storage,
    pub choice: Option<RowChoice>,
    /// Elements between the end of one row and the start of the next: logits, gradient.
    pub gaps: (usize, usize),
    pub upstream: Up,
    pub argmax: bool,
    pub class_scale: bool,
    /// Element types of logits and gradient; in place the gradient has the logits'.
    pub elements: (Element, Element),
    /// Rows of each block that matrices come in; 0 is all of them in one.
    pub block: usize,
}

impl Manner {
    /// The element type of the gradient.
    pub fn gradient(&self) -> Element {
        if self.storage == Storage::InPlace { self.elements.0 } else { self.elements.1 }
    }

    /// Rows of each block.
    pub fn blocks(&self, rows: usize) -> Vec<usize> {
        match self.block {
            0 => vec![rows],
            height => {
                let mut blocks = vec![height; rows / height];
                blocks.extend((!rows.is_multiple_of(height) || rows == 0).then_some(rows % height));
                blocks
            }
        }
    }
}

impl Default for Manner {
    fn default() -> Self {
        Self {
            mode: Mode::LossAndGrad,
            storage: Storage::Separate,
            choice: None,
            gaps: (0, 0),
            upstream: Up::One,
            argmax: true,
            class_scale: false,
            elements: (Element::F32, Element::F32),
            block: 0,
        }
    }
}

/// What came back.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Got {
    pub loss: f32,
    pub row_loss: Vec<f32>,
    pub log_sum_exp: Vec<f32>,
    pub probability: Vec<f32>,
    pub argmax: Vec<u32>,
    /// `[N, K]`, without gaps.
    pub gradient: Vec<f32>,
    pub class_scale: Option<Vec<f32>>,
    pub status: Option<longtail::Error>,
}

/// What fills every byte that no pass may touch: a NaN with a pattern of its own.
pub const GUARD: u32 = 0x7fc5_a5a5;
const ALIGN: u64 = 256;
const USAGE: wgpu::BufferUsages =
    wgpu::BufferUsages::STORAGE.union(wgpu::BufferUsages::COPY_SRC).union(wgpu::BufferUsages::COPY_DST);

/// Ranges of one pooled buffer, or of a buffer each, with guards before and after.
pub struct Arena {
    pooled: bool,
    /// Per range: the buffer, the offset in words, the words.
    ranges: Vec<(usize, usize, usize)>,
    words: Vec<Vec<u32>>,
    buffers: Vec<wgpu::Buffer>,
}

impl Arena {
    pub fn new(pooled: bool) -> Self {
        Self { pooled, ranges: Vec::new(), words: Vec::new(), buffers: Vec::new() }
    }

    /// Adds a range and gives its number.
    pub fn add(&mut self, words: &[u32]) -> usize {
        if self.words.is_empty() || !self.pooled {
            self.words.push(Vec::new());
        }
        let buffer = self.words.len() - 1;
        let held = &mut self.words[buffer];
        let step = ALIGN as usize / 4;
        let start = (held.len() + 1).next_multiple_of(step);
        held.resize(start, GUARD);
        held.extend_from_slice(words);
        held.push(GUARD);
        self.ranges.push((buffer, start, words.len()));
        self.ranges.len() - 1
    }

    pub fn upload(&mut self, kernels: &Kernels) {
        for words in &self.words {
            let buffer = kernels.device().create_buffer(&wgpu::BufferDescriptor {
                label: Some("test"),
                size: 4 * words.len() as u64,
                usage: USAGE,
                mapped_at_creation: false,
            });
            kernels.queue().write_buffer(&buffer, 0, bytemuck::cast_slice(words));
            self.buffers.push(buffer);
        }
    }

    pub fn view(&self, range: usize) -> View<'_> {
        let (buffer, start, len) = self.ranges[range];
        View::new(&self.buffers[buffer], 4 * start as u64, 4 * len as u64)
    }

    /// Reads everything back; panics if a word outside of the `written` ranges has changed.
    pub fn read(&self, kernels: &Kernels, written: &[usize]) -> Vec<Vec<u32>> {
        let after = read_all(kernels, &self.buffers.iter().collect::<Vec<_>>());
        for (index, (before, after)) in self.words.iter().zip(&after).enumerate() {
            let may = |word: usize| {
                written.iter().any(|&range| {
                    let (buffer, start, len) = self.ranges[range];
                    buffer == index && (start..start + len).contains(&word)
                })
            };
            let changed = before.iter().zip(after).enumerate().find(|(word, (b, a))| b != a && !may(*word));
            if let Some((word, (before, after))) = changed {
                panic!("buffer {index} word {word}: {before:#x} became {after:#x}, which no pass may write");
            }
        }
        self.ranges.iter().map(|&(buffer, start, len)| after[buffer][start..start + len].to_vec()).collect()
    }
}

/// The content of buffers, in one submission.
pub fn read_all(kernels: &Kernels, buffers: &[&wgpu::Buffer]) -> Vec<Vec<u32>> {
    let device = kernels.device();
    let staging = device.create_buffer(&wgpu::BufferDescriptor {
        label: None,
        size: buffers.iter().map(|buffer| buffer.size()).sum(),
        usage: wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST,
        mapped_at_creation: false,
    });
    let mut encoder = device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
    let mut at = 0;
    for buffer in buffers {
        encoder.copy_buffer_to_buffer(buffer, 0, &staging, at, buffer.size());
        at += buffer.size();
    }
    kernels.queue().submit([encoder.finish()]);
    staging.map_async(wgpu::MapMode::Read, .., |result| result.unwrap());
    device.poll(wgpu::PollType::wait_indefinitely()).unwrap();
    let view = staging.get_mapped_range(..).unwrap();
    let mut words = view.chunks_exact(4).map(|word| u32::from_le_bytes(word.try_into().unwrap()));
    buffers.iter().map(|buffer| words.by_ref().take(buffer.size() as usize / 4).collect()).collect()
}

pub fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|value| value.to_bits()).collect()
}

pub fn floats(words: &[u32]) -> Vec<f32> {
    words.iter().map(|&word| f32::from_bits(word)).collect()
}

pub fn ints(values: &[i32]) -> Vec<u32> {
    values.iter().map(|&value| value as u32).collect()
}

/// What fills bytes between rows: a NaN in every element type.
const GAP: u8 = 0xff;

/// Rows `gap` elements apart, guards between them and up to the last whole word.
pub fn strided(element: Element, values: &[f32], classes: usize, gap: usize) -> Vec<u32> {
    let gap = vec![GAP; gap * element.bytes() as usize];
    let mut bytes = Vec::new();
    for row in values.chunks_exact(classes) {
        if !bytes.is_empty() {
            bytes.extend_from_slice(&gap);
        }
        bytes.extend(element.encode(row));
    }
    bytes.resize(bytes.len().next_multiple_of(4), GAP);
    bytes.chunks_exact(4).map(|word| u32::from_le_bytes(word.try_into().unwrap())).collect()
}

/// The rows of a strided matrix; panics if a byte between rows has changed.
pub fn dense(element: Element, words: &[u32], rows: usize, classes: usize, gap: usize) -> Vec<f32> {
    let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
    let width = classes * element.bytes() as usize;
    let mut values = Vec::with_capacity(rows * classes);
    let mut rest = &bytes[..];
    for _ in 0..rows {
        let (row, after) = rest.split_at(width);
        values.extend(element.decode(row));
        let (between, after) = after.split_at(after.len().min(gap * element.bytes() as usize));
        assert!(between.iter().all(|&byte| byte == GAP), "a gap between two rows was written");
        rest = after;
    }
    assert!(rest.len() < 4 && rest.iter().all(|&byte| byte == GAP), "what follows the last row was written");
    values
}

/// The row blocks of a strided matrix.
pub fn blocks(element: Element, values: &[f32], manner: &Manner, rows: usize, gap: usize) -> Vec<Vec<u32>> {
    let classes = values.len() / rows.max(1);
    let mut rest = values;
    let cut = |height: usize| {
        let (block, after) = rest.split_at(height * classes);
        rest = after;
        strided(element, block, classes.max(1), gap)
    };
    manner.blocks(rows).into_iter().map(cut).collect()
}

/// One view as a whole matrix, several as blocks.
pub fn matrix_view<'a>(views: &'a [View<'a>]) -> MatrixView<'a> {
    match views {
        [view] => MatrixView::Whole(*view),
        views => MatrixView::Blocks(views),
    }
}

/// The request that a manner makes of a batch.
pub fn request(data: &Data, manner: Manner) -> PlanRequest {
    let mut request = PlanRequest::new(data.rows, data.classes)
        .with_targets(data.kind)
        .with_mode(manner.mode)
        .with_storage(manner.storage)
        .with_elements(manner.elements.0, manner.gradient())
        .with_strides(data.classes + manner.gaps.0, data.classes + manner.gaps.1);
    if manner.block > 0 {
        request.row_blocks = manner.blocks(data.rows);
    }
    request.row_weights = data.row_weights.is_some();
    request.argmax = manner.argmax;
    request.class_scale_gradient = manner.class_scale;
    request.choice = manner.choice;
    request
}

/// Plans and runs one batch.
pub fn run(
    kernels: &Kernels,
    spec: &SoftmaxLoss,
    data: &Data,
    manner: Manner,
) -> longtail::Result<(Plan, Got)> {
    let plan = kernels.plan(spec, &request(data, manner))?;
    let got = pass(kernels, &plan, spec, data, manner)?;
    Ok((plan, got))
}

/// Runs one batch through a plan. Panics if a byte is written that should not be.
pub fn pass(
    kernels: &Kernels,
    plan: &Plan,
    spec: &SoftmaxLoss,
    data: &Data,
    manner: Manner,
) -> longtail::Result<Got> {
    pass_of(kernels, plan, &Given::new(data.batch(spec), &data.upstream), manner)
}

/// Kernels on a device without any feature.
pub fn kernels_without_features() -> Kernels {
    kernels_of(|_| {}, wgpu::Features::empty())
}

/// Kernels on a device whose limits are lowered: every batch is cut into windows.
pub fn kernels_with(change: impl FnOnce(&mut wgpu::Limits)) -> Kernels {
    kernels_of(change, wgpu::Features::SHADER_F16)
}

fn kernels_of(change: impl FnOnce(&mut wgpu::Limits), features: wgpu::Features) -> Kernels {
    let instance = wgpu::Instance::new(wgpu::InstanceDescriptor {
        backends: wgpu::Backends::VULKAN,
        flags: wgpu::InstanceFlags::empty(),
        ..wgpu::InstanceDescriptor::new_without_display_handle()
    });
    let adapter = pollster::block_on(instance.request_adapter(&Default::default())).unwrap();
    let mut limits = adapter.limits();
    change(&mut limits);
    let descriptor = wgpu::DeviceDescriptor {
        required_features: adapter.features() & features,
        required_limits: limits,
        ..Default::default()
    };
    let (device, queue) = pollster::block_on(adapter.request_device(&descriptor)).unwrap();
    Kernels::new(&device, &queue).unwrap()
}
