// The numbers of LADE's regulariser. The host's struct is checked against this one by a test.

struct Numbers {
  lambda: f32,
  // What the regulariser is multiplied by.
  weight: f32,
  // Its first column in the class table: those of a cross-entropy come before.
  first_column: u32,
  // Workgroups that leave sums of their rows' columns.
  parts: u32,
}

@group(0) @binding(10) var<uniform> numbers: Numbers;

fn first_column() -> u32 {
  return numbers.first_column;
}
