// Each class has a bias.

fn bias_of(class: u32) -> f32 {
  return bias[class];
}
