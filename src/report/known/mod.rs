//! What is known of servers and providers: what they document of their limits, and which of their settings keeps one.
//!
//! The facts are in `servers.toml`, each with its source. What nobody documents stays unknown.

mod advice;

use std::sync::LazyLock;

use serde::Deserialize;

use crate::event::{LimitKind, LimitMet, LimitScope};
use crate::judge::has_words;
use crate::protocol::{Failure, FailureKind, Protocol, Stage};

pub(in crate::report) use advice::advice_on_line;
pub use advice::{advice, shared_maildrops};

/// A server or a provider.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Known {
    /// As it is said.
    pub name: String,
    /// Its limits are its own: nobody else can set them.
    #[serde(default)]
    provider: bool,
    #[serde(default)]
    needs_yes: bool,
    #[serde(default)]
    hosts: Vec<String>,
    #[serde(default)]
    greetings: Greetings,
    /// Parts of the words of its refusal, in small letters, where it has no setting.
    #[serde(default)]
    refuses: Vec<String>,
    #[serde(default)]
    documented: Vec<Documented>,
    #[serde(default)]
    settings: Vec<Setting>,
}

/// A part of its greeting, in small letters.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Greetings {
    imap: Option<String>,
    pop3: Option<String>,
    smtp: Option<String>,
}

/// A statement about its limits.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Documented {
    protocols: Vec<Protocol>,
    /// At once; nobody says where there is none. Where reports differ, `at_least` is the lowest.
    connections: Option<u64>,
    at_least: Option<u64>,
    /// New ones, every so many seconds.
    rate: Option<u64>,
    every: Option<u64>,
    /// Of what each counts.
    per: Option<String>,
    trust: Trust,
    source: String,
    looked_up: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Trust {
    FirstHand,
    ThirdParty,
}

/// A setting that keeps a limit.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Setting {
    protocols: Vec<Protocol>,
    name: String,
    default: String,
    /// Where it is written; `@` stands for the protocol.
    place: String,
    limits: LimitKind,
    /// The seconds that a rate counts in.
    every: Option<u64>,
    scope: LimitScope,
    stage: Stage,
    /// Parts of its refusal, in small letters; none where it closes without a word, or nobody knows them.
    #[serde(default)]
    refuses: Vec<String>,
    /// It refuses nobody: one more gets no answer until another ends.
    #[serde(default)]
    waits: bool,
    /// What else is to be known before it is set.
    note: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Servers {
    server: Vec<Known>,
}

/// A file that cannot be read would know nobody; a test reads it.
static SERVERS: LazyLock<Servers> = LazyLock::new(|| read().unwrap_or_default());

fn read() -> Result<Servers, toml::de::Error> {
    toml::from_str(include_str!("servers.toml"))
}

/// The names of those that are not to be probed unasked.
pub fn asked_for() -> impl Iterator<Item = &'static str> {
    SERVERS.server.iter().filter(|known| known.needs_yes).map(|known| &*known.name)
}

/// The provider whose host that is.
#[must_use]
pub fn by_host(host: &str) -> Option<&'static Known> {
    SERVERS.server.iter().find(|known| known.hosts.iter().any(|end| is_below(host, end)))
}

/// The longest known end of a host's name under which its provider's hosts are.
pub(in crate::report) fn end_of(host: &str) -> Option<&'static str> {
    let ends = SERVERS.server.iter().flat_map(|known| &known.hosts).map(String::as_str);
    ends.filter(|end| is_below(host, end)).max_by_key(|end| end.len())
}

/// The server that greets like that.
#[must_use]
pub fn by_greeting(line: &str, protocol: Protocol) -> Option<&'static Known> {
    let line = without_hosts(&line.to_lowercase(), protocol);
    let greets = |known: &&Known| known.greetings.of(protocol).is_some_and(|part| line.contains(part));
    SERVERS.server.iter().find(greets)
}

/// The same, unless the server refuses in another one's words: it may stand behind a proxy.
#[must_use]
pub fn by_words(greeting: &str, refusal: Option<&Failure>, protocol: Protocol) -> Option<&'static Known> {
    let refused_by = refusal.and_then(|failure| by_refusal(failure.server_line.as_deref()?, protocol));
    by_greeting(greeting, protocol).filter(|known| refused_by.is_none_or(|(other, _)| other.name == known.name))
}

/// A greeting in small letters with a word in place of each host's name, which anybody may have chosen: one with dots, the first
/// of SMTP (RFC 5321 §4.2), and what stands in `<>`.
fn without_hosts(line: &str, protocol: Protocol) -> String {
    let has_dots = |word: &str| {
        let labels: Vec<&str> = word.trim_matches(|c: char| !c.is_alphanumeric()).split('.').collect();
        labels.len() > 1 && labels.last().is_some_and(|last| last.starts_with(char::is_alphabetic))
    };
    let words = line.split(' ').enumerate().map(|(at, word)| {
        let is_first = protocol == Protocol::Smtp && at == 1;
        let word = word.split('<').next().unwrap_or_default();
        if is_first || has_dots(word) { "host" } else { word }
    });
    words.collect::<Vec<_>>().join(" ")
}

/// Their names, in the order of the file.
pub(in crate::report) fn names() -> impl Iterator<Item = &'static str> {
    SERVERS.server.iter().map(|known| &*known.name)
}

/// Those that have that name, or it in theirs, or a setting or a host that is called so: `Exchange`, `outlook`,
/// `imap.gmail.com`.
pub(in crate::report) fn called(word: &str) -> Vec<&'static Known> {
    let is_it = |name: &str| name.eq_ignore_ascii_case(word);
    let is_called = |known: &&Known| {
        is_it(&known.name)
            || known.name.split(' ').any(is_it)
            || known.settings.iter().any(|setting| is_it(&setting.name))
    };
    let found: Vec<_> = SERVERS.server.iter().filter(is_called).collect();
    let is_host = word.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-'));
    let of_host = || by_host(word).or_else(|| by_host(&format!("{word}.com")));
    if found.is_empty() && is_host { of_host().into_iter().collect() } else { found }
}

/// The server whose words of a refusal those are, and its settings that refuse so; a provider has none.
fn by_refusal(line: &str, protocol: Protocol) -> Option<(&'static Known, Vec<&'static Setting>)> {
    let line = line.to_lowercase();
    SERVERS.server.iter().find_map(|known| {
        let of_protocol = known.settings.iter().filter(|setting| setting.protocols.contains(&protocol));
        let settings: Vec<&Setting> = of_protocol.filter(|setting| says(&line, &setting.refuses)).collect();
        (!settings.is_empty() || says(&line, &known.refuses)).then_some((known, settings))
    })
}

/// Whether a line in small letters has all those parts; without any it has none.
fn says(line: &str, parts: &[String]) -> bool {
    !parts.is_empty() && parts.iter().all(|part| line.contains(part))
}

/// Those that most mailboxes are on.
const WIDESPREAD: [&str; 4] = ["Dovecot", "Gmail", "Exchange Online", "Postfix"];

/// Those of them that are documented to allow fewer connections at once than that, and how many.
pub fn allow_fewer(than: u64, protocol: Protocol) -> impl Iterator<Item = (&'static str, u64)> {
    let known = WIDESPREAD.iter().filter_map(|name| SERVERS.server.iter().find(|known| known.name == *name));
    known.filter_map(move |known| {
        let found = known.documented.iter().find(|documented| documented.protocols.contains(&protocol))?;
        let most = found.connections.filter(|most| *most < than)?;
        Some((&*known.name, most))
    })
}

/// `imap.example.org` is below `example.org`, as that itself is; `notexample.org` is not.
fn is_below(host: &str, end: &str) -> bool {
    let host = host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
    host.strip_suffix(end).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
}

impl Known {
    /// It blocks accounts for what looks unusual: nobody is to probe it unasked.
    #[must_use]
    pub const fn needs_yes(&self) -> bool {
        self.needs_yes
    }

    /// What is documented of its limits, in one sentence with the source and the day when it was looked up.
    #[must_use]
    pub fn documented(&self, protocol: Protocol) -> String {
        let Some(found) = self.documented.iter().find(|documented| documented.protocols.contains(&protocol)) else {
            return format!("{}: nothing is known of its limits over {protocol}", self.name);
        };
        let Documented { trust, source, looked_up, .. } = found;
        let by = match trust {
            Trust::FirstHand => "",
            Trust::ThirdParty => ", as a third party says",
        };
        let can_be_set = self.settings.iter().any(|setting| setting.protocols.contains(&protocol));
        let limits = match (found.limits(), can_be_set) {
            (Some(limits), false) => format!("over {protocol} {limits}"),
            (Some(limits), true) => format!("over {protocol} {limits}, unless set otherwise"),
            (None, false) => format!("no limit on connections over {protocol} is documented"),
            (None, true) => format!("no limit on connections over {protocol}, unless one is set"),
        };
        format!("{}: {limits}{by} ({source}, looked up on {looked_up})", self.name)
    }

    /// What kind of thing it is.
    pub(in crate::report) const fn what(&self) -> &'static str {
        if self.provider { "provider of mailboxes: nobody else can set its limits" } else { "mail server" }
    }

    /// What is documented of it, over each protocol that something is said of.
    pub(in crate::report) fn all_documented(&self) -> impl Iterator<Item = String> {
        let is_said = |protocol: &Protocol| self.documented.iter().any(|it| it.protocols.contains(protocol));
        Protocol::ALL.into_iter().filter(is_said).map(|protocol| self.documented(protocol))
    }

    /// Its settings that keep a limit, and where each is written.
    pub(in crate::report) fn all_settings(&self) -> impl Iterator<Item = String> {
        let each = self.settings.iter();
        each.flat_map(|setting| {
            setting.protocols.iter().map(|protocol| format!("{protocol}: {}", setting.told(*protocol)))
        })
    }

    /// Its settings that can have kept that limit: those that its refusal names, else all that refuse at that stage.
    fn settings(&self, protocol: Protocol, met: &LimitMet) -> Vec<&Setting> {
        let line = met
            .failure
            .as_ref()
            .filter(|failure| has_words(failure))
            .and_then(|failure| failure.server_line.as_deref());
        let line = line.map(str::to_lowercase);
        let got_no_answer = met.failure.as_ref().is_none_or(|failure| failure.kind == FailureKind::Timeout);
        let is_kind = |setting: &&Setting| met.kind == LimitKind::Unclear || setting.limits == met.kind;
        let is_scope = |setting: &&Setting| met.scopes.is_empty() || met.scopes.contains(&setting.scope);
        let is_stage = |setting: &&Setting| met.stage.is_none_or(|stage| setting.is_kept_at(stage));
        let refuses_so = |setting: &&Setting| match &line {
            Some(line) => says(line, &setting.refuses),
            None => setting.refuses.is_empty() && setting.waits == got_no_answer,
        };
        let of_protocol = self.settings.iter().filter(|setting| setting.protocols.contains(&protocol));
        let possible: Vec<&Setting> = of_protocol.filter(is_kind).filter(is_scope).filter(is_stage).collect();
        let named: Vec<&Setting> = possible.iter().copied().filter(refuses_so).collect();
        if named.is_empty() { possible } else { named }
    }
}

impl Greetings {
    fn of(&self, protocol: Protocol) -> Option<&str> {
        match protocol {
            Protocol::Imap => self.imap.as_deref(),
            Protocol::Pop3 => self.pop3.as_deref(),
            Protocol::Smtp => self.smtp.as_deref(),
        }
    }
}

impl Documented {
    /// `15 connections an account`, `300 new connections a minute and address`; none where nobody says.
    fn limits(&self) -> Option<String> {
        let per = self.per.as_deref().map(|per| format!(" for each {per}")).unwrap_or_default();
        let least = self.at_least.map(|least| format!("{least} to ")).unwrap_or_default();
        let count = self.connections.map(|count| format!("{least}{count} connections at once"));
        let rate = self.rate.zip(self.every).map(|(rate, every)| format!("{rate} new connections in {every} s"));
        let limits: Vec<String> = count.into_iter().chain(rate).collect();
        (!limits.is_empty()).then(|| limits.join(" and ") + &per)
    }
}

impl Setting {
    /// Where a dial is refused before the greeting, TLS from the first byte is what fails.
    fn is_kept_at(&self, stage: Stage) -> bool {
        self.stage == stage || (self.stage == Stage::Greeting && matches!(stage, Stage::Connect | Stage::Tls))
    }

    /// `MAXPERIP (4 unless set) in /etc/courier/imapd`.
    fn told(&self, protocol: Protocol) -> String {
        let Self { name, default, note, .. } = self;
        let note = note.as_deref().map(|note| format!(" ({note})")).unwrap_or_default();
        format!("{name} ({default} unless set) in {}{note}", self.place(protocol))
    }

    fn place(&self, protocol: Protocol) -> String {
        self.place.replace('@', protocol.name())
    }
}
