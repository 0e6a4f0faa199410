//! What each kernel binds, in group 0.

use super::{Driver, KernelKey};

/// How a kernel uses one of its bindings in group 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// A uniform buffer.
    Uniform,
    /// A storage buffer that is only read.
    Read,
    /// A storage buffer that is read and written.
    ReadWrite,
}

/// One binding in group 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Binding {
    /// Its number.
    pub number: u32,
    /// Its name in the shader.
    pub name: &'static str,
    /// How it is used.
    pub access: Access,
}

impl KernelKey {
    /// The bindings of group 0.
    pub fn bindings(&self) -> Vec<Binding> {
        use Access::{Read, ReadWrite, Uniform};
        let mut bindings = vec![Binding { number: 0, name: "params", access: Uniform }];
        let mut push = |number, name, access| bindings.push(Binding { number, name, access });
        match self.driver {
            Driver::Prepare => {
                push(1, "scalars", ReadWrite);
                push(2, "rows_out", ReadWrite);
                push(3, "classes", Read);
                push(4, "labels", Read);
                push(5, "second_labels", Read);
                push(6, "lambdas", Read);
                push(7, "row_weights", Read);
                push(8, "feature_norms", Read);
            }
            Driver::ShareSums | Driver::Denominator | Driver::LossSums | Driver::Finish => {
                push(1, "scalars", ReadWrite);
                if !self.of_sums {
                    push(2, "rows_in", Read);
                    if matches!(self.driver, Driver::LossSums | Driver::Finish) {
                        push(3, "saved", Read);
                    }
                }
                match self.driver {
                    Driver::ShareSums | Driver::LossSums => push(9, "sums", ReadWrite),
                    _ if self.of_sums => push(9, "sums", Read),
                    _ => {}
                }
            }
            Driver::CountLabels => {
                push(1, "counts", ReadWrite);
                push(2, "labels", Read);
            }
            Driver::RefreshCounts => {
                push(1, "counts", Read);
                push(2, "classes", ReadWrite);
            }
            Driver::Adopt => {
                push(2, "rows_out", ReadWrite);
                push(4, "saved", ReadWrite);
                push(9, "statistics", ReadWrite);
            }
            Driver::Stitch => {
                push(4, "saved", Read);
                match self.in_place() {
                    true => push(5, "logits", ReadWrite),
                    false => push(6, "gradient", ReadWrite),
                }
            }
            _ => {
                push(1, "scalars", Read);
                push(2, "rows_in", Read);
                push(3, "classes", Read);
                push(4, "saved", ReadWrite);
                let input = if self.shared() { ReadWrite } else { Read };
                if self.driver.over_logits() {
                    push(5, "logits", input);
                }
                if self.writes_gradient() && !self.in_place() {
                    push(6, "gradient", ReadWrite);
                }
                if self.binds_dense() {
                    push(7, "dense", input);
                }
                if self.has_upstream() {
                    push(8, "upstream", input);
                }
                let of_shards = matches!(self.driver, Driver::Threshold | Driver::CloseSlots) && self.sharded;
                if of_shards || self.driver == Driver::Gather {
                    push(9, "statistics", ReadWrite);
                }
            }
        }
        bindings
    }
}
