//! Many workers that die at once: every task has its end, and none of it holds up others.

use std::time::{Duration, Instant};

use cc_tests::{
    Options, Supervisor, http, processes,
    requests::{self, task_id},
    unique_tag, wait_until,
};
use rustix::process::Signal;
use serde_json::json;

const WORKERS: usize = 50;
/// What a start may take on a loaded machine.
const START: Duration = Duration::from_secs(5);

#[test]
fn fifty_dead_workers_hold_up_no_start_and_share_their_looks_at_all_processes() {
    let supervisor =
        Supervisor::start(&Options::new().flag("--cgroup", "off").flag("--max-tasks", 200));
    let mut client = supervisor.connect();
    let tag = unique_tag("crowd");
    let command = format!("exec -a {tag} sleep 600");
    let params = json!({"argv": ["bash", "-c", command], "detach": true});
    let answers: Vec<_> = (0..WORKERS).map(|_| client.execute(&params).unwrap()).collect();
    wait_until("all are there", || processes::survivors(&tag).len() == WORKERS);
    let workers: Vec<_> = answers.iter().map(requests::worker).collect();
    for worker in &workers {
        worker.signal(Signal::KILL);
    }
    let mut longest = Duration::ZERO;
    for _ in 0..20 {
        let before = Instant::now();
        assert_eq!(client.run_shell("true").end(), ("exit", 0));
        longest = longest.max(before.elapsed());
    }
    assert!(longest < START, "a task took {longest:?}");
    for answer in &answers {
        let end = client.wait_for_end(task_id(answer));
        assert_eq!(end["verdict"], "worker_died", "{end}");
        let completed = &client.watch(task_id(answer), 0).last().unwrap()["params"].clone();
        assert!(completed["error"].as_str().unwrap().contains("SIGKILL"), "{completed}");
    }
    processes::assert_gone(&tag);
    let metrics = http::get(supervisor.address(), "/metrics", &[]).body;
    let count = |name: &str| -> usize {
        let line = metrics.lines().find(|line| line.starts_with(name)).unwrap();
        line.rsplit(' ').next().unwrap().parse().unwrap()
    };
    assert_eq!(count("cc_executor_workers_lost_total{reason=\"died\"}"), WORKERS);
    assert!(count("cc_executor_sweeps_total") < WORKERS / 2, "{metrics}");
}
