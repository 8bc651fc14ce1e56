//! A private Dovecot for one test, by way of `scripts/servers`.

use super::dovecot_log::Log;
use std::collections::HashMap;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/servers");

/// What `scripts/servers up` would take from the environment: a test has only what it asks for.
const SETTINGS: [&str; 8] =
    ["IMAP_PORT", "IMAPS_PORT", "PASSWORD", "MAXCONN", "IMAP_PROCESSES", "LOGIN_CLIENTS", "FAILURE_DELAY", "RUN_AS"];

/// A Dovecot of its own, with ports and a directory of its own. Dropping it stops it; so does the end of this process,
/// however it comes.
#[derive(Debug)]
pub struct PrivateDovecot {
    env: HashMap<String, String>,
    dir: TempDir,
}

/// Settings of a server that has yet to start. Their names are those of `scripts/servers up`.
#[derive(Debug, Default)]
pub struct Builder(Vec<(&'static str, String)>);

impl Builder {
    /// Connections a user may have from one address (`mail_max_userip_connections`).
    pub fn max_connections(self, count: usize) -> Self {
        self.set("MAXCONN", &count.to_string())
    }

    /// Any other setting of `scripts/servers up`.
    pub fn set(mut self, name: &'static str, value: &str) -> Self {
        assert!(SETTINGS.contains(&name), "scripts/servers has no {name}");
        self.0.push((name, value.to_owned()));
        self
    }

    /// Panics with the script's own line if the server can't start: a test that needs it never passes without.
    pub fn start(self) -> PrivateDovecot {
        use std::os::unix::fs::PermissionsExt as _;
        // The server's account isn't that of the test when root runs it, and must be able to enter.
        let dir = tempfile::Builder::new()
            .prefix("mailconn-dovecot-")
            .permissions(std::fs::Permissions::from_mode(0o711))
            .tempdir()
            .expect("a temporary directory");
        let mut up = Command::new(SCRIPT);
        for name in SETTINGS {
            up.env_remove(name);
        }
        let up = up
            .envs(self.0)
            .args(["up", "--while-pid", &std::process::id().to_string()])
            .arg(dir.path())
            .stdin(Stdio::null())
            .output()
            .unwrap_or_else(|error| panic!("{SCRIPT}: {error}"));
        let printed = stdout_of(SCRIPT, &up);
        let env = printed
            .lines()
            .filter_map(|line| line.split_once('='))
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .collect();
        PrivateDovecot { env, dir }
    }
}

impl PrivateDovecot {
    pub fn start() -> Self {
        Self::builder().start()
    }

    pub fn builder() -> Builder {
        Builder::default()
    }

    pub fn imap_port(&self) -> u16 {
        self.number("IMAP_PORT")
    }

    pub fn imaps_port(&self) -> u16 {
        self.number("IMAPS_PORT")
    }

    /// The master process, which leads the process group of all of them.
    pub fn pid(&self) -> u32 {
        self.number("PID")
    }

    pub fn ca_file(&self) -> &Path {
        Path::new(&self.env["CA_FILE"])
    }

    pub fn password_file(&self) -> &Path {
        Path::new(&self.env["PASSWORD_FILE"])
    }

    pub fn users(&self) -> Vec<&str> {
        self.env["USERS"].split(',').collect()
    }

    /// The server's record as it is now. It's written a little after the client has seen its reply: see `wait_for`.
    pub fn log(&self) -> Log {
        Log::read(Path::new(&self.env["LOG"]), Path::new(&self.env["RAWLOG"]))
    }

    /// The server's record as soon as it satisfies `holds`. Panics at the deadline, showing what there was instead.
    pub fn wait_for(&self, deadline: Duration, holds: impl Fn(&Log) -> bool) -> Log {
        let end = Instant::now() + deadline;
        loop {
            let log = self.log();
            if holds(&log) {
                return log;
            }
            assert!(Instant::now() < end, "not in the server's record after {deadline:?}; there was: {log:#?}");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    pub fn doveadm(&self, args: &[&str]) -> String {
        let output = Command::new("doveadm")
            .env("PATH", path_with_sbin())
            .args(["-c", &self.env["DOVEADM_CONFIG"]])
            .args(args)
            .stdin(Stdio::null())
            .output()
            .unwrap_or_else(|error| panic!("doveadm: {error}"));
        stdout_of("doveadm", &output)
    }

    /// Ends all of a user's connections, as an administrator does: each gets `KICKED` and is closed.
    pub fn kick(&self, user: &str) {
        self.doveadm(&["kick", user]);
    }

    /// The imap processes of those who are signed in: one for each session, the `pid` of that session in the log.
    pub fn imap_pids(&self) -> Vec<u32> {
        self.doveadm(&["who", "-1"])
            .lines()
            .skip(1)
            .map(|line| {
                let pid = line.split_whitespace().nth(2);
                pid.and_then(|pid| pid.parse().ok()).unwrap_or_else(|| panic!("doveadm who: {line}"))
            })
            .collect()
    }

    fn number<N: std::str::FromStr>(&self, key: &str) -> N {
        let value = &self.env[key];
        value.parse().unwrap_or_else(|_| panic!("{SCRIPT} printed {key}={value}"))
    }
}

impl Drop for PrivateDovecot {
    fn drop(&mut self) {
        let down = Command::new(SCRIPT).arg("down").arg(self.dir.path()).stdin(Stdio::null()).status();
        if !down.as_ref().is_ok_and(|status| status.success()) {
            // A panic here would abort a test that is panicking already, and hide its reason.
            eprintln!("{SCRIPT} down {}: {down:?}", self.dir.path().display());
        }
    }
}

/// What a client reads when `doveadm kick` ends its session: unlike RFC 3501's wording, the server itself stays up.
pub const KICKED: &str = "* BYE Server shutting down.\r\n";

/// `STOP` holds up whatever a session's process is doing or is about to be asked, `CONT` lets it go on, `KILL` ends it
/// without a word.
pub fn signal(pid: u32, name: &str) {
    let status = Command::new("sh").args(["-c", "kill -s \"$0\" \"$1\"", name, &pid.to_string()]).status().expect("sh");
    assert!(status.success(), "kill -s {name} {pid}");
}

fn path_with_sbin() -> String {
    std::env::var("PATH").unwrap_or_default() + ":/usr/sbin:/sbin"
}

fn stdout_of(program: &str, output: &Output) -> String {
    assert!(
        output.status.success(),
        "{program}: {}: {}",
        output.status,
        String::from_utf8_lossy(&output.stderr).trim_end()
    );
    String::from_utf8_lossy(&output.stdout).into_owned()
}
