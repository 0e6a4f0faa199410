//! The classifier heads on the device: features go up, the weights' gradient comes down, and the logits are never on the
//! host.

use longtail::gpu::head::{HeadGradients, HeadPlan, HeadPredict, HeadRequest, HeadViews};
use longtail::gpu::head::{PredictRequest, PredictViews};
use longtail::gpu::{Context, Inputs, Outputs, Plan, PlanRequest, Storage, TargetViews, View};
use longtail::{SoftmaxLoss, wgpu};
use ndarray::{Array2, Axis};

use crate::Failure;
use crate::head::{Head, Kind};
use crate::losses::Recipe;

/// Rows that are tested together.
const TESTED: usize = 1024;
/// Of a cosine head in front of a loss without a scale of its own: LDAM's.
const SCALE: f64 = 30.0;

/// A head and its loss for one size of batch.
pub struct DeviceHead {
    context: Context,
    /// Weights and velocity; gradient descent itself is the host's.
    host: Head,
    plan: HeadPlan,
    loss: Plan,
    predict: HeadPredict,
    features: wgpu::Buffer,
    labels: wgpu::Buffer,
    weights: wgpu::Buffer,
    to_weights: wgpu::Buffer,
    /// The logits of the batch, then their gradient; when testing, those of some rows.
    scratch: wgpu::Buffer,
    value: wgpu::Buffer,
    found: [wgpu::Buffer; 2],
    staging: wgpu::Buffer,
}

impl DeviceHead {
    /// Starts from the weights of `host`, for batches of `rows`.
    pub fn new(
        context: &Context,
        recipe: &Recipe,
        kind: Kind,
        host: Head,
        rows: usize,
    ) -> Result<Self, Failure> {
        let kernels = context.kernels();
        let (classes, dim) = host.weight().dim();
        let scale = if recipe.head == Kind::Cosine { 1.0 } else { SCALE };
        let head = match kind {
            Kind::Linear => longtail::head::Head::linear(),
            Kind::Cosine => longtail::head::Head::cosine(scale),
        };
        // One chunk, so that the loss's denominator, counts and gates are those of the batch.
        let mut request = HeadRequest::new(rows, classes, dim);
        request.feature_gradient = false;
        let plan = kernels.head(&head, &request)?;
        let loss =
            kernels.plan(&recipe.spec, &PlanRequest::new(rows, classes).with_storage(Storage::InPlace))?;
        let tested = PredictRequest::new(TESTED, classes, dim, 1).with_chunks(rows.min(TESTED), classes);
        let predict = kernels.head_predict(&head, &tested)?;
        let usage = wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_SRC | wgpu::BufferUsages::COPY_DST;
        let buffer = |size: u64, usage| {
            kernels.device().create_buffer(&wgpu::BufferDescriptor {
                label: Some("train"),
                size,
                usage,
                mapped_at_creation: false,
            })
        };
        let words = |count: usize| buffer(4 * count as u64, usage);
        let staging = wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST;
        Ok(Self {
            features: words(rows.max(TESTED) * dim),
            labels: words(rows),
            weights: words(classes * dim),
            to_weights: words(classes * dim),
            scratch: buffer(plan.scratch_bytes().max(predict.scratch_bytes()), usage),
            value: words(1),
            found: [words(TESTED), words(TESTED)],
            staging: buffer(4 * (classes * dim + 1).max(TESTED) as u64, staging),
            context: context.clone(),
            host,
            plan,
            loss,
            predict,
        })
    }

    /// New numbers for the loss.
    pub fn update(&mut self, spec: &SoftmaxLoss) -> Result<(), Failure> {
        Ok(self.loss.update(spec)?)
    }

    pub fn set_step(&self, step: u64) -> Result<(), Failure> {
        Ok(self.loss.set_step(step)?)
    }

    /// One step of gradient descent; gives the loss before it.
    pub fn step(
        &mut self,
        features: &Array2<f32>,
        labels: &[i32],
        rate: f32,
        momentum: f32,
    ) -> Result<f32, Failure> {
        self.write(&self.labels, bytemuck::cast_slice(labels));
        self.upload(features);
        let classes = self.host.weight().nrows();
        let views = HeadViews::new(View::whole(&self.features), View::whole(&self.weights));
        let scratch = View::new(&self.scratch, 0, self.plan.scratch_bytes());
        let logits = View::new(&self.scratch, 0, 4 * (labels.len() * classes) as u64);
        let gradients =
            HeadGradients { weights: Some(View::whole(&self.to_weights)), ..HeadGradients::default() };
        let mut encoder = self.encoder();
        {
            let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default());
            self.plan.begin(&mut pass, &views)?;
            self.plan.forward(&mut pass, 0, &views, scratch)?;
        }
        // The loss, in place.
        let inputs = Inputs::new(logits, TargetViews::Hard(View::whole(&self.labels)));
        let outputs = Outputs { loss: Some(View::whole(&self.value)), ..Outputs::default() };
        self.loss.encode_loss_and_grad(&mut encoder, &inputs, None, None, &outputs)?;
        {
            let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default());
            self.plan.backward(&mut pass, 0, &views, &gradients, scratch)?;
            self.plan.finish(&mut pass, &views, &gradients)?;
        }
        let words = self.read(encoder, &[&self.to_weights, &self.value])?;
        self.loss.status()?;
        let (gradient, value) = words.split_at(words.len() - 1);
        let gradient = gradient.iter().map(|&word| f32::from_bits(word)).collect();
        let gradient = Array2::from_shape_vec(self.host.weight().dim(), gradient)?;
        self.host.descend(&gradient, rate, momentum);
        Ok(f32::from_bits(value[0]))
    }

    /// The class of the highest logit of each row.
    pub fn predict(&self, features: &Array2<f32>) -> Result<Vec<u32>, Failure> {
        let mut classes = Vec::with_capacity(features.nrows());
        for rows in features.axis_chunks_iter(Axis(0), TESTED) {
            self.upload(&rows.to_owned());
            let views = PredictViews {
                features: View::whole(&self.features),
                weights: View::whole(&self.weights),
                bias: None,
                class_scale: None,
                centre: None,
                adjustment: None,
                direction: None,
                scratch: View::new(&self.scratch, 0, self.predict.scratch_bytes()),
                top_classes: View::whole(&self.found[0]),
                top_logits: View::whole(&self.found[1]),
            };
            let mut encoder = self.encoder();
            self.predict
                .encode(&mut encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default()), &views)?;
            // What is beyond the rows are features of another time.
            classes.extend(self.read(encoder, &[&self.found[0]])?.into_iter().take(rows.nrows()));
        }
        Ok(classes)
    }

    fn encoder(&self) -> wgpu::CommandEncoder {
        self.context.kernels().device().create_command_encoder(&wgpu::CommandEncoderDescriptor::default())
    }

    fn write(&self, buffer: &wgpu::Buffer, bytes: &[u8]) {
        self.context.kernels().queue().write_buffer(buffer, 0, bytes);
    }

    /// Features, and the weights as they are now.
    fn upload(&self, features: &Array2<f32>) {
        let contiguous = |rows: &Array2<f32>| rows.iter().copied().collect::<Vec<f32>>();
        self.write(&self.features, bytemuck::cast_slice(&contiguous(features)));
        self.write(&self.weights, bytemuck::cast_slice(&contiguous(self.host.weight())));
    }

    /// Submits, waits, and gives the buffers' words one after the other.
    fn read(
        &self,
        mut encoder: wgpu::CommandEncoder,
        buffers: &[&wgpu::Buffer],
    ) -> Result<Vec<u32>, Failure> {
        let kernels = self.context.kernels();
        let mut end = 0;
        for buffer in buffers {
            encoder.copy_buffer_to_buffer(buffer, 0, &self.staging, end, buffer.size());
            end += buffer.size();
        }
        kernels.queue().submit([encoder.finish()]);
        self.staging.map_async(wgpu::MapMode::Read, ..end, |_| {});
        kernels.device().poll(wgpu::PollType::wait_indefinitely())?;
        let words = bytemuck::pod_collect_to_vec(&self.staging.get_mapped_range(..end)?[..]);
        self.staging.unmap();
        Ok(words)
    }
}
