// Threefry-2x32 with 20 rounds: the host's generator, bit for bit.

fn rotated(x: u32, by: u32) -> u32 {
  return (x << by) | (x >> (32u - by));
}

fn threefry_under(k0: u32, k1: u32, c0: u32, c1: u32) -> vec2<u32> {
  let k2 = 0x1BD11BDAu ^ k0 ^ k1;
  var x = c0 + k0;
  var y = c1 + k1;
  for (var block = 0u; block < 5u; block++) {
    if ((block & 1u) == 0u) {
      x += y; y = rotated(y, 13u) ^ x;
      x += y; y = rotated(y, 15u) ^ x;
      x += y; y = rotated(y, 26u) ^ x;
      x += y; y = rotated(y, 6u) ^ x;
    } else {
      x += y; y = rotated(y, 17u) ^ x;
      x += y; y = rotated(y, 29u) ^ x;
      x += y; y = rotated(y, 16u) ^ x;
      x += y; y = rotated(y, 24u) ^ x;
    }
    // The key words take turns: block b adds words b + 1 and b + 2 (mod 3).
    let turn = (block + 1u) % 3u;
    x += select(select(k2, k1, turn == 1u), k0, turn == 0u);
    y += select(select(k0, k2, turn == 1u), k1, turn == 0u) + block + 1u;
  }
  return vec2<u32>(x, y);
}
