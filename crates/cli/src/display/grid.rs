//! Rows and columns of text in the width of a terminal. Text only; prints nothing.

use anstyle::Style;

use super::text;

/// Between two columns.
const GAP: usize = 2;
/// Smallest width of the flexible column.
const FLEXIBLE_COLUMNS_LEAST: usize = 12;

/// The alignment of the columns.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Layout {
    /// Index of the column that gets the remaining width.
    pub(crate) flexible: usize,
    /// Whether the column with this index is left-aligned.
    pub(crate) is_left: fn(usize) -> bool,
}

/// The first line of cells, a rule, and the other lines. `colors` has at most one cell of each of these.
pub(crate) fn draw(
    layout: &Layout,
    cells: &[Vec<String>],
    columns: usize,
    colors: &[Option<(usize, Style)>],
) -> String {
    let widths = widths(layout, cells, columns);
    let mut grid = String::new();
    for (index, line) in cells.iter().enumerate() {
        let color = index.checked_sub(1).and_then(|row| colors.get(row).copied().flatten());
        push_line(&mut grid, layout, line, &widths, color);
        if index == 0 {
            let rule: Vec<String> = widths.iter().map(|width| "─".repeat(*width)).collect();
            push_line(&mut grid, layout, &rule, &widths, None);
        }
    }
    grid
}

/// The widest cell of each column; the flexible one gets the remaining width.
fn widths(layout: &Layout, cells: &[Vec<String>], columns: usize) -> Vec<usize> {
    let mut widths = vec![0; cells.first().map_or(0, Vec::len)];
    for line in cells {
        for (width, cell) in widths.iter_mut().zip(line) {
            *width = (*width).max(console::measure_text_width(cell));
        }
    }
    let others: usize = widths
        .iter()
        .enumerate()
        .filter(|(index, _)| *index != layout.flexible)
        .map(|(_, width)| width + GAP)
        .sum();
    if let Some(flexible) = widths.get_mut(layout.flexible) {
        *flexible = (*flexible).min(columns.saturating_sub(others).max(FLEXIBLE_COLUMNS_LEAST));
    }
    widths
}

fn push_line(
    grid: &mut String,
    layout: &Layout,
    cells: &[String],
    widths: &[usize],
    color: Option<(usize, Style)>,
) {
    let mut line = String::new();
    for (index, (cell, width)) in cells.iter().zip(widths).enumerate() {
        let cell = text::one_line(cell, *width);
        let padding = " ".repeat(width.saturating_sub(console::measure_text_width(&cell)));
        if index > 0 {
            line.push_str(&" ".repeat(GAP));
        }
        match color {
            Some((colored, style)) if index == colored => {
                line.push_str(&format!("{style}{cell}{style:#}{padding}"));
            }
            Some(_) | None if (layout.is_left)(index) => {
                line.push_str(&format!("{cell}{padding}"));
            }
            Some(_) | None => line.push_str(&format!("{padding}{cell}")),
        }
    }
    grid.push_str(line.trim_end());
    grid.push('\n');
}
