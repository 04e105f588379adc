//! `docs/ccx.md` is the help of every command, so that it cannot say anything else.

use std::{fmt::Write as _, fs, path::Path};

use clap::{Command, CommandFactory as _};

use super::Arguments;

const HEADER: &str = "\
# The command line of ccx

The help of every command, as `ccx COMMAND --help` prints it. [batches.md](batches.md) shows how they are used. This page is
made by a test: `UPDATE_DOCS=1 cargo test -p ccx reference` writes it anew.
";

fn page() -> String {
    let mut page = HEADER.to_owned();
    let mut command = Arguments::command().term_width(100);
    command.build();
    add(&mut page, &mut command, "ccx");
    page
}

fn add(page: &mut String, command: &mut Command, name: &str) {
    let help = command.render_long_help().to_string();
    let lines: Vec<String> = help.lines().map(without_value).collect();
    writeln!(page, "\n## {name}\n\n```text\n{}\n```", lines.join("\n").trim_end()).unwrap();
    for child in command.get_subcommands_mut() {
        if !child.is_hide_set() && child.get_name() != "help" {
            let name = format!("{name} {}", child.get_name());
            add(page, child, &name);
        }
    }
}

/// The variable's name without the value that it has here.
fn without_value(line: &str) -> String {
    let line = line.trim_end();
    match line
        .split_once("[env: ")
        .and_then(|(before, rest)| Some((before, rest.split_once('=')?.0)))
    {
        Some((before, name)) => format!("{before}[env: {name}]"),
        None => line.to_owned(),
    }
}

#[test]
fn the_reference_of_the_command_line_is_its_help() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/ccx.md");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(&path, page()).unwrap();
    }
    let written = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        written == page(),
        "docs/ccx.md is not the help: UPDATE_DOCS=1 cargo test -p ccx reference"
    );
}
