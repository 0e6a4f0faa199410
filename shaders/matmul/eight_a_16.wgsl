// Eight consecutive halves of a row of A, from a column that is a multiple of 8; anything outside of the matrix. It is read
// by words of two, of which the first may begin within the row before.
fn eight_a(row: u32, column: u32) -> vec4<u32> {
  let start = params.a_origin + min(row, a_rows() - 1u) * params.a_stride;
  let last = (start + a_columns() - 1u) >> 1u;
  let word = (start + min(column, a_columns() - 1u)) >> 1u;
  let at = min(vec4<u32>(word) + vec4<u32>(0u, 1u, 2u, 3u), vec4<u32>(last));
  let words = vec4<u32>(a[at.x], a[at.y], a[at.z], a[at.w]);
  // The same for all threads.
  if (((params.a_origin | params.a_stride) & 1u) == 0u) {
    return words;
  }
  let shifted = (words >> vec4<u32>(16u)) | (vec4<u32>(words.yzw, a[min(word + 4u, last)]) << vec4<u32>(16u));
  return select(words, shifted, (start & 1u) != 0u);
}
