//! The kernels of a loss with objectness.

use crate::gpu::shader::{Access, Binding, File, SAVED_OUTPUTS, shader, text};

/// Which kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ObjectnessDriver {
    /// Labels of classes and background as labels of two losses.
    Relabel,
    /// The rows' results.
    Rows,
    /// The reduced loss.
    Total,
}

/// Everything that a kernel's text depends on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ObjectnessKey {
    /// Which kernel.
    pub driver: ObjectnessDriver,
    /// Threads per workgroup.
    pub workgroup: u32,
}

impl ObjectnessKey {
    /// The kernel's text: neutral WGSL, entry point `main`.
    pub fn wgsl(&self) -> String {
        let mut files: Vec<File> = vec![
            shader!("window.wgsl"),
            shader!("fields.wgsl"),
            shader!("scalar.wgsl"),
            shader!("prelude.wgsl"),
        ];
        files.extend(match self.driver {
            ObjectnessDriver::Relabel => vec![shader!("objectness/relabel.wgsl")],
            ObjectnessDriver::Rows => vec![shader!("objectness/rows.wgsl")],
            ObjectnessDriver::Total => vec![shader!("objectness/total.wgsl")],
        });
        let numbers = [("WG", u64::from(self.workgroup)), ("OUTPUTS", SAVED_OUTPUTS)];
        text(None, &numbers, &[], &files)
    }

    /// The bindings of group 0.
    pub fn bindings(&self) -> Vec<Binding> {
        use Access::{Read, ReadWrite, Uniform};
        let list: &[(u32, &'static str, Access)] = match self.driver {
            ObjectnessDriver::Relabel => &[
                (0, "window", Uniform),
                (1, "labels", Read),
                (2, "class_labels", ReadWrite),
                (3, "object_labels", ReadWrite),
                (10, "label_numbers", Uniform),
            ],
            ObjectnessDriver::Rows => &[
                (0, "window", Uniform),
                (2, "rows_out", ReadWrite),
                (4, "saved", ReadWrite),
                (5, "first_rows", Read),
                (6, "first_saved", Read),
                (7, "second_saved", Read),
            ],
            ObjectnessDriver::Total => &[
                (0, "window", Uniform),
                (1, "scalars", ReadWrite),
                (5, "first_scalars", Read),
                (6, "second_scalars", Read),
            ],
        };
        list.iter().map(|&(number, name, access)| Binding { number, name, access }).collect()
    }

    /// Threads per workgroup.
    pub fn workgroup(&self) -> u32 {
        self.workgroup
    }

    /// Bytes of workgroup memory.
    pub fn workgroup_bytes(&self) -> u32 {
        0
    }

    /// The features that the device must have.
    pub fn features(&self) -> wgpu::Features {
        wgpu::Features::empty()
    }

    /// A short readable name: the label of the pipeline.
    pub fn label(&self) -> String {
        let driver = match self.driver {
            ObjectnessDriver::Relabel => "relabel",
            ObjectnessDriver::Rows => "rows",
            ObjectnessDriver::Total => "total",
        };
        format!("longtail.objectness.{driver}.wg{}", self.workgroup)
    }
}
