use std::collections::BTreeMap;

use cc_batch::Job;
use cc_protocol::{
    CallError,
    error::ErrorObject,
    execute::{Program, Prompt},
};

use super::*;

fn prompt(env: &[(&str, &str)]) -> Execute {
    let env = env.iter().map(|(name, value)| ((*name).to_owned(), Some((*value).to_owned())));
    let program = Program::Prompt(Box::new(Prompt { prompt: "x".to_owned(), ..Prompt::default() }));
    Execute { program, env: env.collect(), ..Execute::default() }
}

fn pass(credential: &Credential) -> Pass {
    Pass { credential: credential.clone(), model: None }
}

fn ticket(batch_id: &str) -> Ticket {
    Ticket { batch_id: batch_id.to_owned(), job: Job::Task(0) }
}

#[test]
fn tasks_of_one_account_share_a_gate_and_those_of_another_do_not() {
    let gates = Gates::new(4);
    let variables = [("HOME".into(), "/home/a".into())];
    gates.set_environment(&Arc::new(Base::new(variables.into_iter(), &[], &[]).0));
    let own = gates.credential(&prompt(&[])).unwrap();
    assert_eq!(gates.credential(&prompt(&[("HOME", "/home/a"), ("X", "y")])), Some(own.clone()));
    let other = gates.credential(&prompt(&[("ANTHROPIC_API_KEY", "k")])).unwrap();
    assert_ne!(own, other);
    let argv = Program::Argv { argv: vec!["make".to_owned()] };
    let make = Execute { program: argv, env: BTreeMap::new(), ..Execute::default() };
    assert_eq!(gates.credential(&make), None);

    gates.close(&own, None, u64::MAX, "a limit");
    gates.ask(&pass(&own), ticket("a"), 1);
    gates.ask(&pass(&other), ticket("b"), 1);
    let (admitted, wake_at_ms, _) = gates.admit(now_ms());
    assert_eq!(admitted, [(other, ticket("b"))]);
    assert_eq!(gates.closed(&pass(&own)).unwrap().1, "a limit");
    assert!(wake_at_ms.unwrap() > now_ms());
}

#[test]
fn a_limit_that_has_not_ended_for_long_is_tried_and_then_not_again_for_as_long() {
    let gates = Gates::new(4);
    let credential = gates.credential(&prompt(&[])).unwrap();
    let weekly = now_ms() + 5 * 86_400_000;
    gates.close(&credential, None, weekly, "a weekly limit");
    let closed_at = uptime::now();
    let later = |parts: u32| closed_at + limits::GATE_TRIED_AGAIN * parts / 2;
    assert!(gates.overdue(later(1)).is_empty());
    assert_eq!(gates.overdue(later(3)), [credential.to_string()]);
    gates.open(Some(&credential.to_string())).unwrap();
    assert!(gates.overdue(later(3)).is_empty(), "it is being tried");
    gates.close(&credential, None, weekly, "a weekly limit");
    assert!(gates.overdue(later(1)).is_empty());
}

#[test]
fn an_idle_gate_is_forgotten() {
    let gates = Gates::new(4);
    let credential = gates.credential(&prompt(&[])).unwrap();
    gates.ask(&pass(&credential), ticket("a"), 1);
    assert_eq!(gates.admit(0).0.len(), 1);
    assert_eq!(gates.facts()[0].running, 1);
    gates.leave(&ticket("a"));
    assert!(gates.admit(0).0.is_empty());
    assert_eq!(gates.facts(), []);
}

#[test]
fn a_gate_is_opened_by_its_id_and_one_that_is_not_there_or_not_shut_is_named() {
    let gates = Gates::new(4);
    let own = gates.credential(&prompt(&[])).unwrap();
    gates.close(&own, Some("opus".to_owned()), u64::MAX, "an Opus limit");
    gates.close(&own, None, u64::MAX, "a limit");
    let ids: Vec<String> = gates.facts().iter().map(GateFacts::id).collect();
    assert_eq!(ids, [own.to_string(), format!("{own}:opus")]);
    let unknown = ErrorObject::from(CallError::from(gates.open(Some("nobody")).unwrap_err()));
    assert_eq!(unknown.data["field"], "gate_id");
    let opened = gates.open(Some(&ids[1])).unwrap();
    assert_eq!(opened.len(), 1);
    assert_eq!(opened[0].scope.as_deref(), Some("opus"));
    assert_eq!(gates.open(Some(&ids[0])).unwrap().len(), 1);
    assert!(gates.open(Some(&ids[0])).unwrap_err().to_string().contains("not shut"));
    assert_eq!(gates.open(None).unwrap(), []);
}
