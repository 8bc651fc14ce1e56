//! What a report claims of its sessions, against the server's own log and transcripts.

use super::tool::{Report, SOON};
use crate::support::dovecot::PrivateDovecot;
use crate::support::dovecot_log::{Log, Session};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// (tag, verb), of one command.
type Command = (String, String);

/// What the report says of one session.
pub struct Claim<'a> {
    pub name: &'a str,
    pub port: u16,
    pub opened: &'a Value,
    pub closed: &'a Value,
    pub operations: Vec<&'a Value>,
}

impl<'a> Claim<'a> {
    pub fn all(report: &'a Report) -> Vec<Self> {
        let named = |event: &'static str, session: &'a Value| {
            report.events(event).filter(move |line| line["session"] == *session)
        };
        let claim = |opened: &'a Value| {
            let session = &opened["session"];
            let mut closed = named("session-closed", session);
            let claim = Self {
                name: session.as_str().unwrap(),
                port: port(opened),
                opened,
                closed: closed.next().unwrap_or_else(|| panic!("{session} was never seen to end")),
                operations: named("operation", session).collect(),
            };
            assert!(closed.next().is_none(), "{session} ends twice");
            claim
        };
        report.events("session-opened").map(claim).collect()
    }

    pub fn is_logged_out(&self) -> bool {
        self.closed["closed"] == "logged-out"
    }

    /// The commands that the session is said to have carried, in the order of their tags.
    pub fn commands(&self) -> Vec<Command> {
        let all = [self.opened, self.closed].into_iter().chain(self.operations.iter().copied()).flat_map(commands);
        let mut all: Vec<Command> = all.collect();
        all.sort_by_key(|(tag, _)| tag.trim_start_matches('a').parse::<u32>().unwrap());
        all
    }
}

fn port(line: &Value) -> u16 {
    u16::try_from(line["local_port"].as_u64().unwrap()).unwrap()
}

fn commands(line: &Value) -> Vec<Command> {
    let word = |command: &Value, name: &str| command[name].as_str().unwrap().to_owned();
    let commands = line["commands"].as_array().unwrap().iter();
    commands.map(|command| (word(command, "tag"), word(command, "verb"))).collect()
}

/// The server's record once it has `count` sessions of the user's, all of them ended.
pub fn ended(server: &PrivateDovecot, user: &str, count: usize) -> Log {
    server.wait_for(SOON, |log| {
        let of_user = log.sessions.iter().filter(|session| session.user == user);
        of_user.filter(|session| session.end.is_some()).count() == count
    })
}

/// Every port, label, tag, verb, mailbox and byte that the report claims is in the server's own record of this user, who
/// did nothing else: none missing, none extra.
pub fn assert_recorded(server: &PrivateDovecot, user: &str, report: &Report) {
    let claims = Claim::all(report);
    let log = ended(server, user, claims.len());
    let of_user: Vec<&Session> = log.sessions.iter().filter(|session| session.user == user).collect();
    assert_eq!(of_user.len(), claims.len(), "sessions: {of_user:#?}");
    let distinct: BTreeSet<u16> = claims.iter().map(|claim| claim.port).collect();
    assert_eq!(distinct.len(), claims.len(), "the test relies on each session having a port of its own");

    let mut before_session = BTreeSet::new();
    for claim in &claims {
        let session = log.on_port(claim.port).unwrap_or_else(|| panic!("{} is on no port of the log", claim.name));
        assert_eq!(session.user, user);
        // Port, label and run name the same session.
        assert_eq!(session.label("x-mailconn-session"), Some(claim.name));
        assert_eq!(claim.opened["label"], claim.name);
        assert_eq!(session.label("x-mailconn-run"), Some(report.run_id()));
        assert_eq!(session.tls, !claim.opened["tls"].is_null(), "{}", claim.name);
        assert_commands_agree(claim, session);
        if claim.is_logged_out() {
            assert_eq!(session.end.as_ref().unwrap().reason, "Logged out", "{}", claim.name);
            before_session.insert(assert_bytes_agree(server, user, claim, session));
        } else {
            assert_ne!(session.end.as_ref().unwrap().reason, "Logged out", "{}", claim.name);
        }
    }
    // The server counts from the sign-in's reply on; what came before was the same for all.
    assert!(before_session.len() <= 1, "bytes received before the sessions began: {before_session:?}");

    let operations = report.events("operation").filter(|operation| !commands(operation).is_empty()).count();
    let on_sessions: usize = claims.iter().map(|claim| claim.operations.len()).sum();
    assert!(on_sessions >= operations, "an operation sent commands on no session");
}

fn assert_commands_agree(claim: &Claim<'_>, session: &Session) {
    let mut claimed = claim.commands();
    // The log-in process reads what comes before the sign-in, and that; then the session's transcript begins.
    let sign_in = claimed.iter().position(|(_, verb)| verb == "AUTHENTICATE").expect("a sign-in");
    let after = claimed.split_off(sign_in + 1);
    assert_eq!(session.replies[0].tag, claimed[sign_in].0, "the reply to the sign-in");
    let recorded: Vec<Command> =
        session.commands.iter().map(|command| (command.tag.clone(), command.verb.clone())).collect();
    if claim.is_logged_out() {
        assert_eq!(recorded, after, "{}", claim.name);
    } else {
        // A session that broke may have taken its last command with it unread.
        assert!(recorded == after || recorded == after[..after.len() - 1], "{}: {recorded:?} {after:?}", claim.name);
    }

    let by_tag: BTreeMap<&str, _> = session.commands.iter().map(|command| (&*command.tag, command)).collect();
    for operation in &claim.operations {
        assert_eq!(port(operation), claim.port, "{operation}");
        let verbs: Vec<String> = commands(operation).into_iter().map(|(_, verb)| verb).collect();
        let whole: &[&str] = match operation["operation"].as_str().unwrap() {
            "noop" => &["NOOP"],
            "list" => &["LIST"],
            "status" => &["STATUS"],
            "fetch" => &["EXAMINE", "FETCH"],
            "search" => &["EXAMINE", "SEARCH"],
            other => panic!("an operation called {other}"),
        };
        let is_whole = verbs == whole;
        assert!(is_whole || (operation["outcome"] == "failed" && whole.starts_with(&as_str(&verbs))), "{operation}");
        for (tag, verb) in commands(operation) {
            if let Some(command) = by_tag.get(&*tag)
                && ["EXAMINE", "STATUS"].contains(&&*verb)
            {
                let mailbox = command.args.split('"').nth(1);
                assert_eq!(mailbox, operation["mailbox"].as_str(), "{operation} {command:?}");
            }
        }
    }
}

fn as_str(verbs: &[String]) -> Vec<&str> {
    verbs.iter().map(String::as_str).collect()
}

/// Returns what the client received before the session's own process spoke.
fn assert_bytes_agree(server: &PrivateDovecot, user: &str, claim: &Claim<'_>, session: &Session) -> u64 {
    let password = std::fs::read_to_string(server.password_file()).unwrap();
    let (read, written) = session.end.as_ref().unwrap().bytes.unwrap();
    let mut before = 0;
    for (tag, verb) in commands(claim.opened) {
        let credentials = STANDARD.encode(format!("\0{user}\0{password}"));
        let arguments = if verb == "AUTHENTICATE" { format!(" PLAIN {credentials}") } else { String::new() };
        before += format!("{tag} {verb}{arguments}\r\n").len() as u64;
        if verb == "AUTHENTICATE" {
            break;
        }
    }
    // It does not count the line end of LOGOUT.
    assert_eq!(claim.closed["bytes_sent"], before + read + 2, "{}", claim.name);
    claim.closed["bytes_received"].as_u64().unwrap().checked_sub(written).expect("no fewer bytes than were written")
}
