//! What a service manager hears: that clients are served, that the event loop turns, what is done, and the stop.

use std::{os::unix::net::UnixDatagram, path::Path};

use cc_tests::{Follower, Options, PATIENCE, Supervisor, fifo::Fifo, requests::pour};

struct Notifications {
    socket: UnixDatagram,
}

impl Notifications {
    fn listen(path: &Path) -> Self {
        let socket = UnixDatagram::bind(path).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        Self { socket }
    }

    /// The next one that has this line, or one that begins so.
    fn next_with(&self, part: &str) -> String {
        let mut buffer = [0; 4096];
        loop {
            let length = self.socket.recv(&mut buffer).unwrap_or_else(|_| panic!("no {part}"));
            let text = String::from_utf8_lossy(&buffer[..length]).into_owned();
            if text.lines().any(|line| line.starts_with(part)) {
                return text;
            }
        }
    }

    /// What has come already.
    fn drain(&self) {
        self.socket.set_nonblocking(true).unwrap();
        while self.socket.recv(&mut [0; 4096]).is_ok() {}
        self.socket.set_nonblocking(false).unwrap();
    }
}

#[test]
fn the_watchdog_is_fed_while_the_loop_turns_and_not_while_it_does_not() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("notify");
    let manager = Notifications::listen(&path);
    let options = Options::new().env("NOTIFY_SOCKET", path.display()).env("WATCHDOG_USEC", 400_000);
    let mut supervisor = Supervisor::start(&options);
    assert!(manager.next_with("READY=1").contains("STATUS="));
    for _ in 0..3 {
        manager.next_with("WATCHDOG=1");
    }
    supervisor.signal(rustix::process::Signal::STOP);
    manager.drain();
    manager.socket.set_read_timeout(Some(std::time::Duration::from_secs(1))).unwrap();
    assert!(manager.socket.recv(&mut [0; 4096]).is_err(), "nothing comes from a loop that hangs");
    supervisor.signal(rustix::process::Signal::CONT);
    manager.socket.set_read_timeout(Some(PATIENCE)).unwrap();
    manager.next_with("WATCHDOG=1");

    let mut stop = Fifo::create();
    let follower = Follower::start_until(&supervisor, &pour(&stop), "poured");
    assert!(manager.next_with("STATUS=1 task").contains("1 session"));
    stop.release();
    drop(follower.finish(&supervisor));
    manager.next_with("STATUS=0 tasks");
    assert!(supervisor.stop().success());
    manager.next_with("STOPPING=1");
}
