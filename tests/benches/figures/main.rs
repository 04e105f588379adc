//! The program that shows how fast and how small this is: every measurement against its baseline in the
//! same run, in turns; a table on standard output, and `figures.json`, `figures.md` and `figures.svg` in
//! `target/figures`.
//!
//! Owns the order of things and nothing else. Judges nothing: a figure beyond its goal is printed as
//! that. It fails only where something could not be measured, and measures everything else first.
//!
//! `cargo bench -p cc-tests [-- --thorough] [--only NAME…] [--list]`

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a benchmark: a broken assumption ends the measurement that made it, see `measure`"
)]

// In the order in which a figure comes about.
mod arguments;
mod machine;
mod measurements;
mod peers;
mod plot;
mod product;
mod rounds;
mod row;
mod table;
mod wire;

use std::{
    fs,
    panic::{AssertUnwindSafe, catch_unwind},
    path::PathBuf,
    process::ExitCode,
    time::Instant,
};

use arguments::{Arguments, Effort, Wish};
use cc_tests::binaries;
use machine::Machine;
use measurements::{MEASUREMENTS, Measurement};
use peers::Peers;
use row::Row;
use serde_json::json;

fn main() -> ExitCode {
    let arguments = match arguments::parse(std::env::args().skip(1)) {
        Ok(Wish::Measure(arguments)) => arguments,
        Ok(Wish::List) => {
            print!("{}", arguments::list());
            return ExitCode::SUCCESS;
        }
        Ok(Wish::Help) => {
            print!("{}", arguments::HELP);
            return ExitCode::SUCCESS;
        }
        Ok(Wish::Peer) => return peers::tungstenite_defaults(),
        Err(problem) => {
            eprintln!("error: {problem}");
            return ExitCode::from(2);
        }
    };
    product::raise_descriptor_limit();
    let peers = Peers::find();
    let machine = Machine::describe(&peers, arguments.effort);
    println!("{}", machine.text());
    let rows = measure_all(&arguments, &peers);
    println!("\n{}", table::text(&rows));
    let directory = write_files(&machine, &rows);
    println!("written: {}/figures.{{json,md,svg}}", directory.display());
    let failed = rows.iter().filter(|row| row.has_failed()).count();
    if failed > 0 {
        eprintln!("error: {failed} of the measurements failed, see the table");
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

/// The measurements that are wished for, in their order.
fn measure_all(arguments: &Arguments, peers: &Peers) -> Vec<Row> {
    let wished: Vec<&Measurement> =
        MEASUREMENTS.iter().filter(|measurement| arguments.wants(measurement.name)).collect();
    let mut rows = Vec::new();
    for (number, measurement) in wished.iter().enumerate() {
        eprint!("[{:>2}/{}] {} …", number + 1, wished.len(), measurement.name);
        let start = Instant::now();
        rows.extend(measure(measurement, arguments.effort, peers));
        eprintln!(" {:.1} s", start.elapsed().as_secs_f64());
    }
    rows
}

/// One measurement. What breaks in it is a row of the table, and harms no other.
fn measure(measurement: &Measurement, effort: Effort, peers: &Peers) -> Vec<Row> {
    let work = || (measurement.run)(effort, peers);
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
        let line = text.and_then(|text| text.lines().next()).unwrap_or("it said nothing");
        vec![Row::failed(measurement.name, measurement.about, line)]
    })
}

/// Writes the three files; returns where they are.
fn write_files(machine: &Machine, rows: &[Row]) -> PathBuf {
    let target = binaries::target_directory();
    let directory = target.parent().unwrap().join("figures");
    fs::create_dir_all(&directory).unwrap();
    let rows_as_json: Vec<_> = rows.iter().map(Row::to_json).collect();
    let all = json!({"machine": machine.to_json(), "rows": rows_as_json});
    let json = serde_json::to_string_pretty(&all).unwrap() + "\n";
    let markdown = format!("{}\n{}", machine.markdown(), table::markdown(rows));
    for (name, text) in
        [("json", json), ("md", markdown), ("svg", plot::margins(rows, &machine.text()))]
    {
        fs::write(directory.join(format!("figures.{name}")), text).unwrap();
    }
    directory
}
