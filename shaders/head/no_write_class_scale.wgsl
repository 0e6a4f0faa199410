// Nobody asks for the gradient by learned scales.

fn write_class_scale(class: u32, value: f32) {
}
