// What a shard tells the others of a row's label that is one of its classes: fields of the statistics, after those of
// the slot. OWNED says whether it is.

const RECORD_OWNED: u32 = 0u;
const RECORD_V: u32 = 1u;
const RECORD_SEEN: u32 = 2u;
const RECORD_MARGIN: u32 = 3u;
const RECORD_WEIGHT: u32 = 4u;
const RECORD_SMOOTHING: u32 = 5u;
const RECORD_INVERSE_POWER: u32 = 6u;
const RECORD_FIELDS: u32 = 7u;
