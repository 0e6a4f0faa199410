//! What a task is: features and labels to train and test on.

use longtail::ClassCounts;
use ndarray::Array2;

/// Rows of features and their classes.
pub struct Split {
    /// `[N, D]`.
    pub features: Array2<f32>,
    /// `[N]`.
    pub labels: Vec<i32>,
}

/// How a task is trained; the same for every loss.
pub struct Schedule {
    pub batch: usize,
    pub steps: usize,
    /// The peak learning rate of the linear head.
    pub linear_rate: f32,
    /// That of the cosine head, whose logits are multiplied by LDAM's scale.
    pub cosine_rate: f32,
}

pub struct Task {
    pub name: &'static str,
    /// One line about the data.
    pub about: String,
    /// Of the training split.
    pub counts: ClassCounts,
    pub train: Split,
    pub test: Split,
    pub schedule: Schedule,
}

/// The class counts of some labels.
pub fn count(labels: &[i32], classes: usize) -> longtail::Result<ClassCounts> {
    let mut counts = vec![0u64; classes];
    for &label in labels {
        counts[label as usize] += 1;
    }
    ClassCounts::new(counts)
}

/// Uniform 24-bit draws, the same on every machine: the crate's own generator.
pub struct Draws {
    key: [u32; 2],
    next: u32,
}

impl Draws {
    pub fn new(seed: u64, stream: u64) -> Self {
        Self { key: longtail::random::step_key(seed, stream), next: 0 }
    }

    /// In `[0, 1)`.
    pub fn uniform(&mut self) -> f32 {
        self.next += 1;
        longtail::random::draw_24(self.key, self.next, 0) as f32 / 16_777_216.0
    }

    /// Standard normal, by Box and Muller.
    pub fn normal(&mut self) -> f32 {
        let radius = (-2.0 * (1.0 - self.uniform()).ln()).sqrt();
        radius * (std::f32::consts::TAU * self.uniform()).cos()
    }

    /// Fisher and Yates.
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            // 2^24 draws are enough: the data sets here have fewer rows.
            let other = (self.uniform() * (last + 1) as f32) as usize;
            items.swap(last, other.min(last));
        }
    }
}
