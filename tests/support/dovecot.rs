//! A private Dovecot for one test, and where asked for a private Postfix beside it, by way of `scripts/servers`.

use super::certificates;
use super::dovecot_log::Log;
use super::postfix_log::PostfixLog;
use super::supervision::AtTheEnd;
use super::tokens::Signer;
use std::collections::HashMap;
use std::fmt::Debug;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant, SystemTime};
use tempfile::TempDir;

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/servers");

/// What `scripts/servers up` would take from the environment, a line each: a test has only what it asks for.
const SETTINGS: &str = include_str!("../servers/templates/settings");

fn settings() -> impl Iterator<Item = &'static str> {
    SETTINGS.lines().filter_map(|line| line.split('\t').next())
}

/// A Dovecot of its own, with ports and a directory of its own. Dropping it stops it; so does the end of this process,
/// however it comes.
#[derive(Debug)]
pub struct PrivateDovecot {
    env: HashMap<String, String>,
    /// What the script said beside that: why something isn't there.
    remarks: String,
    /// Stops it, and removes its directory: so it comes before that directory's own removal.
    _end: AtTheEnd,
    dir: TempDir,
    signer: Signer,
}

/// What a server that has yet to start is to be.
#[derive(Debug, Default)]
pub struct Builder {
    settings: Vec<(&'static str, String)>,
    fault: Option<&'static str>,
    client_certificate: bool,
}

impl Builder {
    /// Connections a user may have from one address (`mail_max_userip_connections`).
    pub fn max_connections(self, count: usize) -> Self {
        self.set("MAXCONN", &count.to_string())
    }

    /// A Postfix beside it, which delivers into it: mail to `u1@localhost` and to `u1`.
    pub fn postfix(self) -> Self {
        self.set("POSTFIX", "yes")
    }

    /// Connections one address may have to Postfix (`smtpd_client_connection_count_limit`).
    pub fn max_smtp_connections(self, count: usize) -> Self {
        self.set("SMTP_CLIENT_LIMIT", &count.to_string())
    }

    /// A maildrop has one owner at a time (`pop3_lock_session`). Another sign-in is refused after ten seconds.
    pub fn pop3_lock(self) -> Self {
        self.set("POP3_LOCK", "yes")
    }

    /// The only ways to sign in, by their names in small letters, separated by spaces.
    pub fn mechanisms(self, names: &str) -> Self {
        self.set("AUTH_MECHANISMS", names)
    }

    /// What the servers present: `expired`, `notyet`, `wrongname` or `unknown`, as its issuer is.
    pub fn certificate(mut self, fault: &'static str) -> Self {
        self.fault = Some(fault);
        self
    }

    /// Only clients with a certificate may sign in: see `client_certificate`.
    pub fn client_certificate_required(mut self) -> Self {
        self.client_certificate = true;
        self
    }

    /// Any other setting of `scripts/servers up`.
    pub fn set(mut self, name: &'static str, value: &str) -> Self {
        assert!(settings().any(|setting| setting == name), "scripts/servers has no {name}");
        self.settings.push((name, value.to_owned()));
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
        let end = AtTheEnd::run(r#""$1" down "$2"; rm -rf "$2""#, [Path::new(SCRIPT), dir.path()])
            .unwrap_or_else(|error| panic!("sh: {error}"));
        certificates::write_server(&dir.path().join("tls"), self.fault.unwrap_or("good"));
        if self.client_certificate {
            certificates::write_client(&dir.path().join("tls"));
        }
        let signer = Signer::new(&dir.path().join("oauth2"));
        let mut up = Command::new(SCRIPT);
        for name in settings() {
            up.env_remove(name);
        }
        let up = up
            .envs(self.settings)
            .arg("up")
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
        let remarks = String::from_utf8_lossy(&up.stderr).trim_end().to_owned();
        let server = PrivateDovecot { env, remarks, _end: end, dir, signer };
        server.write_tokens();
        server
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

    pub fn pop3_port(&self) -> u16 {
        self.number("POP3_PORT")
    }

    pub fn pop3s_port(&self) -> u16 {
        self.number("POP3S_PORT")
    }

    /// Of submission, with STARTTLS: only where `postfix` was asked for.
    pub fn smtp_port(&self) -> u16 {
        self.number("SMTP_PORT")
    }

    pub fn smtps_port(&self) -> u16 {
        self.number("SMTPS_PORT")
    }

    /// Of the smtp-sink, where `SMTP_SINK` was set.
    pub fn smtp_sink_port(&self) -> u16 {
        self.number("SMTP_SINK_PORT")
    }

    /// Dovecot's master process, which leads the process group of all of them.
    pub fn pid(&self) -> u32 {
        self.number("PID")
    }

    pub fn ca_file(&self) -> &Path {
        Path::new(self.value("CA_FILE"))
    }

    pub fn password_file(&self) -> &Path {
        Path::new(self.value("PASSWORD_FILE"))
    }

    /// Holds a bearer token of the user's, valid for a day.
    pub fn token_file(&self, user: &str) -> PathBuf {
        self.dir.path().join(format!("token.{user}"))
    }

    /// Holds one that was valid an hour ago.
    pub fn expired_token_file(&self, user: &str) -> PathBuf {
        self.dir.path().join(format!("token.{user}.expired"))
    }

    /// A bearer token of the user's, valid from now on for so long.
    pub fn token(&self, user: &str, lasts: Duration) -> String {
        self.signer.token(user, SystemTime::now(), lasts)
    }

    fn write_tokens(&self) {
        let signer = &self.signer;
        const HOUR: Duration = Duration::from_secs(3600);
        let now = SystemTime::now();
        let write = |file: PathBuf, token: String| fs::write(&file, token).expect("a file for a token");
        for user in self.users() {
            write(self.token_file(user), signer.token(user, now - Duration::from_secs(10), 24 * HOUR));
            write(self.expired_token_file(user), signer.token(user, now - 2 * HOUR, HOUR));
        }
    }

    /// A certificate the servers trust, and its key: only where one is required.
    pub fn client_certificate(&self) -> (PathBuf, PathBuf) {
        let tls = self.dir.path().join("tls");
        (tls.join("client.pem"), tls.join("client.key"))
    }

    pub fn users(&self) -> Vec<&str> {
        self.value("USERS").split(',').collect()
    }

    /// The server's record as it is now. It's written a little after the client has seen its reply: see `wait_for`.
    pub fn log(&self) -> Log {
        let (log, rawlog) = self.record();
        Log::read(log, rawlog)
    }

    /// Where that record is: the log, and the directory of raw logs.
    pub fn record(&self) -> (&Path, &Path) {
        (Path::new(self.value("LOG")), Path::new(self.value("RAWLOG")))
    }

    /// The server's record as soon as it satisfies `holds`. Panics at the deadline, showing what there was instead.
    pub fn wait_for(&self, deadline: Duration, holds: impl Fn(&Log) -> bool) -> Log {
        let half = Instant::now() + deadline / 2;
        let read = || if Instant::now() < half { self.log() } else { self.log().with_lost_goodbyes() };
        once(deadline, read, holds)
    }

    /// Postfix's record as it is now.
    pub fn postfix_log(&self) -> PostfixLog {
        PostfixLog::read(Path::new(self.value("POSTFIX_LOG")))
    }

    /// As `wait_for`, of Postfix's record.
    pub fn wait_for_postfix(&self, deadline: Duration, holds: impl Fn(&PostfixLog) -> bool) -> PostfixLog {
        once(deadline, || self.postfix_log(), holds)
    }

    pub fn doveadm(&self, args: &[&str]) -> String {
        let output = Command::new("doveadm")
            .env("PATH", path_with_sbin())
            .args(["-c", self.value("DOVEADM_CONFIG")])
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
            .filter(|line| line.split_whitespace().nth(1) == Some("imap"))
            .map(|line| {
                let pid = line.split_whitespace().nth(2);
                pid.and_then(|pid| pid.parse().ok()).unwrap_or_else(|| panic!("doveadm who: {line}"))
            })
            .collect()
    }

    fn number<N: std::str::FromStr>(&self, key: &str) -> N {
        let value = self.value(key);
        value.parse().unwrap_or_else(|_| panic!("{SCRIPT} printed {key}={value}"))
    }

    fn value(&self, key: &str) -> &str {
        self.env.get(key).unwrap_or_else(|| panic!("{SCRIPT} printed no {key}; it said: {}", self.remarks))
    }
}

fn once<R: Debug>(deadline: Duration, read: impl Fn() -> R, holds: impl Fn(&R) -> bool) -> R {
    let end = Instant::now() + deadline;
    loop {
        let record = read();
        if holds(&record) {
            return record;
        }
        assert!(Instant::now() < end, "not in the server's record after {deadline:?}; there was: {record:#?}");
        std::thread::sleep(Duration::from_millis(5));
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
