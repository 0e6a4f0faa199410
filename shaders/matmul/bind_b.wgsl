@group(0) @binding(2) var<storage, read> b: array<WordB>;
