// Rows after a barrier.

// The group of this workgroup's rows: kept by one thread before a barrier, for all after it.
var<workgroup> kept_group: u32;

fn keep_group(thread: u32, group: u32) {
  if (thread == 0u) {
    kept_group = group;
  }
}

// The row once more, after a barrier. Processors run a workgroup's threads in turn from barrier to barrier: what lives
// across one waits in memory there, and what follows from it is computed anew at each use. A loop that opens its row here
// has it in registers.
fn opened_again() -> Row {
  return open_row(kept_group);
}
