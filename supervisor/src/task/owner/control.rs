//! What others ask of a task, and the answers.

use cc_link::control::Control;
use rustix::process::Signal;
use tokio::sync::oneshot;

use crate::{
    ops::uptime,
    task::{
        ControlReply, Request,
        owner::{DeadWorker, Owner},
        state::{Effect, Input, transition},
    },
    worker::{link::Worker, process::ProcessHandle},
};

impl Owner {
    pub(super) fn on_request(&mut self, request: Request, worker: &Worker) {
        let input = match &request {
            Request::Pause(_) => Input::Pause,
            Request::Resume(_) => Input::Resume,
            Request::Cancel(reason, _) => Input::Cancel(*reason),
            Request::Kill(reason) => Input::Kill(*reason),
        };
        let (state, effect) = transition(self.state, input);
        self.state = state;
        self.is_canceled |= matches!(input, Input::Cancel(_));
        self.show_progress();
        match effect {
            Effect::TellPause => worker.tell(&Control::Pause),
            Effect::TellResume => worker.tell(&Control::Resume),
            Effect::TellCancel(reason) => {
                self.watchdog.ending(uptime::now());
                self.refuse_waiting();
                let told = match request {
                    Request::Cancel(_, told) => told,
                    Request::Pause(_) | Request::Resume(_) | Request::Kill(_) => None,
                };
                worker.tell_for(&Control::Cancel { reason }, told);
                return;
            }
            Effect::TellKill(reason) => {
                self.watchdog.killing(uptime::now());
                self.refuse_waiting();
                worker.tell(&Control::Kill { reason });
            }
            Effect::None
            | Effect::AlreadySo
            | Effect::UnderWay
            | Effect::Refuse
            | Effect::Violation => {}
        }
        let (Request::Pause(sender) | Request::Resume(sender) | Request::Cancel(_, Some(sender))) =
            request
        else {
            return;
        };
        match (effect, input) {
            (Effect::AlreadySo, _) => answer(&mut vec![sender], ControlReply::Done),
            (Effect::TellPause | Effect::UnderWay, Input::Pause) => self.pausing.push(sender),
            (Effect::TellResume | Effect::UnderWay, _) => self.resuming.push(sender),
            _ => answer(&mut vec![sender], ControlReply::NotRunning),
        }
    }

    /// Waits for a worker that an earlier supervisor started and that cannot be talked to; then the log decides.
    pub async fn watch_from_afar(mut self, process: ProcessHandle) {
        loop {
            tokio::select! {
                Some(request) = self.side.requests.recv() => match request {
                    Request::Pause(sender) | Request::Resume(sender) => {
                        answer(&mut vec![sender], ControlReply::NotRunning);
                    }
                    Request::Cancel(reason, told) => {
                        self.state = transition(self.state, Input::Ending(reason)).0;
                        self.is_canceled = true;
                        self.show_progress();
                        process.signal(Signal::TERM);
                        answer(&mut told.into_iter().collect(), ControlReply::Done);
                    }
                    Request::Kill(_) => process.signal(Signal::KILL),
                },
                () = process.ended() => break,
            }
        }
        self.end_lost(DeadWorker { pid: Some(process.pid()), known: Vec::new() }, None).await;
    }

    /// Whoever waits for a pause or a resume that will not be.
    pub(super) fn refuse_waiting(&mut self) {
        answer(&mut self.pausing, ControlReply::NotRunning);
        answer(&mut self.resuming, ControlReply::NotRunning);
    }
}

/// Answers all that wait.
pub(super) fn answer(waiting: &mut Vec<oneshot::Sender<ControlReply>>, with: ControlReply) {
    for sender in waiting.drain(..) {
        // A session that has stopped waiting does not care.
        sender.send(with).ok();
    }
}
