// Labels of classes and background as labels of two losses: of the classes, which ignores background, and of object and
// background. One thread per row.
//
// Dispatch: ceil(N / WG) workgroups for each range of rows, before both losses.

@group(0) @binding(1) var<storage, read> labels: array<i32>;
@group(0) @binding(2) var<storage, read_write> class_labels: array<i32>;
@group(0) @binding(3) var<storage, read_write> object_labels: array<i32>;

struct Numbers {
  // The label of background, and that of rows that do not count.
  background: i32,
  ignored: i32,
}

@group(0) @binding(10) var<uniform> label_numbers: Numbers;

@compute @workgroup_size(WG)
fn main(
  @builtin(local_invocation_id) local: vec3<u32>,
  @builtin(workgroup_id) id: vec3<u32>,
  @builtin(num_workgroups) count: vec3<u32>,
) {
  let row = linear_workgroup(id, count) * WG + local.x;
  if (row >= window.rows) {
    return;
  }
  let at = row + window.row_shift;
  let label = labels[at];
  var class_label = label;
  // A label out of range stays one, for both.
  var object = select(-1, -2, label_numbers.ignored == -1);
  if (label == label_numbers.ignored) {
    object = label_numbers.ignored;
  } else if (label == label_numbers.background) {
    class_label = label_numbers.ignored;
    object = 1;
  } else if (label >= 0 && label < label_numbers.background) {
    object = 0;
  }
  class_labels[at] = class_label;
  object_labels[at] = object;
}
