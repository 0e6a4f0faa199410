//! The uniform block of `shaders/matmul/params.wgsl`.

/// What a product or a row kernel is told, in the order of the shader's struct.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Default, bytemuck::Pod, bytemuck::Zeroable)]
#[expect(missing_docs, reason = "the fields are documented in the shader")]
pub struct MatmulParams {
    pub m: u32,
    pub n: u32,
    pub k: u32,
    pub a_stride: u32,
    pub b_stride: u32,
    pub c_stride: u32,
    pub a_origin: u32,
    pub b_origin: u32,
    pub c_origin: u32,
    pub a_scale_origin: u32,
    pub b_scale_origin: u32,
    pub a_part: u32,
    pub b_part: u32,
    pub a_parts: u32,
    pub b_parts: u32,
    pub row_offset_origin: u32,
    pub column_offset_origin: u32,
    pub row_sum_origin: u32,
    pub tiles_m: u32,
    pub tiles: u32,
    pub accumulate: u32,
    pub alpha: f32,
    pub power: f32,
    pub eps: f32,
    pub offset: f32,
}
