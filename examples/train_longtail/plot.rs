//! Accuracy per class against the class's frequency, one line per loss.

use std::path::Path;

use longtail::ClassCounts;
use longtail::metrics::Report;
use plotters::prelude::*;

use crate::Failure;

/// More classes than this are gathered in bins of similar frequency.
const BINS: usize = 14;
/// Distinct to colour-blind eyes as well (Okabe and Ito, 2008).
const COLOURS: [RGBColor; 8] = [
    RGBColor(0, 0, 0),
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(230, 159, 0),
    RGBColor(86, 180, 233),
    RGBColor(150, 150, 150),
];

pub fn draw(path: &Path, about: &str, counts: &ClassCounts, rows: &[(&str, Report)]) -> Result<(), Failure> {
    let lines: Vec<Vec<(f64, f64)>> = rows.iter().map(|(_, report)| line(counts, report)).collect();
    let top = lines.iter().flatten().map(|point| point.1).fold(1.0, f64::max);
    let (least, most) = (counts.min().max(1) as f64, counts.max().max(2) as f64);

    let area = SVGBackend::new(path, (900, 560)).into_drawing_area();
    area.fill(&WHITE)?;
    let mut chart = ChartBuilder::on(&area)
        .caption(about, ("sans-serif", 16))
        .margin(14)
        .x_label_area_size(44)
        .y_label_area_size(58)
        .build_cartesian_2d((least * 0.9..most * 1.15).log_scale(), 0.0..(1.12 * top).min(105.0))?;
    chart
        .configure_mesh()
        .x_desc("training rows of the class (log scale)")
        .y_desc("accuracy in the class, %")
        .x_label_formatter(&|count| format!("{count:.0}"))
        .y_label_formatter(&|percent| format!("{percent:.0}"))
        .light_line_style(WHITE)
        .axis_desc_style(("sans-serif", 15))
        .label_style(("sans-serif", 13))
        .draw()?;
    // Where few ends and many begins.
    for bound in [20.0, 100.0f64].into_iter().filter(|bound| (least..most).contains(bound)) {
        let dashes = DashedLineSeries::new([(bound, 0.0), (bound, 1.12 * top)], 4, 4, BLACK.mix(0.4).into());
        chart.draw_series(dashes)?;
    }
    for (index, (line, (title, _))) in lines.into_iter().zip(rows).enumerate() {
        let style = COLOURS[index % COLOURS.len()].stroke_width(2);
        chart
            .draw_series(LineSeries::new(line, style).point_size(3))?
            .label(*title)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 22, y)], style));
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperLeft)
        .background_style(WHITE.mix(0.85))
        .border_style(BLACK.mix(0.3))
        .label_font(("sans-serif", 14))
        .draw()?;
    area.present()?;
    Ok(())
}

/// Points of mean count (geometric) and mean accuracy in percent, over classes that occur in the test set.
fn line(counts: &ClassCounts, report: &Report) -> Vec<(f64, f64)> {
    let classes = counts.counts().iter().zip(&report.per_class);
    let mut points: Vec<(f64, f64)> = classes
        .filter_map(|(&count, accuracy)| Some(((count.max(1) as f64).ln(), 100.0 * (*accuracy)?)))
        .collect();
    points.sort_by(|a, b| a.0.total_cmp(&b.0));
    let Some(&(least, _)) = points.first() else { return points };
    let span = points.last().map_or(0.0, |last| last.0 - least).max(f64::MIN_POSITIVE);
    let few = points.len() <= BINS;
    let bin = |log: f64| ((log - least) / span * BINS as f64) as usize;
    points
        .chunk_by(|a, b| !few && bin(a.0) == bin(b.0))
        .map(|bin| {
            let mean = |of: fn(&(f64, f64)) -> f64| bin.iter().map(of).sum::<f64>() / bin.len() as f64;
            (mean(|point| point.0).exp(), mean(|point| point.1))
        })
        .collect()
}
