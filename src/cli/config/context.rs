//! What a command has a use for: a configured flag that would change nothing is no mistake, and is left out.

use std::env;
use std::net::IpAddr;

use clap::{Arg, Args, Command};

use super::keys::{SERVER, is_source_of_secret};
use super::setting::{Setting, Source};
use crate::cli::args::{ShapeArgs, SignInArgs, TlsArgs};
use crate::cli::secrets::PASSWORD;
use mailconn::protocol::{Endpoint, Protocol, Security};

/// What is asked of whom.
pub struct Context<'a> {
    pub command: &'a Command,
    is_the_sandbox: bool,
    /// None if the address is not understood, which is told later.
    endpoint: Option<Endpoint>,
    sends: bool,
    appends: bool,
    has_tasks: bool,
}

impl<'a> Context<'a> {
    /// That of a command, by what counts for it: `of` says it of the setting with that key.
    pub fn new(command: &'a Command, of: impl Fn(&str) -> String) -> Self {
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
        // A variant of a comparison may ask for them, too.
        let asks = |key: &str, word: &str| of(key).contains(word) || of("variant").contains(word);
        Self {
            command,
            is_the_sandbox: spoken.is_some(),
            endpoint,
            sends: asks("ops", "send") || command.get_arguments().all(|arg| arg.get_id() != "ops"),
            appends: asks("ops", "append"),
            has_tasks: asks("executor", "pool") || asks("executor", "tasks"),
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
        let Some(endpoint) = &self.endpoint else { return true };
        let literal: Option<IpAddr> = endpoint.host.parse().ok();
        match arg.get_id().as_str() {
            "starttls" => endpoint.security != Security::Tls,
            "ehlo" | "ehlo_label" => endpoint.protocol == Protocol::Smtp,
            "mailbox" => endpoint.protocol == Protocol::Imap,
            "scratch_under" => self.appends,
            "from" | "to" => self.sends,
            "tasks" | "dispose" => self.has_tasks,
            "ipv4" => !literal.is_some_and(|address| address.is_ipv6()),
            "ipv6" => !self.is_the_sandbox && !literal.is_some_and(|address| address.is_ipv4()),
            "auth" => endpoint.signs_in(),
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
