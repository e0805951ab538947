//! Bars for two engines, as SVG.
//!
//! Owns: what a plot looks like.
//! Never: chooses what is in it.

use std::fmt::Write;

const LEFT: f64 = 250.0;
const WIDE: f64 = 420.0;
const BAR: f64 = 13.0;
const GROUP: f64 = 38.0;
const TOP: f64 = 56.0;

/// A pair of bars: what, StreamJob, Flink.
pub(crate) type Bars = (String, f64, f64);

/// A drawing of these values, from 0 to the greatest.
pub(crate) fn svg(title: &str, unit: &str, bars: &[Bars]) -> String {
    let most = bars.iter().flat_map(|(_, a, b)| [*a, *b]).fold(f64::MIN_POSITIVE, f64::max);
    let (width, height) = (LEFT + WIDE + 110.0, TOP + GROUP * bars.len() as f64 + 10.0);
    let mut text = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" font-family=\"sans-serif\" font-size=\"12\">\n\
         <rect width=\"{width}\" height=\"{height}\" fill=\"white\"/>\n\
         <text x=\"10\" y=\"20\" font-size=\"15\">{title}</text>\n\
         <text x=\"10\" y=\"40\" fill=\"#555\">{unit}; less is better; <tspan fill=\"{}\">StreamJob</tspan>, <tspan fill=\"{}\">Flink</tspan></text>\n",
        COLOURS[0], COLOURS[1]
    );
    for (number, (what, streamjob, flink)) in bars.iter().enumerate() {
        let top = TOP + GROUP * number as f64;
        // Writing into a String cannot fail.
        let _ = writeln!(
            text,
            "<text x=\"{}\" y=\"{}\" text-anchor=\"end\">{what}</text>",
            LEFT - 8.0,
            top + BAR + 4.0
        );
        for (bar, value) in [*streamjob, *flink].into_iter().enumerate() {
            let (y, length) = (top + BAR * bar as f64, (value / most * WIDE).max(1.0));
            let _ = writeln!(
                text,
                "<rect x=\"{LEFT}\" y=\"{y}\" width=\"{length:.1}\" height=\"{}\" fill=\"{}\"/>\
                 <text x=\"{:.1}\" y=\"{}\" font-size=\"11\">{}</text>",
                BAR - 1.0,
                COLOURS[bar],
                LEFT + length + 4.0,
                y + BAR - 3.0,
                short(value)
            );
        }
    }
    text.push_str("</svg>\n");
    text
}

const COLOURS: [&str; 2] = ["#0a7d5a", "#c2571a"];

/// Three digits.
pub(crate) fn short(value: f64) -> String {
    match value.abs() {
        of if of >= 100.0 => format!("{value:.0}"),
        of if of >= 10.0 => format!("{value:.1}"),
        of if of >= 1.0 => format!("{value:.2}"),
        _ => format!("{value:.3}"),
    }
}

#[test]
fn the_longest_bar_is_as_wide_as_the_plot() {
    let drawn = svg("CPU", "s", &[("w1".to_owned(), 0.1, 2.0)]);

    assert!(drawn.contains("width=\"420.0\"") && drawn.contains("width=\"21.0\""), "{drawn}");
}
