//! Behind nginx, with the configuration of `docs/proxy.md` as it stands there.

use std::{
    fs::{self, Permissions},
    net::TcpListener,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Child, Command, Output},
};

use cc_tests::{Options, Supervisor, binaries, http, wait_until};

struct Nginx {
    child: Child,
    port: u16,
    folder: tempfile::TempDir,
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // Its workers go with it when it is told to stop, and not when it is killed.
        let stop = Command::new("kill").arg(self.child.id().to_string()).status();
        assert!(stop.is_ok_and(|status| status.success()));
        drop(self.child.wait());
    }
}

fn fixture(name: &str) -> String {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fixtures/tls").join(name);
    path.into_os_string().into_string().unwrap()
}

/// The block of the page, for this machine.
fn block(port: u16, upstream: u16) -> String {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/proxy.md");
    let page = fs::read_to_string(page).unwrap();
    let (_, rest) = page.split_once("```nginx\n").unwrap();
    let (block, _) = rest.split_once("```").unwrap();
    let replaced = [
        ("listen 443 ssl", format!("listen 127.0.0.1:{port} ssl")),
        ("127.0.0.1:8003", format!("127.0.0.1:{upstream}")),
        ("/etc/ssl/ci.example.org.pem", fixture("server.pem")),
        ("/etc/ssl/private/ci.example.org.key", fixture("server-key.pem")),
    ];
    replaced.iter().fold(block.to_owned(), |block, (from, to)| {
        assert!(block.contains(from), "the page no longer has {from}");
        block.replace(from, to)
    })
}

impl Nginx {
    fn start(upstream: u16) -> Self {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let folder = tempfile::tempdir().unwrap();
        fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).unwrap();
        let at = folder.path().display();
        let paths: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .map(|name| format!("{name}_temp_path {at}/{name};\n"))
            .concat();
        let text = format!(
            "daemon off;\npid {at}/pid;\nerror_log {at}/error.log;\nevents {{}}\nhttp {{\naccess_log off;\n{paths}{}}}\n",
            block(port, upstream)
        );
        let file = folder.path().join("nginx.conf");
        fs::write(&file, text).unwrap();
        let child = Command::new("nginx").arg("-c").arg(&file).spawn().unwrap();
        let nginx = Self { child, port, folder };
        wait_until("nginx listens", || http::try_connect(([127, 0, 0, 1], port).into()).is_ok());
        nginx
    }

    fn ccx(&self, token: &str, arguments: &[&str]) -> Output {
        let url = format!("wss://localhost:{}", self.port);
        let mut command = binaries::ccx_command(&url);
        command.args(["--tls-ca", &fixture("ca.pem")]).args(arguments);
        command.env("CC_EXECUTOR_TOKEN", token).output().unwrap()
    }
}

#[test]
#[ignore = "needs nginx"]
fn clients_with_the_token_run_tasks_through_nginx_and_others_do_not() {
    let token = "a-token-of-the-test";
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    fs::write(&file, token).unwrap();
    fs::set_permissions(&file, Permissions::from_mode(0o600)).unwrap();
    let options = Options::new().flag("--token-file", file.display()).flag("--heartbeat", 1);
    let supervisor = Supervisor::start(&options);
    let nginx = Nginx::start(supervisor.address().port());
    let output = nginx.ccx(token, &["run", "--", "seq", "100000"]);
    let log = fs::read_to_string(nginx.folder.path().join("error.log")).unwrap_or_default();
    assert!(output.status.success(), "{}\n{log}", String::from_utf8_lossy(&output.stderr));
    let expected: String = (1..=100_000).map(|number| format!("{number}\n")).collect();
    assert!(output.stdout == expected.as_bytes(), "the output is not whole");

    let output = nginx.ccx("another-token-it-is", &["run", "--", "echo", "never"]);
    assert!(!output.status.success() && output.stdout.is_empty());
}
