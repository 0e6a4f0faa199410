//! Derivatives by four-point central differences in f64, and their comparison with analytic ones.
#![allow(dead_code, reason = "each test file uses a part")]

/// `df/dx` at `at`, component by component.
pub fn differences(f: impl Fn(&[f64]) -> f64, at: &[f64], step: f64) -> Vec<f64> {
    let mut moved = at.to_vec();
    let mut value = |position: usize, by: f64| {
        moved[position] = at[position] + by;
        let value = f(&moved);
        moved[position] = at[position];
        value
    };
    (0..at.len())
        .map(|position| {
            let near = value(position, step) - value(position, -step);
            let far = value(position, 2.0 * step) - value(position, -2.0 * step);
            (8.0 * near - far) / (12.0 * step)
        })
        .collect()
}

/// Relative 1e-7, or 1e-9 of the largest: the differences' own error for steps of about 1e-3 and curvatures of about 1.
#[track_caller]
pub fn agree(name: &str, found: &[f64], expected: &[f64]) {
    assert_eq!(found.len(), expected.len());
    let largest = expected.iter().fold(0f64, |largest, value| largest.max(value.abs()));
    assert!(largest > 1e-3, "{name}: nothing to compare");
    for (position, (found, expected)) in found.iter().zip(expected).enumerate() {
        let allowed = 1e-7 * expected.abs() + 1e-9 * largest;
        assert!((found - expected).abs() <= allowed, "{name}[{position}]: {found} is not {expected}");
    }
}

/// Numbers in `(-2, 2)` that are no multiples of anything.
pub fn wave(length: usize) -> Vec<f64> {
    (1..=length).map(|position| 2.0 * (position as f64 * 2.399_963).sin()).collect()
}
