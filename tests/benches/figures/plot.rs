//! The plot: for each figure with a goal, how many times better than the goal it is. By hand, because a
//! bar chart is a dozen shapes.

use crate::{
    row::{Figure, Outcome, Row},
    table::figure as number,
};

const WIDTH: f64 = 1_060.0;
const LABEL_WIDTH: f64 = 440.0;
const VALUE_WIDTH: f64 = 190.0;
const ROW_HEIGHT: f64 = 24.0;
const TOP: f64 = 74.0;
/// The axis is logarithmic and goes this many powers of ten to either side of the goal.
const DECADES: f64 = 1.0;

const REACHED: &str = "#2f7d4f";
const MISSED: &str = "#b3472f";

/// A bar a row; to the right of the line the goal is reached.
pub fn margins(rows: &[Row], machine: &str) -> String {
    let bars: Vec<(&str, &Figure, f64)> = rows.iter().filter_map(bar).collect();
    let height = TOP + ROW_HEIGHT * bars.len() as f64 + 16.0;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" \
         font-family=\"sans-serif\" font-size=\"12\">\n\
         <desc>{}</desc>\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n\
         <text x=\"12\" y=\"24\" font-size=\"16\">cc-executor: figures against their goals</text>\n",
        escape(machine)
    );
    axis(&mut svg, height);
    for (place, (what, figure, margin)) in bars.into_iter().enumerate() {
        draw(&mut svg, TOP + ROW_HEIGHT * place as f64, what, figure, margin);
    }
    svg.push_str("</svg>\n");
    svg
}

/// What has a goal and a figure that can be held against it.
fn bar(row: &Row) -> Option<(&str, &Figure, f64)> {
    match &row.outcome {
        Outcome::Measured(figure) => Some((&row.what, figure, figure.margin()?)),
        Outcome::LeftOut(_) | Outcome::Failed(_) => None,
    }
}

/// Where on the axis a margin is.
fn place(margin: f64) -> f64 {
    let width = WIDTH - LABEL_WIDTH - VALUE_WIDTH;
    let decades = margin.log10().clamp(-DECADES, DECADES);
    LABEL_WIDTH + width * (decades + DECADES) / (2.0 * DECADES)
}

fn axis(svg: &mut String, height: f64) {
    for (margin, label) in [
        (0.1, "10× short"),
        (0.5, "2× short"),
        (1.0, "goal"),
        (2.0, "2× better"),
        (10.0, "10× better"),
    ] {
        let x = place(margin);
        let color = if label == "goal" { "#222222" } else { "#dddddd" };
        svg.push_str(&format!(
            "<line x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{:.1}\" y2=\"{:.1}\" stroke=\"{color}\"/>\n\
             <text x=\"{x:.1}\" y=\"{:.1}\" text-anchor=\"middle\" fill=\"#444444\">{label}</text>\n",
            TOP - 12.0,
            height - 10.0,
            TOP - 18.0,
        ));
    }
}

fn draw(svg: &mut String, top: f64, what: &str, figure: &Figure, margin: f64) {
    let color = if margin >= 1.0 { REACHED } else { MISSED };
    let (goal, end) = (place(1.0), place(margin));
    let (left, width) = (goal.min(end), (end - goal).abs().max(1.0));
    let baseline = top + ROW_HEIGHT * 0.6;
    let value = match figure.ratios().filter(|_| figure.has_ratio_goal()) {
        Some(ratios) => format!("{}×", number(ratios.median())),
        None => format!("{} {}", number(figure.ours.median()), figure.unit),
    };
    svg.push_str(&format!(
        "<text x=\"{:.1}\" y=\"{baseline:.1}\" text-anchor=\"end\">{}</text>\n\
         <rect x=\"{left:.1}\" y=\"{:.1}\" width=\"{width:.1}\" height=\"{:.1}\" fill=\"{color}\"/>\n\
         <text x=\"{:.1}\" y=\"{baseline:.1}\" fill=\"{color}\">{} ({})</text>\n",
        LABEL_WIDTH - 10.0,
        escape(what),
        top + 3.0,
        ROW_HEIGHT - 10.0,
        WIDTH - VALUE_WIDTH + 8.0,
        escape(&value),
        escape(&figure.goals_text()),
    ));
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
