//! The losses beyond one softmax and sigmoids against plain cross-entropy: `cargo bench --bench families [-- FILTER]`.
//!
//! Grouped losses (groups by count, trees), distillation and LADE; loss and gradient, each with as many columns as it has,
//! against cross-entropy of as many rows and columns. A pair takes turns in rounds and the fastest round of each counts, by
//! the device's clock, or the processors' on a software adapter.

mod support;

use longtail::gpu::{Context, Inputs, Outputs, Plan, PlanRequest, TargetViews, View};
use longtail::grouped::{Child, Taxonomy};
use longtail::{
    Batch, ClassCounts, DistillationLoss, Element, GroupedLoss, LadeLoss, Loss, SoftmaxLoss, Targets,
    Upstream, method, reference, wgpu,
};
use rand::{RngExt as _, SeedableRng as _};
use std::sync::Arc;
use support::clock::warm;
use support::{largest_error, processors, read, software, timed, upload};

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

const ROUNDS: usize = 15;
/// Columns that a round goes through at least.
const ROUND: usize = 2_000_000;
const ELEMENTS: [Element; 3] = [Element::F32, Element::F16, Element::Bf16];

const HELP: &str = "Usage: cargo bench --bench families [-- FILTER]

Times loss and gradient of balanced group softmax, hierarchical softmax, the realistic taxonomic classifier, distillation
(also with cross-entropy) and LADE, those whose NAME/SHAPE/TYPE contains FILTER, on the adapter that it prints, after comparing each gradient with the f64
reference. Trees: two levels by count (the groups of the method tables), 20 nodes of 5 leaves (CIFAR-100), and six levels as
wide as those of iNaturalist 2018 (6, 25, 57, 272, 1,118, 4,401 nodes, 8,142 leaves). Logits have a standard deviation of 2.
Prints microseconds a pass, nanoseconds a logit and the ratio to cross-entropy of the same shape and element type.
";

/// A loss, its shape, and what else it reads.
#[derive(Clone)]
struct Subject {
    name: String,
    loss: Loss<'static>,
    rows: usize,
    columns: usize,
    labels: usize,
    teacher: Option<usize>,
    element: Element,
}

/// Plans with their buffers, ready to be recorded.
struct Problem {
    plan: Plan,
    logits: wgpu::Buffer,
    gradient: wgpu::Buffer,
    labels: wgpu::Buffer,
    teacher: Option<wgpu::Buffer>,
}

/// A tree with so many nodes in each level, the last ones leaves; every node of a level has about as many children.
fn levels(widths: &[usize]) -> Taxonomy {
    let mut nodes = Vec::new();
    let mut above = 1;
    // Nodes are numbered level by level, each after those before it in its own.
    let mut next = 1;
    for (level, &width) in widths.iter().enumerate() {
        let leaves = level + 1 == widths.len();
        for parent in 0..above {
            let children = parent * width / above..(parent + 1) * width / above;
            let child = |number: usize| match leaves {
                true => Child::Label(number as u32),
                false => Child::Node((next + number) as u32),
            };
            nodes.push(children.map(child).collect());
        }
        next += width;
        above = width;
    }
    Taxonomy::new(nodes).expect("a tree")
}

fn counts(classes: usize) -> ClassCounts {
    ClassCounts::new((1..=classes as u64).map(|rank| 1 + 100_000 / rank).collect::<Vec<_>>()).expect("counts")
}

/// The losses with their shapes: as many rows as fill a GPU, where it is one.
fn subjects(software: bool) -> Result<Vec<Subject>> {
    let rows_of = |classes| match (software, classes) {
        (true, _) => 256,
        (false, 8142) => 2048,
        (false, _) => 8192,
    };
    let mut all = Vec::new();
    let mut grouped = |name: String, rows, spec: GroupedLoss| {
        let (columns, labels) = (spec.columns(), spec.labels.len());
        for element in ELEMENTS {
            let (name, loss) = (name.clone(), spec.clone().into());
            all.push(Subject { name, loss, rows, columns, labels, teacher: None, element });
        }
    };
    for classes in [1203, 8142] {
        for method in method::GROUPED {
            grouped(
                format!("{}/{classes}", method.name),
                rows_of(classes),
                (method.build)(&counts(classes))?,
            );
        }
    }
    let few = if software { (1024, 64) } else { (32_768, 1024) };
    let trees = [
        ("20x5", few.0, levels(&[20, 100])),
        ("six_levels", few.1, levels(&[6, 25, 57, 272, 1118, 4401, 8142])),
    ];
    for (name, rows, tree) in trees {
        grouped(format!("hierarchical_softmax/{name}"), rows, GroupedLoss::hierarchical(&tree));
        let sampled = GroupedLoss::realistic_taxonomic(&tree, 0.2, 0)?;
        grouped(format!("realistic_taxonomic/{name}"), rows, sampled);
    }
    for (rows, classes) in [1203, 8142].map(|classes| (rows_of(classes), classes)) {
        for method in method::DISTILLATION {
            let spec: DistillationLoss = (method.build)(&counts(classes))?;
            let teacher = Some(spec.teacher_columns(classes));
            let with = |name, base| (name, spec.clone().with_base(Some(base), 1.0));
            let with_base = match spec.base {
                None => {
                    let seesaw = SoftmaxLoss::seesaw(&counts(classes));
                    vec![with("+ce", SoftmaxLoss::cross_entropy()), with("+seesaw", seesaw)]
                }
                Some(_) => vec![],
            };
            for (base, spec) in std::iter::once(("", spec.clone())).chain(with_base) {
                for element in ELEMENTS {
                    let name = format!("{}{base}/{classes}", method.name);
                    let (loss, columns) = (spec.clone().into(), classes);
                    all.push(Subject { name, loss, rows, columns, labels: classes, teacher, element });
                }
            }
        }
        for method in method::LADE {
            let spec: LadeLoss = (method.build)(&counts(classes))?;
            let (name, element) = (format!("{}/{classes}", method.name), Element::F32);
            let loss = spec.into();
            all.push(Subject { name, loss, rows, columns: classes, labels: classes, teacher: None, element });
        }
    }
    Ok(all)
}

/// What a subject's loss is computed of, and what it should be.
struct Data {
    logits: Vec<u8>,
    teacher: Option<Vec<u8>>,
    labels: Vec<i32>,
    want: Vec<f64>,
}

impl Data {
    fn new(subject: &Subject) -> Result<Self> {
        let Subject { rows, columns, element, .. } = *subject;
        let mut random = rand::rngs::SmallRng::seed_from_u64(7);
        let mut normal = || 2.0 * ((0..12).map(|_| random.random::<f32>()).sum::<f32>() - 6.0);
        let logits: Vec<f32> = (0..rows * columns).map(|_| normal()).collect();
        let teacher: Option<Vec<f32>> =
            subject.teacher.map(|columns| (0..rows * columns).map(|_| normal()).collect());
        let labels: Vec<i32> = (0..rows).map(|row| (row * 7919 % subject.labels) as i32).collect();
        let (logits, teacher) = (element.encode(&logits), teacher.map(|teacher| element.encode(&teacher)));
        let wide = |bytes: &[u8]| element.decode(bytes).iter().map(|&z| f64::from(z)).collect::<Vec<_>>();
        let rounded = wide(&logits);
        let batch = Batch::new(&rounded, columns, Targets::Hard(&labels));
        let want = match &subject.loss {
            Loss::Softmax(spec) => reference::softmax(spec, &batch, Upstream::One)?.gradient,
            Loss::Grouped(spec) => reference::grouped(spec, &batch, Upstream::One)?.gradient,
            Loss::Distillation(spec) => {
                let teacher = wide(teacher.as_deref().unwrap_or_default());
                reference::distillation(spec, &batch, &teacher, Upstream::One)?.gradient
            }
            Loss::Lade(spec) => reference::lade(spec, &batch, Upstream::One)?.gradient,
            _ => return Err("a family without a bench".into()),
        };
        Ok(Self { logits, teacher, labels, want })
    }
}

impl Problem {
    fn new(context: &Context, subject: &Subject, data: &Data) -> Result<Self> {
        let Subject { rows, columns, element, .. } = *subject;
        let request = PlanRequest::new(rows, columns).with_elements(element, element);
        let zeros = vec![0u8; data.logits.len()];
        let problem = Self {
            plan: context.kernels().plan(subject.loss.clone(), &request)?,
            logits: upload(context, &data.logits),
            gradient: upload(context, &zeros),
            labels: upload(context, bytemuck::cast_slice(&data.labels)),
            teacher: data.teacher.as_ref().map(|teacher| upload(context, teacher)),
        };
        problem.record(context, 1);
        let got = element.decode(&read(context, &problem.gradient));
        let want = &data.want;
        // Half a unit of the last place, and of the smallest number, of the largest gradient.
        let top = want.iter().fold(0.0f64, |top, g| top.max(g.abs()));
        let rounding = match element {
            Element::F32 => 0.0,
            Element::F16 => 2f64.powi(-11) + 2f64.powi(-25) / top,
            _ => 2f64.powi(-8),
        };
        let error = largest_error(want, &got[..want.len()]);
        // A NaN fails the comparison.
        match error <= 1e-4 + rounding {
            true => Ok(problem),
            false => Err(format!("{}: the gradient is off by {error:e} of its largest", subject.name).into()),
        }
    }

    fn record(&self, context: &Context, passes: usize) -> support::Took {
        let targets = TargetViews::Hard(View::whole(&self.labels));
        let mut inputs = Inputs::new(View::whole(&self.logits), targets);
        inputs.teacher = self.teacher.as_ref().map(|teacher| View::whole(teacher).into());
        let gradient = View::whole(&self.gradient);
        timed(context, |encoder| {
            for _ in 0..passes {
                let outputs = Outputs::default();
                self.plan
                    .encode_loss_and_grad(encoder, &inputs, Some(gradient.into()), None, &outputs)
                    .expect("encoding");
            }
        })
    }
}

/// Cross-entropy of a subject's shape and element type.
fn plain(subject: &Subject) -> Subject {
    Subject {
        name: "cross_entropy".into(),
        loss: SoftmaxLoss::cross_entropy().into(),
        labels: subject.columns,
        teacher: None,
        ..subject.clone()
    }
}

/// What several subjects are computed of, and should be.
fn side_by_side(subjects: &[&Subject]) -> Vec<std::result::Result<Data, String>> {
    std::thread::scope(|scope| {
        let threads: Vec<_> = subjects
            .iter()
            .map(|subject| scope.spawn(move || Data::new(subject).map_err(|error| error.to_string())))
            .collect();
        let panicked = |_| Err("a panic".to_owned());
        threads.into_iter().map(|thread| thread.join().unwrap_or_else(panicked)).collect()
    })
}

fn main() -> Result<()> {
    if std::env::args().any(|argument| argument == "--help") {
        println!("{HELP}");
        return Ok(());
    }
    let filter = std::env::args().skip(1).find(|argument| !argument.starts_with('-')).unwrap_or_default();
    let context = Context::new()?;
    let software = software(&context);
    println!("adapter: {} ({})\n", context.adapter_info().name, context.adapter_info().driver_info);
    println!(
        "{:<36} {:>5} {:>15} {:>8} {:>9} {:>9} {:>7}",
        "loss", "type", "rows x columns", "us", "ns/logit", "CE", "of CE"
    );
    let subjects = subjects(software)?;
    let wanted = |subject: &&Subject| format!("{}/{}", subject.name, subject.element).contains(&filter);
    let subjects: Vec<_> = subjects.iter().filter(wanted).collect();
    // References of some subjects, side by side, and of the cross-entropies that are the measure of several.
    let mut measures: Vec<(Subject, Arc<Data>)> = Vec::new();
    let some = subjects.chunks(processors());
    for (subject, data) in some.flat_map(|some| some.iter().copied().zip(side_by_side(some))) {
        let plain = plain(subject);
        let same = |measure: &&(Subject, _)| {
            let shape = |subject: &Subject| (subject.rows, subject.columns, subject.element);
            shape(&measure.0) == shape(&plain)
        };
        let measure = match measures.iter().find(same) {
            Some((_, measure)) => measure.clone(),
            None => {
                let measure = Arc::new(Data::new(&plain)?);
                measures.push((plain.clone(), measure.clone()));
                measure
            }
        };
        let problems = [Problem::new(&context, &plain, &measure)?, Problem::new(&context, subject, &data?)?];
        let elements = subject.rows * subject.columns;
        let passes = (if software { ROUND } else { 20 * ROUND }).div_ceil(elements);
        warm(software, || _ = problems[1].record(&context, passes));
        let mut fastest = [f64::INFINITY; 2];
        for _ in 0..ROUNDS {
            for (problem, fastest) in problems.iter().zip(&mut fastest) {
                let took = problem.record(&context, passes).steady(software);
                *fastest = fastest.min(took.as_secs_f64() / passes as f64);
            }
        }
        let each = fastest.map(|seconds| 1e9 * seconds / elements as f64);
        println!(
            "{:<36} {:>5} {:>15} {:>8.0} {:>9.3} {:>9.3} {:>7.2}",
            subject.name,
            subject.element.to_string(),
            format!("{} x {}", subject.rows, subject.columns),
            1e6 * fastest[1],
            each[1],
            each[0],
            each[1] / each[0],
        );
    }
    Ok(())
}
