// Numbers and small functions that every kernel shares.
//
// A masked class has u = NEG_MAX instead of -inf: the lowest finite f32, the identity of max. A running
// maximum that is still NEG_MAX therefore means "no mass yet". +inf and NaN come from `window`, because WGSL
// has no constants for them.

const NEG_MAX: f32 = -3.4028234663852886e38;
const POS_MAX: f32 = 3.4028234663852886e38;

// log(1 + x) for 0 <= x <= 1 as 2 atanh(x / (2 + x)): no cancellation near 0, unlike log(1 + x).
fn log1p_unit(x: F) -> F {
  return log1p_series(x / (x + 2.0));
}

// The same from t = x / (x + 2), at most 1/3: the best polynomial in t^2 of its degree that begins with 1, off by 4.5e-9,
// a thirteenth of the last digit. The series itself takes nine terms for that.
fn log1p_series(t: F) -> F {
  let t2 = t * t;
  var sum = F(0.14005993);
  sum = sum * t2 + 0.14000903;
  sum = sum * t2 + 0.20010764;
  sum = sum * t2 + 0.33333208;
  sum = sum * t2 + 1.0;
  return 2.0 * t * sum;
}

// log(1 + exp(x)) without overflow or cancellation.
fn softplus(x: F) -> F {
  return max(x, F(0.0)) + log1p_unit(exp(-abs(x)));
}

// 1 - exp(-x) for x >= 0, by its series where exp would cancel.
fn one_minus_exp(x: F) -> F {
  let y = min(x, F(1.0));
  var sum = 1.0 - y / 11.0;
  sum = 1.0 - y / 10.0 * sum;
  sum = 1.0 - y / 9.0 * sum;
  sum = 1.0 - y / 8.0 * sum;
  sum = 1.0 - y / 7.0 * sum;
  sum = 1.0 - y / 6.0 * sum;
  sum = 1.0 - y / 5.0 * sum;
  sum = 1.0 - y / 4.0 * sum;
  sum = 1.0 - y / 3.0 * sum;
  sum = 1.0 - y / 2.0 * sum;
  return select(1.0 - exp(-x), y * sum, x < F(1.0));
}

fn is_nan(x: f32) -> bool {
  return (bitcast<u32>(x) & 0x7fffffffu) > 0x7f800000u;
}

// The grid has two dimensions because one holds at most 65,535 workgroups.
fn linear_workgroup(id: vec3<u32>, count: vec3<u32>) -> u32 {
  return id.y * count.x + id.x;
}
