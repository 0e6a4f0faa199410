// The column of a row's label among these classes; `params.classes` for a row that has none here.
fn label_column(row: u32) -> u32 {
  let label = labels[row];
  let ignored = params.has_ignored != 0u && label == params.ignored;
  if (ignored || label < i32(params.first_class)) {
    return params.classes;
  }
  return min(u32(label) - params.first_class, params.classes);
}
