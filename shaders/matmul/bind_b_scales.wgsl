@group(0) @binding(5) var<storage, read> b_scales: array<f32>;
