// The sum of a range of items over the threads of a workgroup, in a fixed order. Needs what an item is (share_sum.wgsl or
// loss_sum.wgsl) and where items are. SUM_ITEMS of them are a range that one workgroup leaves as a sum of its own.

var<workgroup> tree: array<Sum, WG>;

fn four_items(i: u32) -> Sum {
  return added(added(item(i), item(i + WG)), added(item(i + 2u * WG), item(i + 3u * WG)));
}

fn sum_over_workgroup(thread: u32, begin: u32, end: u32) -> Sum {
  var sum = no_sum();
  var i = begin + thread;
  // Eight at a time, then four: their loads are in flight together.
  for (; i + 7u * WG < end; i += 8u * WG) {
    sum = added(sum, added(four_items(i), four_items(i + 4u * WG)));
  }
  if (i + 3u * WG < end) {
    sum = added(sum, four_items(i));
    i += 4u * WG;
  }
  for (; i < end; i += WG) {
    sum = added(sum, item(i));
  }
  tree[thread] = sum;
  workgroupBarrier();
  for (var half = WG / 2u; half > 0u; half = half / 2u) {
    if (thread < half) {
      tree[thread] = added(tree[thread], tree[thread + half]);
    }
    workgroupBarrier();
  }
  return tree[0];
}
