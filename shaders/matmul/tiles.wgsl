// A workgroup's part of C.
//
// Dispatch: params.tiles workgroups of WG threads in a grid of two dimensions.

fn run(group: vec3<u32>, groups: vec3<u32>, thread: u32) {
  let index = group.x + group.y * groups.x;
  if (index < params.tiles) {
    multiply(group_place(index), thread);
  }
}
