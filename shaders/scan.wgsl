// What a pass over raw logits notices on its way.
struct Scan {
  // As numbers without a sign and with one: NaN lies above -inf in the former, +inf and NaN are the largest of the latter.
  largest_bits: U,
  largest_signed: I,
  best: F,
  index: U,
}

fn new_scan() -> Scan {
  return Scan(U(0u), I(-2147483647), F(NEG_MAX), U(0xffffffffu));
}

// Non-finite values by their bits: comparisons with NaN are not to be trusted (some drivers fold them).
fn scan_bits(scan: ptr<function, Scan>, z: F) {
  (*scan).largest_bits = max((*scan).largest_bits, bits_of(z));
  (*scan).largest_signed = max((*scan).largest_signed, signed_bits_of(z));
}

fn scan_logit(scan: ptr<function, Scan>, z: F, j: u32) {
  scan_bits(scan, z);
  if (WANT_ARGMAX) {
    let better = z > (*scan).best;
    (*scan).best = select((*scan).best, z, better);
    (*scan).index = select((*scan).index, U(j), better);
  }
}

// Two scans as one; the lowest class on ties.
fn merged_scan(a: Scan, b: Scan) -> Scan {
  var out: Scan;
  out.largest_bits = max(a.largest_bits, b.largest_bits);
  out.largest_signed = max(a.largest_signed, b.largest_signed);
  out.best = max(a.best, b.best);
  out.index = select(select(a.index, b.index, b.best > a.best), min(a.index, b.index), a.best == b.best);
  return out;
}

// NaN of either sign, or +inf; -inf is a legal mask.
fn has_bad_logit(scan: Scan) -> B {
  return (scan.largest_bits > U(0xff800000u)) | (scan.largest_signed >= I(0x7f800000));
}
