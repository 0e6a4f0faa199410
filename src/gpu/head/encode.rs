//! Recording a head into a compute pass.

use super::chunk::Chunk;
use super::plan::HeadPlan;
use super::range::ClassRange;
use super::views::{HeadGradients, HeadViews, Used, check, optional};
use super::window::numbers;
use crate::gpu::matmul::MatmulViews;
use crate::gpu::view::View;
use crate::head::{ClassScale, TargetMargin};
use crate::{Error, Result};

impl HeadPlan {
    /// Records what holds for every chunk: the norms of the weights.
    ///
    /// # Errors
    /// [`Error::Length`], [`Error::Alignment`], [`Error::Overlap`], [`Error::BufferUsage`], [`Error::Missing`],
    /// [`Error::Unexpected`], [`Error::Limit`] for views; [`Error::Device`], [`Error::DeviceLost`].
    pub fn begin(&self, pass: &mut wgpu::ComputePass<'_>, views: &HeadViews<'_>) -> Result<()> {
        check(&self.kernels, self.request.shared, &self.inputs(views)?)?;
        for range in &self.ranges {
            if let (Some(norms), Some(sums), Some(factors)) = (&range.norms, range.sums(), range.factors()) {
                norms.encode(pass, range.weights.of(views.weights), sums, factors)?;
            }
            for step in [&range.scaled_factors, &range.offsets].into_iter().flatten() {
                step.record(pass, |name| self.of_classes(range, name, views, None))?;
            }
        }
        Ok(())
    }

    /// Records the logits of a chunk's rows, `[rows, K]`, f32 and contiguous, from the start of `scratch`.
    ///
    /// # Errors
    /// Those of [`begin`](Self::begin); [`Error::Parameter`] for a chunk that there is not.
    pub fn forward(
        &self,
        pass: &mut wgpu::ComputePass<'_>,
        chunk: usize,
        views: &HeadViews<'_>,
        scratch: View<'_>,
    ) -> Result<()> {
        let steps = self.chunk(chunk)?;
        if !self.request.logits {
            return Err(Error::Unexpected { what: "logits", planned: "for a loss that computes its own" });
        }
        let mut used = self.inputs(views)?;
        used.push(self.scratch(steps, scratch));
        check(&self.kernels, self.request.shared, &used)?;
        let features = self.normed_features(pass, steps, views)?;
        if let Some(step) = &steps.offsets {
            step.record(pass, |name| self.of_rows(name, views))?;
        }
        for (tile, range) in steps.tiles.iter().zip(&self.ranges) {
            let logits = tile.scratch.of(scratch);
            let mut product = MatmulViews::new(features, range.weights.of(views.weights), logits);
            product.a_factors = self.row_factors().filter(|_| self.head.features.power != 0.0);
            product.b_factors = match self.needs.logits {
                true => range.factors().filter(|_| self.head.weights.power != 0.0),
                false => range.scaled(&self.head),
            };
            (product.row_offsets, product.column_offsets) = (self.row_offsets(), range.offsets());
            tile.product.encode(pass, &product)?;
            if let Some(step) = &tile.logits {
                step.record(pass, |name| self.of_tile(range, name, views, logits))?;
            }
        }
        Ok(())
    }

    /// Records the way back from `d loss / d logits` of a chunk's rows, which `scratch` has where the logits were: the
    /// features' gradient of these rows, and the chunk's part of every other one. `scratch` is overwritten where the
    /// head has a margin.
    ///
    /// Chunk 0 comes first: it overwrites the weights' gradient, the others add to it. After the last one comes
    /// [`finish`](Self::finish).
    ///
    /// # Errors
    /// Those of [`forward`](Self::forward).
    pub fn backward(
        &self,
        pass: &mut wgpu::ComputePass<'_>,
        chunk: usize,
        views: &HeadViews<'_>,
        gradients: &HeadGradients<'_>,
        scratch: View<'_>,
    ) -> Result<()> {
        let steps = self.chunk(chunk)?;
        let mut used = self.inputs(views)?;
        used.push(self.scratch(steps, scratch));
        self.outputs(&mut used, gradients)?;
        check(&self.kernels, self.request.shared, &used)?;
        let features = self.features(pass, steps, views)?;
        let to_features = gradients.features.map(|view| steps.gradient.of(view));
        for (tile, range) in steps.tiles.iter().zip(&self.ranges) {
            let logits = tile.scratch.of(scratch);
            for step in [&tile.columns, &tile.row_sums].into_iter().flatten() {
                step.record(pass, |name| self.of_tile(range, name, views, logits))?;
            }
            if let (Some(product), Some(gradient)) = (&tile.to_weights, gradients.weights) {
                let mut product_views = MatmulViews::new(logits, features, range.gradient.of(gradient));
                product_views.b_factors = self.row_factors().filter(|_| self.head.features.power != 0.0);
                product_views.row_sums = range.column_sums().filter(|_| self.needs.column_sums);
                product.encode(pass, &product_views)?;
            }
            if let (Some(product), Some(gradient)) = (&tile.to_features, to_features) {
                let weights = range.weights.of(views.weights);
                let mut product_views = MatmulViews::new(logits, weights, gradient);
                product_views.b_factors = range.scaled(&self.head);
                product_views.row_sums = self.row_sums().filter(|_| !self.needs.weighted_row_sums);
                product.encode(pass, &product_views)?;
            }
        }
        if let (Some(step), Some(gradient)) = (&steps.close_features, to_features) {
            step.record(pass, |name| match name {
                "a" => Some(features),
                "c" => Some(gradient),
                name => self.of_rows(name, views),
            })?;
        }
        Ok(())
    }

    /// Records what comes after the last chunk: the weights' gradient through their normalisation and scales, and the
    /// gradients by biases, learned scales and the scale.
    ///
    /// # Errors
    /// Those of [`begin`](Self::begin); [`Error::Combination`] for a plan without a way back.
    pub fn finish(
        &self,
        pass: &mut wgpu::ComputePass<'_>,
        views: &HeadViews<'_>,
        gradients: &HeadGradients<'_>,
    ) -> Result<()> {
        let mut used = self.inputs(views)?;
        self.outputs(&mut used, gradients)?;
        check(&self.kernels, self.request.shared, &used)?;
        for range in &self.ranges {
            if let (Some(step), Some(gradient)) = (&range.close_weights, gradients.weights) {
                step.record(pass, |name| match name {
                    "a" => Some(range.weights.of(views.weights)),
                    "c" => Some(range.gradient.of(gradient)),
                    name => self.of_classes(range, name, views, None),
                })?;
            }
            if let Some(step) = &range.close_classes {
                step.record(pass, |name| self.of_classes(range, name, views, Some(gradients)))?;
            }
        }
        Ok(())
    }

    fn chunk(&self, chunk: usize) -> Result<&Chunk> {
        self.chunks.get(chunk).ok_or(Error::Parameter {
            name: "the chunk",
            value: chunk as f64,
            expected: "below the plan's number of chunks",
        })
    }

    fn scratch<'a>(&self, steps: &Chunk, view: View<'a>) -> Used<'a> {
        let bytes = 4 * steps.rows.len() as u64 * self.request.classes as u64;
        Used::in_parts("the scratch buffer", view, bytes, true)
    }

    /// Records what a chunk's products need of its rows alone, where the products are another's: their norms, and what is
    /// taken off them. The views have been checked.
    pub(super) fn rows(
        &self,
        pass: &mut wgpu::ComputePass<'_>,
        chunk: usize,
        views: &HeadViews<'_>,
    ) -> Result<()> {
        self.normed_features(pass, self.chunk(chunk)?, views).map(|_| ())
    }

    /// The features that the products read, whose norms are recorded.
    fn normed_features<'a>(
        &'a self,
        pass: &mut wgpu::ComputePass<'_>,
        steps: &Chunk,
        views: &HeadViews<'a>,
    ) -> Result<View<'a>> {
        let features = self.features(pass, steps, views)?;
        if let (Some(norms), Some(squares), Some(factors)) =
            (&steps.norms, self.row_squares(), self.row_factors())
        {
            norms.encode(pass, features, squares, factors)?;
        }
        Ok(features)
    }

    /// The features that the products read: the caller's, or the chunk's centred ones.
    fn features<'a>(
        &'a self,
        pass: &mut wgpu::ComputePass<'_>,
        steps: &Chunk,
        views: &HeadViews<'a>,
    ) -> Result<View<'a>> {
        let given = steps.features.of(views.features);
        let (Some(step), Some(moved)) = (&steps.moved, &self.moved) else { return Ok(given) };
        step.record(pass, |name| match name {
            "a" => Some(given),
            "moved" => Some(View::whole(moved)),
            name => self.of_rows(name, views),
        })?;
        Ok(View::whole(moved))
    }

    /// The view of a binding that is the same for all classes.
    fn of_rows<'a>(&'a self, name: &str, views: &HeadViews<'a>) -> Option<View<'a>> {
        match name {
            "labels" => views.labels.map(|view| numbers(view, &(0..self.request.rows))),
            "centre" => views.centre.map(|view| numbers(view, &(0..self.request.dim))),
            "row_state" => self.row_state.as_ref().map(View::whole),
            _ => None,
        }
    }

    /// The view of a binding of a range of classes.
    pub(super) fn of_classes<'a>(
        &'a self,
        range: &'a ClassRange,
        name: &str,
        views: &HeadViews<'a>,
        gradients: Option<&HeadGradients<'a>>,
    ) -> Option<View<'a>> {
        let own = |view: Option<View<'a>>| view.map(|view| numbers(view, &range.classes));
        match name {
            "bias" => own(views.bias),
            "class_scale" => own(views.class_scale),
            "class_state" => range.state.as_ref().map(View::whole),
            "columns" => range.columns.as_ref().map(View::whole),
            "bias_gradient" => own(gradients?.bias),
            "class_scale_gradient" => own(gradients?.class_scale),
            "scale_gradient" => gradients?.scale.map(|view| numbers(view, &(0..1))),
            name => self.of_rows(name, views),
        }
    }

    /// The view of a binding of a chunk with a range.
    fn of_tile<'a>(
        &'a self,
        range: &'a ClassRange,
        name: &str,
        views: &HeadViews<'a>,
        logits: View<'a>,
    ) -> Option<View<'a>> {
        if name == "logits" { Some(logits) } else { self.of_classes(range, name, views, None) }
    }

    fn inputs<'a>(&self, views: &HeadViews<'a>) -> Result<Vec<Used<'a>>> {
        let (head, request) = (&self.head, &self.request);
        let (rows, classes, dim) = (request.rows, request.classes, request.dim);
        let read = |what, view, bytes| Used::in_parts(what, view, bytes, false);
        let mut used = vec![
            read("the features", views.features, request.features.bytes((rows, dim))),
            read("the weights", views.weights, request.weights.bytes((classes, dim))),
        ];
        let scaled = head.class_scale != ClassScale::None;
        let margin = head.margin != TargetMargin::None;
        let words = |count: usize| 4 * count as u64;
        optional(&mut used, "biases", views.bias, head.bias, words(classes), false)?;
        optional(&mut used, "class scales", views.class_scale, scaled, words(classes), false)?;
        optional(&mut used, "the centre", views.centre, head.centred, words(dim), false)?;
        optional(&mut used, "labels", views.labels, margin, words(rows), false)?;
        used.iter_mut().for_each(|used| used.whole = false);
        Ok(used)
    }

    fn outputs<'a>(&self, used: &mut Vec<Used<'a>>, gradients: &HeadGradients<'a>) -> Result<()> {
        let request = &self.request;
        if !request.backward {
            return Err(Error::Unexpected { what: "a way back", planned: "for logits only" });
        }
        let words = |rows: usize, columns: usize| 4 * rows as u64 * columns as u64;
        let (rows, classes, dim) = (request.rows, request.classes, request.dim);
        let all = [
            ("the features' gradient", gradients.features, request.feature_gradient, words(rows, dim)),
            ("the weights' gradient", gradients.weights, request.weight_gradient, words(classes, dim)),
            ("the biases' gradient", gradients.bias, request.bias_gradient, words(classes, 1)),
            (
                "the class scales' gradient",
                gradients.class_scale,
                request.class_scale_gradient,
                words(classes, 1),
            ),
            ("the scale's gradient", gradients.scale, request.scale_gradient, 4),
        ];
        for (what, view, wanted, bytes) in all {
            optional(used, what, view, wanted, bytes, true)?;
        }
        used.iter_mut().for_each(|used| used.whole = false);
        Ok(())
    }
}
