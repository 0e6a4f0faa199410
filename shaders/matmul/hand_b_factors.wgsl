// B is [k, n], and its rows have factors: threads 0 to 3 of the subgroup read those of k to k + 3 and hand them over, since
// reading them in every thread would cost as much as half of B's block.

fn hand_b(n: u32, k: u32, lane: u32) -> mat4x4<f32> {
  let own = b_scales[params.b_scale_origin + min(k + lane % 4u, b_rows() - 1u)];
  let block = block_b(n, k);
  return mat4x4<f32>(
    block[0] * subgroupBroadcast(own, 0u),
    block[1] * subgroupBroadcast(own, 1u),
    block[2] * subgroupBroadcast(own, 2u),
    block[3] * subgroupBroadcast(own, 3u),
  );
}
