// The teacher's logits, [N, M].
@group(0) @binding(7) var<storage, read> teacher: array<TeacherWord>;
