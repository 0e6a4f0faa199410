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
use support::{largest_error, read, software, timed, upload};

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

fn subjects() -> Result<Vec<Subject>> {
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
            grouped(format!("{}/{classes}", method.name), 256, (method.build)(&counts(classes))?);
        }
    }
    let trees =
        [("20x5", 1024, levels(&[20, 100])), ("six_levels", 64, levels(&[6, 25, 57, 272, 1118, 4401, 8142]))];
    for (name, rows, tree) in trees {
        grouped(format!("hierarchical_softmax/{name}"), rows, GroupedLoss::hierarchical(&tree));
        let sampled = GroupedLoss::realistic_taxonomic(&tree, 0.2, 0)?;
        grouped(format!("realistic_taxonomic/{name}"), rows, sampled);
    }
    for (rows, classes) in [(256, 1203), (256, 8142)] {
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

impl Problem {
    fn new(context: &Context, subject: &Subject, loss: &Loss<'_>) -> Result<Self> {
        let Subject { rows, columns, element, .. } = *subject;
        let mut random = rand::rngs::SmallRng::seed_from_u64(7);
        let mut normal = || 2.0 * ((0..12).map(|_| random.random::<f32>()).sum::<f32>() - 6.0);
        let logits: Vec<f32> = (0..rows * columns).map(|_| normal()).collect();
        let teacher: Option<Vec<f32>> =
            subject.teacher.map(|columns| (0..rows * columns).map(|_| normal()).collect());
        let labels: Vec<i32> = (0..rows).map(|row| (row * 7919 % subject.labels) as i32).collect();
        let request = PlanRequest::new(rows, columns).with_elements(element, element);
        let zeros = vec![0u8; element.encode(&logits).len()];
        let problem = Self {
            plan: context.kernels().plan(loss.clone(), &request)?,
            logits: upload(context, &element.encode(&logits)),
            gradient: upload(context, &zeros),
            labels: upload(context, bytemuck::cast_slice(&labels)),
            teacher: teacher.as_ref().map(|teacher| upload(context, &element.encode(teacher))),
        };
        problem.record(context, 1);
        let got = element.decode(&read(context, &problem.gradient));
        let wide = |values: &[f32]| values.iter().map(|&z| f64::from(z)).collect::<Vec<_>>();
        let rounded = wide(&element.decode(&element.encode(&logits)));
        let batch = Batch::new(&rounded, columns, Targets::Hard(&labels));
        let want = match loss {
            Loss::Softmax(spec) => reference::softmax(spec, &batch, Upstream::One)?.gradient,
            Loss::Grouped(spec) => reference::grouped(spec, &batch, Upstream::One)?.gradient,
            Loss::Distillation(spec) => {
                let teacher = wide(&element.decode(&element.encode(&teacher.unwrap_or_default())));
                reference::distillation(spec, &batch, &teacher, Upstream::One)?.gradient
            }
            Loss::Lade(spec) => reference::lade(spec, &batch, Upstream::One)?.gradient,
            _ => return Err("a family without a bench".into()),
        };
        // Half a unit of the last place, and of the smallest number, of the largest gradient.
        let top = want.iter().fold(0.0f64, |top, g| top.max(g.abs()));
        let rounding = match element {
            Element::F32 => 0.0,
            Element::F16 => 2f64.powi(-11) + 2f64.powi(-25) / top,
            _ => 2f64.powi(-8),
        };
        let error = largest_error(&want, &got[..want.len()]);
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
    for subject in
        subjects()?.iter().filter(|subject| format!("{}/{}", subject.name, subject.element).contains(&filter))
    {
        let plain = SoftmaxLoss::cross_entropy();
        let problems = [
            Problem::new(
                &context,
                &Subject {
                    teacher: None,
                    labels: subject.columns,
                    name: "cross_entropy".into(),
                    loss: plain.clone().into(),
                    ..*subject
                },
                &plain.into(),
            )?,
            Problem::new(&context, subject, &subject.loss)?,
        ];
        let elements = subject.rows * subject.columns;
        let passes = ROUND.div_ceil(elements);
        let mut fastest = [f64::INFINITY; 2];
        for _ in 0..ROUNDS {
            for (problem, fastest) in problems.iter().zip(&mut fastest) {
                let took = problem.record(&context, passes).steady(software);
                *fastest = fastest.min(took.as_secs_f64() / passes as f64);
            }
        }
        let each = fastest.map(|seconds| 1e9 * seconds / elements as f64);
        println!(
            "{:<36} {:>5} {:>15} {:>8.0} {:>9.2} {:>9.2} {:>7.2}",
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
