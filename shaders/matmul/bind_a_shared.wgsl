// The buffer holds what the kernel writes as well.
@group(0) @binding(1) var<storage, read_write> a: array<WordA>;
