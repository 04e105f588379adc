//! What of this shell changes what agents do: that it is inside Claude Code, and that it is root's.

use nix::unistd::geteuid;

use super::{finding::Finding, probe::Probe};

const NESTED: &str = "CLAUDECODE";
const SANDBOX: &str = "IS_SANDBOX";

pub(crate) fn check(probe: &Probe) -> Vec<Finding> {
    let is_nested = std::env::var_os(NESTED).is_some_and(|value| !value.is_empty());
    let root = geteuid().is_root();
    [nested(is_nested, probe.has(NESTED)), as_root(root, probe.has(SANDBOX))]
        .into_iter()
        .flatten()
        .collect()
}

/// An agent that believes to be started by another one behaves otherwise.
fn nested(is_here: bool, tasks_have_it: bool) -> Option<Finding> {
    const WHAT: &str = "nested";
    match (is_here, tasks_have_it) {
        (_, true) => Some(Finding::warn(
            WHAT,
            format!("tasks get {NESTED}: agents take themselves for part of another one"),
            format!("do not allow it with --env-allow, and do not give it with --env {NESTED}"),
        )),
        (true, false) => Some(Finding::ok(
            WHAT,
            format!("{NESTED} is set here, as inside Claude Code, and is not passed on"),
        )),
        (false, false) => None,
    }
}

/// The CLI refuses to skip permissions as root, unless it is told that it is in a sandbox.
fn as_root(is_root: bool, has_switch: bool) -> Option<Finding> {
    const WHAT: &str = "root";
    match (is_root, has_switch) {
        (false, _) => None,
        (true, true) => {
            Some(Finding::ok(WHAT, format!("tasks run as root, and {SANDBOX} is set for them")))
        }
        (true, false) => Some(Finding::warn(
            WHAT,
            "tasks run as root: the CLI refuses --dangerously-skip-permissions then",
            format!(
                "run the supervisor as another user, or, in a container that may be broken, give tasks {SANDBOX}=1"
            ),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_passed_on_does_no_harm_and_what_is_has_a_fix() {
        let level = |finding: Option<Finding>| finding.map(|it| it.line()[..4].trim().to_owned());
        assert_eq!(level(nested(false, false)), None);
        assert_eq!(level(nested(true, false)).as_deref(), Some("ok"));
        assert_eq!(level(nested(true, true)).as_deref(), Some("warn"));
        assert_eq!(level(as_root(false, false)), None);
        assert_eq!(level(as_root(true, true)).as_deref(), Some("ok"));
        assert_eq!(level(as_root(true, false)).as_deref(), Some("warn"));
    }
}
