// The column of a row's label among these classes; `params.classes` for a row that has none here.
fn label_column(row: u32) -> u32 {
  let label = labels[row];
  let ignored = params.has_ignored != 0u && label == params.ignored;
  if (ignored) {
    return params.classes;
  }
  // What is below the first class, or negative, wraps around to more than there are classes.
  return min(u32(label) - params.first_class, params.classes);
}
