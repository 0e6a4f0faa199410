// What every kernel over rows reads from its plan; the caller's buffers follow. Tables over segments and labels take
// the place of a table over classes.

@group(0) @binding(2) var<storage, read> rows_in: array<u32>;
@group(0) @binding(4) var<storage, read_write> saved: array<u32>;

// No kernel of the family looks at it; the files shared with others name it.
var<private> classes: array<f32, 1>;
