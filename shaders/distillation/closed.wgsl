// What a row's softmax has come to.
struct Closed {
  // With the base's factor.
  loss: F,
  // As bits, since they may be no numbers.
  log_sum_exp: U,
  probability: U,
  bad: B,
}
