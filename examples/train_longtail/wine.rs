//! Red wine by quality: six classes of 10, 53, 681, 638, 199 and 18 wines (Cortez et al., 2009).

use ndarray::{Array2, Axis};

use crate::data::{Draws, Schedule, Split, Task, count};

/// Quality is graded 3 to 8.
const LOWEST: usize = 3;
const CLASSES: usize = 6;
/// Fixed random features (Rahimi and Recht, 2007) beside the eleven measurements.
const RANDOM: usize = 128;
/// This share of every class is held out.
const TEST_SHARE: f64 = 0.4;

pub fn load(seed: u64) -> longtail::Result<Task> {
    let wines = linfa_datasets::winequality();
    let labels: Vec<usize> = wines.targets().iter().map(|quality| quality - LOWEST).collect();
    let (train, test) = split(&labels, &mut Draws::new(seed, 0));

    let rows = wines.records().mapv(|value| value as f32);
    let (mean, deviation) = {
        let seen = rows.select(Axis(0), &train);
        (seen.mean_axis(Axis(0)).unwrap_or_default(), seen.std_axis(Axis(0), 0.0))
    };
    let features = expand(&((rows - mean) / deviation), &mut Draws::new(seed, 1));

    let take = |indices: &[usize]| Split {
        features: features.select(Axis(0), indices),
        labels: indices.iter().map(|&index| labels[index] as i32).collect(),
    };
    let (train, test) = (take(&train), take(&test));
    let counts = count(&train.labels, CLASSES)?;
    let about = format!(
        "red wine by quality, {CLASSES} classes; {} wines to train on, {} to test on, {} features",
        train.labels.len(),
        test.labels.len(),
        features.ncols()
    );
    let schedule = Schedule { batch: 240, steps: 800, linear_rate: 0.2, cosine_rate: 0.02 };
    Ok(Task { name: "wine", about, counts, train, test, schedule })
}

/// Train and test indices, every class in the same proportion.
fn split(labels: &[usize], draws: &mut Draws) -> (Vec<usize>, Vec<usize>) {
    let (mut train, mut test) = (vec![], vec![]);
    for class in 0..CLASSES {
        let mut members: Vec<usize> = (0..labels.len()).filter(|&row| labels[row] == class).collect();
        draws.shuffle(&mut members);
        let held_out = (members.len() as f64 * TEST_SHARE).round() as usize;
        test.extend(&members[..held_out]);
        train.extend(&members[held_out..]);
    }
    (train, test)
}

/// A constant, the measurements, and random cosines of them, each of which has a bounded sum of squares.
fn expand(rows: &Array2<f32>, draws: &mut Draws) -> Array2<f32> {
    let inputs = rows.ncols();
    let directions = Array2::from_shape_simple_fn((inputs, RANDOM), || 0.3 * draws.normal());
    let phases: Vec<f32> = (0..RANDOM).map(|_| std::f32::consts::TAU * draws.uniform()).collect();
    let angles = rows.dot(&directions);
    Array2::from_shape_fn((rows.nrows(), 1 + inputs + RANDOM), |(row, column)| match column {
        0 => 1.0,
        _ if column <= inputs => rows[[row, column - 1]] / (inputs as f32).sqrt(),
        _ => {
            let random = column - 1 - inputs;
            (angles[[row, random]] + phases[random]).cos() * (2.0 / RANDOM as f32).sqrt() * 2.0
        }
    })
}
