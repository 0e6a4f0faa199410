// Threefry-2x32 with 20 rounds, one call at a time: the host's generator, bit for bit.

fn rotate(x: u32, by: u32) -> u32 {
  return (x << by) | (x >> (32u - by));
}

// Both words.
fn threefry_pair(k0: u32, k1: u32, c0: u32, c1: u32) -> vec2<u32> {
  let k2 = 0x1BD11BDAu ^ k0 ^ k1;
  var x = c0 + k0;
  var y = c1 + k1;
  for (var block = 0u; block < 5u; block++) {
    let odd = (block & 1u) == 1u;
    x += y; y = rotate(y, select(13u, 17u, odd)) ^ x;
    x += y; y = rotate(y, select(15u, 29u, odd)) ^ x;
    x += y; y = rotate(y, select(26u, 16u, odd)) ^ x;
    x += y; y = rotate(y, select(6u, 24u, odd)) ^ x;
    let turn = (block + 1u) % 3u;
    x += select(select(k2, k1, turn == 1u), k0, turn == 0u);
    y += select(select(k0, k2, turn == 1u), k1, turn == 0u) + block + 1u;
  }
  return vec2<u32>(x, y);
}
