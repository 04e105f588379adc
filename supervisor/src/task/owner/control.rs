//! What others ask of a task, and the answers.

use cc_link::control::Control;
use rustix::process::Signal;

use crate::{
    ops::uptime,
    task::{
        handle::{ControlReply, Request},
        owner::{Owner, replies::answer},
        state::{Effect, Input, transition},
        worker_lost::{Failure, LostWorker},
    },
    worker::{
        link::{OnWritten, Worker},
        process::ProcessHandle,
    },
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
        self.show_status();
        match effect {
            Effect::TellPause => worker.tell(&Control::Pause),
            Effect::TellResume => worker.tell(&Control::Resume),
            Effect::TellCancel(reason) => {
                self.watchdog.ending(uptime::now());
                self.refuse_waiting();
                worker.tell_then(&Control::Cancel { reason }, reply_when_written(request));
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
            (Effect::AlreadySo, _) => answer(sender, ControlReply::Done),
            (Effect::TellPause | Effect::UnderWay, Input::Pause) => self.pausing.push(sender),
            (Effect::TellResume | Effect::UnderWay, _) => self.resuming.push(sender),
            _ => answer(sender, ControlReply::NotRunning),
        }
    }

    /// Follows a task whose worker lives but cannot be adopted: waits until the worker exits; then its log says how the
    /// task ended. Without a link to the worker, signals are all that it can be sent.
    pub(crate) async fn watch_from_afar(mut self, process: ProcessHandle) {
        self.side.worker.change(|facts| facts.pid = Some(process.pid()));
        loop {
            tokio::select! {
                Some(request) = self.side.requests.recv() => match request {
                    Request::Pause(sender) | Request::Resume(sender) => {
                        answer(sender, ControlReply::NotRunning);
                    }
                    Request::Cancel(reason, sender) => {
                        self.state = transition(self.state, Input::Ending(reason)).0;
                        self.is_canceled = true;
                        self.show_status();
                        process.signal(Signal::TERM);
                        if let Some(sender) = sender {
                            answer(sender, ControlReply::Done);
                        }
                    }
                    Request::Kill(_) => process.signal(Signal::KILL),
                },
                () = process.ended() => break,
            }
        }
        let worker = LostWorker { pid: Some(process.pid()), descendants: Vec::new() };
        self.end_lost(Failure::Died, worker, None).await;
    }

    /// Answers the pauses and resumes that wait for a confirmation which will not come.
    pub(super) fn refuse_waiting(&mut self) {
        self.pausing.answer_all(ControlReply::NotRunning);
        self.resuming.answer_all(ControlReply::NotRunning);
    }
}

/// A cancel is answered when it is in the worker's pipe: from then on the task ends even if this supervisor dies.
fn reply_when_written(request: Request) -> Option<OnWritten> {
    match request {
        Request::Cancel(_, Some(sender)) => {
            Some(Box::new(move || answer(sender, ControlReply::Done)))
        }
        Request::Cancel(_, None) | Request::Pause(_) | Request::Resume(_) | Request::Kill(_) => {
            None
        }
    }
}
