//! A worker from before or after: one that no adopter of this version can talk to.

use std::{
    fs::OpenOptions,
    io::{BufRead, BufReader, ErrorKind, Write},
    os::{fd::AsFd, unix::net::UnixListener},
    path::Path,
};

use cc_link::{
    adopt::VersionRange,
    notice::Notice,
    record::{Body, Record},
};
use rustix::event::{PollFd, PollFlags, poll};

/// Listens in place of a real worker and refuses every adopter, until there is something to read in the
/// named pipe.
pub fn worker(socket: &str, stop: &str) {
    // The socket may have a longer name than an address can hold.
    let socket = Path::new(socket);
    std::env::set_current_dir(socket.parent().unwrap()).unwrap();
    match std::fs::remove_file(socket) {
        Err(error) if error.kind() != ErrorKind::NotFound => panic!("cannot remove it: {error}"),
        Ok(()) | Err(_) => {}
    }
    let listener = UnixListener::bind(socket.file_name().unwrap()).unwrap();
    let stop = OpenOptions::new().read(true).write(true).open(stop).unwrap();
    println!("listening");
    loop {
        let mut descriptors = [
            PollFd::from_borrowed_fd(listener.as_fd(), PollFlags::IN),
            PollFd::from_borrowed_fd(stop.as_fd(), PollFlags::IN),
        ];
        poll(&mut descriptors, None).unwrap();
        if !descriptors[1].revents().is_empty() {
            return;
        }
        let (mut stream, _) = listener.accept().unwrap();
        let mut question = String::new();
        BufReader::new(&stream).read_line(&mut question).unwrap();
        let versions = VersionRange { oldest: 4_000, newest: 4_711 };
        let refusal = Notice::AdoptionRefused { versions };
        let mut bytes = Vec::new();
        let record = Record { seq: 0, time_ms: 0, body: Body::Notice(refusal) };
        record.encode(&mut bytes).unwrap();
        stream.write_all(&bytes).unwrap();
    }
}
