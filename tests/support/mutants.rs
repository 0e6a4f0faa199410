//! Wrong edits of the kernels' text, one after the other, each of which a comparison has to notice.
#![allow(dead_code, reason = "each test file uses a part")]

use longtail::gpu::Kernels;

/// How many mutants ran, and which of them went unnoticed.
#[derive(Default)]
pub struct Tally {
    cases: usize,
    missed: String,
}

impl Tally {
    /// A mutant: `from` becomes `to`. `conforms` runs kernels and gives the worst ratio to a tolerance, infinite where
    /// that is a panic, and the text of all kernels that ran. The unedited kernels have to conform and to have the text.
    pub fn check(
        &mut self,
        subject: &str,
        kernels: &Kernels,
        (from, to): (&str, &str),
        conforms: impl Fn(&Kernels) -> (f64, String),
    ) {
        let name = format!("{subject}: `{from}` -> `{to}`");
        let (right, text) = conforms(kernels);
        // NaN is no pass.
        if right.is_nan() || right > 1.0 {
            self.missed.push_str(&format!("{name}: the unedited kernels fail by {right}\n"));
            return;
        }
        if !text.contains(from) {
            self.missed.push_str(&format!("{name}: not in the kernels that ran\n"));
            return;
        }
        let (wrong, _) = conforms(&kernels.edited(&[(from, to)]));
        self.cases += 1;
        if wrong <= 1.0 {
            self.missed.push_str(&format!("{name}: not noticed, {wrong:.2} of the tolerance\n"));
        }
    }

    /// The same where a comparison only says whether what the kernels give is right.
    pub fn check_right(
        &mut self,
        subject: &str,
        kernels: &Kernels,
        edit: (&str, &str),
        is_right: impl Fn(&Kernels) -> (String, bool),
    ) {
        self.check(subject, kernels, edit, |kernels| {
            let (text, right) = is_right(kernels);
            (if right { 0.0 } else { f64::INFINITY }, text)
        });
    }

    /// Fails if there was no mutant, or one that went unnoticed.
    pub fn close(self) {
        println!("{} mutants on the GPU", self.cases);
        assert!(self.cases > 0, "no GPU case ran");
        assert!(self.missed.is_empty(), "{}", self.missed);
    }
}
