// Counts the numbers of f32 that the driver's own conversion rounds to another f16 than `pack_f16` does: all of them. Of NaN
// only that it stays one. Needs half.wgsl and packed_f16.wgsl.
//
// Dispatch: 2^31 / (WG * EACH) workgroups.

const WG: u32 = 256u;
const EACH: u32 = 256u;

@group(0) @binding(0) var<storage, read_write> differences: atomic<u32>;

fn is_half_nan(half: u32) -> bool {
  return (half & 0x7fffu) > 0x7c00u;
}

fn is_alike(a: u32, b: u32) -> bool {
  return a == b || (is_half_nan(a) && is_half_nan(b));
}

@compute @workgroup_size(WG)
fn main(@builtin(local_invocation_id) local: vec3<u32>, @builtin(workgroup_id) group: vec3<u32>) {
  var differing = 0u;
  for (var i = 0u; i < EACH; i++) {
    // A number and its negative.
    let size = (group.x * EACH + i) * WG + local.x;
    let x = bitcast<f32>(size);
    let y = bitcast<f32>(size | 0x80000000u);
    let own = pack_f16(x, y);
    let drivers = pack2x16float(vec2<f32>(x, y));
    let alike = is_alike(own & 0xffffu, drivers & 0xffffu) && is_alike(own >> 16u, drivers >> 16u);
    differing += select(1u, 0u, alike);
  }
  if (differing > 0u) {
    atomicAdd(&differences, differing);
  }
}
