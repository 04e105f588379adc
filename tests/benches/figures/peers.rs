//! Whom we are measured against: programs that are found here, or left out by name.

use std::{
    io::{BufRead, BufReader, Read},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    path::PathBuf,
    process::{Child, ChildStdin, Command, ExitCode, Stdio},
};

use cc_tests::{messages_api::real_cli::CLI_VARIABLE, wait_until};
use tokio_tungstenite::accept_async;

use crate::machine::version;

/// Names a `cc-worker` that is linked statically; cargo cannot build it together with the rest.
const STATIC_WORKER_VARIABLE: &str = "CC_TEST_STATIC_WORKER";
/// Why a row of it is left out.
pub const NO_STATIC_WORKER: &str = "CC_TEST_STATIC_WORKER does not name a program";

/// The peers that are installed.
pub struct Peers {
    /// Turns every program into a WebSocket server, a process a connection.
    pub websocketd: Option<PathBuf>,
    /// The Claude Code CLI.
    pub claude: Option<PathBuf>,
    /// Our own worker in its other build.
    pub static_worker: Option<PathBuf>,
}

impl Peers {
    /// Looks for them: on the `PATH`, the CLI first where the suites look for it.
    pub fn find() -> Self {
        let claude = std::env::var_os(CLI_VARIABLE).map(PathBuf::from);
        let static_worker = std::env::var_os(STATIC_WORKER_VARIABLE).map(PathBuf::from);
        Self {
            websocketd: on_path("websocketd"),
            claude: claude.or_else(|| on_path("claude")),
            static_worker: static_worker.filter(|program| program.is_file()),
        }
    }

    /// Name and version of each.
    pub fn versions(&self) -> Vec<(&'static str, String)> {
        let told = |path: &Option<PathBuf>| match path {
            Some(path) => version(&path.to_string_lossy(), "--version"),
            None => "not installed, left out".to_owned(),
        };
        vec![
            ("websocketd", told(&self.websocketd)),
            ("claude", told(&self.claude)),
            ("static worker", told(&self.static_worker)),
        ]
    }
}

fn on_path(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|place| place.join(name)).find(|file| file.is_file())
}

/// A server in a process of its own, for as long as this lives.
pub struct Server {
    /// Where it listens.
    pub address: SocketAddr,
    child: Child,
    _stdin: Option<ChildStdin>,
}

impl Server {
    /// websocketd, running this program once for each connection.
    pub fn websocketd(program: &PathBuf, argv: &[&str]) -> Self {
        // It cannot choose a free port itself.
        let probe = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = probe.local_addr().unwrap();
        drop(probe);
        let mut command = Command::new(program);
        command.arg("--address=127.0.0.1").arg(format!("--port={}", address.port()));
        command.arg("--loglevel=fatal").args(argv);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let child = command.spawn().unwrap();
        let server = Self { address, child, _stdin: None };
        wait_until("websocketd listens", || TcpStream::connect(address).is_ok());
        server
    }

    /// tokio-tungstenite as it comes: see [`tungstenite_defaults`].
    pub fn tungstenite() -> Self {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.arg("--peer-tungstenite").stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let stdin = child.stdin.take();
        Self { address: line.trim_end().parse().unwrap(), child, _stdin: stdin }
    }

    /// Its process.
    pub fn pid(&self) -> i32 {
        self.child.id().cast_signed()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// What this program is when it is started as a peer: a WebSocket server on tokio-tungstenite with its
/// default configuration, which keeps every connection and reads from it. Says where it listens, and
/// ends with its standard input.
pub fn tungstenite_defaults() -> ExitCode {
    std::thread::spawn(|| {
        drop(std::io::stdin().read(&mut [0]));
        std::process::exit(0);
    });
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        println!("{}", listener.local_addr().unwrap());
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            tokio::spawn(async move {
                use futures_util::StreamExt;
                let Ok(mut socket) = accept_async(stream).await else { return };
                while let Some(Ok(_)) = socket.next().await {}
            });
        }
    })
}
