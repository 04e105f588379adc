//! Which scope each method needs: the column of the table of methods that says who may call it.
//!
//! A method that is not listed needs `operate`, so that one that was forgotten is closed and not open.

use cc_protocol::{CallError, Denied, METHODS, Scope};

use crate::{config::tokens::Access, session::handler::Handler};

/// What a method needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Need {
    /// Any token: it is about the client's own connection and session.
    Nothing,
    /// `read`, or `operate`.
    Read,
    /// To end or hold what runs: `run`, or `operate`.
    Control,
    /// `run`: it starts something.
    Run,
    Operate,
}

const NEEDS: &[(&str, Need)] = &[
    ("execute", Need::Run),
    ("control", Need::Control),
    ("session.resume", Need::Nothing),
    ("session.configure", Need::Nothing),
    ("session.close", Need::Nothing),
    ("task.get", Need::Read),
    ("task.list", Need::Read),
    ("task.output", Need::Read),
    ("task.attach", Need::Read),
    ("task.detach", Need::Read),
    ("task.cancel", Need::Control),
    ("task.pause", Need::Control),
    ("task.resume", Need::Control),
    ("batch.submit", Need::Run),
    ("batch.get", Need::Read),
    ("batch.list", Need::Read),
    ("batch.rows", Need::Read),
    ("batch.result", Need::Read),
    ("batch.cancel", Need::Control),
    ("batch.attach", Need::Read),
    ("batch.detach", Need::Read),
    ("batch.resume", Need::Run),
    ("gate.list", Need::Read),
    ("gate.open", Need::Operate),
    ("worker.list", Need::Operate),
    ("worker.restart", Need::Operate),
    ("supervisor.subscribe", Need::Operate),
    ("supervisor.status", Need::Read),
    ("hook_status", Need::Nothing),
    ("ping", Need::Nothing),
    ("pong", Need::Nothing),
];

impl Need {
    fn of(method: &str) -> Self {
        let listed = NEEDS.iter().find(|(name, _)| *name == method);
        match listed {
            Some((_, need)) => *need,
            None if METHODS.contains(&method) => Self::Operate,
            // There is no such method, which the answer says.
            None => Self::Nothing,
        }
    }

    /// The scope that this client lacks for it.
    fn missing(self, access: &Access) -> Option<Scope> {
        let operates = access.has(Scope::Operate);
        let lacks = |scope: Scope| (!access.has(scope)).then_some(scope);
        match self {
            Self::Nothing => None,
            Self::Read => lacks(Scope::Read).filter(|_| !operates),
            Self::Control => lacks(Scope::Run).filter(|_| !operates),
            Self::Run => lacks(Scope::Run),
            Self::Operate => lacks(Scope::Operate),
        }
    }
}

impl Handler {
    /// Looks up what this client may do now, and whether it may call this method.
    ///
    /// # Errors
    /// When its token does not allow it, or was removed.
    pub(super) fn check_scope(&mut self, method: &str) -> Result<(), CallError> {
        let access = self.services.tasks.tokens.access(self.identity.token.as_ref());
        self.access = access.ok_or(Denied::TokenRemoved)?;
        match Need::of(method).missing(&self.access) {
            None => Ok(()),
            Some(scope) => Err(Denied::ScopeMissing { method: method.to_owned(), scope }.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_method_of_the_contract_has_a_row_or_is_the_operators() {
        for method in METHODS {
            let is_listed = NEEDS.iter().any(|(name, _)| *name == method);
            let is_operators = ["supervisor.", "worker."].iter().any(|it| method.starts_with(it));
            assert!(is_listed || is_operators, "{method}");
        }
        for (method, _) in NEEDS {
            assert!(METHODS.contains(method), "{method}");
        }
    }
}
