//! What failures and cures are called. Nothing is decided here.

use std::fmt;
use std::time::Duration;

use super::{
    AuthInvalid, AuthPolicy, AuthRefused, AuthUnsupported, Case, Circumstances, Cure, LimitConnections, LimitRate,
    Renewal, ServerBad, ServerBye, ServerNo, ServerUnavailable, SignsIn, Timeout, Tried,
};
use crate::protocol::endpoint::{Protocol, Security};
use crate::protocol::failure::Stage;
use crate::protocol::sasl::Way;

/// The meaning, the cures, and what they are about.
pub(super) fn sentence(case: &Case<'_>, cures: &[Cure]) -> String {
    let mut sentence = meaning(case);
    if matches!(case.kind, AuthInvalid | AuthRefused) {
        sentence += &match &case.known.renewal {
            None => String::new(),
            Some(Renewal::Newer) => ", and a newly fetched one too".to_owned(),
            Some(Renewal::Same) => ", and another fetch gave the same token again".to_owned(),
            Some(Renewal::Failed(why)) => format!(", and no other token could be fetched ({why})"),
        };
    }
    if !cures.is_empty() {
        sentence += &format!("; {}", list(cures));
    }
    sentence += &aside(case);
    if let Some(said) = &case.known.exchange_said {
        sentence += &format!(" (it says: {said})");
    }
    sentence
}

/// One after the other.
pub(super) fn list(cures: &[Cure]) -> String {
    let mut list = String::new();
    for cure in cures {
        if !list.is_empty() {
            list += between(cure);
        }
        list += &cure.to_string();
    }
    list
}

fn between(cure: &Cure) -> &'static str {
    match cure {
        Cure::AskForLess | Cure::SeeWhatItRefused | Cure::SignInLessOften | Cure::CheckAccount => ", and ",
        Cure::Wait(_) => "; ",
        _ => ", or ",
    }
}

fn meaning(case: &Case<'_>) -> String {
    let known = case.known;
    let secret = if case.is_token() { "token" } else { "password" };
    match case.kind {
        LimitConnections if case.is_locked() => {
            "another connection has the maildrop, which has one owner at a time".to_owned()
        }
        LimitConnections => "the server allows no more connections".to_owned(),
        LimitRate if case.is_sending_quota() => "the server limits how much this account sends".to_owned(),
        LimitRate if case.is_about_a_session() && case.is_of_exim() => {
            "the server ends a session that has too many commands without mail".to_owned()
        }
        LimitRate if case.is_about_a_session() => {
            "the server ends a session that has too many commands, or too many errors".to_owned()
        }
        LimitRate => "the server throttles".to_owned(),
        ServerUnavailable => match case.stage {
            Stage::Auth => {
                format!("the server does not sign us in, and not for the {secret}: it has trouble of its own")
            }
            Stage::Operation => format!("the server has trouble of its own{}", what_becomes(known)),
            _ => "the server does not serve us now: it has trouble of its own".to_owned(),
        },
        AuthPolicy => format!("the server does not let this account in like this, though the {secret} may be right"),
        AuthInvalid | AuthRefused if known.worked_before && case.is_token() => {
            "the server refused the token, though one signed in before in this run".to_owned()
        }
        AuthInvalid | AuthRefused if known.worked_before => {
            "the same password signed in before in this run, so it is not wrong: the server refuses for another reason, such \
             as too many sign-ins or trouble of its own"
                .to_owned()
        }
        AuthInvalid if case.is_token() => "the server refused the token".to_owned(),
        AuthInvalid => "the server refused the user or the password".to_owned(),
        AuthRefused => match case.offered_causes() {
            Some(causes) => format!("the server refused the sign-in, and does not say which of these it is: {causes}"),
            None => "the server refused the sign-in, and does not say why".to_owned(),
        },
        AuthUnsupported if case.stage != Stage::Operation => "the server does not allow this way to sign in".to_owned(),
        AuthUnsupported if known.signs_in == SignsIn::Unknown => {
            "the server wants TLS or a sign-in before it does that".to_owned()
        }
        AuthUnsupported if known.security == Some(Security::Plain) && known.signs_in != SignsIn::Nobody => {
            "the server wants TLS before it does that".to_owned()
        }
        AuthUnsupported if known.signs_in == SignsIn::Nobody => {
            "the server wants a sign-in before it does that".to_owned()
        }
        AuthUnsupported => "the server does not let this account do that".to_owned(),
        ServerBye => "the server ended the session".to_owned(),
        ServerBad | ServerNo if known.is_naming => {
            let name = known.named.as_ref().map(|named| named.name.as_str()).unwrap_or_default();
            format!("the server refused our EHLO, in which we called ourselves {name}")
        }
        ServerBad if case.stage == Stage::Tls => match known.protocol {
            Some(protocol) => {
                format!("the server does not know {}; use {}s://", protocol.start_tls(), protocol.name())
            }
            None => "the server does not know STARTTLS; use TLS from the first byte (imaps://, smtps://, pop3s://)".to_owned(),
        },
        ServerBad => "the server did not accept the command".to_owned(),
        Timeout => late(case),
        _ => match case.stage {
            Stage::Auth if known.protocol.is_some() && known.tried.is_none() => {
                "the server refused us before anyone signed in".to_owned()
            }
            Stage::Auth => format!("the server does not sign us in, and not for the {secret}"),
            Stage::Operation => format!("the server refused the command{}", what_becomes(known)),
            Stage::Logout => "the server found something wrong when the session was signed out".to_owned(),
            _ => "the server does not serve us".to_owned(),
        },
    }
}

/// What becomes of a session on which a command was refused.
const fn what_becomes(known: &Circumstances) -> &'static str {
    if known.closes_with_it {
        ", and closed the connection with that"
    } else if known.is_given_up {
        "; the session was given up"
    } else {
        "; the connection goes on"
    }
}

fn late(case: &Case<'_>) -> String {
    let known = case.known;
    let tls = known.protocol.filter(|_| known.security != Some(Security::Tls));
    match case.stage {
        // The answer to EHLO is awaited.
        Stage::Greeting if known.is_naming => slow(),
        Stage::Greeting if !case.text.is_empty() => {
            "only a part of the greeting came in time; some servers hold the rest back on purpose, or it hangs".to_owned()
        }
        Stage::Greeting => match tls {
            Some(protocol) => {
                format!("no greeting in time; the server hangs, or this port speaks TLS first ({}s://)", protocol.name())
            }
            None => "no greeting in time; the server hangs".to_owned(),
        },
        Stage::Auth if known.protocol == Some(Protocol::Pop3) && known.tried.is_some() => {
            "no whole answer in time; another connection may have the maildrop (servers wait before they say so), or the \
             server hangs"
                .to_owned()
        }
        _ => slow(),
    }
}

fn slow() -> String {
    "no whole answer in time; the server or the network is slow, or it hangs".to_owned()
}

/// What is added in brackets: what the matter is not, or how it was tried.
fn aside(case: &Case<'_>) -> String {
    let known = case.known;
    match case.kind {
        LimitConnections if known.signs_in != SignsIn::Nobody => {
            format!(" (the {} is not the matter)", if case.is_token() { "token" } else { "password" })
        }
        AuthInvalid | AuthRefused if known.worked_before => String::new(),
        AuthInvalid | AuthRefused | AuthUnsupported | ServerBad if case.stage == Stage::Auth => {
            let tried = known.tried.map(|tried| way(tried, known)).unwrap_or_default();
            let providers = case.kind == AuthInvalid && !case.is_token();
            let mut aside = match (providers, known.token_ways().is_empty()) {
                (true, true) => " (some providers want an app password)".to_owned(),
                (true, false) => " (some providers want an app password, or a token: --token-command)".to_owned(),
                (false, _) => String::new(),
            };
            if !tried.is_empty() {
                aside += &format!("; {tried}");
            }
            aside
        }
        _ => String::new(),
    }
}

/// How it was tried, and how else it could be.
fn way(tried: Tried, known: &Circumstances) -> String {
    let others: Vec<String> =
        known.other_ways().into_iter().map(|(name, way)| format!("{name} (--auth {})", flag(way))).collect();
    let whose = match (tried.by_flag, others.is_empty()) {
        (true, _) => ", as --auth says",
        (false, true) => "",
        (false, false) => ", our choice",
    };
    let mut text = format!("it was tried by {}{whose}", tried.name);
    if !others.is_empty() {
        text += &format!("; the server also offers {}", others.join(" and "));
    }
    text
}

/// What `--auth` calls it.
fn flag(way: Way) -> String {
    match way {
        Way::Native => "user-pass".to_owned(),
        Way::Sasl(mechanism) => mechanism.name().to_lowercase(),
    }
}

/// More time for a TCP connect, where more would help.
pub(super) fn longer(now: Option<Duration>) -> String {
    now.map(|now| format!("; or {}", Cure::Longer(now))).unwrap_or_default()
}

impl fmt::Display for Cure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::SeeWhatItSays => f.write_str("see what it says"),
            Self::CheckUserAndPassword => f.write_str("check both"),
            Self::CheckRefused => f.write_str("check the user and the password"),
            Self::CheckAccount => f.write_str("see what the provider asks of the account"),
            Self::AppPassword => f.write_str("give it an app password, made in the account's settings"),
            Self::Token(ways) => {
                write!(f, "give it a token with --token-command (the server offers {})", ways.join(" and "))
            }
            Self::FreshToken => {
                f.write_str("get a fresh one: it may have expired, or be meant for another user or use")
            }
            Self::OtherToken => f.write_str("get one that is meant for this user and for mail by this protocol"),
            Self::NewPassword => f.write_str("set a new password with the provider: this one has expired"),
            Self::OpenItsPage => f.write_str("sign in on the web page that it names"),
            Self::AllowProtocol(Some(protocol)) => {
                write!(f, "allow {protocol} in the account's settings, or have its administrator do so")
            }
            Self::AllowProtocol(None) => {
                f.write_str("allow this protocol in the account's settings, or have its administrator do so")
            }
            Self::AllowSmtpAuth => {
                f.write_str("have the administrator allow authenticated SMTP for the mailbox; no other password helps")
            }
            Self::Unlock => f.write_str("have the provider unlock it; more attempts may keep it shut"),
            Self::MakeRoom => f.write_str("make room in the mailbox, or have its quota raised"),
            Self::AskAdministrator => f.write_str("ask the server's administrator"),
            Self::Wait(Some(time)) => write!(f, "wait {time}"),
            Self::Wait(None) => f.write_str("try again later"),
            Self::AskForLess => f.write_str("ask for less at a time"),
            Self::FewerOperations { of_exim } => f.write_str(if *of_exim {
                "Exim bears ten commands without mail a session, unless smtp_accept_max_nonmail says otherwise: do fewer \
                 operations a session (a smaller -n), or send mail (--ops send --allow-writes)"
            } else {
                "do fewer operations a session (a smaller -n), or send mail (--ops send --allow-writes)"
            }),
            Self::SeeWhatItRefused => f.write_str("see what it refused before"),
            Self::SignInLessOften => f.write_str("sign in less often: keep connections open"),
            Self::SendLess => f.write_str("send less"),
            Self::FewerConnections => f.write_str("use fewer, or dispose those that idle"),
            Self::CloseOtherClients => f.write_str(
                "no other connection of this client is open, so other clients of the account or the address have them: \
                 close those, or wait",
            ),
            Self::OneConnection => f.write_str("use one connection, or wait until that one ends"),
            Self::CloseOtherClient => {
                f.write_str("it is none of this client's, so another client has it: close that, or wait until it ends")
            }
            Self::UseTls { protocol, start_tls, is_loopback } => {
                let scheme = protocol.map_or("imap", Protocol::name);
                match (protocol, start_tls, is_loopback) {
                    (Some(_), Some(true), true) => {
                        write!(f, "use TLS: --starttls, which the server offers, or {scheme}s://")
                    }
                    (Some(protocol), Some(true), false) => write!(
                        f,
                        "use TLS: leave --plaintext out, since the server offers {}, or write {scheme}s://",
                        protocol.start_tls()
                    ),
                    (Some(_), Some(false), _) => write!(f, "use TLS: {scheme}s://"),
                    (Some(_), None, _) => write!(f, "use TLS: --starttls or {scheme}s://"),
                    (None, ..) => {
                        f.write_str("without TLS, use it (--starttls, or an s behind the scheme, as in imaps://)")
                    }
                }
            }
            Self::NameUser => f.write_str("nobody signed in: name a user in the URL (smtp://user@host)"),
            Self::NameNobody(scheme) => {
                write!(f, "name no user in the URL ({scheme}://host), where mail is taken without a sign-in")
            }
            Self::OtherName(named) if named.by_flag => f.write_str("give another name with --ehlo"),
            Self::OtherName(_) => f.write_str("give a name with --ehlo NAME"),
            Self::OtherSender(Some(sender)) => {
                write!(f, "it was sent as {sender}: give a sender that the account may use, with --from ADDRESS")
            }
            Self::OtherSender(None) => f.write_str("give a sender that the account may use, with --from ADDRESS"),
            Self::OtherRecipient => f.write_str("give a recipient that it takes mail for, with --to ADDRESS"),
            Self::Longer(now) => {
                write!(f, "give it longer with --connect-timeout, now {}, if it is only slow", Spoken(*now))
            }
        }
    }
}

/// A time as it is given to a flag, and as people say it.
struct Spoken(Duration);

impl fmt::Display for Spoken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (seconds, milliseconds) = (self.0.as_secs(), self.0.as_millis());
        if self.0.subsec_nanos() == 0 { write!(f, "{seconds} s") } else { write!(f, "{milliseconds} ms") }
    }
}
