// dD / dz_j = factor weight_e (s_j - q_j), from the masses that the rows' kernel left.

struct Expert {
  max_s: f32,
  inverse_s: f32,
  max_t: f32,
  inverse_t: f32,
}

var<private> row_factor: f32;
var<private> row_bad: bool;
var<private> only: Expert;

fn load_expert(row: Row, expert: u32) -> Expert {
  let at = SAVED_EXPERTS + EXPERT_FIELDS * expert;
  return Expert(
    bitcast<f32>(load_saved(at, row.rows)),
    bitcast<f32>(load_saved(at + 1u, row.rows)),
    bitcast<f32>(load_saved(at + 2u, row.rows)),
    bitcast<f32>(load_saved(at + 3u, row.rows)),
  );
}

fn open_terms(row: Row) {
  let inverse = bitcast<f32>(scalars[SCALAR_INVERSE]);
  row_factor = bitcast<f32>(load_saved(SAVED_FACTOR, row.rows)) * (inverse * load_upstream(row.rows));
  row_bad = is_nan(bitcast<f32>(load_saved(SAVED_LOSS, row.rows)));
  if (!EXPERTS) {
    only = load_expert(row, 0u);
  }
}

fn element_gradient(row: Row, j: u32, z: f32) -> f32 {
  var expert = only;
  var teacher_column = j;
  var factor = row_factor;
  if (EXPERTS) {
    let number = table(TABLE_EXPERT, j);
    if (number < 0.0) {
      return select(0.0, bitcast<f32>(window.nan), row_bad);
    }
    expert = load_expert(row, u32(number));
    teacher_column = u32(table(TABLE_COLUMN, j));
    factor = row_factor * table(TABLE_WEIGHT, u32(number));
  }
  let a = by_scale(z, numbers.inverse_temperature);
  let b = by_scale(load_teacher(row.dense + teacher_column), numbers.teacher_scale);
  let s = expert.inverse_s * exp(a - expert.max_s);
  let q = expert.inverse_t * exp(b - expert.max_t);
  // Nothing counts of a row that is ignored, whatever its logits.
  let g = select(factor * (s - q), 0.0, factor == 0.0);
  return select(g, bitcast<f32>(window.nan), row_bad);
}
