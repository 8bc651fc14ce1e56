//! What a server's refusal means: its line taken apart, and held against one table of what real servers send.

mod carried;
mod period;
mod table;
mod time;
mod wait;
mod words;

use std::collections::HashSet;
use std::sync::LazyLock;

use super::cure::{Circumstances, advice};
use super::endpoint::Protocol;
use super::failure::{Failure, FailureKind, Stage};
use table::{At, Says};
use words::{Pattern, Text, singular};

use FailureKind::{AuthPolicy, AuthRefused, AuthUnsupported, LimitConnections, LimitRate, ServerUnavailable};

pub(super) use carried::Carried;
pub use period::stated_period;
pub(crate) use time::spaced;
pub use time::{is_unit_of_time, written_number};
pub use wait::{StatedWait, stated_wait};

/// How `-ERR`, which may mean anything, begins where it ends the session.
const FAREWELLS: [&str; 8] = [
    "disconnected",
    "idle timeout",
    "autologout",
    "timeout",
    "connection is closed",
    "connection timed out",
    "closing connection",
    "server shutting down",
];

/// The table with its words made ready to be looked for.
struct Known {
    rows: Vec<Row>,
    names_follow: Vec<Pattern>,
    locks: Vec<Pattern>,
    remarks: Vec<Vec<Pattern>>,
}

struct Row {
    of: table::Row,
    says: Sought,
}

enum Sought {
    Words(Vec<Pattern>),
    Both(Box<[Self; 2]>),
    /// What is not looked for among the words.
    Other(Says),
}

impl Sought {
    fn of(says: Says) -> Self {
        match says {
            Says::Words(words) => Self::Words(patterns(words)),
            Says::Both(one, other) => Self::Both(Box::new([Self::of(*one), Self::of(*other)])),
            other => Self::Other(other),
        }
    }

    fn fits(&self, line: &Line<'_>) -> bool {
        match self {
            Self::Words(patterns) => holds_any(&line.text, patterns),
            Self::Both(both) => both.iter().all(|sought| sought.fits(line)),
            Self::Other(says) => match says {
                Says::Code(codes) => line.codes.iter().any(|code| codes.contains(&code.as_str())),
                Says::Reply(codes) => codes.iter().any(|code| line.has_reply(code)),
                Says::Word(word) => line.first == *word,
                Says::Goodbye => line.is_goodbye,
                Says::Anything => true,
                // They have become something else above.
                Says::Words(_) | Says::Both(..) => false,
            },
        }
    }
}

impl Known {
    fn of(rows: &[table::Row]) -> Self {
        Self {
            rows: rows.iter().map(|row| Row { of: *row, says: Sought::of(row.says) }).collect(),
            names_follow: patterns(table::NAMES_FOLLOW),
            locks: patterns(table::LOCKS),
            remarks: table::REMARKS.iter().map(|words| patterns(words)).collect(),
        }
    }
}

static KNOWN: LazyLock<Known> = LazyLock::new(|| Known::of(table::TABLE));

fn patterns(words: &[&str]) -> Vec<Pattern> {
    words.iter().map(|words| Pattern::of(words)).collect()
}

fn holds_any(text: &Text, patterns: &[Pattern]) -> bool {
    patterns.iter().any(|pattern| text.holds(pattern))
}

/// What is looked at of a line, in bytes: a hostile one of megabytes must not cost its reader the deadline.
const MAX_READ: usize = 2048;

fn beginning(line: &[u8]) -> &[u8] {
    &line[..line.len().min(MAX_READ)]
}

/// A refusal taken apart.
struct Line<'known> {
    known: &'known Known,
    protocol: Protocol,
    /// `no`, `bad`, `bye`, `-err`, or the code of a reply of SMTP.
    first: String,
    /// `5.7.8`, where SMTP has one (RFC 2034).
    enhanced: String,
    /// What stands in brackets before the text.
    codes: Vec<String>,
    is_goodbye: bool,
    /// What is said, without what the command carried.
    said: String,
    text: Text,
}

impl<'known> Line<'known> {
    fn read(known: &'known Known, line: &[u8], carried: &[String]) -> Self {
        let whole = String::from_utf8_lossy(beginning(line));
        let untagged = whole.strip_prefix("* ").unwrap_or(&whole);
        let (first, mut said) = untagged.split_once(' ').unwrap_or((untagged, ""));
        let first = first.to_lowercase();
        let protocol = match first.as_bytes() {
            b"-err" => Protocol::Pop3,
            [b'0'..=b'9', b'0'..=b'9', b'0'..=b'9'] => Protocol::Smtp,
            _ => Protocol::Imap,
        };
        let mut enhanced = String::new();
        if protocol == Protocol::Smtp
            && let (code, rest) = said.split_once(' ').unwrap_or((said, ""))
            && is_enhanced_code(code)
        {
            enhanced = code.to_owned();
            said = rest;
        }
        let mut codes = Vec::new();
        while let Some((code, rest)) = said.trim_start().strip_prefix('[').and_then(|code| code.split_once(']')) {
            codes.push(code.split(' ').next().unwrap_or_default().to_lowercase());
            said = rest;
        }
        // A line that is nothing but its words.
        if !matches!(first.as_str(), "no" | "bad" | "bye" | "-err") && protocol != Protocol::Smtp {
            said = &whole;
        }
        let said = table::SAYS_NOTHING
            .iter()
            .fold(without(said, carried), |said, words| without(&said, &[(*words).to_owned()]));
        let said = without_remarks(known, &said);
        let text = Text::of(&said);
        Self { known, protocol, first, enhanced, codes, is_goodbye: is_goodbye(line), said, text }
    }

    /// Whether the reply has that code: `454`, `4..`, `5.7.8`, `.2.2`, or two of them.
    fn has_reply(&self, wanted: &str) -> bool {
        if self.protocol != Protocol::Smtp {
            return false;
        }
        if let Some((code, enhanced)) = wanted.split_once(' ') {
            return self.has_reply(code) && self.has_reply(enhanced);
        }
        if wanted.starts_with('.') {
            return self.enhanced.get(1..) == Some(wanted);
        }
        if wanted.len() == 3 {
            return self.first.len() == 3 && wanted.bytes().zip(self.first.bytes()).all(|(w, c)| w == b'.' || w == c);
        }
        self.enhanced == wanted
    }

    fn means(mut self, stage: Stage) -> FailureKind {
        if At::Later.holds(stage) {
            let names =
                self.known.names_follow.iter().filter_map(|pattern| self.text.find(pattern)).map(|found| found.end);
            if let Some(end) = names.min() {
                self.text.truncate(end);
            }
        } else if At::SignIn.holds(stage) && self.causes().len() > 1 {
            return AuthRefused;
        }
        self.decide(stage, |_| true)
    }

    fn decide(&self, stage: Stage, counts: impl Fn(&Row) -> bool) -> FailureKind {
        let fits = |row: &&Row| {
            row.of.at.holds(stage)
                && row.of.protocol.is_none_or(|protocol| protocol == self.protocol)
                && counts(row)
                && row.says.fits(self)
        };
        // The table's last row holds always.
        self.known.rows.iter().find(fits).map_or(FailureKind::ServerNo, |row| row.of.means)
    }

    /// Whether it says that a maildrop has another owner, and nothing of how many connections there are.
    fn is_about_a_lock(&self) -> bool {
        let is_lock = self.codes.iter().any(|code| code == "in-use") || holds_any(&self.text, &self.known.locks);
        is_lock && self.decide(Stage::Operation, |row| matches!(row.says, Sought::Words(_))) != LimitConnections
    }

    /// The causes that a sign-in's refusal offers to choose from: "account is abnormal, password is incorrect, or system
    /// is busy". Empty where it offers no choice.
    fn causes(&self) -> Vec<FailureKind> {
        // Nobody's choice stands in an address of the web or a path.
        let words = self.said.split_whitespace().filter(|word| !word.contains("://") && !has_path(word));
        let said = words.collect::<Vec<_>>().join(" ");
        for sentence in said.split(['.', '!', '?', '。']) {
            let (clauses, is_choice) = self.clauses(sentence);
            if clauses.len() < 2 {
                continue;
            }
            let mut causes = Vec::new();
            for (at, clause) in clauses.into_iter().enumerate() {
                // What only a comma parts from a cause may follow from it.
                let counts = is_choice || at == 0 || !follows(clause);
                if let Some(cause) = self.cause_of(clause).filter(|_| counts)
                    && !causes.iter().any(|other| is_same_cause(*other, cause))
                {
                    causes.push(cause);
                }
            }
            // So does a lock from too many attempts.
            let has_limit = causes.iter().any(|cause| matches!(cause, LimitConnections | LimitRate));
            if causes.len() > 1 + usize::from(has_limit && !is_choice) {
                return causes;
            }
        }
        Vec::new()
    }

    /// The clauses of a sentence, and whether it says that one has to choose from them.
    fn clauses<'a>(&self, sentence: &'a str) -> (Vec<&'a str>, bool) {
        const OR: [&str; 4] = [" or ", "(or ", "或", "、"];
        const CHOICES: [&str; 3] = ["possible cause", "possible reason", "one of the following"];
        let lower = sentence.to_ascii_lowercase();
        let mut is_choice = CHOICES.iter().any(|choice| lower.contains(choice));
        let mut clauses = Vec::new();
        let mut from = 0;
        for (at, c) in sentence.char_indices() {
            let or = match c {
                '/' => usize::from(at >= from && self.parts_causes(&sentence[from..at], &sentence[at + 1..])),
                _ => OR.iter().find(|or| lower[at..].starts_with(**or)).map_or(0, |or| or.len()),
            };
            let separator = if matches!(c, ',' | '，' | ';' | '；') { c.len_utf8() } else { or };
            if separator > 0 && at >= from {
                clauses.push(&sentence[from..at]);
                from = at + separator;
                is_choice |= or > 0;
            }
        }
        clauses.push(&sentence[from..]);
        (clauses, is_choice)
    }

    /// Whether a slash stands between two causes, and not between two words as in `IMAP/POP3`.
    fn parts_causes(&self, before: &str, behind: &str) -> bool {
        let behind = behind.split([',', ';', '，', '、']).next().unwrap_or_default();
        let causes = self.cause_of(before).zip(self.cause_of(behind));
        causes.is_some_and(|(one, other)| !is_same_cause(one, other))
    }

    /// The cause that the words of a sign-in's refusal state, if they state one.
    fn cause_of(&self, clause: &str) -> Option<FailureKind> {
        let line = Line::read(self.known, format!("no {clause}").as_bytes(), &[]);
        let cause = line.decide(Stage::Auth, |row| matches!(row.says, Sought::Words(_)) || row.of.means == AuthRefused);
        (cause != AuthRefused).then_some(cause)
    }
}

fn has_path(word: &str) -> bool {
    word.len() > 1 && word.starts_with('/')
}

/// The text without the parts that warn, or say where there is more to read.
fn without_remarks(known: &Known, said: &str) -> String {
    let is_remark = |part: &str| {
        let text = Text::of(part);
        known.remarks.iter().any(|words| words.iter().all(|pattern| text.holds(pattern)))
    };
    let apart = said.replace(" - ", "; ");
    let parts: Vec<&str> = apart.split_inclusive(['.', ';', ':', '!', '?', '。', ',', '(', ')']).collect();
    if !parts.iter().any(|part| is_remark(part)) {
        return said.to_owned();
    }
    // What holds that sign is no word.
    parts.into_iter().map(|part| if is_remark(part) { "@ " } else { part }).collect()
}

/// Whether a clause says what comes of another, or what to do.
fn follows(clause: &str) -> bool {
    const WORDS: [&str; 12] = [
        "your ",
        "has been",
        "have been",
        "will be",
        "please",
        "use ",
        "try ",
        "contact",
        "therefore",
        "because",
        "due to",
        "since ",
    ];
    let lower = clause.to_ascii_lowercase();
    WORDS.iter().any(|word| lower.contains(word))
}

fn is_same_cause(one: FailureKind, other: FailureKind) -> bool {
    let is_limit = |kind| matches!(kind, LimitConnections | LimitRate);
    one == other || (is_limit(one) && is_limit(other))
}

fn is_enhanced_code(word: &str) -> bool {
    let mut parts = word.split('.');
    word.starts_with(['4', '5'])
        && parts.clone().count() == 3
        && parts.all(|part| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit()))
}

/// The text without what the command carried, wherever that stands as words of its own.
fn without(text: &str, carried: &[String]) -> String {
    let mut left = text.to_owned();
    for name in carried.iter().filter(|name| !name.is_empty()) {
        let mut from = 0;
        loop {
            let (lower, name) = (left.to_ascii_lowercase(), name.to_ascii_lowercase());
            let Some(at) = lower[from..].find(&name).map(|at| from + at) else { break };
            let end = at + name.len();
            let apart = |c: Option<char>| !c.is_some_and(char::is_alphanumeric);
            if apart(left[..at].chars().next_back()) && apart(left[end..].chars().next()) {
                // What holds that sign is no word.
                left.replace_range(at..end, "@");
                from = at + 1;
            } else {
                from = end;
            }
        }
    }
    left
}

/// The failure that a server's refusal stands for: a tagged NO or BAD, an untagged BYE, a `-ERR`, a 4xx or 5xx reply.
///
/// `line` is the server's line without its line end; a tag is recognised and left out of what is shown.
#[must_use]
pub fn refusal(line: &[u8], stage: Stage) -> Failure {
    refusal_of(line, stage, &[])
}

/// The same, where it is known what the command carried, such as a mailbox's name: a server may repeat it, and it says
/// nothing of the server.
#[must_use]
pub fn refusal_of(line: &[u8], stage: Stage, carried: &[String]) -> Failure {
    refusal_shown_as(line, without_tag(line), stage, carried)
}

/// The same, where another line is to be shown for it: one without its tag, in which the password is masked. Nothing is
/// decided on that one.
pub(super) fn refusal_shown_as(line: &[u8], shown: &[u8], stage: Stage, carried: &[String]) -> Failure {
    let line = without_tag(line);
    let kind = Line::read(&KNOWN, line, carried).means(stage);
    let message = advice(kind, stage, beginning(line), &Circumstances::default());
    Failure::new(kind, stage, message).with_line(beginning(shown))
}

/// Whether a failure is called so when things had come so far.
#[must_use]
pub fn comes_about_at(kind: FailureKind, stage: Stage) -> bool {
    use FailureKind as Kind;
    match kind {
        Kind::Dns => stage == Stage::Resolve,
        Kind::ConnectTimeout | Kind::ConnectReset => stage <= Stage::Connect,
        Kind::TlsHandshake | Kind::TlsCertificate => stage == Stage::Tls,
        Kind::Greeting => stage == Stage::Greeting,
        Kind::WaitTimeout | Kind::Refused => stage == Stage::Wait,
        Kind::Closed | Kind::Timeout | Kind::Protocol => stage >= Stage::Connect,
        // One may be told by what the server did, without a line.
        Kind::LimitConnections => stage >= Stage::Connect,
        // What refuses a command before the sign-in is no more than that, whatever its row says.
        Kind::ServerNo | Kind::ServerBad | Kind::ServerBye | Kind::ServerUnavailable | Kind::LimitRate => {
            stage >= Stage::Tls
        }
        Kind::AuthInvalid | Kind::AuthPolicy | Kind::AuthRefused | Kind::AuthUnsupported => {
            let mut rows = table::TABLE.iter().filter(|row| row.means == kind);
            stage >= Stage::Tls && rows.any(|row| row.at.holds(stage))
        }
        // The network, this machine, this program or a signal: at any time.
        Kind::ConnectRefused | Kind::Disposed | Kind::LocalResources | Kind::Internal => true,
    }
}

/// The words that refusals are known by: whole ones, and beginnings.
static KNOWN_BY: LazyLock<(HashSet<&str>, Vec<&str>)> = LazyLock::new(|| {
    let rows = table::TABLE.iter().flat_map(|row| phrases(&row.says));
    let lists = [table::NAMES_FOLLOW, table::LOCKS, table::SAYS_NOTHING];
    let lists = lists.into_iter().chain(table::REMARKS.iter().copied());
    let phrases = rows.chain(lists.flatten().copied());
    let words = phrases.flat_map(|phrase| phrase.split(' ')).filter(|word| *word != "*");
    let (open, whole): (Vec<&str>, Vec<&str>) = words.partition(|word| word.ends_with('*'));
    (whole.into_iter().map(singular).collect(), open.into_iter().map(|word| word.trim_end_matches('*')).collect())
});

/// Whether a word in small letters is, or begins as, one of those that refusals are known by.
fn speaks_of(word: &str) -> bool {
    is_known_by(word, |_| true)
}

/// The same of a whole word: one that goes on otherwise than English words do may be a name or a secret.
pub(super) fn is_of_refusals(word: &str) -> bool {
    const ENDINGS: [&str; 9] = ["", "e", "s", "d", "ed", "es", "ing", "ly", "ure"];
    is_known_by(word, |ending| ENDINGS.contains(&ending))
}

fn is_known_by(word: &str, ends: impl Fn(&str) -> bool) -> bool {
    let (whole, open) = &*KNOWN_BY;
    whole.contains(singular(word)) || open.iter().filter_map(|begin| word.strip_prefix(begin)).any(ends)
}

/// The words that a row of the table looks for, or codes.
fn phrases(says: &Says) -> Vec<&'static str> {
    match says {
        Says::Words(words) | Says::Code(words) => words.to_vec(),
        Says::Both(one, other) => [phrases(one), phrases(other)].concat(),
        Says::Reply(_) | Says::Word(_) | Says::Goodbye | Says::Anything => Vec::new(),
    }
}

/// Whether the line says that a maildrop has another owner (RFC 1939 §3), and nothing of how many connections there are.
pub(crate) fn is_about_a_lock(line: &[u8]) -> bool {
    Line::read(&KNOWN, line, &[]).is_about_a_lock()
}

/// The causes that a sign-in's refusal offers to choose from, in words; none if it offers no choice.
pub(super) fn offered_causes(line: &[u8]) -> Option<String> {
    let causes = Line::read(&KNOWN, line, &[]).causes();
    (causes.len() > 1).then(|| named(&causes))
}

/// What a line means that is no greeting of the protocol, if its words say that the server cannot serve now.
pub(super) fn refused_greeting(line: &[u8]) -> Option<FailureKind> {
    let kind = Line::read(&KNOWN, line, &[]).means(Stage::Greeting);
    (kind != FailureKind::Greeting).then_some(kind)
}

/// The line without the tag of the command that it answers. `* BYE` keeps its star.
pub(super) fn without_tag(line: &[u8]) -> &[u8] {
    let Some(space) = line.iter().position(|byte| *byte == b' ') else { return line };
    let rest = &line[space + 1..];
    let tagged = line[0].is_ascii_alphabetic() && line[..space].iter().any(u8::is_ascii_digit);
    if tagged && ["OK", "NO", "BAD", "BYE"].iter().any(|word| starts_with_word(rest, word)) { rest } else { line }
}

fn starts_with_word(text: &[u8], word: &str) -> bool {
    text.get(..word.len()).is_some_and(|start| start.eq_ignore_ascii_case(word.as_bytes()))
        && text.get(word.len()).is_none_or(|next| *next == b' ')
}

/// Whether the server ends the session with that line.
pub(super) fn is_goodbye(line: &[u8]) -> bool {
    let text = String::from_utf8_lossy(line).to_lowercase();
    let (first, said) = words(&text);
    match first {
        "bye" | "421" => true,
        // Gmail and qmail say so of an idle session; the enhanced code is RFC 3463's "bad connection".
        "451" => text.contains("4.4.2"),
        "-err" => {
            let said = said.strip_prefix('[').and_then(|code| code.split_once("] ")).map_or(said, |(_, said)| said);
            FAREWELLS.iter().any(|farewell| said.starts_with(farewell))
        }
        _ => false,
    }
}

/// The first word of a lower-case line, which says how it is meant, and the text behind it.
fn words(text: &str) -> (&str, &str) {
    let words = text.strip_prefix("* ").unwrap_or(text);
    words.split_once(' ').unwrap_or((words, ""))
}

/// What to call the causes that a refusal offers to choose from.
fn named(causes: &[FailureKind]) -> String {
    let names = causes.iter().map(|cause| match cause {
        LimitConnections | LimitRate => "a limit",
        ServerUnavailable => "trouble of its own",
        AuthUnsupported => "the way to sign in",
        AuthPolicy => "what the account may do",
        _ => "the user or the password",
    });
    names.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests;
