// Rows that several workgroups, windows or shards share: each leaves the statistics of its part of a row in a slot of
// its own, and they are merged in the order of the slots, so that the result has the same bits whoever was first.
//
// A slot is SLOT_FIELDS fields of `saved`; the header places those that not every spec has.

const SLOT_MAX: u32 = 0u;
const SLOT_SUM: u32 = 1u;
const SLOT_BAD: u32 = 2u;

// v of the row's labels, as two fields each: as its own softmax and as the other label's sees it.
const LABEL_V: u32 = 0u;
const LABEL_SEEN: u32 = 1u;

fn slot_field(slot: u32, field: u32) -> u32 {
  return SAVED_SLOTS + slot * SLOT_FIELDS + field;
}

fn label_field(label: u32, field: u32) -> u32 {
  return SAVED_LABELS + 2u * label + field;
}

fn saved_label_logits(rows: U) -> LabelLogits {
  var out = LabelLogits(F(NEG_MAX), F(NEG_MAX), F(NEG_MAX), F(NEG_MAX));
  if (!SOFT_TARGETS) {
    out.first = float_of_bits(load_saved(label_field(0u, LABEL_V), rows));
    out.seen_first = float_of_bits(load_saved(label_field(0u, LABEL_SEEN), rows));
  }
  if (MIXED_TARGETS) {
    out.second = float_of_bits(load_saved(label_field(1u, LABEL_V), rows));
    out.seen_second = float_of_bits(load_saved(label_field(1u, LABEL_SEEN), rows));
  }
  return out;
}
