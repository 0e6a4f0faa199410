// What follows from segments, labels and the tree, as the host has laid it down.
@group(0) @binding(3) var<storage, read> tables: array<u32>;
