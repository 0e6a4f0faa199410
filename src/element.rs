//! The number types of logits and gradients.

/// How a matrix stores its numbers. Kernels compute in f32 whatever the type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum Element {
    /// 32 bits. The default.
    #[default]
    F32,
    /// IEEE 754 half precision, 16 bits: 11 significant bits, up to 65,504.
    F16,
    /// bfloat16, 16 bits: 8 significant bits, the range of f32.
    Bf16,
}

impl Element {
    /// Every element type.
    pub const ALL: [Element; 3] = [Element::F32, Element::F16, Element::Bf16];

    /// Bytes of one number.
    pub const fn bytes(self) -> u64 {
        match self {
            Element::F32 => 4,
            Element::F16 | Element::Bf16 => 2,
        }
    }

    /// A short name: `f32`, `f16`, `bf16`.
    pub const fn name(self) -> &'static str {
        match self {
            Element::F32 => "f32",
            Element::F16 => "f16",
            Element::Bf16 => "bf16",
        }
    }

    /// The element type of a [`name`](Self::name).
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|element| element.name() == name)
    }

    /// Numbers as this type's bytes, rounded to nearest, ties to even: what a buffer of this type holds.
    ///
    /// ```
    /// use longtail::Element;
    /// assert_eq!(Element::Bf16.encode(&[1.0, -2.0]), [0x80, 0x3f, 0x00, 0xc0]);
    /// ```
    pub fn encode(self, values: &[f32]) -> Vec<u8> {
        match self {
            Element::F32 => values.iter().flat_map(|value| value.to_le_bytes()).collect(),
            Element::F16 => {
                values.iter().flat_map(|&value| half::f16::from_f32(value).to_le_bytes()).collect()
            }
            Element::Bf16 => {
                values.iter().flat_map(|&value| half::bf16::from_f32(value).to_le_bytes()).collect()
            }
        }
    }

    /// The numbers in this type's bytes; a last incomplete one is left out.
    ///
    /// ```
    /// use longtail::Element;
    /// assert_eq!(Element::F16.decode(&[0x00, 0x3c, 0x00, 0xfc]), [1.0, f32::NEG_INFINITY]);
    /// ```
    pub fn decode(self, bytes: &[u8]) -> Vec<f32> {
        let pairs = |pair: &[u8]| match pair {
            [low, high] => [*low, *high],
            _ => [0, 0],
        };
        match self {
            Element::F32 => bytemuck::pod_collect_to_vec(bytes.get(..bytes.len() / 4 * 4).unwrap_or(&[])),
            Element::F16 => {
                bytes.chunks_exact(2).map(|pair| half::f16::from_le_bytes(pairs(pair)).to_f32()).collect()
            }
            Element::Bf16 => {
                bytes.chunks_exact(2).map(|pair| half::bf16::from_le_bytes(pairs(pair)).to_f32()).collect()
            }
        }
    }
}

impl std::fmt::Display for Element {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}
