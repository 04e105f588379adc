//! How a test starts its supervisor.

use std::{
    net::TcpListener,
    os::fd::OwnedFd,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::{Arc, Once, atomic::AtomicBool},
};

use crate::binaries;

/// A user that owns nothing here: `nobody` on most systems.
const ORDINARY_USER: u32 = 65_534;

/// Arguments, environment and wrapper of a supervisor.
#[derive(Clone, Debug, Default)]
pub struct Options {
    arguments: Vec<String>,
    environment: Vec<(String, String)>,
    wrapper: Vec<String>,
    user_id: Option<u32>,
    program: Option<PathBuf>,
    socket: Option<Arc<TcpListener>>,
    place: Option<PathBuf>,
}

impl Options {
    /// Nothing but what every test needs: port 0, a state directory of its own, no cgroup.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// An argument with its value.
    #[must_use]
    pub fn flag(mut self, name: &str, value: impl ToString) -> Self {
        self.arguments.extend([name.to_owned(), value.to_string()]);
        self
    }

    /// An argument without a value.
    #[must_use]
    pub fn switch(mut self, name: &str) -> Self {
        self.arguments.push(name.to_owned());
        self
    }

    /// A variable of the supervisor's environment, which otherwise holds only `PATH`, `HOME`, `LANG` and
    /// what keeps it from this machine's configuration files.
    #[must_use]
    pub fn env(mut self, name: &str, value: impl ToString) -> Self {
        self.environment.push((name.to_owned(), value.to_string()));
        self
    }

    /// A program with arguments that executes the supervisor (the rest of its arguments) in its own
    /// place.
    #[must_use]
    pub fn wrapped_in<const N: usize>(mut self, wrapper: [&str; N]) -> Self {
        self.wrapper = wrapper.map(str::to_owned).to_vec();
        self
    }

    /// Runs the supervisor as this user; only root can.
    #[must_use]
    pub fn as_user(mut self, user_id: u32) -> Self {
        let user = format!("--reuid={user_id}");
        let group = format!("--regid={user_id}");
        self.user_id = Some(user_id);
        self.wrapped_in(["setpriv", &user, &group, "--clear-groups"])
    }

    /// Runs the supervisor as an ordinary user. `None`, loudly, where the tests themselves run as one (then
    /// all suites show it), or where one cannot reach the programs.
    #[must_use]
    pub fn of_an_ordinary_user() -> Option<Self> {
        if !nix::unistd::geteuid().is_root() {
            eprintln!("SKIPPED: all suites run as an ordinary user already");
            return None;
        }
        let can_reach = Command::new("setpriv")
            .args(["--reuid=65534", "--regid=65534", "--clear-groups", "test", "-x"])
            .arg(binaries::supervisor())
            .status();
        if !can_reach.is_ok_and(|status| status.success()) {
            eprintln!("SKIPPED: an ordinary user cannot reach the build directory");
            return None;
        }
        Some(Self::new().as_user(ORDINARY_USER))
    }

    /// Where the state directory is made, in a directory of its own. Otherwise among the temporary files.
    #[must_use]
    pub fn in_directory(mut self, place: &Path) -> Self {
        self.place = Some(place.to_owned());
        self
    }

    pub(crate) fn place(&self) -> PathBuf {
        self.place.clone().unwrap_or_else(std::env::temp_dir)
    }

    pub(crate) fn user_id(&self) -> Option<u32> {
        self.user_id
    }

    /// The fixture program as the agent that runs `prompt` tasks.
    #[must_use]
    pub fn fixture_agent(self) -> Self {
        self.flag("--agent", format!("{} agent", binaries::misbehave()))
    }

    /// Hands it this listening socket as a service manager does: as descriptor 3, which it is told of
    /// in its environment.
    #[must_use]
    pub fn listening_on(mut self, socket: &TcpListener) -> Self {
        self.socket = Some(Arc::new(socket.try_clone().unwrap()));
        // It arrives as standard input: descriptors of a test's process are closed in its children.
        self.wrapped_in([
            "sh",
            "-c",
            "LISTEN_PID=$$ LISTEN_FDS=1 exec \"$@\" 3<&0 < /dev/null",
            "sh",
        ])
    }

    /// Another program than the installed `cc-supervisor`: what it is replaced by in an upgrade.
    #[must_use]
    pub fn program(mut self, program: &Path) -> Self {
        self.program = Some(program.to_owned());
        self
    }

    /// The command that starts the supervisor. Its tasks inherit `mark`, a variable in the form
    /// `NAME=value`, by which the harness finds what is left of them.
    pub(crate) fn command(
        &self,
        listen: &str,
        state_directory: &Path,
        mark: (&str, &str),
    ) -> Command {
        accept_hangups();
        let program = self.program.clone().unwrap_or_else(binaries::supervisor);
        let mut command = match self.wrapper.split_first() {
            None => Command::new(program),
            Some((wrapper, arguments)) => {
                let mut command = Command::new(wrapper);
                command.args(arguments).arg(program);
                command
            }
        };
        command.arg("--state-dir").arg(state_directory);
        if !self.arguments.iter().any(|argument| argument == "--listen") {
            command.args(["--listen", listen]);
        }
        if !self.arguments.iter().any(|argument| argument == "--cgroup") {
            command.args(["--cgroup", "off"]);
        }
        command.args(&self.arguments);
        command.env_clear().env(mark.0, mark.1).env(binaries::NO_CONFIG, "1");
        for name in ["PATH", "HOME", "LANG"] {
            command.envs(std::env::var_os(name).map(|value| (name, value)));
        }
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        let stdin = match &self.socket {
            None => Stdio::null(),
            Some(socket) => Stdio::from(OwnedFd::from(socket.try_clone().unwrap())),
        };
        command.stdin(stdin).stdout(Stdio::piped());
        command
    }
}

/// Under nohup(1) SIGHUP is ignored, and so it would be by every program that is started from here. One that is
/// handled is at its default in a new program.
fn accept_hangups() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let hangups = Arc::new(AtomicBool::new(false));
        signal_hook::flag::register(signal_hook::consts::SIGHUP, hangups).unwrap();
    });
}
