// The buffer holds what the kernel writes as well.
@group(0) @binding(2) var<storage, read_write> b: array<WordB>;
