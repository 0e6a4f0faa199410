//! One rank: its classes on its own device.

use crate::Failure;
use crate::batch::Problem;
use longtail::TargetKind;
use longtail::gpu::{
    Context, Inputs, Kernels, Outputs, Plan, PlanRequest, Shard, Statistics, Storage, TargetViews, View,
};
use longtail::wgpu;
use mpi::collective::SystemOperation;
use mpi::traits::CommunicatorCollectives;

/// A shard's plan and buffers.
pub struct Rank<'a> {
    problem: &'a Problem,
    kernels: Kernels,
    plan: Plan,
    statistics: Statistics,
    classes: std::ops::Range<usize>,
    logits: wgpu::Buffer,
    targets: Vec<wgpu::Buffer>,
    exchanged: wgpu::Buffer,
    loss: wgpu::Buffer,
}

/// A buffer of at least one word with these bytes.
pub fn upload(kernels: &Kernels, bytes: &[u8]) -> wgpu::Buffer {
    let mut bytes = bytes.to_vec();
    bytes.resize(bytes.len().next_multiple_of(4).max(4), 0);
    let buffer = kernels.device().create_buffer(&wgpu::BufferDescriptor {
        label: Some("shards"),
        size: bytes.len() as u64,
        usage: wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_SRC | wgpu::BufferUsages::COPY_DST,
        mapped_at_creation: false,
    });
    kernels.queue().write_buffer(&buffer, 0, &bytes);
    buffer
}

/// The bytes of a range of a buffer.
pub fn download(
    kernels: &Kernels,
    buffer: &wgpu::Buffer,
    offset: u64,
    size: u64,
) -> Result<Vec<u8>, Failure> {
    let device = kernels.device();
    let staging = device.create_buffer(&wgpu::BufferDescriptor {
        label: Some("shards"),
        size: size.max(4),
        usage: wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST,
        mapped_at_creation: false,
    });
    let mut encoder = device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
    encoder.copy_buffer_to_buffer(buffer, offset, &staging, 0, size);
    kernels.queue().submit([encoder.finish()]);
    staging.map_async(wgpu::MapMode::Read, .., |_| {});
    device.poll(wgpu::PollType::wait_indefinitely())?;
    let bytes = staging.get_mapped_range(..)?[..usize::try_from(size)?].to_vec();
    Ok(bytes)
}

/// Labels, two labels and shares, or soft targets, for some classes.
pub fn targets(kernels: &Kernels, problem: &Problem, classes: &std::ops::Range<usize>) -> Vec<wgpu::Buffer> {
    match problem.kind {
        TargetKind::Mixed => vec![
            upload(kernels, bytemuck::cast_slice(&problem.labels)),
            upload(kernels, bytemuck::cast_slice(&problem.second)),
            upload(kernels, bytemuck::cast_slice(&problem.lambda)),
        ],
        TargetKind::Soft => vec![upload(kernels, bytemuck::cast_slice(&problem.soft(classes)))],
        _ => vec![upload(kernels, bytemuck::cast_slice(&problem.labels))],
    }
}

impl<'a> Rank<'a> {
    pub fn new(
        context: &Context,
        problem: &'a Problem,
        index: usize,
        shards: usize,
    ) -> Result<Self, Failure> {
        let kernels = context.kernels().clone();
        let classes = problem.range(index, shards);
        let request = PlanRequest::new(problem.rows, problem.classes)
            .with_targets(problem.kind)
            .with_storage(Storage::InPlace)
            .with_elements(problem.element, problem.element)
            .with_shard(Shard { index, shards, classes: classes.clone() });
        let plan = kernels.plan(&problem.spec, &request)?;
        let statistics = plan.statistics().ok_or("the plan is no shard")?;
        Ok(Self {
            logits: upload(&kernels, &problem.element.encode(&problem.logits(&classes))),
            targets: targets(&kernels, problem, &classes),
            exchanged: upload(&kernels, &vec![0; usize::try_from(statistics.bytes())?]),
            loss: upload(&kernels, &[]),
            problem,
            kernels,
            plan,
            statistics,
            classes,
        })
    }

    /// Rounds of messages.
    pub fn rounds(&self) -> usize {
        self.statistics.rounds()
    }

    /// Bytes of its own that a rank tells the others.
    pub fn sent(&self) -> u64 {
        (0..self.rounds()).map(|round| self.statistics.slot(round, 0)).map(|slot| slot.end - slot.start).sum()
    }

    /// Bytes on the device beside logits, gradient and targets.
    pub fn held(&self) -> u64 {
        self.plan.bytes() + self.statistics.bytes()
    }

    /// Puts the logits back that a step has made a gradient of.
    pub fn upload_logits(&self) {
        let mut bytes = self.problem.element.encode(&self.problem.logits(&self.classes));
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        self.kernels.queue().write_buffer(&self.logits, 0, &bytes);
    }

    /// Loss of all classes, gradient of this rank's.
    pub fn step(&mut self, world: &impl CommunicatorCollectives) -> Result<(f32, Vec<f32>), Failure> {
        let (rows, width) = (self.problem.rows as u64, self.classes.len() as u64);
        let element = self.problem.element;
        let bytes = (element.bytes() * rows * width).next_multiple_of(4);
        let per_row = |index: usize| View::new(&self.targets[index], 0, 4 * rows);
        let targets = match self.problem.kind {
            TargetKind::Mixed => {
                TargetViews::Mixed { first: per_row(0), second: per_row(1), lambda: per_row(2) }
            }
            TargetKind::Soft => TargetViews::Soft(View::new(&self.targets[0], 0, 4 * rows * width).into()),
            _ => TargetViews::Hard(per_row(0)),
        };
        let inputs = Inputs::new(View::new(&self.logits, 0, bytes), targets);
        let exchanged = View::whole(&self.exchanged);
        let submit = |record: &dyn Fn(&mut wgpu::CommandEncoder) -> longtail::Result<()>| {
            let mut encoder = self.kernels.device().create_command_encoder(&Default::default());
            record(&mut encoder)?;
            self.kernels.queue().submit([encoder.finish()]);
            Ok::<_, Failure>(())
        };
        for round in 0..self.rounds() {
            submit(&|encoder| self.plan.encode_partial(encoder, &inputs, round, exchanged))?;
            let region = self.statistics.region(round);
            let own = download(&self.kernels, &self.exchanged, region.start, region.end - region.start)?;
            let own: Vec<u32> = bytemuck::pod_collect_to_vec(&own);
            let mut all = vec![0u32; own.len()];
            // Any all-reduce will do; this one is exact in whatever order it works.
            world.all_reduce_into(&own[..], &mut all[..], SystemOperation::bitwise_or());
            self.kernels.queue().write_buffer(&self.exchanged, region.start, bytemuck::cast_slice(&all));
        }
        let outputs = Outputs { loss: Some(View::new(&self.loss, 0, 4)), ..Outputs::default() };
        submit(&|encoder| {
            self.plan.encode_shard_loss_and_grad(encoder, &inputs, exchanged, None, None, &outputs)
        })?;
        self.plan.status()?;
        let loss: Vec<f32> = bytemuck::pod_collect_to_vec(&download(&self.kernels, &self.loss, 0, 4)?);
        let mut gradient = element.decode(&download(&self.kernels, &self.logits, 0, bytes)?);
        gradient.truncate(self.problem.rows * self.classes.len());
        Ok((loss[0], gradient))
    }
}
