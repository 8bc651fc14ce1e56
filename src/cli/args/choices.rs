//! The words that flags choose from, and what each means. The library's types read them.

use std::error::Error;
use std::str::FromStr;

use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use clap_complete::Shell;

use crate::cli::schema::SchemaOf;
use mailconn::allocator::{Mode, UnknownMode};
use mailconn::event::{Dispose, Executor, Lock, Severity, Switch};
use mailconn::protocol::{TlsVersion, Way};
use mailconn::report::{Format, ProgressKind};
use mailconn::sandbox::{Like, Maildrops};

/// A word, and what it means.
type Choice = (&'static str, &'static str);

/// One of these words, read by its type.
fn one_of<T>(choices: impl IntoIterator<Item = PossibleValue>) -> impl TypedValueParser<Value = T>
where
    T: FromStr<Err: Into<Box<dyn Error + Send + Sync>>> + Clone + Send + Sync + 'static,
{
    PossibleValuesParser::new(choices).try_map(|word| word.parse::<T>())
}

fn each<const N: usize>(choices: [Choice; N]) -> impl Iterator<Item = PossibleValue> {
    choices.into_iter().map(|(name, means)| PossibleValue::new(name).help(means))
}

/// `--mode`.
pub(super) fn modes() -> impl TypedValueParser<Value = Mode> {
    let choices = [
        (Mode::UseMain, "Every thread shares the main connection", ["UseMain", "ConnectionAsgmtType.UseMain"]),
        (
            Mode::UseDefault,
            "Each thread has a default connection of its own",
            ["UseDefault", "ConnectionAsgmtType.UseDefault"],
        ),
        (
            Mode::UseMainOrDefault,
            "A thread's default connection if it created one, else main",
            ["UseMainOrDefault", "ConnectionAsgmtType.UseMainOrDefault"],
        ),
    ];
    one_of(choices.map(|(mode, means, aliases)| PossibleValue::new(mode.name()).help(means).aliases(aliases)))
}

/// The shells that `completions` knows.
pub(super) fn shells() -> impl TypedValueParser<Value = Shell> {
    one_of(["bash", "zsh", "fish", "powershell"].map(PossibleValue::new))
}

/// The documents that `schema` knows.
pub(super) fn schemas() -> impl TypedValueParser<Value = SchemaOf> {
    one_of(SchemaOf::ALL.iter().map(|of| PossibleValue::new(of.name).help(of.means)))
}

/// `--lock`.
pub(super) fn locks() -> impl TypedValueParser<Value = Lock> {
    one_of(each([
        (Lock::Unit.name(), "From its first command to its last reply"),
        (Lock::Command.name(), "For each of its commands anew"),
    ]))
}

/// `--executor`.
pub(super) fn executors() -> impl TypedValueParser<Value = Executor> {
    one_of(each([
        (Executor::Threads.name(), "A thread for each worker, from the start to the end"),
        (Executor::Pool.name(), "A thread pool: each of its threads does one task after the other"),
        (
            Executor::Tasks.name(),
            "Asynchronous tasks, each operation in a blocking section of its own, on any of the threads",
        ),
    ]))
}

/// `--dispose`.
pub(super) fn disposals() -> impl TypedValueParser<Value = Dispose> {
    one_of(each([
        (Dispose::Never.name(), "It is left to the thread, and serves the next task there"),
        (
            Dispose::Task.name(),
            "The task disposes it, even if it panics; an asynchronous one then does all of its work in one blocking section",
        ),
    ]))
}

/// One word of `--fail-on`; `none` is no severity.
pub(super) fn severities() -> impl TypedValueParser<Value = Option<Severity>> {
    let choices = each([
        (Severity::Hazard.name(), "Mail can be read from, or written to, the wrong place"),
        (Severity::Leak.name(), "A connection was left behind"),
        (Severity::Fault.name(), "A connection was discarded in the middle of a reply"),
        (Severity::Advice.name(), "It works, at more cost than it needs"),
        ("none", "No finding"),
    ]);
    PossibleValuesParser::new(choices).map(|word| word.parse().ok())
}

/// `--format` of a command that takes these.
pub(super) fn formats(taken: &'static [Format]) -> impl TypedValueParser<Value = Format> {
    one_of(taken.iter().map(|format| match format {
        Format::Table => PossibleValue::new(format.name()).alias(Format::TEXT).help(format.purpose()),
        other => PossibleValue::new(other.name()).help(other.purpose()),
    }))
}

/// The same of a command that tells people in text rather than in tables: the format is called so there.
pub(super) fn formats_of_text(taken: &'static [Format]) -> impl TypedValueParser<Value = Format> {
    one_of(taken.iter().map(|format| match format {
        Format::Table => PossibleValue::new(Format::TEXT).alias(format.name()).help(format.purpose()),
        other => PossibleValue::new(other.name()).help(other.purpose()),
    }))
}

/// The same of `mailconn sandbox`, which has no end: its JSON is a line for each event.
pub(super) fn formats_of_sandbox() -> impl TypedValueParser<Value = Format> {
    one_of(each([(Format::TEXT, "For people"), (Format::Json.name(), "A JSON object on each line")]))
}

/// `--progress`.
pub(super) fn progress() -> impl TypedValueParser<Value = ProgressKind> {
    one_of(each([
        (ProgressKind::Auto.name(), "A live line on a terminal, else a plain line every few seconds"),
        (ProgressKind::Never.name(), "None"),
    ]))
}

/// A service that runs builds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ci {
    /// GitHub's Actions.
    Github,
}

/// `--ci`.
pub(super) fn services() -> impl TypedValueParser<Value = Ci> {
    PossibleValuesParser::new([PossibleValue::new("github").help("GitHub's Actions")]).map(|_| Ci::Github)
}

/// `--auth`.
pub(super) fn ways() -> impl TypedValueParser<Value = Way> {
    one_of(each([
        ("scram-sha-256", "Proves the password without saying it"),
        ("plain", "User and password at once"),
        (
            "login",
            "User and password, one after the other; with IMAP its LOGIN command, where the server knows no other LOGIN",
        ),
        ("oauthbearer", "An access token, as RFC 7628 says it; a password given with it is taken for one"),
        ("xoauth2", "An access token, as Google and Microsoft say it; likewise"),
        ("user-pass", "The protocol's own command: LOGIN of IMAP, USER and PASS of POP3"),
    ]))
}

/// `--tls-min`.
pub(super) fn tls_versions() -> impl TypedValueParser<Value = TlsVersion> {
    one_of(each([("1.2", "TLS 1.2 or 1.3"), ("1.3", "TLS 1.3 only")]))
}

/// `--sandbox-maildrops`, and `--maildrops` of `mailconn sandbox`.
pub(super) fn maildrops() -> impl TypedValueParser<Value = Maildrops> {
    one_of(each([
        ("locked", "It has, and the next one is refused, as RFC 1939 asks"),
        ("shared", "Any number have it open at a time, as Dovecot does unless told otherwise"),
    ]))
}

/// `--sandbox-like`, and `--like` of `mailconn sandbox`.
pub(super) fn likes() -> impl TypedValueParser<Value = Like> {
    one_of(Like::ALL.map(|like| PossibleValue::new(like.name()).help(like.about())))
}

/// `500=use-main`.
pub(super) fn switch(text: &str) -> Result<Switch, String> {
    let (after, mode) = text.split_once('=').ok_or_else(|| "write N=MODE, like 500=use-main".to_owned())?;
    let after = after.parse().ok().filter(|after| *after > 0);
    let after =
        after.ok_or_else(|| "N is a number of operations, at least 1; --mode sets the first mode".to_owned())?;
    let mode = mode.parse().map_err(|unknown: UnknownMode| unknown.to_string())?;
    Ok(Switch { after, mode })
}

/// `--noise`: a part of the whole, `3%` or `0.03`.
pub(super) fn part(text: &str) -> Result<f64, String> {
    let (number, whole) = text.strip_suffix('%').map_or((text, 1.0), |number| (number, 100.0));
    let part = number.trim().parse::<f64>().map(|number| number / whole);
    part.ok().filter(|part| (0.0..1.0).contains(part)).ok_or_else(|| "write 3% or 0.03, and less than 100%".to_owned())
}
