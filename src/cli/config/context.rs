//! What a command has a use for: a configured flag that would change nothing is no mistake, and is left out.

use std::env;
use std::net::IpAddr;
use std::path::Path;

use clap::{Arg, Args, Command, CommandFactory};

use super::keys::{SERVER, is_source_of_secret, key, takes_settings};
use super::setting::{Setting, Source};
use crate::cli::args::{Cli, ShapeArgs, SignInArgs, TlsArgs};
use crate::cli::destinations::form_of;
use crate::cli::secrets::PASSWORD;
use crate::cli::settings::holds_for;
use mailconn::event::Lock;
use mailconn::judge::is_of_a_comparison;
use mailconn::protocol::{Endpoint, Operation, Protocol, Security};
use mailconn::report::Format;
use mailconn::sandbox::Limit;
use mailconn::workload::Mix;

/// What is asked of whom.
pub struct Context<'a> {
    pub command: &'a Command,
    is_the_sandbox: bool,
    /// None if the address is not understood, which is told later.
    endpoint: Option<Endpoint>,
    sends: bool,
    appends: bool,
    selects: bool,
    has_tasks: bool,
    shows_a_table: bool,
}

impl<'a> Context<'a> {
    /// That of a command, by what is set for it: `all` says it of the setting with that key, what counts most first.
    pub fn new(command: &'a Command, all: impl Fn(&str) -> Vec<String>) -> Self {
        let of = |key: &str| all(key).into_iter().next().unwrap_or_default();
        let address = of(SERVER);
        let address = if address.is_empty() { "sandbox" } else { address.trim() };
        let spoken = address.strip_prefix("sandbox").map(|rest| rest.strip_prefix('+').unwrap_or("imap"));
        let url = spoken.map_or_else(|| address.to_owned(), |scheme| format!("{scheme}://sandbox@localhost"));
        let is_on = |key: &str| ["true", "1"].contains(&&*of(key));
        let forced = match (is_on("starttls"), is_on("plaintext")) {
            (true, _) => Some(Security::StartTls),
            (_, true) => Some(Security::Plain),
            _ => None,
        };
        let endpoint = Endpoint::parse(&url, forced).or_else(|_| Endpoint::parse(&url, None)).ok();
        let protocol = endpoint.as_ref().map(|endpoint| endpoint.protocol);
        let ops = all("ops").into_iter().find(|ops| protocol.is_none_or(|protocol| may_have(protocol, ops)));
        let ops = ops.or_else(|| Some(Mix::usual(protocol?).to_string())).unwrap_or_default();
        let executor = of("executor");
        // A variant of a comparison may ask for them, too.
        let asks = |text: &str, word: &str| text.contains(word) || of("variant").contains(word);
        let mut selecting = Operation::ALL.iter().filter(|it| it.selects());
        Self {
            command,
            is_the_sandbox: spoken.is_some(),
            endpoint,
            sends: asks(&ops, "send") || command.get_arguments().all(|arg| arg.get_id() != "ops"),
            appends: asks(&ops, "append"),
            selects: protocol == Some(Protocol::Imap) && selecting.any(|it| asks(&ops, it.name())),
            has_tasks: asks(&executor, "pool") || asks(&executor, "tasks"),
            shows_a_table: shows_a_table(&all("format"), &of("output")),
        }
    }

    /// Whether the setting would change anything.
    pub fn has_a_use_for(&self, arg: &Arg, setting: &Setting) -> bool {
        let is_secret = is_source_of_secret(self.command, arg);
        if is_secret
            && matches!(setting.source, Source::File { .. })
            && env::var_os(PASSWORD).is_some_and(|it| !it.is_empty())
        {
            return false;
        }
        if is_of_another_command(arg, setting) {
            return false;
        }
        match arg.get_id().as_str() {
            "each" => return self.shows_a_table,
            "duration" => return !self.has_tasks,
            "tasks" | "dispose" => return self.has_tasks,
            "fail_if" => {
                let is_comparison = self.command.get_name() == "compare";
                return setting.values.iter().any(|gate| is_of_a_comparison(&gate.to_string_lossy()) == is_comparison);
            }
            _ => {}
        }
        let Some(endpoint) = &self.endpoint else { return true };
        let literal: Option<IpAddr> = endpoint.host.parse().ok();
        match arg.get_id().as_str() {
            "starttls" => endpoint.security != Security::Tls,
            "ehlo" | "ehlo_label" => endpoint.protocol == Protocol::Smtp,
            // What stands under the server itself is told if it is not for it.
            "ops" => is_of_this_server(setting) || may_have(endpoint.protocol, &setting.all()),
            "lock" => setting.all() != Lock::Command.name() || self.selects,
            "mailbox" => endpoint.protocol == Protocol::Imap,
            "scratch_under" => self.appends,
            "from" | "to" => self.sends,
            "ipv4" => !literal.is_some_and(|address| address.is_ipv6()),
            "ipv6" => !self.is_the_sandbox && !literal.is_some_and(|address| address.is_ipv4()),
            "auth" => endpoint.signs_in(),
            // Each scenario says what is spoken.
            "sandbox_limit" if self.command.get_name() != "scenario" => {
                self.is_the_sandbox && keeps_one_of(setting, endpoint.protocol)
            }
            id if is_of::<ShapeArgs>(id) => self.is_the_sandbox,
            id if is_of::<SignInArgs>(id) => !self.is_the_sandbox && endpoint.signs_in(),
            id if is_of::<TlsArgs>(id) => !self.is_the_sandbox && endpoint.security != Security::Plain,
            _ => true,
        }
    }
}

/// Whether it is one of those flags.
fn is_of<A: Args>(id: &str) -> bool {
    A::augment_args(Command::new("")).get_arguments().any(|arg| arg.get_id() == id)
}

/// Whether the protocol has these operations, or no other has them either: then they are mistyped.
fn may_have(protocol: Protocol, ops: &str) -> bool {
    Mix::parse(protocol, ops).is_ok() || Protocol::ALL.iter().all(|other| Mix::parse(*other, ops).is_err())
}

/// Whether one of these limits is for that protocol, or mistyped.
fn keeps_one_of(limits: &Setting, protocol: Protocol) -> bool {
    let mut limits = limits.values.iter().map(|limit| limit.to_string_lossy().parse::<Limit>());
    limits.any(|limit| limit.is_err() || limit.is_ok_and(|limit| holds_for(&limit, protocol)))
}

fn is_of_this_server(setting: &Setting) -> bool {
    matches!(setting.source, Source::File { server: Some(_), .. })
}

/// Whether other commands alone know that value of the flag.
fn is_of_another_command(arg: &Arg, setting: &Setting) -> bool {
    let takes = |arg: &Arg| {
        let known = arg.get_possible_values();
        known.is_empty()
            || setting.values.iter().all(|value| known.iter().any(|it| it.matches(&value.to_string_lossy(), false)))
    };
    if takes(arg) {
        return false;
    }
    let mut whole = Cli::command();
    whole.build();
    let mut others = whole.get_subcommands().filter(|other| takes_settings(other)).flat_map(Command::get_arguments);
    others.any(|other| key(other) == key(arg) && takes(other))
}

/// Whether one of the reports is the table, by those formats, the first known one of which counts, and those files.
fn shows_a_table(formats: &[String], files: &str) -> bool {
    let format = formats.iter().find_map(|name| name.parse::<Format>().ok());
    let files: Vec<&str> = files.split_whitespace().collect();
    let is_table = |file: &&str| matches!(form_of(Path::new(file), format, files.len() == 1), Ok(Format::Table));
    if files.is_empty() { format.is_none_or(|format| format == Format::Table) } else { files.iter().any(is_table) }
}
