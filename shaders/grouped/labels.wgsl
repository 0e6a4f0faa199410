// A label as the kernels see it.

fn checked_label(label: i32) -> i32 {
  if ((spec.flags & FLAG_IGNORE_INDEX) != 0u && label == spec.ignore_index) {
    return LABEL_NONE;
  }
  if (label < 0 || label >= i32(spec.labels)) {
    return LABEL_BAD;
  }
  return label;
}
