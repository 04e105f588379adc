//! The table of a batch: a row a task, in the width of a terminal. Text only; prints nothing.

use std::time::Duration;

use anstyle::{AnsiColor, Style};

use crate::{
    grid::{self, Layout},
    sequence::{Fate, Row},
    text,
};

/// Index of the column with a colour.
const VERDICT: usize = 2;
/// The titles take what the others leave.
const LAYOUT: Layout = Layout { flexible: 1, is_left: |column| matches!(column, 1 | VERDICT) };

/// How a table is drawn.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Look {
    /// Width of the terminal.
    pub(crate) columns: usize,
    /// Whether colours are wanted.
    pub(crate) is_coloured: bool,
}

/// The table. `as_expected` adds a column that says so for each row.
pub(crate) fn table(rows: &[Row], as_expected: Option<&[bool]>, look: Look) -> String {
    let mut header = vec!["#", "task", "verdict", "exit", "time", "output", "killed"];
    if as_expected.is_some() {
        header.push("ok");
    }
    let mut cells: Vec<Vec<String>> = vec![header.into_iter().map(str::to_owned).collect()];
    for (index, row) in rows.iter().enumerate() {
        let mut line = row_cells(row);
        if let Some(as_expected) = as_expected {
            let is_expected = as_expected.get(index).copied().unwrap_or_default();
            line.push(if is_expected { "yes" } else { "NO" }.to_owned());
        }
        cells.push(line);
    }
    let colour_of = |index: usize| rows.get(index).filter(|_| look.is_coloured).map(style);
    let colours = (0..rows.len()).map(|index| colour_of(index).map(|style| (VERDICT, style)));
    grid::draw(&LAYOUT, &cells, look.columns, &colours.collect::<Vec<_>>())
}

fn row_cells(row: &Row) -> Vec<String> {
    let mut cells = vec![row.number.to_string(), row.title.clone(), row.verdict().to_owned()];
    match &row.fate {
        Fate::Ended(ended) => {
            let completed = &ended.completed;
            let mark = if completed.output.dropped_bytes > 0 { "*" } else { "" };
            cells.push(completed.exit_code.to_string());
            cells.push(text::duration(Duration::from_millis(completed.duration_ms)));
            cells.push(format!("{}{mark}", text::bytes(completed.output.bytes)));
            cells.push(completed.killed_leftovers.to_string());
        }
        Fate::Refused(_) | Fate::Unknown | Fate::NotRun => {
            cells.extend(["-", "-", "-", "-"].map(str::to_owned));
        }
    }
    cells
}

fn style(row: &Row) -> Style {
    let colour = match row.fate {
        Fate::Ended(_) if row.is_success() => AnsiColor::Green,
        Fate::Ended(_) | Fate::Refused(_) => AnsiColor::Red,
        Fate::Unknown | Fate::NotRun => AnsiColor::Yellow,
    };
    colour.on_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::tests::rows;

    const LOOK: Look = Look { columns: 80, is_coloured: false };

    #[test]
    fn the_table_fits_80_columns_and_needs_no_colour() {
        let table = table(&rows(), None, LOOK);
        assert!(table.lines().all(|line| console::measure_text_width(line) <= 80), "{table}");
        assert!(!table.contains('\u{1b}'));
        insta::assert_snapshot!(table, @r#"
            #  task                          verdict       exit       time    output  killed
            ─  ────────────────────────────  ────────────  ────  ─────────  ────────  ──────
            1  What is 2+2?                  succeeded        0      1.2 s    1.5 kB       0
            2  Print much, and then say so…  succeeded        0      1.2 s  20.0 MB*       0
            3  日本語のタイトル              timed_out      -15  2 min 5 s    1.5 kB       2
            4  x                             spawn_failed     -          -         -       -
            5  later                         not run          -          -         -       -
            "#);
    }

    #[test]
    fn the_demo_says_of_each_row_whether_it_was_to_be_so() {
        let table = table(&rows()[..2], Some(&[true, false]), LOOK);
        insta::assert_snapshot!(table, @r#"
            #  task                            verdict    exit   time    output  killed   ok
            ─  ──────────────────────────────  ─────────  ────  ─────  ────────  ──────  ───
            1  What is 2+2?                    succeeded     0  1.2 s    1.5 kB       0  yes
            2  Print much, and then say so i…  succeeded     0  1.2 s  20.0 MB*       0   NO
            "#);
    }

    #[test]
    fn colour_changes_no_width() {
        let coloured = table(&rows(), None, Look { is_coloured: true, ..LOOK });
        assert!(coloured.contains('\u{1b}'));
        assert_eq!(
            console::strip_ansi_codes(&coloured).lines().map(str::trim_end).collect::<Vec<_>>(),
            table(&rows(), None, LOOK).lines().collect::<Vec<_>>()
        );
    }
}
