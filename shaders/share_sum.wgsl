// Items of a denominator are numbers.

alias Sum = f32;

fn no_sum() -> Sum {
  return 0.0;
}

fn added(a: Sum, b: Sum) -> Sum {
  return a + b;
}
