//! The table of a batch: a row a task, in the width of a terminal. Text only; prints nothing.

use anstyle::{AnsiColor, Style};

use super::{
    grid::{self, Layout},
    row::{Fate, Row},
    terminal::Look,
    text,
};

/// Index of the column with a color.
const VERDICT: usize = 2;
/// The titles get the remaining width.
const LAYOUT: Layout = Layout { flexible: 1, is_left: |column| matches!(column, 1 | VERDICT) };

/// The table; `as_expected` adds the column `ok`. A column without values is omitted.
pub(crate) fn table(rows: &[Row], as_expected: Option<&[bool]>, look: Look) -> String {
    let columns = Columns {
        tries: rows.iter().any(|row| row.attempts > 1),
        warnings: rows.iter().any(|row| !row.warnings.is_empty()),
    };
    let mut header = vec!["#", "task", "verdict"];
    header.extend(columns.warnings.then_some("warnings"));
    header.extend(["exit", "time"]);
    header.extend(columns.tries.then_some("tries"));
    header.push("killed");
    if as_expected.is_some() {
        header.push("ok");
    }
    let mut cells: Vec<Vec<String>> = vec![header.into_iter().map(str::to_owned).collect()];
    for (index, row) in rows.iter().enumerate() {
        let mut line = row_cells(row, columns);
        if let Some(as_expected) = as_expected {
            let is_expected = as_expected.get(index).copied().unwrap_or_default();
            line.push(if is_expected { "yes" } else { "NO" }.to_owned());
        }
        cells.push(line);
    }
    let color_of = |index: usize| rows.get(index).filter(|_| look.is_colored).map(style);
    let colors = (0..rows.len()).map(|index| color_of(index).map(|style| (VERDICT, style)));
    grid::draw(&LAYOUT, &cells, look.columns, &colors.collect::<Vec<_>>())
}

#[derive(Clone, Copy, Debug)]
struct Columns {
    tries: bool,
    warnings: bool,
}

fn row_cells(row: &Row, columns: Columns) -> Vec<String> {
    let or_none = |cell: Option<String>| cell.unwrap_or_else(|| "-".to_owned());
    let mut cells = vec![row.number.to_string(), row.title.clone(), row.verdict.to_owned()];
    if columns.warnings {
        let count = Some(row.warnings.len()).filter(|count| *count > 0);
        cells.push(or_none(count.map(|count| count.to_string())));
    }
    cells.push(or_none(row.exit_code.map(|code| code.to_string())));
    cells.push(or_none(row.duration.map(text::duration)));
    if columns.tries {
        cells.push(or_none((row.attempts > 0).then(|| row.attempts.to_string())));
    }
    cells.push(or_none(row.killed_leftovers.map(|killed| killed.to_string())));
    cells
}

fn style(row: &Row) -> Style {
    let color = match row.fate {
        Fate::Succeeded if !row.warnings.is_empty() => AnsiColor::Yellow,
        Fate::Succeeded => AnsiColor::Green,
        Fate::Failed => AnsiColor::Red,
        Fate::Unknown | Fate::NotRun => AnsiColor::Yellow,
    };
    color.on_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::display::summary::tests::rows;

    const LOOK: Look = Look { columns: 80, is_colored: false };

    #[test]
    fn the_table_fits_80_columns_and_needs_no_color() {
        let table = table(&rows(), None, LOOK);
        assert!(table.lines().all(|line| console::measure_text_width(line) <= 80), "{table}");
        assert!(!table.contains('\u{1b}'));
        insta::assert_snapshot!(table, @r#"
        #  task                                    verdict       exit       time  killed
        ─  ──────────────────────────────────────  ────────────  ────  ─────────  ──────
        1  What is 2+2?                            succeeded        0      1.2 s       0
        2  Print much, and then say so in a titl…  succeeded        0      1.2 s       0
        3  日本語のタイトル                        timed_out      -15  2 min 5 s       2
        4  x                                       spawn_failed     -          -       -
        5  later                                   not run          -          -       -
        "#);
    }

    #[test]
    fn a_success_with_warnings_does_not_look_like_one_without() {
        let mut rows = rows();
        rows[0].warnings = vec!["Bash was denied".to_owned(), "the answer is empty".to_owned()];
        let table = table(&rows[..3], None, LOOK);
        assert!(table.lines().all(|line| console::measure_text_width(line) <= 80), "{table}");
        insta::assert_snapshot!(table, @r#"
        #  task                             verdict    warnings  exit       time  killed
        ─  ───────────────────────────────  ─────────  ────────  ────  ─────────  ──────
        1  What is 2+2?                     succeeded         2     0      1.2 s       0
        2  Print much, and then say so in…  succeeded         -     0      1.2 s       0
        3  日本語のタイトル                 timed_out         -   -15  2 min 5 s       2
        "#);
        assert_ne!(style(&rows[0]), style(&rows[1]));
    }

    #[test]
    fn the_demo_says_of_each_row_whether_it_was_to_be_so() {
        let table = table(&rows()[..2], Some(&[true, false]), LOOK);
        insta::assert_snapshot!(table, @r#"
        #  task                                      verdict    exit   time  killed   ok
        ─  ────────────────────────────────────────  ─────────  ────  ─────  ──────  ───
        1  What is 2+2?                              succeeded     0  1.2 s       0  yes
        2  Print much, and then say so in a title …  succeeded     0  1.2 s       0   NO
        "#);
    }

    #[test]
    fn color_changes_no_width() {
        let colored = table(&rows(), None, Look { is_colored: true, ..LOOK });
        assert!(colored.contains('\u{1b}'));
        assert_eq!(
            console::strip_ansi_codes(&colored).lines().map(str::trim_end).collect::<Vec<_>>(),
            table(&rows(), None, LOOK).lines().collect::<Vec<_>>()
        );
    }
}
