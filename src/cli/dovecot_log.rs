//! What Dovecot wrote down of each session, read from its log and its raw logs: as much as is needed to join it to a run.
//!
//! No line is kept beyond its own reading, and none is read beyond a bound: what is kept is a row for each session.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;
use std::time::SystemTime;

use chrono::NaiveDateTime;
use mailconn::judge::LoggedSession;

/// What the reader of a log line needs of it; a longer one is cut.
const LINE: u64 = 64 << 10;

/// Reads the log and, if there is one, the directory of raw logs.
///
/// # Errors
/// What the system answers.
pub fn read(log: &Path, rawlog: Option<&Path>) -> io::Result<Vec<LoggedSession>> {
    let mut sessions = Sessions::default();
    let mut lines = Lines(BufReader::new(File::open(log)?));
    let mut line = Vec::new();
    while lines.next(&mut line)? {
        sessions.line(&String::from_utf8_lossy(&line));
    }
    if let Some(directory) = rawlog {
        for entry in std::fs::read_dir(directory)? {
            let path = entry?.path();
            // 20261122-202134.9021.1.in
            let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            let [began, pid, _, "in"] = name.split('.').collect::<Vec<_>>()[..] else { continue };
            let Some(of) = pid.parse().ok().and_then(|pid| sessions.of_process(pid, time(began, "%Y%m%d-%H%M%S")))
            else {
                continue;
            };
            let imap = sessions.imap.get(of).copied().unwrap_or_default();
            let commands = commands(BufReader::new(File::open(&path)?), imap)?;
            if let Some(row) = sessions.rows.get_mut(of) {
                row.commands = Some(commands);
            }
        }
    }
    Ok(sessions.rows)
}

#[derive(Default)]
struct Sessions {
    rows: Vec<LoggedSession>,
    /// Whether each of them is one of IMAP.
    imap: Vec<bool>,
    /// By Dovecot's own name of the session.
    by_name: HashMap<String, usize>,
    /// A process can serve several, one after the other, and its number can come again.
    by_process: HashMap<u32, Vec<usize>>,
    /// What came of a session before its sign-in did: two processes write in no order.
    early: HashMap<String, LoggedSession>,
}

impl Sessions {
    /// `2026-11-22 20:21:34.787686 imap-login: Info: Login: user=<u1>, …, rport=34722, …, session=<5h47OeNg5Kd/AAAB>`,
    /// `… imap(u1)<9021><5h47OeNg5Kd/AAAB>: Info: ID sent: x-mailconn-run=…, x-mailconn-session=#1`.
    fn line(&mut self, line: &str) {
        if let Some((service, message)) = line.split_once("-login: Info: Login: ") {
            self.login(
                service.ends_with("imap"),
                time(line.get(..19).unwrap_or_default(), "%Y-%m-%d %H:%M:%S"),
                message,
            );
        } else if let Some((before, message)) = line.split_once(">: Info: ")
            && let Some((_, name)) = before.rsplit_once('<')
        {
            self.says(name, message);
        } else if let Some((_, message)) = line.split_once("-login: Info: ID sent: ")
            && let (Some(name), Some((fields, _))) = (element(message, "session"), message.rsplit_once(": user="))
        {
            self.says(name, &format!("ID sent: {fields}"));
        }
    }

    fn login(&mut self, imap: bool, at: Option<SystemTime>, message: &str) {
        let Some(name) = element(message, "session").map(str::to_owned) else { return };
        let row = LoggedSession {
            at,
            port: element(message, "rport").and_then(|port| port.parse().ok()),
            user: element(message, "user").unwrap_or_default().to_owned(),
            method: element(message, "method").map(str::to_owned),
            // Dovecot's %c: `TLS` or, of a loopback connection, `secured`; nothing of one in the clear.
            tls: Some(message.split(", ").any(|element| element == "TLS")),
            ..self.early.remove(&name).unwrap_or_default()
        };
        let index = self.rows.len();
        if let Some(pid) = element(message, "mpid").and_then(|pid| pid.parse().ok()) {
            self.by_process.entry(pid).or_default().push(index);
        }
        self.by_name.insert(name, index);
        self.rows.push(row);
        self.imap.push(imap);
    }

    /// The session of that process that signed in nearest to that time.
    fn of_process(&self, pid: u32, at: Option<SystemTime>) -> Option<usize> {
        let all = self.by_process.get(&pid)?;
        let apart = |index: &&usize| {
            let (one, other) = (self.rows.get(**index)?.at?, at?);
            Some(one.duration_since(other).unwrap_or_else(|earlier| earlier.duration()))
        };
        all.iter().min_by_key(apart).copied()
    }

    fn says(&mut self, name: &str, message: &str) {
        let row = self.by_name.get(name).and_then(|at| self.rows.get_mut(*at));
        if let Some(fields) = message.strip_prefix("ID sent: ") {
            let row = row.unwrap_or_else(|| self.early.entry(name.to_owned()).or_default());
            for (field, value) in fields.split(", ").filter_map(|field| field.split_once('=')) {
                match field {
                    "x-mailconn-run" => row.run_id = Some(value.to_owned()),
                    "x-mailconn-session" => row.label = Some(value.to_owned()),
                    _ => {}
                }
            }
        } else if let Some(reason) = message.strip_prefix("Disconnected: ") {
            let row = row.unwrap_or_else(|| self.early.entry(name.to_owned()).or_default());
            row.bytes = reason.rsplit_once(" in=").and_then(|(_, bytes)| {
                let (read, written) = bytes.split_once(" out=")?;
                Some((read.parse().ok()?, written.split(' ').next()?.parse().ok()?))
            });
            row.end = Some(reason.to_owned());
        }
    }
}

/// A time as somebody's local clock shows it, as if that were UTC.
fn time(text: &str, format: &str) -> Option<SystemTime> {
    NaiveDateTime::parse_from_str(text, format).ok().map(|time| time.and_utc().into())
}

/// The value of an element of `login_log_format_elements`.
fn element<'a>(message: &'a str, name: &str) -> Option<&'a str> {
    let value = message.split(", ").find_map(|element| element.strip_prefix(name)?.strip_prefix('='))?;
    Some(value.strip_prefix('<').and_then(|value| value.strip_suffix('>')).unwrap_or(value))
}

/// The commands in a raw log, in which each line begins with the time at which it passed: `1763844094.787686 a3 NOOP`.
fn commands(file: impl BufRead, imap: bool) -> io::Result<Vec<(String, String)>> {
    let mut lines = Lines(file);
    let mut line = Vec::new();
    let mut commands = Vec::new();
    // What is left of a literal, and whether the line that follows it goes on with its command.
    let (mut literal, mut goes_on) = (0u64, false);
    while lines.next(&mut line)? {
        let Some(space) = line.iter().position(|byte| *byte == b' ') else { continue };
        let rest = &line[space + 1..];
        let length = rest.len() as u64 + 1;
        if literal >= length {
            literal -= length;
            continue;
        }
        let after = rest.get(usize::try_from(literal).unwrap_or(usize::MAX)..).unwrap_or_default();
        let text = String::from_utf8_lossy(after);
        let text = text.trim_end_matches('\r');
        let announced = announced(text).filter(|_| imap);
        if !goes_on {
            let mut words = text.split(' ');
            let tag = if imap { words.next().unwrap_or_default().to_owned() } else { String::new() };
            if let Some(verb) = words.next() {
                commands.push((tag, verb.to_ascii_uppercase()));
            }
        }
        (literal, goes_on) = (announced.unwrap_or_default(), announced.is_some());
    }
    Ok(commands)
}

/// Of a line that announces a literal: `… {16}`, `… {16+}`.
fn announced(text: &str) -> Option<u64> {
    let (_, length) = text.strip_suffix('}')?.rsplit_once('{')?;
    length.strip_suffix('+').unwrap_or(length).parse().ok()
}

/// Lines without their ends, each cut to a bound.
struct Lines<R>(R);

impl<R: BufRead> Lines<R> {
    fn next(&mut self, line: &mut Vec<u8>) -> io::Result<bool> {
        line.clear();
        if (&mut self.0).take(LINE).read_until(b'\n', line)? == 0 {
            return Ok(false);
        }
        if line.last() == Some(&b'\n') {
            line.pop();
        } else {
            self.0.skip_until(b'\n')?;
        }
        Ok(true)
    }
}
