//! Checks that every family's specs share.

use crate::batch::length;
use crate::{Error, Result};

/// The number of classes: at least 1, and within 32-bit labels.
pub(crate) fn check_classes(classes: usize) -> Result<()> {
    if classes == 0 {
        return Err(Error::Parameter { name: "the number of classes", value: 0.0, expected: "at least 1" });
    }
    match i32::try_from(classes) {
        Ok(_) => Ok(()),
        Err(_) => Err(Error::Limit {
            what: "the number of classes".into(),
            needed: classes as u64,
            allowed: i32::MAX as u64,
            cure: "labels are 32-bit integers",
        }),
    }
}

/// One number: `ok`, and finite once it is an f32.
pub(crate) fn number(name: &'static str, value: f64, ok: bool, expected: &'static str) -> Result<()> {
    match ok && value.abs() <= f64::from(f32::MAX) {
        true => Ok(()),
        false => Err(Error::Parameter { name, value, expected }),
    }
}

/// A column of K numbers that are all `ok`, where there is one.
pub(crate) fn column(
    name: &'static str,
    column: &Option<Vec<f64>>,
    classes: usize,
    expected: &'static str,
    ok: impl Fn(f64) -> bool,
) -> Result<()> {
    match column {
        Some(values) => numbers(name, values, classes, expected, ok),
        None => Ok(()),
    }
}

/// A column of K numbers that are all `ok`.
pub(crate) fn numbers(
    name: &'static str,
    values: &[f64],
    classes: usize,
    expected: &'static str,
    ok: impl Fn(f64) -> bool,
) -> Result<()> {
    length(name, values.len(), classes)?;
    values.iter().try_for_each(|&value| number(name, value, ok(value), expected))
}

/// An additive column: numbers, of which `-inf` takes a class out.
pub(crate) fn bias(name: &'static str, values: &[f64], classes: usize) -> Result<()> {
    length(name, values.len(), classes)?;
    let bad = |value: &&f64| value.is_nan() || **value > f64::from(f32::MAX);
    match values.iter().find(bad) {
        None => Ok(()),
        Some(&value) => Err(Error::Parameter { name, value, expected: "a number below +inf in f32" }),
    }
}

/// Two terms that have no joint meaning.
pub(crate) fn combination(first: &'static str, second: &'static str, cure: &'static str) -> Result<()> {
    Err(Error::Combination { first, second, cure })
}

/// A part of a structure that does not fit.
pub(crate) fn structure<T>(part: &'static str, index: Option<usize>, reason: &'static str) -> Result<T> {
    Err(Error::Structure { part, index, reason })
}
