//! What is tried: cases of a few inputs each.

use super::grammar::{Grammar, MESSAGE, OF_IMAP, OF_POP3, OF_SMTP, TO_IMAP, TO_POP3, TO_SMTP};
use super::random::{Random, spoil};

/// The inputs of a case. They share a server, and its session where it lasts.
pub const PER_CASE: u64 = 20;

/// What an input is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A message for the sandbox.
    Message,
    /// Commands for the sandbox.
    ToImap,
    ToSmtp,
    ToPop3,
    /// A server's side of a session with our client, as a script.
    OfImap,
    OfSmtp,
    OfPop3,
    /// One line of a server.
    Line,
    /// A run's file, for `verify`.
    Record,
}

/// Inputs over one session.
#[derive(Clone, Debug)]
pub struct Case {
    pub kind: Kind,
    /// How far the session is before the first input.
    pub state: usize,
    pub inputs: Vec<Vec<u8>>,
    /// The number of the first input.
    pub first: u64,
}

impl Case {
    pub fn of(seed: u64, number: u64) -> Self {
        let first = number * PER_CASE;
        let kind = match number % 10 {
            0..=2 => Kind::Message,
            3 | 4 => Kind::ToImap,
            5 => Kind::ToSmtp,
            6 => Kind::ToPop3,
            7 => Kind::OfImap,
            8 if number % 20 == 8 => Kind::OfSmtp,
            8 => Kind::OfPop3,
            _ if number % 20 == 9 => Kind::Line,
            _ => Kind::Record,
        };
        let state = Random::of(seed, u64::MAX - number).below(60);
        let inputs = (first..first + PER_CASE).map(|input| kind.input(&mut Random::of(seed, input))).collect();
        Self { kind, state, inputs, first }
    }
}

impl Kind {
    fn input(self, random: &mut Random) -> Vec<u8> {
        match self {
            Self::Message if random.one_in(100) => nested(random),
            Self::Message => made(&MESSAGE, "message", random),
            Self::ToImap => made(&TO_IMAP, "input", random),
            Self::ToSmtp => made(&TO_SMTP, "input", random),
            Self::ToPop3 => made(&TO_POP3, "input", random),
            Self::OfImap => {
                let dial = *random.pick(&IMAP_DIALS);
                script(&OF_IMAP, dial, &IMAP_TURNS, "done", random)
            }
            Self::OfSmtp => script(&OF_SMTP, &["greeting", "ehlo", "in"], &SMTP_TURNS, "ok", random),
            Self::OfPop3 => script(&OF_POP3, &["greeting", "capa", "in"], &POP3_TURNS, "ok", random),
            Self::Record => {
                let mut lines: Vec<Vec<u8>> = RUN.split_inclusive(|&byte| byte == b'\n').map(<[u8]>::to_vec).collect();
                for _ in 0..=random.below(3) {
                    let (at, other) = (random.below(lines.len()), random.below(lines.len()));
                    match random.below(4) {
                        0 => drop(lines.remove(at)),
                        1 => lines.swap(at, other),
                        _ => {
                            let other = lines[other].clone();
                            spoil(random, &mut lines[at], &other);
                        }
                    }
                }
                lines.concat()
            }
            Self::Line => match random.below(5) {
                0 => made(&OF_IMAP, "end", random),
                1 => made(&OF_IMAP, "refusal", random),
                2 => made(&OF_IMAP, "notice", random),
                3 => made(&OF_SMTP, "no", random),
                _ => made(&OF_POP3, "no", random),
            },
        }
    }
}

/// What `mailconn run --mode use-default -t 2 -n 2 --format ndjson` wrote.
pub const RUN: &[u8] = include_bytes!("run.ndjson");

/// By the grammar, and half of the time spoilt.
fn made(grammar: &Grammar, name: &str, random: &mut Random) -> Vec<u8> {
    let mut made = grammar.text(name, random);
    if random.one_in(2) {
        let other = grammar.text(name, random);
        spoil(random, &mut made, &other);
    }
    made
}

/// What nests or goes on, to be repeated, and what stands at the end of it. `{n}` stands for the level.
const NESTS: [(&str, &str); 8] = [
    ("Content-Type: multipart/mixed; boundary=b{n}\r\n\r\n--b{n}\r\n", "\r\nx"),
    ("Content-Type: message/rfc822\r\n\r\n", "Subject: x\r\n\r\ny"),
    ("Content-Type: multipart/digest; boundary=b{n}\r\n\r\n--b{n}\r\n\r\n", "y"),
    ("Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n", "\r\nx"),
    ("--b\r\nContent-Type: text/plain\r\n\r\nx{n}\r\n", "--b--"),
    ("To: a@b, c:d@e;,\r\n", "\r\nx"),
    ("X: (((((((((((((((((((\r\n", "\r\nx"),
    ("Content-Type: text/plain; a*0=b; a*1=c\r\n", "\r\nx"),
];

/// A message that nests deeper, or goes on longer, than the grammar's.
fn nested(random: &mut Random) -> Vec<u8> {
    let (before, after) = random.pick(&NESTS);
    let most = if random.one_in(4) { 4000 } else { 300 };
    let mut message = String::new();
    for level in 0..=random.below(most) {
        message += &before.replace("{n}", &level.to_string());
    }
    if random.one_in(3) {
        let (other, _) = random.pick(&NESTS);
        message += &other.repeat(random.below(200));
    }
    (message + after).into_bytes()
}

const IMAP_DIALS: [&[&str]; 4] =
    [&["greeting", "in", "id"], &["greeting", "in", "id"], &["bare", "caps", "in", "id"], &["preauth", "caps", "id"]];

/// The operations, and what the server says to each of its commands. Each is run twice.
const IMAP_TURNS: [(&str, &[&str]); 6] = [
    ("noop", &["noop"]),
    ("list", &["list"]),
    ("status", &["status"]),
    ("fetch", &["examine", "fetch"]),
    ("search", &["examine", "search"]),
    ("append", &["done", "go", "done", "done"]),
];

const SMTP_TURNS: [(&str, &[&str]); 3] =
    [("noop", &["ok"]), ("verify", &["ok"]), ("send", &["ok", "ok", "data", "queued"])];

const POP3_TURNS: [(&str, &[&str]); 4] =
    [("noop", &["ok"]), ("stat", &["stat"]), ("list", &["list"]), ("retrieve", &["stat", "message"])];

/// Stands between the turns of a script: the next is said when a line has come. `{t}` in it stands for that line's tag,
/// `{n}` for the next one's. The first piece is the name of the operation, the second the greeting. After the last the
/// server closes.
pub const TURN: u8 = 0x1e;

/// At the end of a script: the server does not close.
pub const HANGS: u8 = 0x1d;

/// A script in which most turns are as they should be. One that is not is mostly the last: the client is not to wait for
/// what will not come.
fn script(
    grammar: &Grammar,
    dial: &[&str],
    operations: &[(&str, &[&str])],
    goodbye: &str,
    random: &mut Random,
) -> Vec<u8> {
    let (operation, turns) = *random.pick(operations);
    let turns: Vec<&str> = [dial, turns, turns, &[goodbye]].concat();
    let strange = [random.below(turns.len()), random.below(turns.len() * 2)];
    let mut script = operation.as_bytes().to_vec();
    for (at, name) in turns.iter().enumerate() {
        script.push(TURN);
        if !strange.contains(&at) {
            script.extend_from_slice(grammar.usual(name));
            continue;
        }
        let mut turn = grammar.text(name, random);
        if random.one_in(3) {
            let other = grammar.text(name, random);
            spoil(random, &mut turn, &other);
        }
        script.extend(turn.into_iter().filter(|byte| ![TURN, HANGS].contains(byte)));
        if !random.one_in(3) {
            break;
        }
    }
    if random.one_in(400) {
        script.push(HANGS);
    }
    script
}
