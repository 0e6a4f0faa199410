// A thread's part of its columns, from the logits, four rows at a time. Rows with a logit that is not finite are marked.

@group(0) @binding(4) var<storage, read_write> saved: array<atomic<u32>>;

const ROWS_AT_ONCE: u32 = 4u;

fn logits_of(row: u32, j: vec4<u32>) -> vec4<f32> {
  let at = window.logits_origin + row * window.logits_stride;
  return vec4<f32>(load_logit(at + j.x), load_logit(at + j.y), load_logit(at + j.z), load_logit(at + j.w));
}

// A row as its column sees it: its label, negative where it does not count, the logits, and those with the ratio.
struct Line {
  label: i32,
  kept: f32,
  z: vec4<f32>,
  x: vec4<f32>,
}

fn line(row: u32, j: vec4<u32>, ratio: vec4<f32>) -> Line {
  let inside = min(row, window.rows - 1u);
  let label = select(-1, bitcast<i32>(rows_in[FIELD_LABEL * window.rows + inside]), row < window.rows);
  let z = logits_of(inside, j);
  let x = clamp(z + ratio, vec4<f32>(NEG_MAX), vec4<f32>(POS_MAX));
  let counts = label >= 0;
  return Line(label, select(0.0, 1.0, counts), z, select(vec4<f32>(NEG_MAX), x, counts));
}

fn not_finite(z: vec4<f32>) -> bool {
  return any((bitcast<vec4<u32>>(z) & vec4<u32>(0x7fffffffu)) >= vec4<u32>(0x7f800000u));
}

fn gathered(thread: u32, j: vec4<u32>) -> Columns {
  let ratio = four_of_table(TABLE_RATIO, j);
  let labels = vec4<i32>(j + window.first_class);
  var mine = Columns(vec4<f32>(NEG_MAX), vec4<f32>(0.0), vec4<f32>(0.0), vec4<f32>(0.0), 0.0);
  var bad = false;
  for (var row = ROWS_AT_ONCE * (thread / QUADS); row < window.rows; row += ROWS_AT_ONCE * ROW_THREADS) {
    let a = line(row, j, ratio);
    let b = line(row + 1u, j, ratio);
    let c = line(row + 2u, j, ratio);
    let d = line(row + 3u, j, ratio);
    let top = max(max(mine.max, max(a.x, b.x)), max(c.x, d.x));
    // As long as no row counts this is a sum of ones under NEG_MAX, which the first that does makes nothing of.
    let sum = (exp(a.x - top) + exp(b.x - top)) + (exp(c.x - top) + exp(d.x - top));
    mine.sum = mine.sum * exp(mine.max - top) + sum;
    mine.max = top;
    add_own(&mine, a.z, vec4<i32>(a.label) == labels);
    add_own(&mine, b.z, vec4<i32>(b.label) == labels);
    add_own(&mine, c.z, vec4<i32>(c.label) == labels);
    add_own(&mine, d.z, vec4<i32>(d.label) == labels);
    mine.kept += (a.kept + b.kept) + (c.kept + d.kept);
    bad = bad || not_finite(a.z) || not_finite(b.z) || not_finite(c.z) || not_finite(d.z);
  }
  if (bad) {
    // Seldom: the rows again, to find which.
    for (var row = 0u; row < window.rows; row++) {
      if (not_finite(logits_of(row, j))) {
        atomicStore(&saved[SAVED_LOSS * window.rows + row], window.nan);
      }
    }
  }
  return mine;
}
