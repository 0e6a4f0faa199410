//! A batch of any family through a plan, its buffers laid out as a manner says.

use super::{Arena, GUARD, Got, Manner, Up, bits, blocks, dense, floats, ints, matrix_view};
use longtail::gpu::{Inputs, Kernels, Mode, Outputs, Plan, Storage, TargetViews, View};
use longtail::{Batch, Element, Targets};

/// What a pass is given, in host memory.
#[derive(Debug, Clone, Copy)]
pub struct Given<'a> {
    pub batch: Batch<'a>,
    /// Of each row, where the manner asks for it.
    pub upstream: &'a [f32],
    /// What the gradient is added to.
    pub old: Option<&'a [f32]>,
    /// Whether rows have a log-sum-exp and a probability.
    pub statistics: bool,
    /// What the teacher's logits are; absent: what the logits are.
    pub teacher: Option<Element>,
}

impl<'a> Given<'a> {
    /// A batch of a loss whose rows have a log-sum-exp, its gradient added to nothing.
    pub fn new(batch: Batch<'a>, upstream: &'a [f32]) -> Self {
        Self { batch, upstream, old: None, statistics: true, teacher: None }
    }
}

/// Targets in an arena.
enum Placed {
    Hard(usize),
    Mixed([usize; 3]),
    Dense(Vec<usize>),
}

/// Runs one batch through a plan. Panics if a byte is written that should not be.
pub fn pass_of(kernels: &Kernels, plan: &Plan, given: &Given<'_>, manner: Manner) -> longtail::Result<Got> {
    let Given { batch, upstream, old, statistics, teacher } = *given;
    let classes = batch.classes;
    let rows = batch.logits.len() / classes.max(1);
    let mut arena = Arena::new(manner.storage != Storage::Separate);
    let matrix = |arena: &mut Arena, element, values: &[f32], gap| -> Vec<usize> {
        blocks(element, values, &manner, rows, gap).iter().map(|block| arena.add(block)).collect()
    };
    let logits = matrix(&mut arena, manner.elements.0, batch.logits, manner.gaps.0);
    let placed = match batch.targets {
        Targets::Hard(labels) => Placed::Hard(arena.add(&ints(labels))),
        Targets::Mixed { first, second, lambda } => {
            Placed::Mixed([arena.add(&ints(first)), arena.add(&ints(second)), arena.add(&bits(lambda))])
        }
        Targets::Soft(dense) | Targets::MultiHot(dense) => {
            Placed::Dense(matrix(&mut arena, Element::F32, dense, 0))
        }
        other => panic!("no views for {other:?}"),
    };
    let gates = batch.gates.map(|values| matrix(&mut arena, Element::F32, values, 0));
    let element = teacher.unwrap_or(manner.elements.0);
    let teacher = batch.teacher.map(|values| matrix(&mut arena, element, values, 0));
    let row_weights = batch.row_weights.map(|values| arena.add(&bits(values)));
    let norms = batch.feature_norms.map(|values| arena.add(&bits(values)));
    let upstream = match manner.upstream {
        Up::One => None,
        Up::Scalar(value) => Some(arena.add(&[value.to_bits()])),
        Up::PerRow => Some(arena.add(&bits(upstream))),
    };
    let in_place = manner.storage == Storage::InPlace;
    let gap = if in_place { manner.gaps.0 } else { manner.gaps.1 };
    let empty = vec![f32::from_bits(GUARD); rows * classes];
    let gradient = match in_place {
        true => logits.clone(),
        false => matrix(&mut arena, manner.gradient(), old.unwrap_or(&empty), gap),
    };
    let class_scale = manner.class_scale.then(|| arena.add(&vec![GUARD; classes]));
    let loss = arena.add(&[GUARD]);
    let fields: Vec<usize> = (0..4).map(|_| arena.add(&vec![GUARD; rows])).collect();
    arena.upload(kernels);

    let view = |range: usize| arena.view(range);
    let views = |ranges: &[usize]| -> Vec<View<'_>> { ranges.iter().map(|&range| view(range)).collect() };
    let (logit_views, gradient_views) = (views(&logits), views(&gradient));
    let (gate_views, teacher_views) = (gates.as_deref().map(views), teacher.as_deref().map(views));
    let dense_views = if let Placed::Dense(ranges) = &placed { views(ranges) } else { Vec::new() };
    let targets = match placed {
        Placed::Hard(labels) => TargetViews::Hard(view(labels)),
        Placed::Mixed([first, second, lambda]) => {
            TargetViews::Mixed { first: view(first), second: view(second), lambda: view(lambda) }
        }
        Placed::Dense(_) if matches!(batch.targets, Targets::Soft(_)) => {
            TargetViews::Soft(matrix_view(&dense_views))
        }
        Placed::Dense(_) => TargetViews::MultiHot(matrix_view(&dense_views)),
    };
    let mut inputs = Inputs::new(matrix_view(&logit_views), targets);
    inputs.row_weights = row_weights.map(view);
    inputs.feature_norms = norms.map(view);
    inputs.gates = gate_views.as_deref().map(matrix_view);
    inputs.teacher = teacher_views.as_deref().map(matrix_view);
    let outputs = Outputs {
        loss: Some(view(loss)),
        row_loss: Some(view(fields[0])),
        log_sum_exp: statistics.then(|| view(fields[1])),
        target_probability: statistics.then(|| view(fields[2])),
        argmax: manner.argmax.then(|| view(fields[3])),
    };
    let gradient_view = (!in_place).then(|| matrix_view(&gradient_views));
    let class_scale_view = class_scale.map(view);
    let mut encoder = kernels.device().create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
    match manner.mode {
        Mode::ForwardBackward => {
            plan.encode_forward(&mut encoder, &inputs, &outputs)?;
            plan.encode_backward(&mut encoder, &inputs, upstream.map(view), gradient_view, class_scale_view)?;
        }
        _ => plan.encode_loss_and_grad(&mut encoder, &inputs, gradient_view, class_scale_view, &outputs)?,
    }
    kernels.queue().submit([encoder.finish()]);
    let mut written = fields.clone();
    written.push(loss);
    written.extend(gradient.iter().copied());
    written.extend(class_scale);
    let parts = arena.read(kernels, &written);
    let gradients = gradient
        .iter()
        .zip(manner.blocks(rows))
        .flat_map(|(&range, height)| dense(manner.gradient(), &parts[range], height, classes, gap));
    Ok(Got {
        loss: f32::from_bits(parts[loss][0]),
        row_loss: floats(&parts[fields[0]]),
        log_sum_exp: if statistics { floats(&parts[fields[1]]) } else { Vec::new() },
        probability: if statistics { floats(&parts[fields[2]]) } else { Vec::new() },
        argmax: if manner.argmax { parts[fields[3]].clone() } else { Vec::new() },
        gradient: gradients.collect(),
        class_scale: class_scale.map(|range| floats(&parts[range])),
        status: plan.status().err(),
    })
}
