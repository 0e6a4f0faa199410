// What the tally has counted.
@group(0) @binding(9) var<storage, read> tally: array<u32>;
