// The teacher's logits, [N, M].
@group(0) @binding(12) var<storage, read> teacher: array<TeacherWord>;
