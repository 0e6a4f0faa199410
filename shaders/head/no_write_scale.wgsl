// Nobody asks for the gradient by the head's scale.

fn write_scale(value: f32) {
}
