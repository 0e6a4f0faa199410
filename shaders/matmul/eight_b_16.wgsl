// Eight consecutive halves of a row of B, from a column that is a multiple of 8; anything outside of the matrix. It is read
// by words of two, of which the first may begin within the row before.
fn eight_b(row: u32, column: u32) -> vec4<u32> {
  let start = params.b_origin + min(row, b_rows() - 1u) * params.b_stride;
  let last = (start + b_columns() - 1u) >> 1u;
  let word = (start + min(column, b_columns() - 1u)) >> 1u;
  let at = min(vec4<u32>(word) + vec4<u32>(0u, 1u, 2u, 3u), vec4<u32>(last));
  let words = vec4<u32>(b[at.x], b[at.y], b[at.z], b[at.w]);
  // The same for all threads.
  if (((params.b_origin | params.b_stride) & 1u) == 0u) {
    return words;
  }
  let shifted = (words >> vec4<u32>(16u)) | (vec4<u32>(words.yzw, b[min(word + 4u, last)]) << vec4<u32>(16u));
  return select(words, shifted, (start & 1u) != 0u);
}
