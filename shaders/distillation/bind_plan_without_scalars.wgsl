// What a gradient's kernel reads from its plan where nothing is drawn: a binding less, since there is a dense matrix.

const scalars = array<u32, 4>();
@group(0) @binding(2) var<storage, read> rows_in: array<u32>;
@group(0) @binding(3) var<storage, read> classes: array<f32>;
@group(0) @binding(4) var<storage, read_write> saved: array<u32>;
