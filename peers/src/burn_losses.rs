//! The losses as a user of Burn would write them: Burn's own cross-entropy, and seesaw from tensor operations.

use burn::nn::loss::{CrossEntropyLoss, CrossEntropyLossConfig};
use burn::tensor::activation::softmax;
use burn::tensor::wgpu::WgpuBackend;
use burn::tensor::{Device, IndexingUpdateOp, Int, Tensor, TensorData};

const MITIGATION: f32 = 0.8;
const COMPENSATION: f32 = 2.0;
const FLOOR: f32 = 0.01;

type Failure = Box<dyn std::error::Error>;

/// Burn's device on Vulkan, and its adapter's name.
pub fn device() -> Result<(Device, String), Failure> {
    let options = Device::wgpu_options().graphics_api(WgpuBackend::Vulkan);
    let (device, setup) = options.init_with_setup()?;
    Ok((device.autodiff(), setup.adapter.get_info().name))
}

/// Burn's version, as the lock file has it.
pub fn version() -> String {
    let lock = include_str!("../../Cargo.lock");
    let after = lock.split("name = \"burn\"\nversion = \"").nth(1);
    after.and_then(|rest| rest.split('"').next()).unwrap_or("unknown").to_owned()
}

/// Which loss.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Loss {
    CrossEntropy,
    Seesaw,
}

/// A batch in Burn's tensors.
#[derive(Debug)]
pub struct Step {
    device: Device,
    loss: Loss,
    logits: Tensor<2>,
    labels: Tensor<1, Int>,
    counts: Tensor<1>,
    cross_entropy: CrossEntropyLoss,
}

impl Step {
    /// Puts the batch on the device.
    pub fn new(device: &Device, loss: Loss, logits: &[f32], labels: &[i32], counts: &[u64]) -> Self {
        let (rows, classes) = (labels.len(), counts.len());
        let counts: Vec<f32> = counts.iter().map(|&count| count as f32).collect();
        Self {
            device: device.clone(),
            loss,
            logits: Tensor::from_data(TensorData::new(logits.to_vec(), [rows, classes]), device),
            labels: Tensor::from_data(TensorData::new(labels.to_vec(), [rows]), device),
            counts: Tensor::from_data(TensorData::new(counts, [classes]), device),
            cross_entropy: CrossEntropyLossConfig::new().init(device),
        }
    }

    /// Loss and gradient of the batch.
    pub fn run(&mut self) -> (Tensor<1>, Tensor<2>) {
        let logits = self.logits.clone().require_grad();
        let scores = match self.loss {
            Loss::CrossEntropy => logits.clone(),
            Loss::Seesaw => self.seesaw(logits.clone()),
        };
        let loss = self.cross_entropy.forward(scores, self.labels.clone());
        let gradient = logits.grad(&loss.backward()).expect("the logits require a gradient");
        (loss, gradient)
    }

    /// The logits with the logarithms of seesaw's factors, which carry no gradient: O(N K) temporaries, no K x K matrix.
    fn seesaw(&mut self, logits: Tensor<2>) -> Tensor<2> {
        let rows = self.labels.dims()[0];
        let ones = Tensor::<1>::ones([rows], &self.device);
        self.counts = self.counts.clone().select_assign(0, self.labels.clone(), ones, IndexingUpdateOp::Add);
        let log_counts = self.counts.clone().clamp_min(1.0).log();
        let own_log_count = log_counts.clone().select(0, self.labels.clone()).reshape([rows, 1]);
        let mitigation = (log_counts.unsqueeze::<2>() - own_log_count).clamp_max(0.0) * MITIGATION;

        let scores = softmax(logits.clone().detach(), 1);
        let own = scores.clone().gather(1, self.labels.clone().reshape([rows, 1])).clamp_min(FLOOR);
        let compensation = (scores / own).log().clamp_min(0.0) * COMPENSATION;
        logits + mitigation + compensation
    }

    /// Waits until all work is done.
    pub fn wait(&self) {
        self.device.sync().expect("the device is there");
    }
}
