//! The states of a task as its owner sees them, and every way from one to the next.
//!
//! ```text
//!              started                    ending, or a request to end
//!   Starting ───────────▶ Running{motion} ───────────────────────────▶ Ending{reason} ──┐
//!      │ │                     │                                          ▲              │ completed
//!      │ └─────────────────────┼──────── ending, or a request to end ─────┘              │ or lost
//!      │ completed or lost     │ completed or lost                                       ▼
//!      └───────────────────────┴─────────────────────────────────────────────────────▶ Done
//!
//!   motion:  Moving ──pause──▶ Stopping ──paused──▶ Stopped ──resume──▶ Continuing ──resumed──▶ Moving
//! ```
//! Requests come from sessions, batches and the shutdown, the other inputs from the worker. One pure, total function without
//! I/O and time. Called by [`crate::task::owner`] alone.

use cc_events::EndReason;

/// Where a task is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// The worker has its spec, or is about to get it.
    Starting,
    /// The main process runs.
    Running { motion: Motion },
    /// It is being ended.
    Ending {
        reason: EndReason,
        /// SIGKILL was asked for.
        is_killing: bool,
    },
    /// There is a terminal event.
    Done,
}

impl State {
    /// The state of a task whose worker was adopted, as the worker reports it.
    #[must_use]
    pub(crate) fn of_adopted(is_paused: bool, ending: Option<EndReason>) -> Self {
        match (ending, is_paused) {
            (Some(reason), _) => Self::Ending { reason, is_killing: false },
            (None, true) => Self::Running { motion: Motion::Stopped },
            (None, false) => Self::Running { motion: Motion::Moving },
        }
    }
}

/// Whether a running task's tree is stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Motion {
    Moving,
    /// The worker has the order to stop it.
    Stopping,
    Stopped,
    /// The worker has the order to continue it.
    Continuing,
}

/// What can happen to a task: a request, a record of its worker, or the loss of the worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Input {
    Pause,
    Resume,
    Cancel(EndReason),
    Kill(EndReason),
    /// The worker: the main process runs.
    Started,
    /// The worker: the tree is stopped.
    Paused,
    /// The worker: the tree runs again.
    Resumed,
    /// The worker: it has begun to end the task.
    Ending(EndReason),
    /// The worker: the terminal event.
    Completed,
    /// The worker is gone, or was given up.
    Lost,
}

/// What the owner has to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Effect {
    None,
    /// Send the worker the order; the same for the next three.
    TellPause,
    TellResume,
    TellCancel(EndReason),
    TellKill(EndReason),
    /// The request is fulfilled already.
    AlreadySo,
    /// The request is being fulfilled already.
    UnderWay,
    /// The request cannot be fulfilled: there is nothing to pause, resume or cancel.
    Refuse,
    /// A worker that works does not send this in this state: treat it as lost.
    Violation,
}

#[must_use]
pub(crate) fn transition(state: State, input: Input) -> (State, Effect) {
    match state {
        State::Starting => starting(input),
        State::Running { motion } => running(motion, input),
        State::Ending { reason, is_killing } => ending(reason, is_killing, input),
        State::Done => (State::Done, done(input)),
    }
}

fn begin_end(reason: EndReason, effect: Effect) -> (State, Effect) {
    let is_killing = matches!(effect, Effect::TellKill(_));
    (State::Ending { reason, is_killing }, effect)
}

fn starting(input: Input) -> (State, Effect) {
    match input {
        Input::Pause | Input::Resume => (State::Starting, Effect::Refuse),
        Input::Cancel(reason) => begin_end(reason, Effect::TellCancel(reason)),
        Input::Kill(reason) => begin_end(reason, Effect::TellKill(reason)),
        Input::Started => (State::Running { motion: Motion::Moving }, Effect::None),
        Input::Paused | Input::Resumed => (State::Starting, Effect::Violation),
        Input::Ending(reason) => begin_end(reason, Effect::None),
        Input::Completed | Input::Lost => (State::Done, Effect::None),
    }
}

fn running(motion: Motion, input: Input) -> (State, Effect) {
    let so = |motion, effect| (State::Running { motion }, effect);
    match (input, motion) {
        (Input::Pause, Motion::Moving | Motion::Continuing) => {
            so(Motion::Stopping, Effect::TellPause)
        }
        (Input::Pause, Motion::Stopping) => so(Motion::Stopping, Effect::UnderWay),
        (Input::Pause, Motion::Stopped) => so(Motion::Stopped, Effect::AlreadySo),
        (Input::Resume, Motion::Stopped | Motion::Stopping) => {
            so(Motion::Continuing, Effect::TellResume)
        }
        (Input::Resume, Motion::Continuing) => so(Motion::Continuing, Effect::UnderWay),
        (Input::Resume, Motion::Moving) => so(Motion::Moving, Effect::AlreadySo),
        (Input::Cancel(reason), _) => begin_end(reason, Effect::TellCancel(reason)),
        (Input::Kill(reason), _) => begin_end(reason, Effect::TellKill(reason)),
        (Input::Started, _) => so(motion, Effect::Violation),
        (Input::Paused, Motion::Moving | Motion::Stopping | Motion::Stopped) => {
            so(Motion::Stopped, Effect::None)
        }
        // The other order has been given meanwhile; its confirmation follows.
        (Input::Paused, Motion::Continuing) => so(Motion::Continuing, Effect::None),
        (Input::Resumed, Motion::Moving | Motion::Continuing | Motion::Stopped) => {
            so(Motion::Moving, Effect::None)
        }
        (Input::Resumed, Motion::Stopping) => so(Motion::Stopping, Effect::None),
        (Input::Ending(reason), _) => begin_end(reason, Effect::None),
        (Input::Completed | Input::Lost, _) => (State::Done, Effect::None),
    }
}

fn ending(reason: EndReason, is_killing: bool, input: Input) -> (State, Effect) {
    let so = |effect| (State::Ending { reason, is_killing }, effect);
    match input {
        Input::Pause | Input::Resume => so(Effect::Refuse),
        Input::Cancel(_) => so(Effect::AlreadySo),
        Input::Kill(_) if is_killing => so(Effect::AlreadySo),
        Input::Kill(wish) => (State::Ending { reason, is_killing: true }, Effect::TellKill(wish)),
        // What was under way when the end began.
        Input::Started | Input::Paused | Input::Resumed | Input::Ending(_) => so(Effect::None),
        Input::Completed | Input::Lost => (State::Done, Effect::None),
    }
}

fn done(input: Input) -> Effect {
    match input {
        Input::Pause | Input::Resume | Input::Cancel(_) | Input::Kill(_) => Effect::Refuse,
        Input::Started | Input::Paused | Input::Resumed | Input::Ending(_) | Input::Completed => {
            Effect::Violation
        }
        Input::Lost => Effect::None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn any_input() -> impl Strategy<Value = Input> {
        let reason = || prop_oneof![Just(EndReason::Canceled), Just(EndReason::SupervisorLost)];
        prop_oneof![
            Just(Input::Pause),
            Just(Input::Resume),
            reason().prop_map(Input::Cancel),
            reason().prop_map(Input::Kill),
            Just(Input::Started),
            Just(Input::Paused),
            Just(Input::Resumed),
            reason().prop_map(Input::Ending),
            Just(Input::Completed),
            Just(Input::Lost),
        ]
    }

    fn rank(state: State) -> u8 {
        match state {
            State::Starting => 0,
            State::Running { .. } => 1,
            State::Ending { .. } => 2,
            State::Done => 3,
        }
    }

    proptest! {
        #[test]
        fn life_goes_forward_only_and_the_first_reason_to_end_stays(
            inputs in proptest::collection::vec(any_input(), 0..40),
        ) {
            let mut state = State::Starting;
            let (mut cancels_told, mut kills_told) = (0, 0);
            for input in inputs {
                let (next, effect) = transition(state, input);
                prop_assert!(rank(next) >= rank(state), "{state:?} {input:?} {next:?}");
                if let (State::Ending { reason, .. }, State::Ending { reason: later, .. }) = (state, next) {
                    prop_assert_eq!(reason, later);
                }
                if state == State::Done {
                    prop_assert_eq!(next, State::Done);
                    prop_assert!(matches!(effect, Effect::Refuse | Effect::Violation | Effect::None));
                }
                cancels_told += u32::from(matches!(effect, Effect::TellCancel(_)));
                kills_told += u32::from(matches!(effect, Effect::TellKill(_)));
                state = next;
            }
            prop_assert!(cancels_told <= 1 && kills_told <= 1, "the worker is told once");
        }

        #[test]
        fn after_a_confirmed_pause_another_pause_tells_the_worker_nothing(
            inputs in proptest::collection::vec(any_input(), 0..20),
        ) {
            let mut state = State::Running { motion: Motion::Moving };
            for input in inputs {
                state = transition(state, input).0;
            }
            if let State::Running { .. } = state {
                let stopped = transition(transition(state, Input::Pause).0, Input::Paused).0;
                prop_assert_eq!(transition(stopped, Input::Pause), (stopped, Effect::AlreadySo));
                let (continuing, effect) = transition(stopped, Input::Resume);
                prop_assert_eq!(effect, Effect::TellResume);
                let moving = transition(continuing, Input::Resumed).0;
                prop_assert_eq!(transition(moving, Input::Resume), (moving, Effect::AlreadySo));
            }
        }
    }

    #[test]
    fn a_worker_that_says_what_cannot_be_is_treated_as_lost() {
        let running = State::Running { motion: Motion::Moving };
        for (state, input) in [
            (State::Starting, Input::Paused),
            (State::Starting, Input::Resumed),
            (running, Input::Started),
            (State::Done, Input::Completed),
            (State::Done, Input::Started),
        ] {
            assert_eq!(transition(state, input).1, Effect::Violation, "{state:?} {input:?}");
        }
    }

    #[test]
    fn an_adopted_task_goes_on_where_it_stood() {
        let paused = State::of_adopted(true, None);
        assert_eq!(transition(paused, Input::Pause), (paused, Effect::AlreadySo));
        assert_eq!(transition(paused, Input::Resume).1, Effect::TellResume);
        let moving = State::of_adopted(false, None);
        assert_eq!(transition(moving, Input::Pause).1, Effect::TellPause);
        for is_paused in [false, true] {
            let ending = State::of_adopted(is_paused, Some(EndReason::Timeout));
            let kill = Input::Kill(EndReason::SupervisorLost);
            assert_eq!(transition(ending, Input::Cancel(EndReason::Canceled)).1, Effect::AlreadySo);
            assert_eq!(transition(ending, kill).1, Effect::TellKill(EndReason::SupervisorLost));
        }
    }

    #[test]
    fn a_cancel_that_overtakes_the_start_is_no_violation() {
        let (state, effect) = transition(State::Starting, Input::Cancel(EndReason::Canceled));
        assert_eq!(effect, Effect::TellCancel(EndReason::Canceled));
        assert_eq!(transition(state, Input::Started).1, Effect::None);
    }
}
