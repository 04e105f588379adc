//! A listening socket that a service manager holds outlives every supervisor: nobody who connects is
//! turned away while one is replaced by the next.

use std::{
    net::{SocketAddr, TcpListener},
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    thread,
};

use cc_tests::{
    Client, Follower, Options, Supervisor, binaries::misbehave_argv, fifo::Fifo, http,
    requests::pour, spoken_output::check_poured,
};
use serde_json::{Value, json};

/// A socket of a service manager, and options of supervisors that get it.
fn activated() -> (TcpListener, SocketAddr, Options) {
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    let options = Options::new().flag("--listen", address).listening_on(&socket);
    (socket, address, options)
}

#[test]
fn an_inherited_socket_is_served() {
    let (_socket, address, options) = activated();
    let supervisor = Supervisor::start(&options);
    assert_eq!(supervisor.address(), address);
    let transcript = supervisor.connect().run_to_end(&json!({"argv": misbehave_argv(&["report"])}));
    let report: Value = serde_json::from_str(&transcript.stdout()).unwrap();
    // Neither the socket nor what is said about it is any business of a task.
    for name in ["LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES"] {
        assert_eq!(report["environment"][name], Value::Null, "{report}");
    }
    assert!(!report["descriptors"].to_string().contains("socket"), "{report}");
}

#[test]
fn who_connects_while_there_is_no_supervisor_is_served_by_the_next_one() {
    let (_socket, address, options) = activated();
    let mut supervisor = Supervisor::start(&options);
    let mut stop = Fifo::create();
    let mut follower = Follower::start_until(&supervisor, &pour(&stop), "poured");
    supervisor.leave();
    follower.lose();
    // All of these connect while there is no supervisor, and wait.
    thread::scope(|scope| {
        let early: Vec<_> = (0..20)
            .map(|number| {
                let stream = http::connect(address);
                scope.spawn(move || {
                    let mut client = Client::over_stream(address, stream).unwrap();
                    let greeting = client.recv_json();
                    assert_eq!(greeting["method"], "connected", "{greeting}");
                    let line = format!("early {number}");
                    assert_eq!(client.run_shell(&format!("echo {line}")).stdout(), line + "\n");
                })
            })
            .collect();
        supervisor.start_again(&options);
        for client in early {
            client.join().unwrap();
        }
    });
    follower.come_back(&supervisor);
    stop.release();
    check_poured(&follower.finish(&supervisor).stdout());
}

#[test]
fn no_connection_is_refused_while_supervisors_come_and_go() {
    let (_socket, address, options) = activated();
    let mut supervisor = Supervisor::start(&options);
    let (is_over, served) = (AtomicBool::new(false), AtomicUsize::new(0));
    thread::scope(|scope| {
        let knocking = scope.spawn(|| {
            while !is_over.load(Ordering::Relaxed) {
                // Being refused fails the test; being sent away because of a restart does not.
                let stream = http::connect(address);
                if let Ok(mut client) = Client::over_stream(address, stream)
                    && client.try_call("ping", &json!({})).is_some()
                {
                    served.fetch_add(1, Ordering::Relaxed);
                }
            }
        });
        for _ in 0..10 {
            let before = served.load(Ordering::Relaxed);
            cc_tests::wait_until("somebody is served", || {
                served.load(Ordering::Relaxed) > before + 5 || knocking.is_finished()
            });
            supervisor.leave();
            supervisor.start_again(&options);
        }
        is_over.store(true, Ordering::Relaxed);
    });
    assert!(served.load(Ordering::Relaxed) > 50);
}

#[test]
fn a_kill_keeps_the_socket_too() {
    let (_socket, address, options) = activated();
    let mut supervisor = Supervisor::start(&options);
    supervisor.kill();
    let stream = http::connect(address);
    supervisor.start_again(&options);
    let mut client = Client::over_stream(address, stream).unwrap();
    assert_eq!(client.recv_json()["method"], "connected");
}
