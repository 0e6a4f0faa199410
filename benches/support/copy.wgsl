// The device's copy bandwidth: each number read once and written once, neighbours by neighbouring threads.

@group(0) @binding(0) var<storage, read> from_words: array<u32>;
@group(0) @binding(1) var<storage, read_write> to_words: array<u32>;

@compute @workgroup_size(256)
fn main(
  @builtin(local_invocation_id) local: vec3<u32>,
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
) {
  let words = arrayLength(&from_words);
  let at = (group.x + group.y * groups.x) * 1024u + local.x;
  // Four loads in flight.
  if (at + 768u < words) {
    let a = from_words[at];
    let b = from_words[at + 256u];
    let c = from_words[at + 512u];
    let d = from_words[at + 768u];
    to_words[at] = a;
    to_words[at + 256u] = b;
    to_words[at + 512u] = c;
    to_words[at + 768u] = d;
    return;
  }
  for (var i = at; i < words; i += 256u) {
    to_words[i] = from_words[i];
  }
}
