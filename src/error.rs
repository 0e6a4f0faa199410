//! What can go wrong, with the numbers and the cure.

use std::fmt;

/// `std::result::Result` with this crate's [`Error`].
pub type Result<T> = std::result::Result<T, Error>;

/// Everything this crate reports instead of panicking.
///
/// Each variant carries the numbers that a program can act on; [`Display`](fmt::Display) adds the cure.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Error {
    /// No adapter of the wanted backends answered.
    NoAdapter {
        /// The backends that were asked.
        backends: String,
        /// What the driver layer said.
        reason: String,
    },
    /// The device lacks a feature that the request needs.
    MissingFeature {
        /// The feature's name in wgpu.
        feature: &'static str,
        /// What needs it.
        needed_by: String,
    },
    /// A device limit is exceeded.
    Limit {
        /// What exceeds it.
        what: String,
        /// How much is needed.
        needed: u64,
        /// How much the device allows.
        allowed: u64,
        /// What to change.
        cure: &'static str,
    },
    /// A slice or a buffer view has the wrong length.
    Length {
        /// Which argument.
        what: &'static str,
        /// The length that the shape asks for, in elements (slices) or bytes (views).
        expected: u64,
        /// The length that was given, in the same unit.
        found: u64,
    },
    /// An argument that this request needs was not given.
    Missing {
        /// Which argument.
        what: &'static str,
        /// Which part of the request needs it.
        needed_by: &'static str,
    },
    /// An argument was given that this plan has no use for.
    Unexpected {
        /// Which argument.
        what: &'static str,
        /// What the plan was made for.
        planned: &'static str,
    },
    /// A buffer view does not start on the device's alignment.
    Alignment {
        /// Which view.
        what: &'static str,
        /// Its offset in bytes.
        offset: u64,
        /// The alignment that the device asks for, in bytes.
        required: u64,
    },
    /// Two buffer views overlap, or share a buffer in a way the plan does not allow.
    Overlap {
        /// The one view.
        first: &'static str,
        /// The other view.
        second: &'static str,
        /// What to change.
        cure: &'static str,
    },
    /// A buffer was created without a usage that the request needs.
    BufferUsage {
        /// Which view.
        what: &'static str,
        /// The usage that is missing.
        missing: &'static str,
    },
    /// A parameter lies outside its range, or is not a number.
    Parameter {
        /// The parameter's name.
        name: &'static str,
        /// Its value.
        value: f64,
        /// The range that it must lie in.
        expected: &'static str,
    },
    /// Class statistics cannot give what was asked of them.
    Statistics {
        /// The class, where one is to blame.
        class: Option<usize>,
        /// What is wrong, and the cure.
        reason: String,
    },
    /// Groups, a tree or experts do not fit their classes or one another.
    Structure {
        /// What is to blame: a class, a label, a node, a segment, an expert, or the tree as a whole.
        part: &'static str,
        /// Which one, where one is to blame.
        index: Option<usize>,
        /// What is wrong, and the cure.
        reason: &'static str,
    },
    /// Two terms that have no joint meaning.
    Combination {
        /// The one term.
        first: &'static str,
        /// The other term.
        second: &'static str,
        /// Why, and what to do instead.
        cure: &'static str,
    },
    /// A label is neither a class nor the ignored index.
    Label {
        /// The first such row.
        row: u64,
        /// The label there, where it is known.
        label: Option<i64>,
        /// The number of classes K; labels are `0..K`.
        classes: usize,
        /// How many rows have such a label.
        rows: u64,
    },
    /// A row's input has a NaN or +inf (or every class of it is masked by -inf).
    NonFinite {
        /// What was not finite.
        what: &'static str,
        /// The first such row (or element, for inputs that are not per row).
        row: u64,
        /// How many such rows there are.
        rows: u64,
    },
    /// A shader did not compile: a defect of this crate or of the driver.
    Shader {
        /// The file under `shaders/` and the line in it, where known.
        file: String,
        /// The line in that file, from 1; 0 where unknown.
        line: u32,
        /// The compiler's message.
        message: String,
    },
    /// The device ran out of memory.
    OutOfMemory {
        /// What was being made.
        what: String,
    },
    /// The device was lost or destroyed.
    DeviceLost {
        /// What the driver said.
        reason: String,
    },
    /// The device refused something for another reason.
    Device {
        /// What was being done.
        what: String,
        /// What the device said.
        message: String,
    },
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::NoAdapter { backends, reason } => write!(
                f,
                "no GPU adapter for {backends}: {reason}; on Debian or Ubuntu without a GPU install the software \
                 Vulkan driver: apt-get install mesa-vulkan-drivers libvulkan1"
            ),
            Error::MissingFeature { feature, needed_by } => {
                write!(
                    f,
                    "{needed_by} needs the device feature {feature}: request it when the device is made"
                )
            }
            Error::Limit { what, needed, allowed, cure } => {
                write!(f, "{what} needs {needed}, the device allows {allowed}: {cure}")
            }
            Error::Length { what, expected, found } => {
                write!(f, "{what} has length {found}, the shape asks for {expected}")
            }
            Error::Missing { what, needed_by } => write!(f, "{what} is missing: {needed_by} needs it"),
            Error::Unexpected { what, planned } => {
                write!(f, "{what} was given, but this was planned {planned}: leave it out or plan for it")
            }
            Error::Alignment { what, offset, required } => write!(
                f,
                "{what} starts at byte {offset}, which is no multiple of {required}: move it to the next multiple"
            ),
            Error::Overlap { first, second, cure } => write!(f, "{first} and {second} share memory: {cure}"),
            Error::BufferUsage { what, missing } => {
                write!(f, "the buffer of {what} lacks the usage {missing}: add it when the buffer is created")
            }
            Error::Parameter { name, value, expected } => {
                write!(f, "{name} is {value}, it must be {expected}")
            }
            Error::Statistics { class: Some(class), reason } => write!(f, "class {class}: {reason}"),
            Error::Statistics { class: None, reason } => write!(f, "class statistics: {reason}"),
            Error::Structure { part, index: Some(index), reason } => write!(f, "{part} {index}: {reason}"),
            Error::Structure { part, index: None, reason } => write!(f, "{part}: {reason}"),
            Error::Combination { first, second, cure } => {
                write!(f, "{first} and {second} have no joint meaning: {cure}")
            }
            Error::Label { row, label, classes, rows } => {
                match label {
                    Some(label) => write!(f, "row {row} has label {label}")?,
                    None => write!(f, "row {row} has a label out of range")?,
                }
                write!(f, ", labels are 0..{classes} or the ignored index ({rows} such rows)")
            }
            Error::NonFinite { what, row, rows } => write!(
                f,
                "{what} of row {row} has NaN or +inf, or nothing but -inf ({rows} such rows): their loss and \
                 gradient are NaN; look at the step before"
            ),
            Error::Shader { file, line, message } => {
                write!(f, "shader {file}:{line} did not compile, please report it: {message}")
            }
            Error::OutOfMemory { what } => {
                write!(f, "out of device memory for {what}: use fewer rows at a time")
            }
            Error::DeviceLost { reason } => write!(f, "the device is lost ({reason}): make a new one"),
            Error::Device { what, message } => write!(f, "{what}: {message}"),
        }
    }
}

impl std::error::Error for Error {}
