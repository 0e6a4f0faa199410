// Logits that live in the same buffer as something the kernel writes: read_write, because a buffer cannot be
// bound as read and as read_write in one dispatch.
@group(0) @binding(5) var<storage, read_write> logits: array<LogitWord>;
