// Kernels over rows or classes, one per thread: a lane is a single number.

alias F = f32;
alias I = i32;
alias U = u32;
alias B = bool;
