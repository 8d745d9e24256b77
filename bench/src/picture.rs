//! A line chart as SVG, both axes logarithmic.

use std::fmt::Write;

pub(crate) struct Line {
    pub(crate) name: String,
    pub(crate) points: Vec<(f64, f64)>,
}

const WIDTH: f64 = 760.0;
const HEIGHT: f64 = 460.0;
const LEFT: f64 = 70.0;
const TOP: f64 = 50.0;
const PLOT_WIDTH: f64 = 480.0;
const PLOT_HEIGHT: f64 = 350.0;
const COLOURS: [&str; 8] = ["#0b6", "#06c", "#c60", "#c06", "#0b6", "#06c", "#c60", "#c06"];

pub(crate) fn chart(title: &str, across: &str, up: &str, lines: &[Line]) -> String {
    let all = || lines.iter().flat_map(|line| line.points.iter().copied());
    let bounds = |values: Vec<f64>| {
        let low = values.iter().copied().fold(f64::MAX, f64::min);
        (low, values.iter().copied().fold(low, f64::max))
    };
    let (x_low, x_high) = bounds(all().map(|point| point.0).collect());
    let (y_low, y_high) = bounds(all().map(|point| point.1).collect());
    let part = |value: f64, low: f64, high: f64| (value.ln() - low.ln()) / (high.ln() - low.ln()).max(f64::EPSILON);
    let x = |value: f64| LEFT + PLOT_WIDTH * part(value, x_low, x_high);
    let y = |value: f64| TOP + PLOT_HEIGHT * (1.0 - part(value, y_low, y_high));
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" font-family=\"sans-serif\" font-size=\"12\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n<text x=\"{LEFT}\" y=\"26\" font-size=\"16\">{title}</text>\n\
         <rect x=\"{LEFT}\" y=\"{TOP}\" width=\"{PLOT_WIDTH}\" height=\"{PLOT_HEIGHT}\" fill=\"none\" stroke=\"#999\"/>\n\
         <text x=\"{}\" y=\"{}\" text-anchor=\"middle\">{across}</text>\n\
         <text transform=\"translate(16 {}) rotate(-90)\" text-anchor=\"middle\">{up}</text>\n",
        LEFT + PLOT_WIDTH / 2.0,
        HEIGHT - 14.0,
        TOP + PLOT_HEIGHT / 2.0
    );
    let mut tick = 1.0;
    while tick <= x_high {
        if tick >= x_low {
            writeln!(
                svg,
                "<text x=\"{:.1}\" y=\"{}\" text-anchor=\"middle\">{tick}</text>",
                x(tick),
                TOP + PLOT_HEIGHT + 18.0
            )
            .unwrap();
        }
        tick *= 2.0;
    }
    for power in -3..4 {
        for step in [1.0, 3.0] {
            let tick = step * 10_f64.powi(power);
            if tick >= y_low && tick <= y_high {
                let at = y(tick);
                writeln!(
                    svg,
                    "<line x1=\"{LEFT}\" x2=\"{}\" y1=\"{at:.1}\" y2=\"{at:.1}\" stroke=\"#ddd\"/>",
                    LEFT + PLOT_WIDTH
                )
                .unwrap();
                writeln!(
                    svg,
                    "<text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
                    LEFT - 6.0,
                    at + 4.0,
                    label(tick)
                )
                .unwrap();
            }
        }
    }
    for (at, line) in lines.iter().enumerate() {
        let colour = COLOURS[at % COLOURS.len()];
        let dashes = if at >= COLOURS.len() / 2 { " stroke-dasharray=\"5 4\"" } else { "" };
        let points: Vec<String> = line.points.iter().map(|(px, py)| format!("{:.1},{:.1}", x(*px), y(*py))).collect();
        writeln!(
            svg,
            "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"{dashes}/>",
            points.join(" ")
        )
        .unwrap();
        let row = TOP + 14.0 + 20.0 * at as f64;
        let start = LEFT + PLOT_WIDTH + 14.0;
        writeln!(
            svg,
            "<line x1=\"{start}\" x2=\"{}\" y1=\"{row}\" y2=\"{row}\" stroke=\"{colour}\" stroke-width=\"2\"{dashes}/>",
            start + 24.0
        )
        .unwrap();
        writeln!(svg, "<text x=\"{}\" y=\"{}\">{}</text>", start + 30.0, row + 4.0, line.name).unwrap();
    }
    svg.push_str("</svg>\n");
    svg
}

fn label(tick: f64) -> String {
    let text = format!("{tick:.3}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}
