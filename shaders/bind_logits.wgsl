// Logits the kernel only reads.
@group(0) @binding(5) var<storage, read> logits: array<LogitWord>;
