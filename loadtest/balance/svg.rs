//! Small drawings: lines over axes, and tables of coloured cells, as SVG text. It refuses to know what is drawn.

use std::fmt::Write as _;

/// How numbers are laid on an axis.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Scale {
    /// In proportion.
    Linear,
    /// By their logarithm.
    Log,
}

/// One axis.
#[derive(Clone)]
pub struct Axis {
    /// What it shows, with its unit.
    pub label: &'static str,
    /// How.
    pub scale: Scale,
    /// Where it ends.
    pub ends: (f64, f64),
    /// Where it has a mark, and the word there.
    pub ticks: Vec<(f64, String)>,
}

/// One line.
pub struct Line {
    /// Its name in the legend.
    pub name: String,
    /// Its points.
    pub points: Vec<(f64, f64)>,
    /// Whether it is the one that the drawing is about.
    pub strong: bool,
    /// Whether it is dashed.
    pub dashed: bool,
}

/// A mark across the drawing.
pub struct Mark {
    /// Where, on the lower axis.
    pub x: f64,
    /// What happened.
    pub word: String,
    /// How far down its word stands, in parts of the height.
    pub down: f64,
}

/// Lines over two axes.
pub struct Chart {
    /// What it shows.
    pub title: &'static str,
    /// The lower axis.
    pub x: Axis,
    /// The axis at the left.
    pub y: Axis,
    /// What is drawn.
    pub lines: Vec<Line>,
    /// What is marked.
    pub marks: Vec<Mark>,
}

/// Rows by columns of numbers.
pub struct Heat {
    /// What it shows.
    pub title: &'static str,
    /// The columns' names.
    pub columns: Vec<String>,
    /// The rows: their names and numbers.
    pub rows: Vec<(String, Vec<f64>)>,
}

const COLOURS: [&str; 12] = [
    "#1f77b4", "#ff7f0e", "#2ca02c", "#9467bd", "#8c564b", "#e377c2", "#7f7f7f", "#bcbd22", "#17becf", "#aa4499",
    "#44aa99", "#999933",
];
const STRONG: &str = "#d62728";
const FRAME: (f64, f64, f64, f64) = (70.0, 40.0, 620.0, 380.0);
const STYLE: &str = "font-family=\"sans-serif\" font-size=\"12\"";

impl Axis {
    /// One with marks at these numbers.
    pub fn new(label: &'static str, scale: Scale, ticks: &[f64]) -> Self {
        let ends = (ticks[0], ticks[ticks.len() - 1]);
        Self { label, scale, ends, ticks: ticks.iter().map(|tick| (*tick, format!("{tick}"))).collect() }
    }

    /// Where a number lies, from 0 to 1.
    fn part(&self, at: f64) -> f64 {
        let lay = |n: f64| if self.scale == Scale::Log { n.max(1e-9).ln() } else { n };
        let (low, high) = (lay(self.ends.0), lay(self.ends.1));
        ((lay(at) - low) / (high - low)).clamp(0.0, 1.0)
    }
}

impl Chart {
    /// The drawing.
    pub fn svg(&self) -> String {
        let (left, top, width, height) = FRAME;
        let mut out = head(980.0, 480.0, self.title);
        for (at, word) in &self.x.ticks {
            let x = left + self.x.part(*at) * width;
            line(&mut out, (x, top, x, top + height), "#e4e4e4");
            text(&mut out, (x, top + height + 18.0), "middle", word);
        }
        for (at, word) in &self.y.ticks {
            let y = top + (1.0 - self.y.part(*at)) * height;
            line(&mut out, (left, y, left + width, y), "#e4e4e4");
            text(&mut out, (left - 8.0, y + 4.0), "end", word);
        }
        line(&mut out, (left, top + height, left + width, top + height), "#333333");
        line(&mut out, (left, top, left, top + height), "#333333");
        text(&mut out, (left + width / 2.0, top + height + 40.0), "middle", self.x.label);
        let middle = top + height / 2.0;
        let _infallible = writeln!(
            out,
            "<text x=\"18\" y=\"{middle}\" text-anchor=\"middle\" transform=\"rotate(-90 18 {middle})\">{}</text>",
            escaped(self.y.label)
        );
        for mark in &self.marks {
            let x = left + self.x.part(mark.x) * width;
            let _infallible = writeln!(
                out,
                "<line x1=\"{x:.1}\" y1=\"{top}\" x2=\"{x:.1}\" y2=\"{}\" stroke=\"#333333\" stroke-dasharray=\"3 3\"/>",
                top + height
            );
            text(&mut out, (x + 5.0, top + 14.0 + mark.down * height), "start", &mark.word);
        }
        self.draw(&mut out);
        out.push_str("</svg>\n");
        out
    }

    /// Draws the lines, the strong ones on top, and the legend in their order.
    fn draw(&self, out: &mut String) {
        let mut colours = COLOURS.iter().cycle();
        let mut coloured: Vec<(&Line, &str)> = Vec::new();
        for one in &self.lines {
            let colour = if one.strong && !one.dashed { STRONG } else { colours.next().unwrap_or(&STRONG) };
            coloured.push((one, colour));
        }
        for strong in [false, true] {
            for (one, colour) in coloured.iter().filter(|(one, _)| one.strong == strong) {
                self.draw_line(out, one, colour);
            }
        }
        let (left, top, width, _) = FRAME;
        for (n, (one, colour)) in coloured.iter().enumerate() {
            let y = top + 12.0 + n as f64 * 22.0;
            let (from, to) = (left + width + 20.0, left + width + 48.0);
            let _infallible =
                writeln!(out, "<line x1=\"{from}\" y1=\"{y}\" x2=\"{to}\" y2=\"{y}\" {}/>", one.stroke(colour));
            text(out, (to + 8.0, y + 4.0), "start", &one.name);
        }
    }

    fn draw_line(&self, out: &mut String, one: &Line, colour: &str) {
        let (left, top, width, height) = FRAME;
        let place = |(x, y): &(f64, f64)| {
            let (x, y) = (left + self.x.part(*x) * width, top + (1.0 - self.y.part(*y)) * height);
            format!("{x:.1},{y:.1}")
        };
        let points: Vec<String> = one.points.iter().map(place).collect();
        let _infallible =
            writeln!(out, "<polyline points=\"{}\" fill=\"none\" {}/>", points.join(" "), one.stroke(colour));
    }
}

impl Line {
    fn stroke(&self, colour: &str) -> String {
        let thick = if self.strong { 3.0 } else { 1.5 };
        let dash = if self.dashed { " stroke-dasharray=\"6 4\"" } else { "" };
        format!("stroke=\"{colour}\" stroke-width=\"{thick}\"{dash}")
    }
}

impl Heat {
    /// The drawing.
    pub fn svg(&self) -> String {
        let (left, top, wide, high) = (220.0, 150.0, 58.0, 26.0);
        let width = left + wide * self.columns.len() as f64 + 70.0;
        let mut out = head(width, top + high * self.rows.len() as f64 + 40.0, self.title);
        for (n, column) in self.columns.iter().enumerate() {
            let x = left + wide * (n as f64 + 0.5);
            let _infallible = writeln!(
                out,
                "<text x=\"{x}\" y=\"{y}\" transform=\"rotate(-45 {x} {y})\">{}</text>",
                escaped(column),
                y = top - 8.0
            );
        }
        for (n, (name, numbers)) in self.rows.iter().enumerate() {
            let y = top + high * n as f64;
            text(&mut out, (left - 8.0, y + high * 0.68), "end", name);
            for (m, number) in numbers.iter().enumerate() {
                let x = left + wide * m as f64;
                let _infallible = writeln!(
                    out,
                    "<rect x=\"{x}\" y=\"{y}\" width=\"{wide}\" height=\"{high}\" fill=\"{}\" stroke=\"white\"/>",
                    shade(*number)
                );
                let word = if *number >= 100.0 { format!("{number:.0}") } else { format!("{number:.2}") };
                text(&mut out, (x + wide / 2.0, y + high * 0.68), "middle", &word);
            }
        }
        out.push_str("</svg>\n");
        out
    }
}

/// From white at 1 to red at 4 and beyond.
fn shade(number: f64) -> String {
    let part = (number.max(1.0).ln() / 4.0_f64.ln()).min(1.0);
    let rest = (255.0 - 165.0 * part).round() as u8;
    format!("#ff{rest:02x}{:02x}", (f64::from(rest) * (1.0 - 0.25 * part)).round() as u8)
}

fn head(width: f64, height: f64, title: &str) -> String {
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" \
         height=\"{height}\" {STYLE}>\n<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n"
    );
    let _infallible =
        writeln!(out, "<text x=\"16\" y=\"24\" font-size=\"15\" font-weight=\"bold\">{}</text>", escaped(title));
    out
}

fn text(out: &mut String, (x, y): (f64, f64), anchor: &str, word: &str) {
    let _infallible =
        writeln!(out, "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\">{}</text>", escaped(word));
}

fn line(out: &mut String, (x1, y1, x2, y2): (f64, f64, f64, f64), colour: &str) {
    let _infallible =
        writeln!(out, "<line x1=\"{x1:.1}\" y1=\"{y1:.1}\" x2=\"{x2:.1}\" y2=\"{y2:.1}\" stroke=\"{colour}\"/>");
}

fn escaped(word: &str) -> String {
    word.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
