//! A server's replies to our client, and what it may make of them.

use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use mailconn::allocator::{ConnectionId, SessionId};
use mailconn::event::NewPolicy;
use mailconn::protocol::{
    Endpoint, Failure, FailureKind, Job, MailConnector, Operation, Protocol, Secret, Security, Settings, Stage,
    Stationery, printable, refusal, stated_wait,
};

use mailconn::judge::{Stored, Verification};
use mailconn::report::{Layout, verification_json, verification_text};

use super::inputs::{Case, HANGS, TURN};
use super::{Wrong, note};

const PASSWORD: &str = "s3cret-pass";

/// For a dial, and for an operation.
const ALLOWED: Duration = Duration::from_millis(700);

/// How long the server waits for the next command before it closes.
const LULL: Duration = Duration::from_millis(60);

/// What the server heard and said.
#[derive(Default)]
struct Turns(Vec<(String, Vec<u8>)>);

pub fn replies(case: &Case, protocol: Protocol) -> Result<(), Wrong> {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let script = Mutex::new(Vec::new());
    let turns = Mutex::new(Turns::default());
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            for stream in listener.incoming() {
                if over.load(Ordering::SeqCst) {
                    return;
                }
                let script = script.lock().unwrap().clone();
                // A client that has gone is none of the server's business.
                let _ = play(stream.unwrap(), &script, &turns);
            }
        });
        let mut done = Ok(());
        for (at, input) in case.inputs.iter().enumerate() {
            note(case, at);
            let (name, says) = input.split_at(input.iter().position(|&byte| byte == TURN).unwrap_or(input.len()));
            *script.lock().unwrap() = says.get(1..).unwrap_or_default().to_vec();
            turns.lock().unwrap().0.clear();
            let endpoint = Endpoint {
                protocol,
                security: Security::Plain,
                host: "127.0.0.1".into(),
                port: address.port(),
                user: "joe".into(),
            };
            let held = catch_unwind(AssertUnwindSafe(|| client(endpoint, &String::from_utf8_lossy(name), &turns)));
            done = held.unwrap_or_else(|_| Err("the client panics".to_owned())).map_err(|what| Wrong { at, what });
            if done.is_err() {
                break;
            }
        }
        over.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(address);
        done
    })
}

fn play(stream: TcpStream, script: &[u8], turns: &Mutex<Turns>) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(LULL))?;
    stream.set_write_timeout(Some(Duration::from_secs(5)))?;
    let hangs = script.ends_with(&[HANGS]);
    let mut from = BufReader::new(stream.try_clone()?);
    let mut to = stream;
    let mut content = None;
    for (at, turn) in script.split(|&byte| byte == TURN).enumerate() {
        let mut tag = String::new();
        if at > 0 {
            let mut line = Vec::new();
            match content.take() {
                Some(Content::Dot) => while !line.ends_with(b"\r\n.\r\n") && from.read_until(b'\n', &mut line)? > 0 {},
                Some(Content::Bytes(count)) => {
                    from.read_exact(&mut vec![0; count])?;
                    from.read_until(b'\n', &mut line)?;
                }
                None => match from.read_until(b'\n', &mut line) {
                    Ok(0) => break,
                    Ok(_) => {}
                    Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => break,
                    Err(error) => return Err(error),
                },
            }
            tag = String::from_utf8_lossy(&line).split([' ', '\r', '\n']).next().unwrap().to_owned();
            if let Some(count) = line.strip_suffix(b"}\r\n").and_then(|line| line.rsplit(|&byte| byte == b'{').next())
                && let Ok(count) = String::from_utf8_lossy(count).parse()
            {
                content = Some(Content::Bytes(count));
            }
        }
        let digits = tag.trim_start_matches(|letter: char| !letter.is_ascii_digit());
        let next = digits
            .parse::<u32>()
            .map_or(String::new(), |number| format!("{}{}", &tag[..tag.len() - digits.len()], number + 1));
        let turn = turn.strip_suffix(&[HANGS]).unwrap_or(turn);
        let said = replaced(&replaced(turn, b"{t}", tag.as_bytes()), b"{n}", next.as_bytes());
        if said.starts_with(b"354") {
            content = Some(Content::Dot);
        }
        turns.lock().unwrap().0.push((tag, said.clone()));
        to.write_all(&said)?;
    }
    if hangs {
        to.set_read_timeout(Some(Duration::from_secs(10)))?;
    } else {
        to.shutdown(Shutdown::Write)?;
        to.set_read_timeout(Some(Duration::from_secs(3)))?;
    }
    std::io::copy(&mut from, &mut std::io::sink())?;
    Ok(())
}

/// What follows a line, before the next command.
enum Content {
    Dot,
    Bytes(usize),
}

fn replaced(text: &[u8], what: &[u8], with: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.windows(what.len()).position(|window| window == what) {
        out.extend_from_slice(&rest[..at]);
        out.extend_from_slice(with);
        rest = &rest[at + what.len()..];
    }
    out.extend_from_slice(rest);
    out
}

/// Dials, runs the operation twice, and signs out.
fn client(endpoint: Endpoint, operation: &str, turns: &Mutex<Turns>) -> Result<(), String> {
    let protocol = endpoint.protocol;
    let letter = Stationery::new(&endpoint, None, Some("bob@example.org"), "run").unwrap().letter("w0", 1);
    // The smallest script of a failure may not name one.
    let operation = Operation::parse(protocol, operation).or_else(|_| Operation::parse(protocol, "noop")).unwrap();
    let settings = Settings {
        connect_timeout: ALLOWED,
        operation_timeout: ALLOWED,
        ..Settings::new(endpoint, Secret::new(PASSWORD.to_owned()).into())
    };
    let dialled =
        timed("the dial", || MailConnector::new(settings).dial(SessionId { connection: ConnectionId(0), number: 1 }))?;
    let mut connection = match dialled {
        Ok(connection) => connection,
        Err(failed) => return sound_and_masked(&failed.failure),
    };
    signed_in(protocol, &turns.lock().unwrap())?;
    for _ in 0..2 {
        let was_broken = connection.is_broken();
        let job = Job { mailbox: "INBOX", letter: Some(&letter) };
        match timed("the operation", || connection.run(operation, &job))? {
            Ok(_) if was_broken => return Err("a broken session is used again".to_owned()),
            Ok(items) => {
                let turns = turns.lock().unwrap();
                accepted(protocol, &turns)?;
                true_to(operation, items, &turns)?;
            }
            Err(failure) => sound_and_masked(&failure)?,
        }
    }
    match timed("the sign-out", || connection.logout(Instant::now() + ALLOWED))? {
        Ok(()) => Ok(()),
        Err(failure) => sound_and_masked(&failure),
    }
}

fn timed<T>(what: &str, done: impl FnOnce() -> T) -> Result<T, String> {
    let began = Instant::now();
    let result = done();
    // The machine may be busy with other tests; a wait without bound is longer.
    if began.elapsed() > ALLOWED + Duration::from_secs(5) {
        Err(format!("{what} took {:?}", began.elapsed()))
    } else {
        Ok(result)
    }
}

/// The operation's success needs a reply to its last command, said after that had come, that says so.
fn accepted(protocol: Protocol, turns: &Turns) -> Result<(), String> {
    let Some((tag, said)) = turns.0.last() else { return Err("a success before a word was said".to_owned()) };
    if says_yes(protocol, tag, said) { Ok(()) } else { Err(format!("a success after {}", said.escape_ascii())) }
}

/// A sign-in's success needs one to any of its commands: what comes behind it may be refused. A server that signs in by
/// itself is asked nothing.
fn signed_in(protocol: Protocol, turns: &Turns) -> Result<(), String> {
    let said = |(tag, said): &(String, Vec<u8>)| {
        said.to_ascii_lowercase().starts_with(b"* preauth") || says_yes(protocol, tag, said)
    };
    if turns.0.iter().any(said) { Ok(()) } else { Err("signed in though nobody said so".to_owned()) }
}

fn says_yes(protocol: Protocol, tag: &str, said: &[u8]) -> bool {
    said.split(|&byte| byte == b'\n').any(|line| match protocol {
        Protocol::Imap => line.to_ascii_lowercase().starts_with(format!("{tag} ok").to_lowercase().as_bytes()),
        Protocol::Smtp => line.starts_with(b"2"),
        Protocol::Pop3 => line.to_ascii_uppercase().starts_with(b"+OK"),
    })
}

/// No number of items that the server did not state.
fn true_to(operation: Operation, items: u32, turns: &Turns) -> Result<(), String> {
    let said = turns.0.iter().map(|(_, said)| said.to_ascii_uppercase()).collect::<Vec<_>>().concat();
    let count = |word: &[u8]| said.windows(word.len()).filter(|window| *window == word).count();
    let most = match operation.name() {
        "list" if matches!(operation, Operation::Imap(_)) => count(b"LIST"),
        "fetch" => count(b"FETCH"),
        "list" => count(b"\n"),
        "search" if count(b"ESEARCH") > 0 => usize::MAX,
        "search" => count(b" "),
        "noop" | "verify" => 0,
        "append" | "send" | "retrieve" => 1,
        "status" | "stat" => {
            let stated = count(items.to_string().as_bytes()) > 0;
            return if stated { Ok(()) } else { Err(format!("{operation} found {items}, which nobody said")) };
        }
        name => return Err(format!("{name} is new here")),
    };
    if items as usize <= most { Ok(()) } else { Err(format!("{operation} found {items}, and {most} were said")) }
}

/// The same of a failure on a session, where the password is not shown either.
fn sound_and_masked(failure: &Failure) -> Result<(), String> {
    let shown = format!("{failure} {:?} {:?}", failure.server_line, failure.further_lines);
    if shown.contains(PASSWORD) { Err(format!("the password is shown: {shown}")) } else { sound(failure) }
}

/// A failure is one that users can be shown, and never our own fault.
fn sound(failure: &Failure) -> Result<(), String> {
    let shown = format!("{failure} {:?} {:?}", failure.server_line, failure.further_lines);
    if failure.kind == FailureKind::Internal {
        return Err(format!("the fault is called our own: {shown}"));
    }
    let lines = [&failure.message].into_iter().chain(&failure.server_line).chain(&failure.further_lines);
    if lines.clone().any(|line| line.chars().any(char::is_control)) {
        return Err(format!("what is shown holds control characters: {shown:?}"));
    }
    if lines.clone().any(|line| line.len() > 4096) {
        return Err(format!("what is shown is {} bytes long", shown.len()));
    }
    Ok(())
}

/// Each line on its own: what it says of a refusal, of a wait, and in `explain`.
pub fn lines(case: &Case) -> Result<(), Wrong> {
    for (at, line) in case.inputs.iter().enumerate() {
        note(case, at);
        let held = catch_unwind(AssertUnwindSafe(|| {
            for stage in [Stage::Greeting, Stage::Auth, Stage::Operation] {
                let failure = refusal(line, stage);
                sound(&failure)?;
            }
            let text = printable(line);
            if text.chars().any(char::is_control) || text.chars().count() > 501 {
                return Err(format!("not printable: {text:?}"));
            }
            let _ = (stated_wait(&text), mailconn::report::explain_line(&text, None, None));
            Ok(())
        }));
        held.unwrap_or_else(|_| Err("it panics".to_owned())).map_err(|what| Wrong { at, what })?;
    }
    Ok(())
}

/// Each file as `verify` reads it. What it says of a file that nobody wrote does not matter, as long as it says it.
pub fn records(case: &Case) -> Result<(), Wrong> {
    for (at, file) in case.inputs.iter().enumerate() {
        note(case, at);
        let held = catch_unwind(AssertUnwindSafe(|| {
            let began = Instant::now();
            if let Ok(stored) = Stored::read(file.as_slice(), |_| ()) {
                let verification = Verification::of(stored, &NewPolicy::default(), None);
                let text = verification_text(Layout::PLAIN, &verification);
                let _ = (verification_json(&verification), verification.exit_code());
                if text.contains(|letter: char| letter.is_control() && letter != '\n') {
                    return Err(format!("what is shown holds control characters: {text:?}"));
                }
            }
            if began.elapsed() > Duration::from_secs(10) {
                Err(format!("it takes {:?}", began.elapsed()))
            } else {
                Ok(())
            }
        }));
        held.unwrap_or_else(|_| Err("it panics".to_owned())).map_err(|what| Wrong { at, what })?;
    }
    Ok(())
}
