//! A network that fails on purpose: a TCP proxy in the test's process that cuts its connections at a
//! given byte, or on request.
//!
//! A cut at a byte lands wherever that byte is: in the middle of a frame, of a header, of a
//! character. One thread a connection owns both of its sockets, so that a reset is one.

use std::{
    collections::VecDeque,
    io::{ErrorKind, PipeReader, PipeWriter, Read, Write},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    os::fd::{AsFd, BorrowedFd},
    sync::{Arc, Mutex},
    thread::JoinHandle,
    time::Duration,
};

use rustix::event::{PollFd, PollFlags, poll};

/// How a connection is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// Both sides get a reset: a crashed peer, a firewall that has forgotten.
    Reset,
    /// Both sides get the end of the stream: a killed peer, an orderly proxy.
    Finish,
    /// Nothing moves any more, without an end or a reset: a pulled cable, a closed lid.
    Silence,
}

impl Cut {
    pub const ALL: [Self; 3] = [Self::Reset, Self::Finish, Self::Silence];
}

/// A proxy before one server. Dropped, it cuts what is left.
pub struct Proxy {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
    wake: PipeWriter,
    listener: Option<JoinHandle<()>>,
}

/// What the proxy and its threads share.
#[derive(Default)]
struct State {
    /// For connections that are still to come, in their order: cut after so many bytes to the client.
    plans: VecDeque<(u64, Cut)>,
    connections: Vec<Connection>,
    accepted: usize,
    is_over: bool,
}

/// One connection: its thread, and the pipe by which that gets its orders.
struct Connection {
    orders: PipeWriter,
    thread: JoinHandle<()>,
}

impl Proxy {
    #[must_use]
    pub fn start(target: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(Mutex::new(State::default()));
        let (woken, wake) = std::io::pipe().unwrap();
        let shared = Arc::clone(&state);
        let thread = std::thread::spawn(move || accept(&listener, &woken, target, &shared));
        Self { address, state, wake, listener: Some(thread) }
    }

    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// For `ccx --url`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("ws://{}/ws/mcp", self.address)
    }

    /// Plans a cut for a connection that is still to come: the next one that has no plan yet. It is
    /// cut after so many bytes from the server to the client, the handshake's among them.
    pub fn plan(&self, bytes: u64, cut: Cut) {
        self.state.lock().unwrap().plans.push_back((bytes, cut));
    }

    /// Cuts every connection that there is now, and returns when that is done.
    pub fn cut(&self, cut: Cut) {
        let connections = std::mem::take(&mut self.state.lock().unwrap().connections);
        let mut silenced = Vec::new();
        for mut connection in connections {
            // Fails when the connection has ended by itself.
            drop(connection.orders.write_all(&[cut as u8]));
            if cut == Cut::Silence {
                silenced.push(connection);
            } else {
                connection.thread.join().unwrap();
            }
        }
        // They must be ended some time.
        self.state.lock().unwrap().connections.append(&mut silenced);
    }

    #[must_use]
    pub fn accepted(&self) -> usize {
        self.state.lock().unwrap().accepted
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.state.lock().unwrap().is_over = true;
        drop(self.wake.write_all(b"."));
        if let Some(listener) = self.listener.take() {
            drop(listener.join());
        }
        self.cut(Cut::Reset);
    }
}

fn accept(listener: &TcpListener, woken: &PipeReader, target: SocketAddr, state: &Mutex<State>) {
    loop {
        wait(&mut [(listener.as_fd(), PollFlags::IN), (woken.as_fd(), PollFlags::IN)]);
        if state.lock().unwrap().is_over {
            return;
        }
        let (client, _) = listener.accept().unwrap();
        // No server there: the client is turned away, as it would be without a proxy.
        let Ok(server) = TcpStream::connect(target) else {
            close(client, Cut::Reset);
            continue;
        };
        let (orders_read, orders) = std::io::pipe().unwrap();
        let mut state = state.lock().unwrap();
        let plan = state.plans.pop_front();
        state.accepted += 1;
        let thread = std::thread::spawn(move || serve(client, server, &orders_read, plan));
        state.connections.push(Connection { orders, thread });
    }
}

/// One direction of a connection: what has been read and not yet written.
#[derive(Default)]
struct Direction {
    pending: Vec<u8>,
    is_finished: bool,
}

/// Forwards until an end, a cut or an order.
fn serve(client: TcpStream, server: TcpStream, orders: &PipeReader, plan: Option<(u64, Cut)>) {
    for stream in [&client, &server] {
        stream.set_nonblocking(true).unwrap();
        stream.set_nodelay(true).unwrap();
    }
    let (mut up, mut down) = (Direction::default(), Direction::default());
    let mut left = plan.map(|(bytes, _)| bytes);
    loop {
        let interest = |reads: &Direction, writes: &Direction| {
            let mut flags = PollFlags::empty();
            flags.set(PollFlags::IN, reads.pending.is_empty() && !reads.is_finished);
            flags.set(PollFlags::OUT, !writes.pending.is_empty());
            flags
        };
        let ready = wait(&mut [
            (client.as_fd(), interest(&up, &down)),
            (server.as_fd(), interest(&down, &up)),
            (orders.as_fd(), PollFlags::IN),
        ]);
        if ready[2] {
            return obey(orders, client, server);
        }
        let is_alive = forward(&mut up, &client, &server, &mut None).is_ok()
            && forward(&mut down, &server, &client, &mut left).is_ok();
        if let (Some(0), Some((_, cut))) = (left, plan) {
            return end(cut, client, server, orders);
        }
        if !is_alive || (up.is_finished && down.is_finished) {
            return;
        }
    }
}

/// Moves what can be moved without waiting, at most so many bytes.
fn forward(
    direction: &mut Direction,
    mut from: &TcpStream,
    mut to: &TcpStream,
    left: &mut Option<u64>,
) -> std::io::Result<()> {
    if direction.pending.is_empty() && !direction.is_finished {
        let mut buffer = [0; 16 * 1024];
        match from.read(&mut buffer) {
            Ok(0) => {
                direction.is_finished = true;
                drop(to.shutdown(Shutdown::Write));
            }
            Ok(count) => direction.pending.extend_from_slice(&buffer[..count]),
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(error),
        }
    }
    let most = left.map_or(usize::MAX, |left| usize::try_from(left).unwrap());
    let length = direction.pending.len().min(most);
    match to.write(&direction.pending[..length]) {
        Ok(count) => {
            direction.pending.drain(..count);
            *left = left.map(|left| left - count as u64);
            Ok(())
        }
        Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(()),
        Err(error) => Err(error),
    }
}

/// Reads one order: a [`Cut`] as a byte, or the end, which comes when the test is over.
fn obey(mut orders: &PipeReader, client: TcpStream, server: TcpStream) {
    let mut order = [0];
    let count = orders.read(&mut order).unwrap();
    let ordered = Cut::ALL.into_iter().find(|cut| count == 1 && *cut as u8 == order[0]);
    end(ordered.unwrap_or(Cut::Reset), client, server, orders);
}

fn end(cut: Cut, client: TcpStream, server: TcpStream, orders: &PipeReader) {
    if cut == Cut::Silence {
        wait(&mut [(orders.as_fd(), PollFlags::IN)]);
        return obey(orders, client, server);
    }
    close(client, cut);
    close(server, cut);
}

fn close(mut stream: TcpStream, cut: Cut) {
    match cut {
        Cut::Reset | Cut::Silence => {
            rustix::net::sockopt::set_socket_linger(&stream, Some(Duration::ZERO)).unwrap();
        }
        Cut::Finish => {
            // What has arrived is read: unread bytes would make it a reset.
            drop(stream.shutdown(Shutdown::Write));
            let mut buffer = [0; 16 * 1024];
            while stream.read(&mut buffer).is_ok_and(|count| count > 0) {}
        }
    }
}

/// Waits until one of them is ready; says which are.
fn wait(interests: &mut [(BorrowedFd<'_>, PollFlags)]) -> Vec<bool> {
    let mut descriptors: Vec<PollFd<'_>> = interests
        .iter()
        .map(|(descriptor, flags)| PollFd::from_borrowed_fd(*descriptor, *flags))
        .collect();
    match poll(&mut descriptors, None) {
        Ok(_) | Err(rustix::io::Errno::INTR) => {}
        Err(error) => panic!("cannot wait: {error}"),
    }
    descriptors.iter().map(|descriptor| !descriptor.revents().is_empty()).collect()
}
