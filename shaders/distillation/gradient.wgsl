// dD / dz_j = factor weight_e (s_j - q_j), from the masses that the rows' kernel left, and the base's part.

// The logarithms of the masses, less that of the expert's factor, in units of the logits; of the only teacher the maxima.
struct Expert {
  student: F,
  teacher: F,
}

var<private> row_factor: F;
var<private> row_bad: B;
var<private> only: Expert;
var<private> only_inverse: Expert;

fn load_expert(row: Row, expert: u32) -> Expert {
  let at = SAVED_EXPERTS + EXPERT_FIELDS * expert;
  return Expert(float_of_bits(load_saved(at, row.rows)), float_of_bits(load_saved(at + 1u, row.rows)));
}

fn open_terms(row: Row) {
  let upstream = load_upstream_lanes(row.rows);
  row_factor = by_factor(upstream, float_of_bits(load_saved(SAVED_FACTOR, row.rows)));
  row_bad = (load_saved(SAVED_LOSS, row.rows) & U(0x7fffffffu)) > U(0x7f800000u);
  if (!EXPERTS) {
    only = load_expert(row, 0u);
    only_inverse = load_expert(row, 1u);
  }
  open_base(row, upstream);
}

fn gradient_of(row: Row, j: u32, z: F, t: F, expert: Expert) -> F {
  var s = exp_student(z - expert.student);
  var q = exp_teacher(t - expert.teacher);
  if (!EXPERTS) {
    s *= only_inverse.student;
    q *= only_inverse.teacher;
  }
  // Nothing counts of a row that is ignored, whatever its logits.
  let g = select(row_factor * (s - q), F(0.0), row_factor == F(0.0)) + base_gradient(row, j, z);
  return select(g, F(bitcast<f32>(window.nan)), row_bad);
}

fn element_gradient(row: Row, j: u32, z: F) -> F {
  if (EXPERTS) {
    let t = load_teacher_lanes(teacher_of(row.rows), u32(table(TABLE_COLUMN, j)));
    return gradient_of(row, j, z, t, load_expert(row, u32(table(TABLE_EXPERT, j))));
  }
  return gradient_of(row, j, z, load_teacher_lanes(teacher_of(row.rows), j), only);
}

fn block_gradient(row: Row, block: u32, thread: u32, z: Quad) -> Quad {
  let j = columns_of(row, block, thread);
  if (EXPERTS) {
    return Quad(
      element_gradient(row, j.x, z.a),
      element_gradient(row, j.y, z.b),
      element_gradient(row, j.z, z.c),
      element_gradient(row, j.w, z.d),
    );
  }
  let t = load_teacher_block(row, block, thread);
  return Quad(
    gradient_of(row, j.x, z.a, t.a, only),
    gradient_of(row, j.y, z.b, t.b, only),
    gradient_of(row, j.z, z.c, t.c, only),
    gradient_of(row, j.w, z.d, t.d, only),
  );
}
