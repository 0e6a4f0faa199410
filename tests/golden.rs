//! Every golden file, made by the authors' own code, against the reference and against the adapter.

#[path = "../examples/verify/cases.rs"]
mod cases;

use std::path::PathBuf;

use cases::file::Trouble;
use cases::heads::HeadCase;
use cases::run::{Engine, Mode};
use cases::{Golden, Loss};
use longtail::gpu::Context;

fn files() -> Vec<PathBuf> {
    let folder = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden")).expect("a folder");
    let mut files: Vec<PathBuf> = folder.map(|entry| entry.expect("an entry").path()).collect();
    files.sort();
    files
}

/// Runs every file and names those that fail. Some families have no kernels on the adapter yet.
fn check(engine: &Engine) {
    let (mut run, mut without_kernels, mut failures) = (0, 0, Vec::new());
    let files = files();
    for path in &files {
        let name = path.file_name().expect("a name").to_string_lossy().into_owned();
        let case = match Golden::open(path) {
            Ok(case) => case,
            Err(Trouble::Malformed(reason) | Trouble::Unsupported(reason)) => {
                failures.push(format!("{name}: {reason}"));
                continue;
            }
        };
        let name = format!("{name} ({} by {})", case.method(), case.source());
        match engine.check_any(&case) {
            Ok(errors) if errors.passed() => run += 1,
            Ok(errors) => {
                failures.push(format!("{name}: loss {:.2e}, gradient {:.2e}", errors.loss, errors.gradient));
            }
            Err(Trouble::Unsupported(reason)) => {
                let has_kernels = |loss: &Loss| matches!(loss, Loss::Softmax(_) | Loss::Grouped(_));
                let has_kernels = matches!(&case, Golden::Loss(case) if has_kernels(&case.loss));
                assert!(!has_kernels, "{name}: {reason}");
                without_kernels += 1;
            }
            Err(Trouble::Malformed(reason)) => failures.push(format!("{name}: {reason}")),
        }
    }
    assert!(failures.is_empty(), "{} failed:\n{}", failures.len(), failures.join("\n"));
    assert_eq!(run + without_kernels, files.len());
    match engine {
        Engine::Reference => assert_eq!(without_kernels, 0),
        Engine::Adapter(..) => assert!(run > 60, "{run} files ran"),
    }
}

fn on_the_adapter(mode: Mode) {
    let context = Context::new().expect("an adapter: without one nothing is tested");
    let info = context.adapter_info();
    println!("adapter: {} ({:?}, {} {})", info.name, info.backend, info.driver, info.driver_info);
    check(&Engine::Adapter(Box::new(context), mode));
}

#[test]
fn the_reference_gives_the_authors_values() {
    check(&Engine::Reference);
}

#[test]
fn the_adapter_gives_the_authors_values() {
    on_the_adapter(Mode::LossAndGrad);
}

#[test]
fn forward_and_backward_give_the_authors_values() {
    on_the_adapter(Mode::ForwardBackward);
}

/// Every truncation and every changed byte of a header: an answer or a reason, never a panic.
#[test]
fn damaged_files_are_refused() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/remix__drw_k10_lam0.3.safetensors");
    let whole = std::fs::read(path).expect("a file");
    let damaged = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("damaged.safetensors");
    let mut refused = 0;
    let mut attempt = |bytes: &[u8]| {
        std::fs::write(&damaged, bytes).expect("a writable folder");
        match cases::open(&damaged) {
            Ok(case) => refused += usize::from(Engine::Reference.check(&case).is_err()),
            Err(Trouble::Malformed(reason) | Trouble::Unsupported(reason)) => {
                assert!(!reason.is_empty());
                refused += 1;
            }
        }
    };
    (0..whole.len()).step_by(7).for_each(|length| attempt(&whole[..length]));
    let header = 8 + u64::from_le_bytes(whole[..8].try_into().expect("8 bytes")) as usize;
    for position in 0..header {
        let mut bytes = whole.clone();
        bytes[position] = if bytes[position] == b'9' { b'0' } else { b'9' };
        attempt(&bytes);
    }
    assert!(refused > header / 4, "{refused} refused");
}

/// A comparison that cannot fail proves nothing: every kind of deviation has to be seen.
#[test]
fn wrong_values_are_seen() {
    let path = |name: &str| format!("{}/tests/golden/{name}.safetensors", env!("CARGO_MANIFEST_DIR"));
    let open = |name: &str| cases::open(path(name).as_ref()).unwrap_or_else(|_| panic!("{name} is a case"));
    let passes = |case: &cases::Case| Engine::Reference.check(case).is_ok_and(|errors| errors.passed());
    type Wrong = fn(&mut cases::Case);
    let wrong: [(&str, Wrong); 11] = [
        ("lws__k10", |case| case.expected.loss *= 1.0 + 1e-5),
        ("lws__k10", |case| case.expected.loss = f64::NAN),
        ("lws__k10", |case| case.expected.gradient[3] += 1e-5),
        ("lws__k10", |case| case.expected.gradient[3] = f64::NAN),
        ("lws__k10", |case| case.expected.gradient.truncate(5)),
        ("lws__k10", |case| case.expected.scale_gradient.as_mut().expect("scales")[0] += 1e-4),
        ("lws__k10", |case| {
            if let Loss::Softmax(spec) = &mut case.loss {
                spec.scale = 1.001;
            }
        }),
        ("eqlv2__k10", |case| case.extras[1].found[0] *= 1.0 + 1e-4),
        ("eqlv2__k10", |case| {
            if let Loss::Sigmoid(spec) = &mut case.loss {
                spec.gradient_balance.as_mut().expect("sums").mu += 1e-3;
            }
        }),
        ("deep_rtc__k12", |case| {
            if let Loss::Grouped(spec) = &mut case.loss {
                spec.tree.as_mut().expect("a tree").ceiling = Some(0.5);
            }
        }),
        ("kd_hinton__k10", |case| case.inputs.teacher[0] += 1e-2),
    ];
    for (position, (name, wrong)) in wrong.iter().enumerate() {
        let mut case = open(name);
        assert!(passes(&case), "{name}");
        wrong(&mut case);
        assert!(!passes(&case), "deviation {position} of {name} passed");
    }
}

#[test]
fn wrong_values_of_heads_are_seen() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/causal_norm__k10.safetensors");
    let open = || cases::heads::open(path.as_ref()).unwrap_or_else(|_| panic!("{path} is a case"));
    let passes = |case: &HeadCase| case.check().is_ok_and(|errors| errors.passed());
    assert!(passes(&open()));
    let wrong: [fn(&mut HeadCase); 10] = [
        |case| case.expected.loss *= 1.0 + 1e-5,
        |case| case.expected.logits[7] += 1e-4,
        |case| case.expected.row_loss.as_mut().expect("row losses")[3] += 1e-3,
        |case| case.expected.effect_logits.as_mut().expect("effects")[5] += 1e-4,
        |case| case.expected.logit_gradient.as_mut().expect("slopes")[2] += 1e-5,
        |case| case.expected.feature_gradient[11] = f64::NAN,
        |case| case.expected.weight_gradient.truncate(9),
        |case| case.spec.head.weights.offset *= 1.001,
        |case| case.spec.head.parts = 1,
        |case| case.effect.as_mut().and_then(|found| found.effect.as_mut()).expect("an effect").alpha = 2.9,
    ];
    for (position, wrong) in wrong.iter().enumerate() {
        let mut case = open();
        wrong(&mut case);
        assert!(!passes(&case), "deviation {position} passed");
    }
}
