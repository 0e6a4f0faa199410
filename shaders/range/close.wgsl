// The loss of the batch from those of its classes, and the two nearest centres. The loss has been set to 0, or NaN,
// before.
//
// Dispatch: one workgroup.

@group(0) @binding(1) var<storage, read_write> scalars: array<u32>;
@group(0) @binding(4) var<storage, read_write> saved: array<u32>;

var<workgroup> tree: array<f32, WG>;
var<workgroup> tree_near: array<vec3<u32>, WG>;

fn nearer(a: vec3<u32>, b: vec3<u32>) -> vec3<u32> {
  return select(a, b, vec3<bool>(b.x < a.x || (b.x == a.x && b.y < a.y)));
}

@compute @workgroup_size(WG)
fn main(@builtin(local_invocation_id) local: vec3<u32>) {
  let thread = local.x;
  var sum = 0.0;
  var near = vec3<u32>(0x7f800000u, NO_ROW, NO_ROW);
  for (var row = thread; row < window.rows; row += WG) {
    sum += held_number(SAVED_INTRA, row);
    near = nearer(near, vec3<u32>(held(SAVED_NEAR, row), row, held(SAVED_NEAR_ROW, row)));
  }
  tree[thread] = sum;
  tree_near[thread] = near;
  workgroupBarrier();
  for (var half = WG / 2u; half > 0u; half = half / 2u) {
    if (thread < half) {
      tree[thread] += tree[thread + half];
      tree_near[thread] = nearer(tree_near[thread], tree_near[thread + half]);
    }
    workgroupBarrier();
  }
  if (thread == 0u && window.rows > 0u) {
    let nearest = tree_near[0];
    let distance = bitcast<f32>(nearest.x);
    let missing = select(0.0, numbers.margin - distance, nearest.z != NO_ROW && distance < numbers.margin);
    let loss = numbers.intra_weight * tree[0] + numbers.inter_weight * missing;
    scalars[SCALAR_LOSS] = bitcast<u32>(bitcast<f32>(scalars[SCALAR_LOSS]) + loss);
    let pulls = missing > 0.0 && distance > SMALLEST;
    keep(SAVED_CENTRE_A, 0u, nearest.y);
    keep(SAVED_CENTRE_B, 0u, nearest.z);
    keep_number(SAVED_CENTRE_FACTOR, 0u, select(0.0, numbers.inter_weight / distance, pulls));
  }
}
