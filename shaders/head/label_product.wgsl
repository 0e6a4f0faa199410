// The logit of a row's label, from the product of the two rows alone. One lane.

fn label_column(row: Row, j: U) -> F {
  var sums = vec4<f32>(0.0);
  for (var k = 0u; k < params.k; k += 4u) {
    sums += (load_a(row.rows, k) * scale_a(row.rows, k)) * (load_b(j, k) * scale_b(j, k));
  }
  return logits_of(row, open_lengths(row), j, late_b(j).x, (sums.x + sums.y) + (sums.z + sums.w));
}
