//! Inputs nobody would write: messages and commands into the sandbox, replies to our client, files for `verify`. Each is
//! made from a seed and its own number, by a grammar, and then spoilt; the properties they are held to are in `server` and
//! `client`.
//!
//! ```sh
//! cargo test --test it -- fuzz::                               # 20,000 inputs
//! MAILCONN_FUZZ_INPUTS=200000 cargo test --test it -- fuzz::   # that many; scripts/test all does this
//! MAILCONN_FUZZ_SEED=7 cargo test --test it -- fuzz::          # others
//! MAILCONN_FUZZ_ONLY=1234 cargo test --test it -- fuzz::       # input 1234 alone, and those before it in its session
//! ```
//!
//! The inputs run in a process of their own, whose memory is bounded: one that overflows a stack or eats the memory ends
//! that process, and this one says which it was. What fails is made smaller and printed as a line for [`REMEMBERED`].

mod client;
mod grammar;
mod imap;
mod inputs;
pub mod random;
mod server;

use std::cell::Cell;
use std::collections::BTreeSet;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::resource::{Resource, setrlimit};

use self::inputs::{Case, Kind, PER_CASE};
use self::random::Random;

/// The inputs of the everyday run.
const SHARE: u64 = 20_000;

/// Cases under way at a time: they wait for sockets more than they compute.
const AT_ONCE: u64 = 6;

/// No answer takes as long.
const PATIENCE: Duration = Duration::from_secs(20);

/// The data of the process that runs the inputs, in bytes, at most.
const MEMORY: u64 = 1 << 30;

/// How the line begins that tells of a failure; the next one is the input.
const FAILED: &str = "an input does not hold,";

/// The failures after which no more are looked for.
const ENOUGH: usize = 5;

/// Which input of a case does not hold, and why.
#[derive(Debug)]
pub struct Wrong {
    at: usize,
    what: String,
}

/// Inputs that failed once: kind, state, inputs.
const REMEMBERED: &[(Kind, usize, &[&[u8]])] = &[
    (Kind::Message, 0, &[b"\x00"]),
    (Kind::Message, 0, &[b"\n"]),
    (Kind::Message, 0, &[b":Content-Type:multipart/;boundary=b\nContent-Type:multipart/;boundary=c b\n\n--c bContent-Type:message/rfc822\n\nContent-Type:message/rfc822\n\n\n--c b--"]),
    (Kind::Message, 0, &[b"Content-Type:message/rfc822\nContent-Transfer-Encoding:BASE64\n"]),
    (Kind::Message, 0, &[b"Content-Type:multipart/digest;boundary=b\n\nb--b\n\nh\nContent-Type:message/rfc822\n\n\n--b--"]),
    (Kind::ToImap, 2, &[b"D FETCH *:1 (BODY.PEEK[HEADER.FIELDS (])]<1.7>)"]),
    (Kind::OfImap, 38, &[b"\x1e* OK\n\x1e* \n{t} OK\n\x1e{t} OK\n\x1e* \n{t} OK\n{n} OK \n\x1e"]),
];

impl Case {
    fn run(&self) -> Result<(), Wrong> {
        match self.kind {
            Kind::Message => server::messages(self),
            Kind::ToImap => server::imap_commands(self),
            Kind::ToSmtp => server::smtp_commands(self),
            Kind::ToPop3 => server::pop3_commands(self),
            Kind::OfImap => client::replies(self, mailconn::protocol::Protocol::Imap),
            Kind::OfSmtp => client::replies(self, mailconn::protocol::Protocol::Smtp),
            Kind::OfPop3 => client::replies(self, mailconn::protocol::Protocol::Pop3),
            Kind::Line => client::lines(self),
            Kind::Record => client::records(self),
        }
    }

    /// The same failure with fewer inputs and fewer bytes, as far as a few hundred tries find one.
    fn smaller(mut self, mut wrong: Wrong) -> (Self, Wrong) {
        let until = Instant::now() + Duration::from_secs(20);
        let tried = |case: Self, kept: &mut Self, wrong: &mut Wrong| {
            let found = if Instant::now() < until { case.run().err() } else { None };
            found.map(|found| (*kept, *wrong) = (case, found)).is_some()
        };
        self.inputs.truncate(wrong.at + 1);
        let alone = Self { inputs: vec![self.inputs[wrong.at].clone()], ..self.clone() };
        if !tried(alone, &mut self, &mut wrong) {
            for at in (0..self.inputs.len() - 1).rev() {
                let mut fewer = self.clone();
                fewer.inputs.remove(at);
                tried(fewer, &mut self, &mut wrong);
            }
        }
        for at in 0..self.inputs.len() {
            let mut length = self.inputs[at].len() / 2;
            while length > 0 {
                let mut from = 0;
                while from < self.inputs[at].len() {
                    let mut shorter = self.clone();
                    let input = &mut shorter.inputs[at];
                    input.drain(from..(from + length).min(input.len()));
                    if !tried(shorter, &mut self, &mut wrong) {
                        from += length;
                    }
                }
                length /= 2;
            }
        }
        (self, wrong)
    }

    /// As a line of [`REMEMBERED`].
    fn pasted(&self) -> String {
        let inputs: Vec<_> = self.inputs.iter().map(|input| format!("b\"{}\"", input.escape_ascii())).collect();
        format!("(Kind::{:?}, {}, &[{}]),", self.kind, self.state, inputs.join(", "))
    }
}

fn setting(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|value| value.parse().unwrap_or_else(|_| panic!("{name} is no number: {value}")))
}

fn seed() -> u64 {
    setting("MAILCONN_FUZZ_SEED").unwrap_or(10)
}

// The process that runs the inputs

/// Where each thread writes the number of the input it tries, plus one.
static JOURNAL: Mutex<Option<File>> = Mutex::new(None);

thread_local! {
    static SLOT: Cell<Option<u64>> = const { Cell::new(None) };
}

/// An input is next.
fn note(case: &Case, at: usize) {
    if let Some(slot) = SLOT.get() {
        write_journal(slot, case.first + at as u64 + 1);
    }
}

fn write_journal(slot: u64, number: u64) {
    if let Some(journal) = JOURNAL.lock().unwrap().as_ref() {
        journal.write_all_at(&number.to_le_bytes(), slot * 8).unwrap();
    }
}

/// Not a test by itself: the process of [`no_input_is_too_strange`].
#[test]
#[ignore = "the process that another test starts"]
fn inputs() {
    let Some(journal) = std::env::var_os("MAILCONN_FUZZ_JOURNAL") else { return };
    *JOURNAL.lock().unwrap() = Some(File::create(Path::new(&journal)).unwrap());
    setrlimit(Resource::RLIMIT_DATA, MEMORY, MEMORY).unwrap();
    let (seed, first, end) = (seed(), setting("MAILCONN_FUZZ_FIRST").unwrap(), setting("MAILCONN_FUZZ_END").unwrap());
    let next = AtomicU64::new(first);
    let failures = Mutex::new(0);
    thread::scope(|scope| {
        // No more than are busy: a session would take over the stack, larger than its own, of one that has ended.
        for slot in 0..AT_ONCE.min(end - first) {
            let (next, failures) = (&next, &failures);
            scope.spawn(move || {
                SLOT.set(Some(slot));
                while *failures.lock().unwrap() < ENOUGH {
                    let number = next.fetch_add(1, Ordering::SeqCst);
                    if number >= end {
                        break;
                    }
                    let mut case = Case::of(seed, number);
                    if let Some(only) = setting("MAILCONN_FUZZ_ONLY") {
                        case.inputs.truncate((only - case.first + 1) as usize);
                    }
                    if let Err(wrong) = case.run() {
                        *failures.lock().unwrap() += 1;
                        SLOT.set(None);
                        report(seed, case, wrong);
                        SLOT.set(Some(slot));
                    }
                }
                write_journal(slot, 0);
            });
        }
    });
    assert_eq!(failures.into_inner().unwrap(), 0, "inputs failed");
}

fn report(seed: u64, case: Case, wrong: Wrong) {
    let input = case.first + wrong.at as u64;
    let (smaller, why) = case.smaller(wrong);
    println!("{FAILED} seed {seed}, input {input}: {}\n     {}", why.what, smaller.pasted());
}

// The tests

/// Runs cases in a process of their own. Says what failed, and which inputs were under way when the process died.
fn process(cases: std::ops::Range<u64>, limit: Duration) -> Result<(), (String, BTreeSet<u64>)> {
    let folder = tempfile::tempdir().unwrap();
    let (journal, said) = (folder.path().join("journal"), folder.path().join("said"));
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "fuzz::inputs", "--ignored", "--nocapture"])
        .env("MAILCONN_FUZZ_JOURNAL", &journal)
        .env("MAILCONN_FUZZ_FIRST", cases.start.to_string())
        .env("MAILCONN_FUZZ_END", cases.end.to_string())
        .stdin(Stdio::null())
        .stdout(File::create(&said).unwrap())
        .stderr(File::options().append(true).open(&said).unwrap())
        .spawn()
        .unwrap();
    let until = Instant::now() + limit;
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break Some(status);
        }
        if Instant::now() > until {
            child.kill().unwrap();
            child.wait().unwrap();
            break None;
        }
        thread::sleep(Duration::from_millis(20));
    };
    if status.is_some_and(|status| status.success()) {
        return Ok(());
    }
    let said = told(&String::from_utf8_lossy(&std::fs::read(&said).unwrap()));
    let died = match status {
        None => format!("it takes longer than {limit:?}"),
        Some(status) => match status.signal() {
            None => return Err((said, BTreeSet::new())),
            Some(signal) => format!("the process dies by signal {signal}"),
        },
    };
    let noted = std::fs::read(&journal).unwrap();
    let under_way =
        noted.as_chunks().0.iter().filter_map(|number| u64::from_le_bytes(*number).checked_sub(1)).collect();
    Err((format!("{died}\n{said}"), under_way))
}

/// What the process said of failures, and of panics wherever they were.
fn told(said: &str) -> String {
    let lines: Vec<&str> = said.lines().collect();
    let mut told: Vec<String> = Vec::new();
    for pair in lines.windows(2) {
        let is_panic = pair[0].contains("panicked at");
        let (at, what) = (pair[0].split("panicked at").last().unwrap(), pair[1]);
        let line = if is_panic { format!("a panic at {at} {what}") } else { pair.join("\n") };
        if (is_panic || pair[0].starts_with(FAILED)) && !told.contains(&line) {
            told.push(line);
        }
    }
    if told.is_empty() { lines[lines.len().saturating_sub(20)..].join("\n") } else { told.join("\n") }
}

#[test]
fn no_input_is_too_strange() {
    let (cases, inputs) = match setting("MAILCONN_FUZZ_ONLY") {
        Some(only) => (only / PER_CASE..only / PER_CASE + 1, 1),
        None => {
            let inputs = setting("MAILCONN_FUZZ_INPUTS").unwrap_or(SHARE);
            (0..inputs.div_ceil(PER_CASE), inputs)
        }
    };
    let began = Instant::now();
    // 200,000 take a minute on two idle processors; they may be busy.
    let done = process(cases, Duration::from_secs(120) + Duration::from_millis(5) * u32::try_from(inputs).unwrap());
    println!("seed {}, {inputs} inputs, {:?}", seed(), began.elapsed());
    let Err((said, under_way)) = done else { return };
    let mut said = vec![said];
    for input in under_way {
        // Of those that were under way, the one that does it again alone is the one.
        let case = input / PER_CASE;
        if let Err((again, _)) = process(case..case + 1, Duration::from_secs(60)) {
            let case = Case::of(seed(), case);
            let alone = Case { inputs: vec![case.inputs[(input - case.first) as usize].clone()], ..case };
            said.push(format!(
                "{FAILED} seed {}, input {input}: {}\n     {}",
                seed(),
                again.lines().next().unwrap_or_default(),
                alone.pasted()
            ));
        }
    }
    panic!("seed {}\n{}", seed(), said.join("\n"));
}

#[test]
fn what_failed_once_holds() {
    for (kind, state, inputs) in REMEMBERED {
        let case =
            Case { kind: *kind, state: *state, inputs: inputs.iter().map(|input| input.to_vec()).collect(), first: 0 };
        if let Err(wrong) = case.run() {
            panic!("{}: {}", case.pasted(), wrong.what);
        }
    }
}

/// Else `verify` would see no more of it than its beginning.
#[test]
fn the_file_that_is_spoilt_holds_before() {
    let doubts = crate::support::tool::doubts(inputs::RUN);
    assert!(doubts.is_empty(), "write tests/fuzz/run.ndjson anew, as `RUN` says: {doubts:#?}");
}

/// A seed that is printed today makes the same inputs tomorrow, as long as the grammars are the same.
#[test]
fn a_seed_stands_for_its_numbers() {
    let numbers = |seed, input| {
        let mut random = Random::of(seed, input);
        [(); 6].map(|()| random.below(1000))
    };
    assert_eq!(
        (numbers(10, 0), numbers(10, 199_999), numbers(7, 0)),
        ([112, 726, 509, 650, 912, 532], [414, 427, 120, 190, 718, 752], [172, 764, 916, 465, 447, 5])
    );
}
