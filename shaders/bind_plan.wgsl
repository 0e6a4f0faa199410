// What every kernel over logits reads from its plan. Bindings 0 to 4; the caller's buffers follow.
//
// rows_in [fields, N], saved [fields, N], classes [columns, K] of the window: structures of arrays, so that one field
// is one contiguous range. Rows are stored as bits: labels and marked values are not numbers to every driver.

@group(0) @binding(1) var<storage, read> scalars: array<u32>;
@group(0) @binding(2) var<storage, read> rows_in: array<u32>;
@group(0) @binding(3) var<storage, read> classes: array<f32>;
@group(0) @binding(4) var<storage, read_write> saved: array<u32>;
