// The rows' labels, which count among all classes. An ignored row has none, a label out of range meets no class.

fn is_label(row: u32, column: u32) -> bool {
  let label = labels[row];
  let ignored = params.has_ignored != 0u && label == params.ignored;
  return label == i32(params.first_class + column) && !ignored;
}
