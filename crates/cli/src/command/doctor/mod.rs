//! `ccx doctor`: checks what tasks need.
//!
//! [`trial`] runs small tasks, and [`probe`] is one of them; [`companions`], [`agent`], [`login`], [`shell`],
//! [`machine`], [`surroundings`], [`state`] and [`port`] are the checks, and [`finding`] is the result of one. The doctor repairs nothing, calls no model, and does
//! not disturb a running supervisor.

mod agent;
mod companions;
mod finding;
mod login;
mod machine;
mod port;
pub(crate) mod probe;
mod shell;
mod state;
mod surroundings;
mod trial;

use std::env;

use self::{
    finding::Finding,
    probe::Probe,
    trial::{Ran, Trial},
};
use crate::{
    args::{DoctorArguments, ServerOptions},
    display::terminal,
    error::CommandError,
};

pub(crate) async fn run(
    options: ServerOptions,
    arguments: DoctorArguments,
) -> Result<u8, CommandError> {
    let mut findings = companions::check().await;
    let mut trial = match Trial::open().await {
        Ok(trial) => Some(trial),
        Err(failure) => {
            findings.push(Finding::failure("tasks", failure.to_string()));
            None
        }
    };
    let probe = probe(trial.as_mut(), &mut findings).await;
    let wish = arguments.agent.agent.as_deref();
    let (agent, found) = agent::check(wish, trial.as_mut()).await;
    findings.push(found);
    let is_key_here = env::var_os("ANTHROPIC_API_KEY").is_some_and(|key| !key.is_empty());
    let login = login::check(agent.as_ref(), probe.as_ref(), is_key_here, trial.as_mut()).await;
    findings.extend(login);
    findings.extend(probe.as_ref().into_iter().flat_map(shell::check));
    findings.extend(surroundings::check(probe.as_ref()));
    findings.push(companions::configuration().await);
    findings.extend(state::check(arguments.state_dir.as_deref()));
    findings.extend(companions::running_supervisor(&options).await);
    if let Some(trial) = trial
        && let Err(failure) = trial.close().await
    {
        findings.push(Finding::failure("tasks", failure.to_string()));
    }
    terminal::print(&report(&findings, arguments.json));
    Ok(u8::from(findings.iter().any(Finding::is_failure)))
}

/// Runs this program as a task, and checks what it reports.
async fn probe(trial: Option<&mut Trial>, findings: &mut Vec<Finding>) -> Option<Probe> {
    let Some(trial) = trial else {
        let skipped = ["containment", "pipes", "open files"];
        findings.extend(skipped.map(|what| Finding::skip(what, "no task could be run")));
        return None;
    };
    match run_probe(trial).await {
        Ok((ran, probe)) => {
            findings.push(machine::containment(&ran.containment));
            findings.push(machine::pipes(&probe));
            findings.push(machine::open_files(&probe));
            Some(probe)
        }
        Err(problem) => {
            findings
                .push(Finding::failure("tasks", format!("a trial task did not run: {problem}")));
            None
        }
    }
}

async fn run_probe(trial: &mut Trial) -> Result<(Ran, Probe), CommandError> {
    let own = env::current_exe().map_err(CommandError::io("where ccx is"))?;
    let not_text = || CommandError::failed(format!("{} is no UTF-8", own.display()));
    let own = own.to_str().ok_or_else(not_text)?;
    let ran = trial.run(vec![own.to_owned(), "doctor-probe".to_owned()]).await?;
    let probe = serde_json::from_str(&ran.stdout)
        .map_err(|error| CommandError::failed(format!("{error}; {}", ran.last_words())))?;
    Ok((ran, probe))
}

fn report(findings: &[Finding], is_json: bool) -> String {
    if is_json {
        return findings.iter().map(Finding::json).collect();
    }
    let lines: String = findings.iter().map(Finding::line).collect();
    format!("{lines}No model was called, and nothing was spent.\n")
}
