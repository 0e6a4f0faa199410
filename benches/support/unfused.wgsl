// The pipeline that one would write first: every step a dispatch of its own, one element per thread, nothing kept on
// chip between steps, the probabilities an N x K matrix.

struct Shape {
    rows: u32,
    classes: u32,
}

const MITIGATION: f32 = 0.8;
const COMPENSATION: f32 = 2.0;
const FLOOR: f32 = 0.01;
override WIDTH: u32 = 64;

@group(0) @binding(0) var<uniform> shape: Shape;
@group(0) @binding(1) var<storage, read> source: array<f32>;
@group(0) @binding(2) var<storage, read> labels: array<i32>;
@group(0) @binding(3) var<storage, read_write> maxima: array<f32>;
@group(0) @binding(4) var<storage, read_write> sums: array<f32>;
@group(0) @binding(5) var<storage, read_write> probabilities: array<f32>;
@group(0) @binding(6) var<storage, read_write> gradient: array<f32>;
@group(0) @binding(7) var<storage, read_write> losses: array<f32>;
@group(0) @binding(8) var<storage, read_write> adjusted: array<f32>;
@group(0) @binding(9) var<storage, read_write> counts: array<atomic<u32>>;
@group(0) @binding(10) var<storage, read_write> log_counts: array<f32>;

var<workgroup> shared_values: array<f32, WIDTH>;

// A workgroup for each row.
@compute @workgroup_size(WIDTH)
fn row_max(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_id) local: vec3<u32>) {
    let start = group.x * shape.classes;
    var top = -3.0e38;
    for (var class_ = local.x; class_ < shape.classes; class_ += WIDTH) {
        top = max(top, source[start + class_]);
    }
    shared_values[local.x] = top;
    workgroupBarrier();
    for (var half = WIDTH / 2u; half > 0u; half /= 2u) {
        if local.x < half {
            shared_values[local.x] = max(shared_values[local.x], shared_values[local.x + half]);
        }
        workgroupBarrier();
    }
    if local.x == 0u {
        maxima[group.x] = shared_values[0];
    }
}

// A workgroup for each row.
@compute @workgroup_size(WIDTH)
fn exp_sum(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_id) local: vec3<u32>) {
    let start = group.x * shape.classes;
    let top = maxima[group.x];
    var sum = 0.0;
    for (var class_ = local.x; class_ < shape.classes; class_ += WIDTH) {
        sum += exp(source[start + class_] - top);
    }
    shared_values[local.x] = sum;
    workgroupBarrier();
    for (var half = WIDTH / 2u; half > 0u; half /= 2u) {
        if local.x < half {
            shared_values[local.x] += shared_values[local.x + half];
        }
        workgroupBarrier();
    }
    if local.x == 0u {
        sums[group.x] = shared_values[0];
    }
}

// A thread for each logit.
@compute @workgroup_size(WIDTH)
fn softmax(@builtin(global_invocation_id) id: vec3<u32>) {
    if id.x >= shape.classes {
        return;
    }
    let at = id.y * shape.classes + id.x;
    probabilities[at] = exp(source[at] - maxima[id.y]) / sums[id.y];
}

// A thread for each row.
@compute @workgroup_size(WIDTH)
fn row_loss(@builtin(global_invocation_id) id: vec3<u32>) {
    if id.x >= shape.rows {
        return;
    }
    let own = source[id.x * shape.classes + u32(labels[id.x])];
    losses[id.x] = log(sums[id.x]) + maxima[id.x] - own;
}

// One workgroup.
@compute @workgroup_size(WIDTH)
fn mean_loss(@builtin(local_invocation_id) local: vec3<u32>) {
    var sum = 0.0;
    for (var row = local.x; row < shape.rows; row += WIDTH) {
        sum += losses[row];
    }
    shared_values[local.x] = sum;
    workgroupBarrier();
    for (var half = WIDTH / 2u; half > 0u; half /= 2u) {
        if local.x < half {
            shared_values[local.x] += shared_values[local.x + half];
        }
        workgroupBarrier();
    }
    if local.x == 0u {
        losses[shape.rows] = shared_values[0] / f32(shape.rows);
    }
}

// A thread for each logit.
@compute @workgroup_size(WIDTH)
fn slope(@builtin(global_invocation_id) id: vec3<u32>) {
    if id.x >= shape.classes {
        return;
    }
    let at = id.y * shape.classes + id.x;
    let target_ = select(0.0, 1.0, id.x == u32(labels[id.y]));
    gradient[at] = (probabilities[at] - target_) / f32(shape.rows);
}

// Seesaw's count of the batch: a thread for each row.
@compute @workgroup_size(WIDTH)
fn count(@builtin(global_invocation_id) id: vec3<u32>) {
    if id.x < shape.rows {
        atomicAdd(&counts[labels[id.x]], 1u);
    }
}

// A thread for each class.
@compute @workgroup_size(WIDTH)
fn log_count(@builtin(global_invocation_id) id: vec3<u32>) {
    if id.x < shape.classes {
        log_counts[id.x] = log(f32(max(atomicLoad(&counts[id.x]), 1u)));
    }
}

// Balanced softmax: a thread for each logit.
@compute @workgroup_size(WIDTH)
fn add_log_count(@builtin(global_invocation_id) id: vec3<u32>) {
    if id.x >= shape.classes {
        return;
    }
    let at = id.y * shape.classes + id.x;
    adjusted[at] = source[at] + log_counts[id.x];
}

// Seesaw's two factors, as logarithms: a thread for each logit.
@compute @workgroup_size(WIDTH)
fn add_seesaw(@builtin(global_invocation_id) id: vec3<u32>) {
    if id.x >= shape.classes {
        return;
    }
    let at = id.y * shape.classes + id.x;
    let label = u32(labels[id.y]);
    let own = max(probabilities[id.y * shape.classes + label], FLOOR);
    let ratio = max(probabilities[at] / own, 1.0);
    let mitigation = MITIGATION * min(log_counts[id.x] - log_counts[label], 0.0);
    adjusted[at] = source[at] + select(mitigation + COMPENSATION * log(ratio), 0.0, id.x == label);
}
