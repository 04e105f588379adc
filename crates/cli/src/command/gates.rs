//! `ccx gates` and `ccx gate open`: list the gates of accounts, and open one before its limit ends.

use cc_client::Error;
use cc_protocol::{
    error::{ErrorCode, ErrorObject},
    gate::{GateOpen, GateSummary},
};

use crate::{
    args::{GateCommand, GateOpenArguments, GatesArguments, ServerOptions},
    connect::RunningSupervisor,
    display::{
        grid::{self, Layout},
        terminal, text,
    },
    error::CommandError,
};

/// The reason gets the remaining width.
const LAYOUT: Layout = Layout { flexible: 5, is_left: |column| matches!(column, 0 | 1 | 5) };
/// The exit code if a gate could not be opened.
const SOME_FAILED: u8 = 1;

/// `ccx gates`.
pub(crate) async fn run(
    options: ServerOptions,
    arguments: GatesArguments,
) -> Result<u8, CommandError> {
    let mut connection = RunningSupervisor::of(&options)?.connect().await?;
    let gates = connection.gate_list().await?.gates;
    connection.close().await;
    if arguments.json {
        let line = |gate: &GateSummary| serde_json::to_string(gate).unwrap_or_default() + "\n";
        terminal::print(&gates.iter().map(line).collect::<String>());
    } else {
        terminal::print(&table(&gates, text::now_ms(), terminal::columns()));
    }
    Ok(0)
}

/// `ccx gate open`.
pub(crate) async fn open(options: ServerOptions, command: GateCommand) -> Result<u8, CommandError> {
    let GateCommand::Open(GateOpenArguments { ids, all }) = command;
    let wishes: Vec<GateOpen> = if all {
        vec![GateOpen { gate_id: None }]
    } else {
        ids.into_iter().map(|id| GateOpen { gate_id: Some(id) }).collect()
    };
    let mut connection = RunningSupervisor::of(&options)?.connect().await?;
    let mut code = 0;
    for wish in wishes {
        match connection.gate_open(&wish).await {
            Ok(answer) if answer.opened.is_empty() => {
                terminal::note("ccx: no gate is shut");
            }
            Ok(answer) => {
                let line = |id: &String| format!("{id} opened\n");
                terminal::print(&answer.opened.iter().map(line).collect::<String>());
            }
            Err(Error::Server(error)) => {
                let known = connection.gate_list().await?.gates;
                terminal::note(&format!("ccx: {}", refusal(&wish, &error, &known)));
                code = SOME_FAILED;
            }
            Err(error) => return Err(error.into()),
        }
    }
    connection.close().await;
    Ok(code)
}

/// Why a gate was not opened; where it does not exist, which ones do.
fn refusal(wish: &GateOpen, error: &ErrorObject, known: &[GateSummary]) -> String {
    match &wish.gate_id {
        Some(id) if error.code == ErrorCode::InvalidParams.code() => {
            let ids: Vec<&str> = known.iter().map(|gate| gate.gate_id.as_str()).collect();
            match ids[..] {
                [] => format!("there is no gate {id:?}; this supervisor has no gates now"),
                [..] => format!("there is no gate {id:?}; the gates are {}", ids.join(", ")),
            }
        }
        Some(_) | None => format!("{}; `ccx gates` lists the gates", error.message),
    }
}

fn table(gates: &[GateSummary], now_ms: u64, columns: usize) -> String {
    let header = ["gate", "opens in", "waiting", "running", "model", "why"];
    let mut cells = vec![header.map(str::to_owned).to_vec()];
    cells.extend(gates.iter().map(|gate| {
        let opens_in = gate.closed_until_ms.map_or_else(
            || "open".to_owned(),
            |until_ms| {
                text::duration(std::time::Duration::from_millis(until_ms.saturating_sub(now_ms)))
            },
        );
        vec![
            gate.gate_id.clone(),
            opens_in,
            gate.waiting.to_string(),
            gate.running.to_string(),
            gate.model.clone().unwrap_or_else(|| "all".to_owned()),
            gate.reason.clone().unwrap_or_else(|| "-".to_owned()),
        ]
    }));
    grid::draw(&LAYOUT, &cells, columns, &[])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gate() -> GateSummary {
        GateSummary {
            gate_id: "0a1b2c3d:opus".to_owned(),
            account: "0a1b2c3d".to_owned(),
            model: Some("opus".to_owned()),
            closed_until_ms: Some(7_200_000),
            reason: Some("You've hit your Opus limit".to_owned()),
            waiting: 3,
            running: 1,
        }
    }

    #[test]
    fn a_gate_that_does_not_exist_is_answered_with_those_that_do() {
        let wish = GateOpen { gate_id: Some("nope".to_owned()) };
        let no_gate = ErrorObject::new(ErrorCode::InvalidParams, "no gate");
        assert_eq!(
            refusal(&wish, &no_gate, &[gate()]),
            r#"there is no gate "nope"; the gates are 0a1b2c3d:opus"#
        );
        assert!(refusal(&wish, &no_gate, &[]).contains("has no gates now"));
        let open = ErrorObject::new(ErrorCode::NoProcess, "the gate 0a is not shut");
        assert!(refusal(&wish, &open, &[gate()]).starts_with("the gate 0a is not shut; "));
    }

    #[test]
    fn a_row_says_how_long_a_gate_is_shut_for_whom_and_why() {
        let gate = gate();
        let open = GateSummary { model: None, closed_until_ms: None, reason: None, ..gate.clone() };
        let table = table(&[gate, open], 0, 120);
        let rows: Vec<Vec<&str>> =
            table.lines().map(|line| line.split_whitespace().collect()).collect();
        assert_eq!(rows[2][0], "0a1b2c3d:opus", "{table}");
        assert!(table.contains("2 h"), "{table}");
        assert!(table.contains("You've hit your Opus limit"), "{table}");
        assert!(rows[3].contains(&"open") && rows[3].contains(&"all"), "{table}");
    }
}
