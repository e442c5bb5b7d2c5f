//! Draws the samples of a run as SVG: what grows with time shows itself here.

use std::fmt::Write;

use crate::report::{Report, Sample};

const WIDTH: f64 = 760.0;
const HEIGHT: f64 = 130.0;
const LEFT: f64 = 70.0;
const TOP: f64 = 46.0;
const GAP: f64 = 56.0;
const COLORS: [&str; 6] = [
    "#c2410c", "#1d4ed8", "#15803d", "#7e22ce", "#475569", "#b45309",
];
/// More points than this are not seen.
const POINTS: usize = 400;

/// A line: its label, and a value for each second.
type Line = (String, Vec<(f64, f64)>);

pub(crate) fn draw(report: &Report) -> String {
    let samples = &report.samples;
    let mib = f64::from(1 << 20);
    let labels = || report.groups.keys();
    let by_group = |value: &dyn Fn(&crate::processes::Usage) -> f64| {
        let line = |label: &String| {
            let points = samples
                .iter()
                .filter_map(|it| Some((it.second, value(it.usage.get(label)?))));
            (label.clone(), points.collect())
        };
        labels().map(line).collect::<Vec<Line>>()
    };
    let disk = report.disk.keys().map(|folder| {
        let points = samples
            .iter()
            .filter_map(|it| Some((it.second, *it.disk_bytes.get(folder)? as f64 / mib)));
        let name = folder
            .rsplit('/')
            .find(|name| !name.is_empty())
            .unwrap_or(folder);
        (name.to_owned(), points.collect())
    });
    let panels = [
        (
            "operations a second",
            vec![("done".to_owned(), rates(samples))],
        ),
        (
            "memory, MiB",
            by_group(&|usage| usage.memory_bytes as f64 / mib),
        ),
        ("open handles", by_group(&|usage| usage.handles as f64)),
        ("disk, MiB", disk.collect()),
    ];
    let panels = Vec::from_iter(panels.iter().filter(|(_, lines)| !lines.is_empty()));
    let total = TOP + panels.len() as f64 * (HEIGHT + GAP);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {} {total}\" \
         font-family=\"system-ui, sans-serif\" font-size=\"12\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n\
         <text x=\"{LEFT}\" y=\"20\" font-size=\"15\" font-weight=\"600\" fill=\"#222\">{}, {:.0} s: {} done</text>\n",
        LEFT + WIDTH + 130.0,
        report.load,
        report.seconds,
        report.operations.done,
    );
    let end = samples.last().map_or(1.0, |sample| sample.second.max(1.0));
    for (index, (title, lines)) in panels.into_iter().enumerate() {
        panel(
            &mut svg,
            TOP + index as f64 * (HEIGHT + GAP) + 16.0,
            title,
            lines,
            end,
        );
    }
    svg + "</svg>\n"
}

/// Operations a second, over spans of about a hundredth of the run.
fn rates(samples: &[Sample]) -> Vec<(f64, f64)> {
    let step = (samples.len() / 100).max(1);
    let spans = samples
        .iter()
        .step_by(step)
        .zip(samples.iter().skip(step).step_by(step));
    let rate = |(a, b): (&Sample, &Sample)| {
        (
            b.second,
            (b.done - a.done) as f64 / (b.second - a.second).max(1e-3),
        )
    };
    spans.map(rate).collect()
}

fn panel(svg: &mut String, top: f64, title: &str, lines: &[Line], end: f64) {
    let values = lines
        .iter()
        .flat_map(|(_, points)| points.iter().map(|(_, value)| *value));
    let high = nice(values.fold(1.0, f64::max));
    let across = |second: f64| LEFT + WIDTH * second / end;
    let up = |value: f64| top + HEIGHT - HEIGHT * value / high;
    let mut add = |text: std::fmt::Arguments<'_>| {
        svg.write_fmt(text).unwrap_or_default();
        svg.push('\n');
    };
    add(format_args!(
        "<text x=\"{LEFT}\" y=\"{}\" font-weight=\"600\" fill=\"#222\">{title}</text>",
        top - 8.0
    ));
    add(format_args!(
        "<rect x=\"{LEFT}\" y=\"{top}\" width=\"{WIDTH}\" height=\"{HEIGHT}\" fill=\"#fafafa\" stroke=\"#ccc\"/>"
    ));
    for part in 0..=4 {
        let (value, second) = (high * f64::from(part) / 4.0, end * f64::from(part) / 4.0);
        add(format_args!(
            "<line x1=\"{LEFT}\" y1=\"{y:.1}\" x2=\"{}\" y2=\"{y:.1}\" stroke=\"#e4e4e4\"/>\
             <text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\" fill=\"#666\">{value}</text>\
             <text x=\"{:.1}\" y=\"{}\" text-anchor=\"middle\" fill=\"#666\">{}</text>",
            LEFT + WIDTH,
            LEFT - 6.0,
            up(value) + 4.0,
            across(second),
            top + HEIGHT + 16.0,
            clock(second),
            y = up(value),
        ));
    }
    for (index, (label, points)) in lines.iter().enumerate() {
        let color = COLORS[index % COLORS.len()];
        let step = points.len().div_ceil(POINTS).max(1);
        let last = points.last().filter(|_| points.len() % step != 1);
        let shown = points.iter().step_by(step).chain(last);
        let path = shown.map(|(second, value)| format!("{:.1},{:.1}", across(*second), up(*value)));
        add(format_args!(
            "<polyline points=\"{}\" fill=\"none\" stroke=\"{color}\" stroke-width=\"1.5\"/>\
             <text x=\"{}\" y=\"{}\" fill=\"{color}\">{label}</text>",
            Vec::from_iter(path).join(" "),
            LEFT + WIDTH + 8.0,
            top + 14.0 + 16.0 * index as f64,
        ));
    }
}

/// The next of 1, 2, 4 or 8 times a power of ten.
fn nice(value: f64) -> f64 {
    let power = 10_f64.powf(value.log10().floor());
    let steps = [1.0, 2.0, 4.0, 8.0, 10.0];
    let step = steps.into_iter().find(|step| step * power >= value * 1.05);
    step.unwrap_or(20.0) * power
}

fn clock(second: f64) -> String {
    match second {
        s if s < 120.0 => format!("{s:.0} s"),
        s => format!("{:.0} min", s / 60.0),
    }
}
