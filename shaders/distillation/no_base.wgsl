// A divergence without a base in its passes: nothing is gathered for one, and the row has no softmax of its own.

struct Base {
  none: u32,
}

fn no_base() -> Base {
  return Base(0u);
}

fn start_base(row: Row) {
}

fn again_for_base(row: Row, thread: u32, all: Base, mine: ptr<function, Base>) {
}

fn base_four(base: ptr<function, Base>, row: Row, j: vec4<u32>, z: Quad, inside: vec4<bool>) {
}

fn merged_base(a: Base, b: Base) -> Base {
  return a;
}

fn close_base(row: Row, base: Base, bad: B) -> Closed {
  return Closed(F(0.0), U(window.nan), U(window.nan), bad);
}

fn save_reduced(row: Row, base_loss: F, divergence: F) {
}

fn divergence_inverse() -> f32 {
  return bitcast<f32>(scalars[SCALAR_INVERSE]);
}
