@group(0) @binding(1) var<storage, read> a: array<WordA>;
