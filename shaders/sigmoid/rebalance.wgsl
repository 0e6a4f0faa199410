// Re-balanced weights of one row: alpha + sigmoid(beta (r - gamma)), r = (1 / n_j) / sum_k t_k / n_k, infinite for rows
// without a positive.

fn rebalanced(inverse_count: f32, share: f32) -> f32 {
  let r = min(inverse_count / max(share, 1e-37), 1e30);
  let x = clamp(spec.rebalance_beta * (r - spec.rebalance_gamma), -80.0, 80.0);
  return spec.rebalance_alpha + 1.0 / (1.0 + exp(-x));
}
