// The draws' key among others.
@group(0) @binding(1) var<storage, read> scalars: array<u32>;
