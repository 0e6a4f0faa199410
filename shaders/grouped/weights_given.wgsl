// The caller's weight of a row in a segment, [N, G]. Needs a dense matrix.
fn given_weight(row: u32, segment: u32) -> f32 {
  return load_dense(window.dense_origin + row * window.dense_stride + segment);
}
