@group(0) @binding(4) var<storage, read> a_scales: array<f32>;
