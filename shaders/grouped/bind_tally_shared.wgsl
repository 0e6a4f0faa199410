// What the tally has counted, and room behind it that the kernel writes to.
@group(0) @binding(9) var<storage, read_write> tally: array<u32>;
