//! Any order of legal calls is answered: on one connection, on several, in batches, in the middle of a resume.

use cc_tests::{
    Client, Options, Supervisor,
    client::{Incoming, Session},
    http,
    random::Random,
    requests::task_id,
    wait_until,
};
use serde_json::{Value, json};

/// Panics of this supervisor so far.
fn panics(supervisor: &Supervisor) -> String {
    let page = http::get(supervisor.address(), "/metrics", &[]).body;
    let line = page.lines().find(|line| line.starts_with("cc_executor_panics_total"));
    line.expect("panics are counted").to_owned()
}

/// Sessions that are not over, with a connection or without.
fn sessions(supervisor: &Supervisor) -> u64 {
    let page = http::get(supervisor.address(), "/metrics", &[]).body;
    let count = |line: &str| line.rsplit_once(' ')?.1.parse::<u64>().ok();
    page.lines().filter(|line| line.starts_with("cc_executor_sessions{")).filter_map(count).sum()
}

fn assert_no_panics(supervisor: &Supervisor) {
    assert_eq!(panics(supervisor), "cc_executor_panics_total 0", "{}", supervisor.log());
}

#[test]
fn a_task_that_is_over_can_be_attached_to_before_the_next_one_is_started() {
    let supervisor = Supervisor::start(&Options::new().flag("--resume-grace", 1));
    let mut client = supervisor.connect();
    for _ in 0..3 {
        let transcript = client.run_shell("echo first");
        assert_eq!(client.watch(transcript.task_id(), 0), transcript.events);
        assert_eq!(client.run_shell("echo second").stdout(), "second\n");
    }
    client.vanish();
    wait_until("the session is over after its grace period", || sessions(&supervisor) == 0);
    assert_no_panics(&supervisor);
}

#[test]
fn what_is_detached_in_the_message_that_attached_it_is_not_sent() {
    let supervisor = Supervisor::start_default();
    let transcript = supervisor.connect().run_shell("echo heard by nobody else");
    let named = json!({"task_id": transcript.task_id()});
    let call = |id: u64, method: &str| json!({"jsonrpc": "2.0", "id": id, "method": method, "params": named});
    let mut client = supervisor.connect();
    let batch = json!([call(1, "task.attach"), call(2, "task.detach")]);
    let answers = client.ask(&batch.to_string());
    assert_eq!(answers[1]["result"]["status"], "detached", "{answers}");
    let ping = client.ask(&json!({"jsonrpc": "2.0", "id": 3, "method": "ping"}).to_string());
    assert_eq!(ping["id"], 3, "{ping}");
    client.assert_alive();
}

#[test]
fn a_message_that_attaches_twice_to_a_task_that_is_over_is_answered() {
    let supervisor = Supervisor::start_default();
    let mut client = supervisor.connect();
    let transcript = client.run_shell("echo once");
    let named = json!({"task_id": transcript.task_id()});
    let call =
        |id: u64| json!({"jsonrpc": "2.0", "id": id, "method": "task.attach", "params": named});
    let answers = client.ask(&json!([call(1), call(2)]).to_string());
    assert_eq!(answers[0]["result"]["task_id"], transcript.task_id(), "{answers}");
    assert_eq!(answers[1]["error"]["data"]["field"], "task_id", "{answers}");
    let events = client.recv_until_method("process.completed");
    let output = events.iter().filter(|event| event["method"] == "process.output").count();
    assert_eq!(output, 1, "{events:?}");
}

#[test]
fn a_message_that_cancels_a_task_and_then_needs_its_end_is_answered() {
    let supervisor = Supervisor::start_default();
    let mut client = supervisor.connect();
    let other =
        supervisor.connect().execute(&json!({"command": "sleep 30", "detach": true})).unwrap();
    for number in 0..10 {
        let answer = client.execute(&json!({"command": "true"})).unwrap();
        supervisor.connect().wait_for_end(task_id(&answer));
        let control = if number % 2 == 0 { "task.pause" } else { "task.resume" };
        let batch = json!([
            {"jsonrpc": "2.0", "id": 1, "method": control, "params": {"task_id": task_id(&other)}},
            {"jsonrpc": "2.0", "id": 2, "method": "task.attach", "params": {"task_id": task_id(&answer)}},
            {"jsonrpc": "2.0", "id": 3, "method": "execute", "params": {"command": "true"}},
        ]);
        client.send_text(&batch.to_string());
        // What the calls have waited for comes before their answers.
        let answers = std::iter::repeat_with(|| client.recv_json()).find(Value::is_array).unwrap();
        let answers = answers.as_array().unwrap();
        assert!(answers.iter().all(|answer| answer.get("result").is_some()), "{answers:?}");
        let started = task_id(&answers[2]["result"]);
        let is_end = |event: &Value| {
            event["method"] == "process.completed" && task_id(&event["params"]) == started
        };
        assert!(std::iter::repeat_with(|| client.recv_json()).any(|event| is_end(&event)));
    }
    supervisor.connect().by_id("task.cancel", task_id(&other)).unwrap();
}

/// One client that calls what comes to its mind, and what it knows.
struct Caller<'a> {
    supervisor: &'a Supervisor,
    random: Random,
    client: Option<Client>,
    /// Sessions that it has had, with a task or without.
    sessions: Vec<Session>,
    tasks: Vec<String>,
}

impl<'a> Caller<'a> {
    fn new(supervisor: &'a Supervisor, seed: u64) -> Self {
        let random = Random::new(seed);
        Self { supervisor, random, client: None, sessions: Vec::new(), tasks: Vec::new() }
    }

    fn task(&mut self) -> Value {
        match &self.tasks[..] {
            [] => json!({"task_id": "0199f3a2-8001-7abc-9def-0123456789ab"}),
            tasks => json!({"task_id": self.random.pick(tasks)}),
        }
    }

    fn call(&mut self) -> (&'static str, Value) {
        let command = *self.random.pick(&["true", "echo 1; echo 2", "sleep 0.1", "sleep 30"]);
        match self.random.below(15) {
            0..3 => ("execute", json!({"command": command})),
            3 => ("execute", json!({"command": command, "detach": true, "timeout": 5})),
            4 => ("execute", json!({"argv": ["/no/such/program"]})),
            5 => ("control", json!({"type": self.random.pick(&["cancel", "pause", "resume"])})),
            6 | 7 => ("task.attach", self.task()),
            8 => ("task.detach", self.task()),
            9 => ("task.cancel", self.task()),
            10 => ("task.output", self.task()),
            11 => ("session.configure", json!({"output_batch": self.random.below(2) == 0})),
            12 | 13 if !self.sessions.is_empty() => {
                let session = self.random.pick(&self.sessions);
                ("session.resume", json!({"session_id": session.id, "resume_token": session.token}))
            }
            14 if self.random.below(4) == 0 => ("session.close", json!({})),
            _ => ("task.list", json!({"limit": 3})),
        }
    }

    /// Makes one call, or several in one message, or ends the connection.
    fn step(&mut self) {
        if self.client.is_none() {
            let client = self.supervisor.connect();
            self.sessions.push(client.session());
            self.client = Some(client);
        }
        let count = [1, 1, 1, 2, 4][usize::try_from(self.random.below(5)).unwrap()];
        let calls: Vec<(&str, Value)> = (0..count).map(|_| self.call()).collect();
        let is_lost = self.random.below(20) == 0;
        let Some(client) = &mut self.client else { return };
        let outcome = match &calls[..] {
            [(method, params)] => client.try_call(method, params).map(|outcome| vec![outcome]),
            calls => {
                let call = |(id, (method, params)): (usize, &(&str, Value))| json!({"jsonrpc": "2.0", "id": format!("b{id}"), "method": method, "params": params});
                let batch: Vec<Value> = calls.iter().enumerate().map(call).collect();
                client.send_text(&json!(batch).to_string());
                Some(Vec::new())
            }
        };
        for result in outcome.iter().flatten().flatten() {
            if let Some(id) = result["task_id"].as_str() {
                self.tasks.push(id.to_owned());
            }
        }
        if outcome.is_none()
            || is_lost
            || calls.iter().any(|(method, _)| *method == "session.close")
        {
            self.client = None;
        }
    }
}

#[test]
fn any_sequence_of_legal_calls_is_answered_and_each_accepted_task_ends_once() {
    std::thread::scope(|scope| {
        for seed in 1..=3 {
            scope.spawn(move || call_at_random(seed));
        }
    });
}

fn call_at_random(seed: u64) {
    const CALLERS: u64 = 4;
    const STEPS: usize = 60;
    let options = Options::new().flag("--resume-grace", 1).flag("--grace", 1);
    let supervisor = Supervisor::start(&options);
    std::thread::scope(|scope| {
        for number in 0..CALLERS {
            let supervisor = &supervisor;
            scope.spawn(move || {
                let mut caller = Caller::new(supervisor, seed * CALLERS + number);
                for _ in 0..STEPS {
                    caller.step();
                }
            });
        }
    });
    assert_no_panics(&supervisor);
    wait_until("no session is left", || sessions(&supervisor) == 0);
    assert_all_have_one_end(&supervisor);
    assert_no_panics(&supervisor);
    // No call has waited for what does not come.
    assert!(!supervisor.log().contains("the client has gone"), "{}", supervisor.log());
}

/// Detached tasks end by their timeout, the others with their sessions.
fn assert_all_have_one_end(supervisor: &Supervisor) {
    let mut client = supervisor.connect();
    let mut before = Value::Null;
    let mut count = 0;
    loop {
        let mut params = json!({"limit": 100});
        if !before.is_null() {
            params["before"] = before;
        }
        let page = client.call("task.list", &params).unwrap();
        let tasks = page["tasks"].as_array().unwrap();
        for task in tasks {
            client.wait_for_end(task_id(task));
            let events = client.watch(task_id(task), 0);
            let ends = events.iter().filter(|event| event["method"] == "process.completed").count();
            assert_eq!(ends, 1, "{task}");
            count += 1;
        }
        if page["has_more"] == false {
            break;
        }
        before = tasks.last().unwrap()["task_id"].clone();
    }
    assert!(count > 20, "only {count} tasks");
}

#[test]
fn two_connections_that_resume_a_session_at_once_share_it_in_turn_and_none_is_left() {
    let supervisor = Supervisor::start(&Options::new().flag("--resume-grace", 1));
    let mut first = supervisor.connect();
    let session = first.session();
    let answer = first.execute(&json!({"command": "sleep 2; echo done"})).unwrap();
    first.vanish();
    std::thread::scope(|scope| {
        for _ in 0..8 {
            let (supervisor, session) = (&supervisor, &session);
            scope.spawn(move || {
                for _ in 0..20 {
                    let mut client = supervisor.connect();
                    drop(client.try_resume(session, None));
                }
            });
        }
    });
    let mut last = Client::resumed(supervisor.address(), &session, None);
    let events = last.recv_until_method("process.completed");
    assert_eq!(task_id(&events.last().unwrap()["params"]), task_id(&answer));
    last.vanish();
    wait_until("no session is left", || sessions(&supervisor) == 0);
    assert_no_panics(&supervisor);
}

#[test]
fn a_connection_that_ends_in_the_middle_of_a_long_message_leaves_nothing() {
    let supervisor = Supervisor::start(&Options::new().flag("--resume-grace", 0));
    for bytes in [10, 70_000, 3_000_000] {
        let mut client = supervisor.connect();
        let frame = cc_tests::frames::frame(cc_tests::frames::TEXT, &vec![b' '; bytes]);
        client.send_bytes(&frame[..frame.len() / 2]).unwrap();
        client.vanish();
    }
    wait_until("no session is left", || sessions(&supervisor) == 0);
    let mut client = supervisor.connect();
    client.assert_alive();
    assert!(!matches!(client.recv_within(std::time::Duration::ZERO), Some(Incoming::Ended)));
}
