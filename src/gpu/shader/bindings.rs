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
        let mut bindings = Vec::new();
        push(&mut bindings, 0, "window", Uniform);
        match self.driver {
            Driver::Prepare => {
                push(&mut bindings, 1, "scalars", ReadWrite);
                push(&mut bindings, 2, "rows_out", ReadWrite);
                push(&mut bindings, 3, "classes", Read);
                push(&mut bindings, 4, "labels", Read);
                push(&mut bindings, 5, "second_labels", Read);
                push(&mut bindings, 6, "lambdas", Read);
                push(&mut bindings, 7, "row_weights", Read);
                push(&mut bindings, 8, "feature_norms", Read);
            }
            Driver::ShareSums | Driver::Denominator | Driver::LossSums | Driver::Finish => {
                push(&mut bindings, 1, "scalars", ReadWrite);
                if !self.of_sums {
                    push(&mut bindings, 2, "rows_in", Read);
                    if matches!(self.driver, Driver::LossSums | Driver::Finish) {
                        push(&mut bindings, 3, "saved", Read);
                    }
                }
                match self.driver {
                    Driver::ShareSums | Driver::LossSums => push(&mut bindings, 9, "sums", ReadWrite),
                    _ if self.of_sums => push(&mut bindings, 9, "sums", Read),
                    _ => {}
                }
            }
            Driver::CountLabels => {
                push(&mut bindings, 1, "counts", ReadWrite);
                push(&mut bindings, 2, "labels", Read);
            }
            Driver::RefreshCounts => {
                push(&mut bindings, 1, "counts", Read);
                push(&mut bindings, 2, "classes", ReadWrite);
            }
            Driver::Adopt => {
                push(&mut bindings, 2, "rows_out", ReadWrite);
                push(&mut bindings, 4, "saved", ReadWrite);
                push(&mut bindings, 9, "statistics", ReadWrite);
            }
            Driver::Stitch => {
                push(&mut bindings, 4, "saved", Read);
                self.matrices().push_bindings(&mut bindings);
            }
            _ => {
                push(&mut bindings, 1, "scalars", Read);
                push(&mut bindings, 2, "rows_in", Read);
                push(&mut bindings, 3, "classes", Read);
                push(&mut bindings, 4, "saved", ReadWrite);
                self.matrices().push_bindings(&mut bindings);
                if self.driver == Driver::RowsAndColumns {
                    push(&mut bindings, 9, "column_parts", ReadWrite);
                }
                let of_shards = matches!(self.driver, Driver::Threshold | Driver::CloseSlots) && self.sharded;
                if of_shards || self.driver == Driver::Gather {
                    push(&mut bindings, 9, "statistics", ReadWrite);
                }
            }
        }
        if self.reads_spec() {
            push(&mut bindings, 10, "spec", Uniform);
        }
        bindings
    }

    /// Whether the kernel looks at the spec's numbers.
    pub(super) fn reads_spec(&self) -> bool {
        match self.driver {
            Driver::ShareSums | Driver::Denominator => !self.of_sums,
            Driver::LossSums | Driver::Finish | Driver::Adopt | Driver::Stitch => false,
            _ => true,
        }
    }
}

fn push(bindings: &mut Vec<Binding>, number: u32, name: &'static str, access: Access) {
    bindings.push(Binding { number, name, access });
}
