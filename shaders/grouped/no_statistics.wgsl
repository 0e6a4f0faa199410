// A pass whose statistics another one has left.
struct Scan {
  bad: bool,
}

fn open_row_sums(thread: u32) {
}

fn statistics(thread: u32, label: i32, weight: f32) -> Scan {
  return Scan(false);
}

fn save_row(row: Row, scan: Scan, weight: f32) {
}
