// The teacher's logits, [N, M], in a buffer that the kernel also writes.
@group(0) @binding(12) var<storage, read_write> teacher: array<TeacherWord>;
