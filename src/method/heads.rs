//! The classifier heads.

use crate::head::Head;

/// A head of the field: what it is called, where it comes from and how it is built.
#[derive(Debug, Clone, Copy)]
pub struct HeadMethod {
    /// The identifier, in snake case: the head's name for [`find_head`].
    pub name: &'static str,
    /// The name for people.
    pub title: &'static str,
    /// A logit in one line: `x` features, `w_j` weights, `b_j` bias, `s` scale, `f_j` learned scale, `y` label.
    pub formula: &'static str,
    /// Authors, year and arXiv number or venue.
    pub paper: &'static str,
    /// The terms of the normal form that it uses, separated by commas.
    pub terms: &'static str,
    /// The `method` names of the golden files, made by the authors' code, that belong to it.
    pub golden: &'static [&'static str],
    /// Builds it with the authors' defaults.
    pub build: fn() -> Head,
}

/// The head with this [`name`](HeadMethod::name).
///
/// ```
/// let method = longtail::method::find_head("causal").expect("is in the table");
/// assert_eq!((method.build)().scale, 8.0);
/// ```
pub fn find_head(name: &str) -> Option<&'static HeadMethod> {
    HEADS.iter().find(|method| method.name == name)
}

/// Every head, each named variant in a row of its own, with the authors' defaults.
pub const HEADS: &[HeadMethod] = &[
    HeadMethod {
        name: "linear",
        title: "Linear",
        formula: "w_j . x",
        paper: "PyTorch",
        terms: "none",
        golden: &[],
        build: Head::linear,
    },
    HeadMethod {
        name: "linear_bias",
        title: "Linear with bias",
        formula: "w_j . x + b_j",
        paper: "PyTorch",
        terms: "bias",
        golden: &[],
        build: || Head::linear().with_bias(),
    },
    HeadMethod {
        name: "cosine",
        title: "Cosine",
        formula: "s x . w_j / (|x| |w_j|)",
        paper: "Gidaris and Komodakis 2018, arXiv 1804.09458",
        terms: "features' norm, weights' norm, scale",
        golden: &["cosine_classifier", "cosine_ldam"],
        build: || Head::cosine(30.0),
    },
    HeadMethod {
        name: "cosine_survey",
        title: "Cosine with bias (survey)",
        formula: "(1 / tau) x . w_j / (|x| |w_j|) + b_j",
        paper: "Zhang et al. 2021, arXiv 2110.04596",
        terms: "features' norm, weights' norm, scale, bias",
        golden: &[],
        build: || Head::cosine(16.0).with_bias(),
    },
    HeadMethod {
        name: "squashed_cosine",
        title: "Squashed cosine (OLTR)",
        formula: "s x . w_j / ((1 + |x|) |w_j|)",
        paper: "Liu et al. 2019, arXiv 1904.05160",
        terms: "features' norm, weights' norm, scale",
        golden: &["cosnorm_oltr"],
        build: || Head::squashed_cosine(16.0),
    },
    HeadMethod {
        name: "tau_normalised",
        title: "Tau-normalised",
        formula: "x . w_j / |w_j|^tau",
        paper: "Kang et al. 2019, arXiv 1910.09217",
        terms: "weights' norm",
        golden: &["tau_norm"],
        build: || Head::tau_normalised(0.7),
    },
    HeadMethod {
        name: "learnable_weight_scaling",
        title: "Learnable weight scaling (LWS)",
        formula: "f_j w_j . x",
        paper: "Kang et al. 2019, arXiv 1910.09217",
        terms: "class scale",
        golden: &[],
        build: Head::learnable_weight_scaling,
    },
    HeadMethod {
        name: "learnable_logit_scaling",
        title: "Learnable weight scaling (code)",
        formula: "f_j (w_j . x + b_j)",
        paper: "code of Kang et al. 2019, arXiv 1910.09217",
        terms: "class scale, bias",
        golden: &[],
        build: Head::learnable_logit_scaling,
    },
    HeadMethod {
        name: "causal",
        title: "Causal (TDE at test time)",
        formula: "(tau / H) sum_h x_h . w_jh / (|x_h| (|w_jh| + gamma))",
        paper: "Tang et al. 2020, arXiv 2009.12991",
        terms: "parts, features' norm, weights' norm, scale",
        golden: &["causal_norm"],
        build: || Head::causal(2, 16.0, 1.0 / 32.0),
    },
    HeadMethod {
        name: "cosface",
        title: "CosFace",
        formula: "s (cos_j - m [j = y])",
        paper: "Wang et al. 2018, arXiv 1801.09414",
        terms: "features' norm, weights' norm, scale, margin",
        golden: &["cosface"],
        build: || Head::cosface(0.4, 30.0),
    },
    HeadMethod {
        name: "arcface",
        title: "ArcFace",
        formula: "s cos(theta_j + m [j = y]), s (cos_y - m sin m) beyond pi",
        paper: "Deng et al. 2018, arXiv 1801.07698",
        terms: "features' norm, weights' norm, scale, margin",
        golden: &["arcface"],
        build: || Head::arcface(0.5, 30.0),
    },
    HeadMethod {
        name: "arcface_easy",
        title: "ArcFace (easy margin)",
        formula: "s cos(theta_j + m [j = y] [cos_y > 0])",
        paper: "Deng et al. 2018, arXiv 1801.07698",
        terms: "features' norm, weights' norm, scale, margin",
        golden: &["arcface_easy"],
        build: || Head::arcface_easy(0.5, 30.0),
    },
    HeadMethod {
        name: "arcface_straight_through",
        title: "ArcFace (insightface)",
        formula: "s cos(theta_j + m [j = y]), margin outside of the gradient",
        paper: "code of the insightface project, arXiv 1801.07698",
        terms: "features' norm, weights' norm, scale, margin",
        golden: &["arcface_insightface"],
        build: || Head::arcface_straight_through(0.5, 64.0),
    },
    HeadMethod {
        name: "nearest_class_mean",
        title: "Nearest class mean",
        formula: "-|x - w_j|^2",
        paper: "Mensink et al. 2013, IEEE TPAMI 35",
        terms: "distance",
        golden: &[],
        build: Head::nearest_class_mean,
    },
    HeadMethod {
        name: "nearest_class_mean_unit",
        title: "Nearest class mean (unit features)",
        formula: "-|x / |x| - w_j|^2",
        paper: "Kang et al. 2019, arXiv 1910.09217",
        terms: "distance, features' norm",
        golden: &[],
        build: Head::nearest_class_mean_unit,
    },
    HeadMethod {
        name: "nearest_class_mean_centred",
        title: "Nearest class mean (centred unit features)",
        formula: "-|(x - c) / |x - c| - w_j|^2",
        paper: "code of Kang et al. 2019, arXiv 1910.09217",
        terms: "distance, features' norm, centre",
        golden: &[],
        build: Head::nearest_class_mean_centred,
    },
    HeadMethod {
        name: "nearest_class_mean_cosine",
        title: "Nearest class mean (cosine)",
        formula: "x . w_j / (|x| |w_j|)",
        paper: "Kang et al. 2019, arXiv 1910.09217",
        terms: "features' norm, weights' norm",
        golden: &[],
        build: Head::nearest_class_mean_cosine,
    },
];
