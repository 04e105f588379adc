//! The states of a session, and every way from one to the next.
//!
//! ```text
//!                 greeted                    lost
//!   Connecting ────────────▶ Connected{c} ──────────▶ Disconnected{since} ──── grace over ──┐
//!       │                      ▲   │                      ▲     │                           │
//!       │                      │   │ resume (c evicted)   │     │ resume                    │
//!       │              resumed │   ▼                      │     ▼                           │
//!       │                      └─ Reconnecting{c} ────────┘ ◀───┘                           │
//!       │                              lost, or the resume failed                           ▼
//!       └──────── lost ───────────────────────────────────────────────────────────────▶ Closed
//!                         close: from every state, at once; lost without a grace period: Closed
//! ```
//! Connections have numbers that never come twice, so that a connection that was evicted cannot speak for
//! the session any more. One pure, total function; it starts nothing and knows no time. Only
//! [`crate::session::registry`] calls it.

/// Tells one connection from all others that this supervisor has had.
pub(crate) type ConnectionNumber = u64;

/// Where a session is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// Its client does not have its id yet.
    Connecting {
        connection: ConnectionNumber,
    },
    Connected {
        connection: ConnectionNumber,
    },
    /// It waits to be resumed.
    Disconnected {
        /// The connection that it had last; it tells one wait from the next.
        since: ConnectionNumber,
    },
    /// A new connection has proved that it may have it; what its client has not received is being looked up.
    Reconnecting {
        connection: ConnectionNumber,
    },
    Closed,
}

impl State {
    /// The connection that speaks for the session.
    #[must_use]
    pub(crate) fn connection(self) -> Option<ConnectionNumber> {
        match self {
            Self::Connecting { connection }
            | Self::Connected { connection }
            | Self::Reconnecting { connection } => Some(connection),
            Self::Disconnected { .. } | Self::Closed => None,
        }
    }
}

/// What can happen to a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Input {
    /// `connected` is queued on this connection.
    Greeted(ConnectionNumber),
    /// This connection has ended.
    Lost(ConnectionNumber),
    /// This connection has proved that it may resume the session.
    Resume(ConnectionNumber),
    /// The answer to the resume is queued on this connection.
    Resumed(ConnectionNumber),
    /// The resume on this connection could not be answered.
    ResumeFailed(ConnectionNumber),
    /// The grace period of the wait since this connection is over.
    GraceOver(ConnectionNumber),
    /// Its client has closed it, or too many sessions wait.
    Close,
}

/// What the registry has to do after a transition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Effect {
    None,
    /// Start the grace period.
    Wait(ConnectionNumber),
    /// Tell this connection that another one has the session.
    Evict(ConnectionNumber),
    /// Cancel its running task, remove the session.
    End,
    /// The session cannot be resumed: it is over.
    Refuse,
}

/// The next state, and what to do. Without a grace period a session that loses its connection is over.
#[must_use]
pub(crate) fn transition(state: State, input: Input, has_grace: bool) -> (State, Effect) {
    let stay = (state, Effect::None);
    match (state, input) {
        (State::Closed, Input::Resume(_)) => (State::Closed, Effect::Refuse),
        (State::Closed, _) => stay,
        (_, Input::Close) => (State::Closed, Effect::End),
        (State::Connecting { connection }, Input::Greeted(by)) if by == connection => {
            (State::Connected { connection }, Effect::None)
        }
        // Its client never had its id, so it cannot be resumed.
        (State::Connecting { connection }, Input::Lost(lost)) if lost == connection => {
            (State::Closed, Effect::End)
        }
        (State::Connected { connection }, Input::Lost(lost)) if lost == connection => {
            wait(connection, has_grace)
        }
        (State::Reconnecting { connection }, Input::Lost(lost) | Input::ResumeFailed(lost))
            if lost == connection =>
        {
            wait(connection, has_grace)
        }
        (State::Reconnecting { connection }, Input::Resumed(by)) if by == connection => {
            (State::Connected { connection }, Effect::None)
        }
        (State::Disconnected { .. }, Input::Resume(connection)) => {
            (State::Reconnecting { connection }, Effect::None)
        }
        (
            State::Connecting { connection: old }
            | State::Connected { connection: old }
            | State::Reconnecting { connection: old },
            Input::Resume(connection),
        ) if old != connection => (State::Reconnecting { connection }, Effect::Evict(old)),
        (State::Disconnected { since }, Input::GraceOver(wait)) if wait == since => {
            (State::Closed, Effect::End)
        }
        // From a connection that has not had the session for long, or a wait that a resume has ended.
        (
            State::Connecting { .. }
            | State::Connected { .. }
            | State::Disconnected { .. }
            | State::Reconnecting { .. },
            Input::Greeted(_)
            | Input::Lost(_)
            | Input::Resume(_)
            | Input::Resumed(_)
            | Input::ResumeFailed(_)
            | Input::GraceOver(_),
        ) => stay,
    }
}

fn wait(connection: ConnectionNumber, has_grace: bool) -> (State, Effect) {
    if has_grace {
        (State::Disconnected { since: connection }, Effect::Wait(connection))
    } else {
        (State::Closed, Effect::End)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn any_input() -> impl Strategy<Value = Input> {
        let connection = || 0u64..5;
        prop_oneof![
            connection().prop_map(Input::Greeted),
            connection().prop_map(Input::Lost),
            connection().prop_map(Input::Resume),
            connection().prop_map(Input::Resumed),
            connection().prop_map(Input::ResumeFailed),
            connection().prop_map(Input::GraceOver),
            Just(Input::Close),
        ]
    }

    proptest! {
        #[test]
        fn a_session_ends_once_and_only_when_it_has_to(
            inputs in proptest::collection::vec(any_input(), 0..60),
            has_grace in any::<bool>(),
        ) {
            let mut state = State::Connecting { connection: 0 };
            let mut ends = 0;
            for input in inputs {
                let (next, effect) = transition(state, input, has_grace);
                prop_assert_eq!(next == State::Closed && state != State::Closed, effect == Effect::End);
                if effect == Effect::End {
                    ends += 1;
                    let is_due = match input {
                        Input::Close => true,
                        Input::GraceOver(wait) => state == State::Disconnected { since: wait },
                        Input::Lost(lost) | Input::ResumeFailed(lost) => {
                            state.connection() == Some(lost)
                                && (!has_grace || matches!(state, State::Connecting { .. }))
                        }
                        Input::Greeted(_) | Input::Resume(_) | Input::Resumed(_) => false,
                    };
                    prop_assert!(is_due, "{:?} ended by {:?}", state, input);
                }
                if state == State::Closed {
                    prop_assert_eq!(next, State::Closed);
                }
                state = next;
            }
            prop_assert!(ends <= 1);
        }

        #[test]
        fn only_the_connection_that_has_the_session_can_lose_it_and_a_resume_evicts_that_one(
            inputs in proptest::collection::vec(any_input(), 0..60),
        ) {
            let mut state = State::Connecting { connection: 0 };
            for input in inputs {
                let (next, effect) = transition(state, input, true);
                match input {
                    Input::Lost(lost) if state.connection() != Some(lost) => {
                        prop_assert_eq!((next, effect), (state, Effect::None));
                    }
                    Input::Resume(by) if state != State::Closed => {
                        prop_assert_eq!(next.connection(), Some(by));
                        match state.connection() {
                            Some(old) if old != by => prop_assert_eq!(effect, Effect::Evict(old)),
                            Some(_) | None => prop_assert_eq!(effect, Effect::None),
                        }
                    }
                    Input::Lost(_)
                    | Input::Resume(_)
                    | Input::Greeted(_)
                    | Input::Resumed(_)
                    | Input::ResumeFailed(_)
                    | Input::GraceOver(_)
                    | Input::Close => {}
                }
                state = next;
            }
        }

        #[test]
        fn every_wait_ends_the_session_unless_it_is_resumed(
            before in proptest::collection::vec(any_input(), 0..40),
            stale in 0u64..5,
        ) {
            let mut state = State::Connecting { connection: 0 };
            for input in before {
                state = transition(state, input, true).0;
            }
            if let State::Disconnected { since } = state {
                prop_assert_eq!(transition(state, Input::GraceOver(since), true).1, Effect::End);
                if stale != since {
                    prop_assert_eq!(transition(state, Input::GraceOver(stale), true).0, state);
                }
                let resumed = transition(state, Input::Resume(9), true).0;
                prop_assert_eq!(
                    transition(resumed, Input::GraceOver(since), true),
                    (resumed, Effect::None)
                );
            }
        }
    }

    #[test]
    fn a_session_over_cannot_be_resumed() {
        assert_eq!(
            transition(State::Closed, Input::Resume(1), true),
            (State::Closed, Effect::Refuse)
        );
    }
}
