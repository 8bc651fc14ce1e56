//! Courier, Cyrus and Exim, one for one test, by way of `scripts/foreign-servers`: root alone can start them.

use super::certificates;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixDatagram;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tempfile::TempDir;

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/foreign-servers");

pub const PASSWORD: &str = "pw";

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kind {
    Courier,
    Cyrus,
    Exim,
}

/// What is spoken, and on which port.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Service {
    Imap,
    Imaps,
    Pop3,
    Pop3s,
    Smtp,
    Smtps,
}

impl Service {
    const ALL: [Self; 6] = [Self::Imap, Self::Imaps, Self::Pop3, Self::Pop3s, Self::Smtp, Self::Smtps];

    pub fn scheme(self) -> String {
        format!("{self:?}").to_lowercase()
    }
}

/// A server of its own, with ports and a directory of its own. It ends with this value, and with this process.
pub struct ForeignServer {
    kind: Kind,
    /// Holds the script's standard input: the server runs as long as that is open.
    script: Child,
    ports: Vec<u16>,
    syslog: Arc<Mutex<Vec<String>>>,
    dir: TempDir,
}

impl ForeignServer {
    /// `limit` is on the connections that it takes, of a user or from an address. Panics if it cannot be started.
    pub fn start(kind: Kind, limit: usize) -> Self {
        let setting = match kind {
            Kind::Courier => "MAXPERIP",
            Kind::Cyrus => "maxlogins_per_user",
            Kind::Exim => "smtp_accept_max_per_host",
        };
        Self::limited(kind, setting, limit)
    }

    /// `setting` is the one that is at `limit`.
    pub fn limited(kind: Kind, setting: &str, limit: usize) -> Self {
        let dir = tempfile::Builder::new()
            .prefix("mailconn-foreign-")
            .permissions(std::fs::Permissions::from_mode(0o711))
            .tempdir()
            .unwrap();
        certificates::write_server(&dir.path().join("tls"), "good");
        let syslog = listen(&dir.path().join("syslog"));
        let ports: Vec<u16> = free_ports(Service::ALL.len());
        let mut script = Command::new("sh");
        script.args(["-c", r#"trap '' INT HUP TERM; "$1" run "$2" "$3"; rm -rf "$3""#, "sh", SCRIPT]);
        script.arg(format!("{kind:?}").to_lowercase()).arg(dir.path());
        script.env("PASSWORD", PASSWORD).env("SETTING", setting).env("LIMIT", limit.to_string());
        for (service, port) in Service::ALL.iter().zip(&ports) {
            script.env(format!("{service:?}_PORT").to_uppercase(), port.to_string());
        }
        // A group of its own: an interrupt from the terminal is not for it.
        let mut script = script.stdin(Stdio::piped()).stdout(Stdio::piped()).process_group(0).spawn().unwrap();
        let mut said = String::new();
        BufReader::new(script.stdout.take().unwrap()).read_line(&mut said).unwrap();
        assert_eq!(said, "ready\n", "{kind:?} did not start: {SCRIPT} has said why");
        let server = Self { kind, script, ports, syslog, dir };
        if kind == Kind::Cyrus {
            server.fill();
        }
        server
    }

    pub fn port(&self, service: Service) -> u16 {
        self.ports[Service::ALL.iter().position(|other| *other == service).unwrap()]
    }

    pub fn url(&self, service: Service) -> String {
        format!("{}://u1@localhost:{}", service.scheme(), self.port(service))
    }

    pub fn ca_file(&self) -> PathBuf {
        self.dir.path().join("tls/ca.pem")
    }

    /// A mailbox comes to be when its owner signs in by POP3; then there is some mail.
    fn fill(&self) {
        let mut pop3 = Lines::dial(self.port(Service::Pop3));
        pop3.ask("USER u1");
        assert!(pop3.ask(&format!("PASS {PASSWORD}")).starts_with("+OK"));
        pop3.ask("QUIT");
        let mut imap = Lines::dial(self.port(Service::Imap));
        assert!(imap.ask(&format!("a LOGIN u1 {PASSWORD}")).starts_with("a OK"));
        for number in 1..=5 {
            let message = format!("From: u1@localhost\r\nSubject: message {number}\r\n\r\nHello.\r\n");
            imap.ask(&format!("b APPEND INBOX {{{}}}", message.len()));
            assert!(imap.ask(&message).starts_with("b OK"));
        }
        imap.ask("c LOGOUT");
        self.wait_for("its own sessions, to their ends", |log| log.signed_in.len() == 2 && log.count("USAGE u1 ") == 2);
        self.syslog.lock().unwrap().clear();
    }

    /// The server's record as it is now.
    pub fn log(&self) -> ForeignLog {
        let lines = match self.kind {
            Kind::Exim => {
                let log = std::fs::read_to_string(self.dir.path().join("log/mainlog")).unwrap_or_default();
                log.lines().map(str::to_owned).collect()
            }
            Kind::Courier | Kind::Cyrus => self.syslog.lock().unwrap().clone(),
        };
        ForeignLog::read(self.kind, lines)
    }

    /// The record as soon as it satisfies `holds`: it is written a little after the client has seen its reply.
    pub fn wait_for(&self, what: &str, holds: impl Fn(&ForeignLog) -> bool) -> ForeignLog {
        let until = Instant::now() + Duration::from_secs(10);
        loop {
            let log = self.log();
            if holds(&log) {
                return log;
            }
            assert!(Instant::now() < until, "{what}: not in the server's record; there was: {log:#?}");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// The process that serves the only session on that port, and the client's port.
    pub fn process_of_the_session(&self, service: Service) -> (u32, u16) {
        let here = format!("0100007F:{:04X}", self.port(service));
        let sockets = std::fs::read_to_string("/proc/net/tcp").unwrap();
        let fields = sockets.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
        let mut of_sessions = fields.filter(|field| field[1] == here && field[3] == "01").collect::<Vec<_>>();
        // Where the table changes while it is read, a socket may stand in it twice.
        of_sessions.dedup_by_key(|field| field[9]);
        let [session] = &of_sessions[..] else { panic!("not one session: {of_sessions:?}") };
        let client_port = u16::from_str_radix(session[2].split_once(':').unwrap().1, 16).unwrap();
        let socket = PathBuf::from(format!("socket:[{}]", session[9]));
        let processes = std::fs::read_dir("/proc").unwrap().flatten();
        let holds = |process: &std::fs::DirEntry| {
            let open = std::fs::read_dir(process.path().join("fd")).into_iter().flatten().flatten();
            open.into_iter().any(|file| std::fs::read_link(file.path()).is_ok_and(|target| target == socket))
        };
        let holders: Vec<u32> =
            processes.filter(holds).map(|it| it.file_name().to_str().unwrap().parse().unwrap()).collect();
        let [process] = holders[..] else { panic!("not one process has the session: {holders:?}") };
        (process, client_port)
    }
}

impl Drop for ForeignServer {
    fn drop(&mut self) {
        drop(self.script.stdin.take());
        let ended = self.script.wait();
        if !ended.as_ref().is_ok_and(|status| status.success()) {
            // A panic here would abort a test that is panicking already, and hide its reason.
            eprintln!("{SCRIPT}: {ended:?}");
        }
    }
}

/// What the server wrote down.
#[derive(Debug)]
pub struct ForeignLog {
    /// A line of each session that was signed in; Exim says so of no session, and has a line of each connection.
    pub signed_in: Vec<String>,
    /// A line of each password that was refused.
    pub refused: Vec<String>,
    pub lines: Vec<String>,
}

impl ForeignLog {
    fn read(kind: Kind, lines: Vec<String>) -> Self {
        let (signed_in, refused) = match kind {
            Kind::Courier => (" LOGIN, user=", " LOGIN FAILED, "),
            Kind::Cyrus => (": login: ", ": badlogin: "),
            Kind::Exim => (" (TCP/IP connection count = ", " authenticator failed for "),
        };
        let with = |words: &str| lines.iter().filter(|line| line.contains(words)).cloned().collect();
        Self { signed_in: with(signed_in), refused: with(refused), lines }
    }

    pub fn count(&self, words: &str) -> usize {
        self.lines.iter().filter(|line| line.contains(words)).count()
    }

    /// The client's ports of those lines, in ascending order; Cyrus does not say them.
    pub fn ports(&self) -> Option<Vec<u64>> {
        let port = |line: &String| {
            let (_, rest) = line.split_once("port=[").or_else(|| line.split_once("from [127.0.0.1]:"))?;
            rest.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
        };
        let mut ports: Vec<u64> = self.signed_in.iter().map(port).collect::<Option<_>>()?;
        ports.sort_unstable();
        Some(ports)
    }
}

/// What is said to the system's log there.
fn listen(path: &std::path::Path) -> Arc<Mutex<Vec<String>>> {
    let socket = UnixDatagram::bind(path).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o666)).unwrap();
    let lines = Arc::new(Mutex::new(Vec::new()));
    let heard = Arc::clone(&lines);
    std::thread::spawn(move || {
        let mut buffer = [0; 8192];
        while let Ok(length) = socket.recv(&mut buffer) {
            heard.lock().unwrap().push(String::from_utf8_lossy(&buffer[..length]).into_owned());
        }
    });
    lines
}

/// In a row, below those that `scripts/servers` chooses from, and the kernel. Nobody listens there, and no other server of
/// this process is about to.
fn free_ports(count: usize) -> Vec<u16> {
    static ROWS: AtomicU32 = AtomicU32::new(0);
    let size = u16::try_from(count).unwrap();
    let is_free = |port: u16| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok();
    loop {
        let row = std::process::id().wrapping_mul(389).wrapping_add(ROWS.fetch_add(1, Ordering::Relaxed))
            % (8_000 / u32::from(size));
        let first = 12_000 + u16::try_from(row).unwrap() * size;
        if (first..first + size).all(is_free) {
            return (first..first + size).collect();
        }
    }
}

/// A client that says a line and takes the next one.
struct Lines(BufReader<TcpStream>);

impl Lines {
    fn dial(port: u16) -> Self {
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        let mut lines = Self(BufReader::new(stream));
        lines.next();
        lines
    }

    fn ask(&mut self, line: &str) -> String {
        self.0.get_ref().write_all(format!("{line}\r\n").as_bytes()).unwrap();
        self.next()
    }

    fn next(&mut self) -> String {
        let mut line = String::new();
        self.0.by_ref().take(8192).read_line(&mut line).unwrap();
        line
    }
}
