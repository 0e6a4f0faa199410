//! Recording a head into a compute pass.

use super::chunk::Chunk;
use super::plan::HeadPlan;
use super::views::{HeadGradients, HeadViews, Used, check, optional};
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
        if let (Some(norms), Some(sums), Some(factors)) =
            (&self.weight_norms, self.class_sums(), self.class_factors())
        {
            norms.encode(pass, views.weights, sums, factors)?;
        }
        if let Some(step) = &self.scaled_factors {
            step.record(pass, |name| self.view(name, views, None, None))?;
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
        let mut used = self.inputs(views)?;
        used.push(self.scratch(steps, scratch));
        check(&self.kernels, self.request.shared, &used)?;
        let features = self.features(pass, steps, views)?;
        if let (Some(norms), Some(sums), Some(factors)) = (&steps.norms, self.row_sums(), self.row_factors())
        {
            norms.encode(pass, features, sums, factors)?;
        }
        let mut product = MatmulViews::new(features, views.weights, scratch);
        product.a_factors = self.row_factors().filter(|_| self.head.features.power != 0.0);
        product.b_factors = self.class_factors().filter(|_| self.head.weights.power != 0.0);
        steps.product.encode(pass, &product)?;
        if let Some(step) = &steps.logits {
            step.record(pass, |name| self.view(name, views, Some(scratch), None))?;
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
        if let Some(step) = &steps.columns {
            step.record(pass, |name| self.view(name, views, Some(scratch), None))?;
        }
        let features = self.features(pass, steps, views)?;
        if let (Some(product), Some(gradient)) = (&steps.to_weights, gradients.weights) {
            let mut product_views = MatmulViews::new(scratch, features, gradient);
            product_views.b_factors = self.row_factors().filter(|_| self.head.features.power != 0.0);
            product.encode(pass, &product_views)?;
        }
        if let (Some(product), Some(gradient)) = (&steps.to_features, gradients.features) {
            let mut product_views = MatmulViews::new(scratch, views.weights, gradient);
            product_views.b_factors = self.scaled_class_factors();
            product.encode(pass, &product_views)?;
        }
        if let (Some(step), Some(gradient)) = (&steps.close_features, gradients.features) {
            step.record(pass, |name| match name {
                "a" => Some(features),
                "c" => Some(gradient),
                name => self.view(name, views, Some(scratch), None),
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
        if let (Some(step), Some(gradient)) = (&self.close_weights, gradients.weights) {
            step.record(pass, |name| match name {
                "a" => Some(views.weights),
                "c" => Some(gradient),
                name => self.view(name, views, None, None),
            })?;
        }
        if let Some(step) = &self.close_classes {
            step.record(pass, |name| self.view(name, views, None, Some(gradients)))?;
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
        Used { what: "the scratch buffer", view, bytes, written: true }
    }

    /// The features that the products read: the caller's, or the chunk's centred ones.
    fn features<'a>(
        &'a self,
        pass: &mut wgpu::ComputePass<'_>,
        steps: &Chunk,
        views: &HeadViews<'a>,
    ) -> Result<View<'a>> {
        let (Some(step), Some(moved)) = (&steps.moved, &self.moved) else { return Ok(views.features) };
        step.record(pass, |name| match name {
            "a" => Some(views.features),
            "moved" => Some(View::whole(moved)),
            name => self.view(name, views, None, None),
        })?;
        Ok(View::whole(moved))
    }

    /// The view of a binding.
    fn view<'a>(
        &'a self,
        name: &str,
        views: &HeadViews<'a>,
        scratch: Option<View<'a>>,
        gradients: Option<&HeadGradients<'a>>,
    ) -> Option<View<'a>> {
        let own = |buffer: &'a Option<wgpu::Buffer>| buffer.as_ref().map(View::whole);
        match name {
            "logits" => scratch,
            "bias" => views.bias,
            "class_scale" => views.class_scale,
            "labels" => views.labels,
            "centre" => views.centre,
            "row_state" => own(&self.row_state),
            "class_state" => own(&self.class_state),
            "columns" => own(&self.columns),
            "bias_gradient" => gradients?.bias,
            "class_scale_gradient" => gradients?.class_scale,
            "scale_gradient" => gradients?.scale,
            _ => None,
        }
    }

    fn inputs<'a>(&self, views: &HeadViews<'a>) -> Result<Vec<Used<'a>>> {
        let (head, request) = (&self.head, &self.request);
        let (rows, classes, dim) = (request.rows, request.classes, request.dim);
        let read = |what, view, bytes| Used { what, view, bytes, written: false };
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
        Ok(())
    }
}
