//! How the elements of a matrix are read and written, and the files for it.

/// How a matrix is read or written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Words {
    /// f32, one at a time.
    F32,
    /// f32, by fours.
    F32x4,
    /// f16, two in a word.
    F16,
    /// f16, by fours.
    F16x4,
    /// f16, by eights, for cooperative products to read.
    F16x8,
    /// bf16, two in a word.
    Bf16,
    /// bf16, by fours.
    Bf16x4,
    /// f16 as the device's own type, for a C with odd rows.
    F16Native,
}

/// The name and the text of one file.
pub(in crate::gpu) type File = (&'static str, &'static str);

macro_rules! shader {
    ($name:literal) => {
        (concat!("matmul/", $name), include_str!(concat!("../../../shaders/matmul/", $name)))
    };
}
pub(super) use shader;

use crate::gpu::shader::shader as root_shader;

impl Words {
    /// What an element of the binding is in WGSL.
    pub(in crate::gpu) fn alias(self) -> &'static str {
        match self {
            Words::F32 => "f32",
            Words::F32x4 => "vec4<f32>",
            Words::F16 | Words::Bf16 => "u32",
            Words::F16x4 | Words::Bf16x4 => "vec2<u32>",
            Words::F16x8 => "vec4<u32>",
            Words::F16Native => "f16",
        }
    }

    /// Bytes of one.
    pub(in crate::gpu) fn bytes(self) -> u64 {
        match self {
            Words::F32 | Words::F16 | Words::Bf16 => 4,
            Words::F32x4 | Words::F16x8 => 16,
            Words::F16x4 | Words::Bf16x4 => 8,
            Words::F16Native => 2,
        }
    }

    pub(in crate::gpu) fn is_bf16(self) -> bool {
        matches!(self, Words::Bf16 | Words::Bf16x4)
    }

    pub(in crate::gpu) fn load_a(self) -> File {
        match self {
            Words::F32 => shader!("load_a_f32.wgsl"),
            Words::F32x4 => shader!("load_a_f32x4.wgsl"),
            Words::F16x4 | Words::Bf16x4 => shader!("load_a_16x4.wgsl"),
            Words::F16x8 => shader!("load_a_16x8.wgsl"),
            _ => shader!("load_a_16.wgsl"),
        }
    }

    pub(super) fn load_b(self) -> File {
        match self {
            Words::F32 => shader!("load_b_f32.wgsl"),
            Words::F32x4 => shader!("load_b_f32x4.wgsl"),
            Words::F16x4 | Words::Bf16x4 => shader!("load_b_16x4.wgsl"),
            Words::F16x8 => shader!("load_b_16x8.wgsl"),
            _ => shader!("load_b_16.wgsl"),
        }
    }

    /// Eight halves of A at a time for cooperative products, their factors `early` if they are multiplied as they are read.
    pub(super) fn eight_a(self, early: bool) -> File {
        match self {
            _ if early => shader!("eight_a_scaled.wgsl"),
            Words::F16x8 => shader!("eight_a_16x8.wgsl"),
            Words::F16x4 => shader!("eight_a_16x4.wgsl"),
            _ => shader!("eight_a_16.wgsl"),
        }
    }

    pub(super) fn eight_b(self, early: bool) -> File {
        match self {
            _ if early => shader!("eight_b_scaled.wgsl"),
            Words::F16x8 => shader!("eight_b_16x8.wgsl"),
            Words::F16x4 => shader!("eight_b_16x4.wgsl"),
            _ => shader!("eight_b_16.wgsl"),
        }
    }

    /// How C is written; never by eights.
    pub(in crate::gpu) fn store(self) -> Vec<File> {
        let mut files = vec![match self {
            Words::F32 => shader!("store_f32.wgsl"),
            Words::F32x4 => shader!("store_f32x4.wgsl"),
            Words::F16x4 | Words::Bf16x4 => shader!("store_16x4.wgsl"),
            Words::F16Native => shader!("store_native.wgsl"),
            Words::F16 | Words::F16x8 | Words::Bf16 => shader!("store_16.wgsl"),
        }];
        match self {
            Words::F32 | Words::F32x4 => {}
            Words::F16Native => files.push(root_shader!("half.wgsl")),
            Words::F16 | Words::F16x4 | Words::F16x8 => files.extend([
                root_shader!("half.wgsl"),
                root_shader!("packed_f16.wgsl"),
                shader!("encode_f16.wgsl"),
            ]),
            Words::Bf16 | Words::Bf16x4 => {
                files.extend([root_shader!("packed_bf16.wgsl"), shader!("encode_bf16.wgsl")]);
            }
        }
        files.push(shader!("store.wgsl"));
        files
    }

    pub(in crate::gpu) fn label(self) -> &'static str {
        match self {
            Words::F32 => "f32",
            Words::F32x4 => "f32x4",
            Words::F16 => "f16",
            Words::F16x4 => "f16x4",
            Words::F16x8 => "f16x8",
            Words::Bf16 => "bf16",
            Words::Bf16x4 => "bf16x4",
            Words::F16Native => "f16native",
        }
    }
}
