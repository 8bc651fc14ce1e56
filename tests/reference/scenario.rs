//! Steps, what must come of each, and both as the text of a scenario.

use std::fmt::{self, Write};

use mailconn::allocator::Mode;
use mailconn::sandbox::Cut;
use proptest::prelude::*;

use super::model::{Client, Model, State};

pub const CLIENTS: usize = 2;
pub const LANES: usize = 4;
/// The longest scenario, in steps.
const LONGEST: usize = 40;

/// A session's name: `#3`, and `#3.2` after a break.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Session {
    pub connection: u32,
    pub number: u32,
}

#[derive(Clone, Copy, Debug)]
pub enum Step {
    Create {
        thread: usize,
        client: usize,
        name: usize,
    },
    CreateDefault {
        thread: usize,
        client: usize,
        handle: usize,
    },
    Leave {
        thread: usize,
        client: usize,
        handle: usize,
    },
    DisposeHandle {
        thread: usize,
        client: usize,
        handle: usize,
    },
    DisposeDefault {
        thread: usize,
        client: usize,
    },
    Dispose {
        thread: usize,
        connection: usize,
    },
    Operate {
        thread: usize,
        client: usize,
        via: Option<usize>,
    },
    /// An operation whose connection the thread keeps.
    Hold {
        thread: usize,
        client: usize,
        via: Option<usize>,
    },
    /// Of all that the thread keeps.
    Release {
        thread: usize,
    },
    SetMode {
        thread: usize,
        client: usize,
        mode: Mode,
    },
    Exit {
        thread: usize,
    },
    Cut {
        client: usize,
        session: Session,
        victim: Victim,
        how: Cut,
    },
    Refuse(bool),
    /// Dials are not answered, until they are again.
    Hang(bool),
    Close {
        client: usize,
    },
}

#[derive(Clone, Copy, Debug)]
pub enum Victim {
    Main,
    DefaultOf(usize),
    Independent(usize),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// By hand.
    Opened(Session),
    Used {
        session: Session,
        reason: &'static str,
        opened: bool,
    },
    /// The operation failed, for its connection was cut.
    Broke {
        session: Session,
        reason: &'static str,
        word: &'static str,
    },
    /// The dial failed.
    NotOpened(Session),
    /// By one of these rules, and which connection it names.
    Refused(&'static [&'static str], Option<u32>),
    Disposed(Option<u32>),
    /// No turn in time: for that connection, or for room.
    TimedOut(Option<u32>),
    /// Its turn has not come.
    Waits,
    Done,
}

/// What a client is made with.
#[derive(Clone, Copy, Debug)]
pub struct Terms {
    pub mode: Mode,
    pub cap: Option<usize>,
    /// Without patience whatever would have to wait fails.
    pub patient: bool,
}

/// A step, and what is true after it.
pub struct Line {
    pub step: Step,
    pub outcome: Outcome,
    /// What comes, by this step, of those that had to wait before: which thread, and what.
    pub finished: Vec<(usize, Outcome)>,
    pub after: [After; CLIENTS],
    /// What is open then, in the scenario's words: by what the client can know.
    open: [String; CLIENTS],
}

/// What is true of a client.
#[derive(Debug, PartialEq, Eq)]
pub struct After {
    /// The sessions that the server has open.
    pub open: Vec<Session>,
    /// How many the client counts: with those that were cut, which it cannot know yet, and those being dialled.
    pub held: usize,
    /// How many stand in line.
    pub waiting: usize,
    pub mode: Mode,
}

pub struct Scenario {
    pub terms: [Terms; CLIENTS],
    pub lines: Vec<Line>,
}

/// A step whose names are numbers: what they mean depends on what is there by then.
#[derive(Clone, Copy, Debug)]
pub struct Raw {
    verb: Verb,
    lane: usize,
    client: usize,
    pick: usize,
}

#[derive(Clone, Copy, Debug)]
enum Verb {
    Operate,
    OperateVia,
    Hold,
    HoldVia,
    Release,
    Create,
    CreateDefault,
    Leave,
    DisposeHandle,
    DisposeDefault,
    Dispose,
    SetMode,
    Exit,
    Cut,
    Refuse,
    Accept,
    Hang,
    Answer,
    Close,
}

/// What a scenario is made from.
#[derive(Clone)]
pub struct Seed {
    terms: [Terms; CLIENTS],
    raw: Vec<Raw>,
}

pub fn seeds() -> impl Strategy<Value = Seed> {
    let verb = prop_oneof![
        30 => Just(Verb::Operate),
        12 => Just(Verb::OperateVia),
        12 => Just(Verb::Hold),
        10 => Just(Verb::HoldVia),
        14 => Just(Verb::Release),
        8 => Just(Verb::Create),
        12 => Just(Verb::CreateDefault),
        4 => Just(Verb::Leave),
        4 => Just(Verb::DisposeHandle),
        6 => Just(Verb::DisposeDefault),
        4 => Just(Verb::Dispose),
        9 => Just(Verb::SetMode),
        5 => Just(Verb::Exit),
        10 => Just(Verb::Cut),
        2 => Just(Verb::Refuse),
        3 => Just(Verb::Accept),
        3 => Just(Verb::Hang),
        5 => Just(Verb::Answer),
        1 => Just(Verb::Close),
    ];
    let raw = (verb, 0..LANES, 0..CLIENTS, 0_usize..60).prop_map(|(verb, lane, client, pick)| Raw {
        verb,
        lane,
        client,
        pick,
    });
    let mode = prop::sample::select(Mode::ALL.to_vec());
    let cap = prop::option::of(1..=4_usize);
    // Shrinks to those that never have to wait.
    let terms = (mode, cap, prop::bool::weighted(0.8)).prop_map(|(mode, cap, patient)| Terms { mode, cap, patient });
    ([terms.clone(), terms], prop::collection::vec(raw, 1..=LONGEST)).prop_map(|(terms, raw)| Seed { terms, raw })
}

impl Seed {
    /// The model runs the steps; one that makes no sense where it stands is left out. In the end nobody waits.
    pub fn scenario(&self) -> Scenario {
        let mut model = Model { clients: self.terms.map(Client::new).into(), ..Model::default() };
        let mut lanes: [usize; LANES] = std::array::from_fn(|lane| lane + 1);
        let mut lines = Vec::new();
        for (count, raw) in self.raw.iter().enumerate() {
            let Some(step) = raw.step(count, &model, &lanes) else { continue };
            if let Step::Exit { .. } = step {
                lanes[raw.lane] = lanes.iter().max().unwrap() + 1;
            }
            lines.push(Line::new(&mut model, step));
        }
        while let Some(step) = unwind(&model, &lanes) {
            lines.push(Line::new(&mut model, step));
        }
        Scenario { terms: self.terms, lines }
    }
}

impl Line {
    fn new(model: &mut Model, step: Step) -> Self {
        // Who waits keeps what it gets: so each turn is a step of its own, and none depends on which thread is faster.
        let step = match step {
            Step::Operate { thread, client, via } if model.clone().step(&step) == Outcome::Waits => {
                Step::Hold { thread, client, via }
            }
            step => step,
        };
        let outcome = model.step(&step);
        let finished = std::mem::take(&mut model.finished);
        let after = std::array::from_fn(|client| {
            let its: &Client = &model.clients[client];
            After { open: its.sessions(State::Open), held: its.taken(), waiting: its.waiting().count(), mode: its.mode }
        });
        let open = std::array::from_fn(|client| open(model, client));
        Self { step, outcome, finished, after, open }
    }
}

impl Line {
    /// The question which connection the operation would use, asked before it, and the answer, where its outcome says that.
    fn would(&self) -> Option<(String, String)> {
        let (Step::Operate { thread, client, via } | Step::Hold { thread, client, via }) = self.step else {
            return None;
        };
        let via = via.map_or_else(String::new, |via| format!(" via k{via}"));
        let answer = match &self.outcome {
            Outcome::Used { reason, .. } | Outcome::Broke { reason, .. } => format!("=> {reason}"),
            // Whether the connection is free is not asked.
            Outcome::Refused(["W3"], _) => return None,
            Outcome::Refused(..) => self.outcome.text(),
            _ => return None,
        };
        Some((format!("T{thread} would{via} on {}", letter(client)), answer))
    }
}

/// The next step towards an end in which nobody waits and nobody keeps anything.
fn unwind(model: &Model, lanes: &[usize]) -> Option<Step> {
    if model.hangs {
        return Some(Step::Hang(false));
    }
    let keeps = |thread: &&usize| !model.waits(**thread) && !model.held_by(**thread).is_empty();
    if let Some(thread) = lanes.iter().find(keeps) {
        return Some(Step::Release { thread: *thread });
    }
    // They wait for room that nobody will make, or for each other.
    let stuck = model.clients.iter().position(|client| client.waiting().next().is_some());
    stuck.map(|client| Step::Close { client })
}

impl Raw {
    /// `count` makes new names.
    fn step(self, count: usize, model: &Model, lanes: &[usize]) -> Option<Step> {
        let Self { verb, lane, client, pick } = self;
        let thread = lanes[lane];
        let a_connection = || picked(model.named.keys().copied(), pick);
        let a_handle = || {
            let its = model.handles.iter().filter(|(_, (of, ..))| *of == thread);
            picked(its.map(|(handle, (_, client, _))| (*handle, *client)), pick)
        };
        let of_a_thread =
            !matches!(verb, Verb::Cut | Verb::Refuse | Verb::Accept | Verb::Hang | Verb::Answer | Verb::Close);
        if of_a_thread && model.waits(thread) {
            return None;
        }
        Some(match verb {
            Verb::Operate => Step::Operate { thread, client, via: None },
            Verb::Hold => Step::Hold { thread, client, via: None },
            Verb::OperateVia | Verb::HoldVia => {
                let via = a_connection()?;
                // Mostly with its own client.
                let client = if pick % 5 == 0 { client } else { model.named[&via].0 };
                match verb {
                    Verb::HoldVia => Step::Hold { thread, client, via: Some(via) },
                    _ => Step::Operate { thread, client, via: Some(via) },
                }
            }
            Verb::Release if model.held_by(thread).is_empty() => return None,
            Verb::Release => Step::Release { thread },
            Verb::Create => Step::Create { thread, client, name: count },
            Verb::CreateDefault => Step::CreateDefault { thread, client, handle: count },
            Verb::Leave => {
                let (handle, client) = a_handle()?;
                Step::Leave { thread, client, handle }
            }
            Verb::DisposeHandle => {
                let (handle, client) = a_handle()?;
                Step::DisposeHandle { thread, client, handle }
            }
            Verb::DisposeDefault => Step::DisposeDefault { thread, client },
            Verb::Dispose => Step::Dispose { thread, connection: a_connection()? },
            Verb::SetMode => Step::SetMode { thread, client, mode: Mode::ALL[pick % 3] },
            Verb::Exit => Step::Exit { thread },
            Verb::Cut => {
                let its = &model.clients[client];
                let mut open = its.sessions(State::Open);
                // Once it is disposed it has no name.
                open.retain(|session| !its.places[&session.connection].disposed);
                let session = picked(open.into_iter(), pick)?;
                let how = if pick % 2 == 0 { Cut::Fin } else { Cut::Rst };
                Step::Cut { client, session, victim: model.victim(client, session.connection), how }
            }
            Verb::Refuse if !model.refuses && !model.hangs => Step::Refuse(true),
            Verb::Accept if model.refuses => Step::Refuse(false),
            Verb::Hang if !model.hangs && !model.refuses => Step::Hang(true),
            Verb::Answer if model.hangs => Step::Hang(false),
            // What becomes of a dial that is under way then is left open.
            Verb::Close if !model.clients[client].closed && model.hanging.is_empty() => Step::Close { client },
            Verb::Refuse | Verb::Accept | Verb::Hang | Verb::Answer | Verb::Close => return None,
        })
    }
}

/// `main k3 1-default`
fn open(model: &Model, client: usize) -> String {
    let its = &model.clients[client];
    let sessions = [State::Open, State::Cut].map(|state| its.sessions(state)).concat();
    let mut defaults = 0;
    let mut words = Vec::new();
    for session in &sessions {
        match model.victim(client, session.connection) {
            Victim::Main => words.push("main".to_owned()),
            Victim::DefaultOf(_) => defaults += 1,
            Victim::Independent(name) => words.push(format!("k{name}")),
        }
    }
    match defaults {
        0 if words.is_empty() => words.push("nothing".to_owned()),
        0 => {}
        _ => words.push(format!("{defaults}-default")),
    }
    words.join(" ")
}

fn picked<T>(from: impl Iterator<Item = T>, pick: usize) -> Option<T> {
    let all: Vec<T> = from.collect();
    let count = all.len();
    all.into_iter().nth(pick % count.max(1))
}

/// The scenario that failed, whole and as small as it could be made: what a test prints.
impl fmt::Debug for Seed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scenario = self.scenario();
        writeln!(f, "\n{}", scenario.text(scenario.lines.len()))
    }
}

impl Scenario {
    /// The first `lines` of it in the language of `mailconn scenario`.
    pub fn text(&self, lines: usize) -> String {
        let mut text = String::new();
        for (client, Terms { mode, cap, patient }) in self.terms.iter().enumerate() {
            let cap = cap.map_or(String::new(), |cap| format!(" cap={cap}"));
            let wait = if *patient { "" } else { " wait=1ns" };
            writeln!(text, "client {} {mode}{cap}{wait}", letter(client)).unwrap();
        }
        let mut write = |step: &str, result: &str| {
            writeln!(text, "{}", format!("{step:<44} {result}").trim_end()).unwrap();
        };
        for line in &self.lines[..lines] {
            let step = line.step.text();
            if let Some((asked, answer)) = line.would() {
                write(&asked, &answer);
            }
            match line.outcome {
                Outcome::Waits => {
                    write(&step.replacen(' ', " begins ", 1), "");
                    write("pause 60ms", "");
                }
                _ => write(&step, &line.outcome.text()),
            }
            for (thread, outcome) in &line.finished {
                write(&format!("T{thread} finishes"), &outcome.text());
            }
        }
        if let Some(last) = self.lines[..lines].last() {
            for (client, open) in last.open.iter().enumerate() {
                writeln!(text, "expect open: {open} on {}", letter(client)).unwrap();
            }
        }
        text
    }
}

pub fn letter(client: usize) -> char {
    ['A', 'B'][client]
}

impl Step {
    fn text(&self) -> String {
        match *self {
            Self::Create { thread, client, name } => format!("T{thread} create k{name} on {}", letter(client)),
            Self::CreateDefault { thread, client, handle } => {
                format!("T{thread} create-default d{handle} on {}", letter(client))
            }
            Self::Leave { thread, client, handle } => format!("T{thread} leave d{handle} on {}", letter(client)),
            Self::DisposeHandle { thread, client, handle } => {
                format!("T{thread} dispose d{handle} on {}", letter(client))
            }
            Self::DisposeDefault { thread, client } => format!("T{thread} dispose-default on {}", letter(client)),
            Self::Dispose { thread, connection } => format!("T{thread} dispose k{connection}"),
            Self::Operate { thread, client, via: None } => format!("T{thread} noop on {}", letter(client)),
            Self::Operate { thread, client, via: Some(via) } => {
                format!("T{thread} noop via k{via} on {}", letter(client))
            }
            Self::Hold { thread, client, via: None } => format!("T{thread} hold on {}", letter(client)),
            Self::Hold { thread, client, via: Some(via) } => format!("T{thread} hold via k{via} on {}", letter(client)),
            Self::Release { thread } => format!("T{thread} release"),
            Self::SetMode { thread, client, mode } => format!("T{thread} mode {mode} on {}", letter(client)),
            Self::Exit { thread } => format!("T{thread} exit"),
            Self::Cut { client, victim, how, .. } => {
                let how = if how == Cut::Fin { "fin" } else { "rst" };
                match victim {
                    Victim::Main => format!("server cuts main on {} by {how}", letter(client)),
                    Victim::DefaultOf(thread) => {
                        format!("server cuts default of T{thread} on {} by {how}", letter(client))
                    }
                    Victim::Independent(name) => format!("server cuts k{name} by {how}"),
                }
            }
            Self::Refuse(true) => "server refuses connections".to_owned(),
            Self::Refuse(false) => "server accepts connections".to_owned(),
            // The sandbox does not: what begins meanwhile only takes its time, and all comes out the same.
            Self::Hang(true) => "# nobody answers new connections".to_owned(),
            Self::Hang(false) => "# new connections are answered again".to_owned(),
            Self::Close { client } => format!("close {}", letter(client)),
        }
    }
}

impl Outcome {
    /// As a scenario expects it.
    pub fn text(&self) -> String {
        match self {
            Self::Opened(_) => "=> opened".to_owned(),
            Self::Used { session, reason, .. } => format!("=> {reason} session {}", session.number),
            Self::Broke { word, .. } => format!("=> fails {word}"),
            Self::NotOpened(_) => "=> fails".to_owned(),
            Self::Refused(rules, _) => format!("=> refused {}", rules.join(" or refused ")),
            Self::Disposed(Some(_)) => "=> disposed".to_owned(),
            Self::Disposed(None) => "=> nothing".to_owned(),
            Self::TimedOut(_) => "=> fails wait-timeout".to_owned(),
            Self::Waits | Self::Done => String::new(),
        }
    }
}

impl Session {
    pub fn parse(name: &str) -> Self {
        let (connection, number) = name.trim_start_matches('#').split_once('.').unwrap_or((&name[1..], "1"));
        Self { connection: connection.parse().unwrap(), number: number.parse().unwrap() }
    }
}

impl fmt::Display for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.number {
            1 => write!(f, "#{}", self.connection),
            number => write!(f, "#{}.{number}", self.connection),
        }
    }
}
