//! What a failure means, and what can be done about it: decided from its kind and what is known besides the server's words.
//!
//! A cure is said only where it can be true. So each is decided from [`Circumstances`], and one that nobody knows to be
//! possible is left out.

mod wording;

use std::time::Duration;

use super::capabilities::Capabilities;
use super::classify::{is_about_a_lock, offered_causes, stated_wait};
use super::endpoint::{Protocol, Security};
use super::failure::{Failure, FailureKind, Stage};
use super::live::Live;
use super::sasl::{Mechanism, Offered, Way};

use FailureKind::{
    AuthInvalid, AuthPolicy, AuthRefused, AuthUnsupported, ConnectTimeout, LimitConnections, LimitRate, ServerBad,
    ServerBye, ServerNo, ServerUnavailable, Timeout,
};

/// What is known of a connection besides the server's words, as far as it came. By default nothing is.
#[derive(Clone, Debug, Default)]
pub(super) struct Circumstances {
    pub(super) protocol: Option<Protocol>,
    pub(super) security: Option<Security>,
    /// The host is this machine, where plaintext is the rule: elsewhere it was asked for by a flag.
    pub(super) is_loopback: bool,
    /// What the server offers, once it has said so.
    pub(super) offered: Option<Capabilities>,
    pub(super) signs_in: SignsIn,
    /// How the sign-in was tried.
    pub(super) tried: Option<Tried>,
    /// What the server said against it within the exchange.
    pub(super) exchange_said: Option<String>,
    /// What came of fetching another token than the refused one.
    pub(super) renewal: Option<Renewal>,
    /// The same password, or a token, signed in before.
    pub(super) worked_before: bool,
    /// How many other connections of this client are open.
    pub(super) others_open: Option<usize>,
    /// The name that EHLO gave.
    pub(super) named: Option<Named>,
    /// Its answer is out, or was a refusal.
    pub(super) is_naming: bool,
    /// The whole time that a dial has.
    pub(super) connect_timeout: Option<Duration>,
    /// The sender of the message under way.
    pub(super) sender: Option<String>,
    /// The session is not used again, whatever the failure says of it.
    pub(super) is_given_up: bool,
    /// The server closed the connection with its refusal.
    pub(super) closes_with_it: bool,
}

/// Who signs in, and with what.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum SignsIn {
    #[default]
    Unknown,
    Nobody,
    WithPassword,
    WithToken,
}

/// What came of fetching another token in the place of a refused one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Renewal {
    /// Another came, and was presented.
    Newer,
    /// The same came again.
    Same,
    /// None came, for that reason.
    Failed(String),
}

/// A way to sign in that was tried.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tried {
    /// The mechanism, or the protocol's own command.
    pub(super) name: &'static str,
    pub(super) way: Way,
    /// Whether a flag asked for it; else it was our choice.
    pub(super) by_flag: bool,
}

/// A name given in EHLO.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Named {
    pub(super) name: String,
    /// Whether a flag gave it.
    pub(super) by_flag: bool,
}

/// Something that can be done. It is worded in one place, [`wording`].
#[derive(Clone, Debug, PartialEq, Eq)]
enum Cure {
    SeeWhatItSays,
    CheckUserAndPassword,
    CheckRefused,
    CheckAccount,
    AppPassword,
    /// By those mechanisms, which the server offers.
    Token(Vec<&'static str>),
    FreshToken,
    /// A fresh one was refused too.
    OtherToken,
    NewPassword,
    OpenItsPage,
    AllowProtocol(Option<Protocol>),
    AllowSmtpAuth,
    Unlock,
    MakeRoom,
    AskAdministrator,
    /// A wait, as long as the server states it.
    Wait(Option<String>),
    AskForLess,
    /// Of commands without mail; whether Exim's words say so.
    FewerOperations {
        of_exim: bool,
    },
    SeeWhatItRefused,
    SignInLessOften,
    SendLess,
    FewerConnections,
    CloseOtherClients,
    OneConnection,
    CloseOtherClient,
    UseTls {
        protocol: Option<Protocol>,
        /// Whether the upgrade is offered, where that is known.
        start_tls: Option<bool>,
        is_loopback: bool,
    },
    NameUser,
    /// The URL with a user is one of that scheme.
    NameNobody(&'static str),
    OtherName(Named),
    OtherSender(Option<String>),
    OtherRecipient,
    Longer(Duration),
}

/// What a failure means, with the cures: the message of a refusal of that kind.
pub(super) fn advice(kind: FailureKind, stage: Stage, line: &[u8], known: &Circumstances) -> String {
    let text = String::from_utf8_lossy(line).to_lowercase();
    let case = Case { kind, stage, line, text: &text, known };
    wording::sentence(&case, &case.cures())
}

impl Circumstances {
    /// The failure with what can be done about it, once all is known. What has no line of the server's is told by whoever
    /// found it out, unless it is the time.
    pub(super) fn judge(&self, mut failure: Failure) -> Failure {
        let stated = failure.server_line.clone();
        match (failure.kind, &stated) {
            (
                AuthInvalid | AuthPolicy | AuthRefused | AuthUnsupported | LimitConnections | LimitRate | ServerNo
                | ServerBad | ServerBye | ServerUnavailable,
                Some(line),
            ) => failure.message = advice(failure.kind, failure.stage, line.as_bytes(), self),
            (Timeout, line) if matches!(failure.stage, Stage::Tls | Stage::Greeting | Stage::Auth) => {
                let line = line.as_deref().unwrap_or_default();
                failure.message = advice(failure.kind, failure.stage, line.as_bytes(), self);
            }
            (FailureKind::Closed, line)
                if (line.is_some() || !failure.further_lines.is_empty())
                    && failure.message.ends_with("without a word") =>
            {
                "the server closed the connection before its answer was complete".clone_into(&mut failure.message);
            }
            (ConnectTimeout, _) => failure.message += &wording::longer(self.longer_to_connect()),
            _ => {}
        }
        failure
    }

    /// The same for a session of that connector.
    pub(super) fn judge_with(&mut self, failure: Failure, live: &Live) -> Failure {
        self.others_open = Some(live.open().saturating_sub(1));
        self.judge(failure)
    }

    /// A host that answers at all does so within the system's first repetitions of the question: more than these waits for
    /// nobody.
    fn longer_to_connect(&self) -> Option<Duration> {
        const REPETITIONS: Duration = Duration::from_secs(4);
        self.connect_timeout.filter(|given| *given < REPETITIONS)
    }

    /// The other offered ways to present the same secret.
    fn other_ways(&self) -> Vec<(&'static str, Way)> {
        let (Some(offered), Some(protocol), Some(tried)) = (&self.offered, self.protocol, self.tried) else {
            return Vec::new();
        };
        let mechanisms = Offered::read(offered.mechanisms(protocol));
        let same = |way| match (tried.way, way) {
            (Way::Sasl(tried), Way::Sasl(way)) => tried == way,
            (Way::Native, Way::Native) => true,
            _ => false,
        };
        let takes_token = matches!(tried.way, Way::Sasl(mechanism) if mechanism.takes_token());
        let by_sasl = Mechanism::ALL
            .into_iter()
            .filter(|mechanism| mechanisms.has(*mechanism) && mechanism.takes_token() == takes_token)
            .map(|mechanism| (Way::Sasl(mechanism), mechanism.name()));
        let command = offered.own_command(protocol).filter(|_| !takes_token).map(|name| (Way::Native, name));
        by_sasl.chain(command).filter(|(way, _)| !same(*way)).map(|(way, name)| (name, way)).collect()
    }

    /// The offered mechanisms that take a token.
    fn token_ways(&self) -> Vec<&'static str> {
        let (Some(offered), Some(protocol)) = (&self.offered, self.protocol) else { return Vec::new() };
        let mechanisms = Offered::read(offered.mechanisms(protocol));
        let takes = |mechanism: &Mechanism| mechanism.takes_token() && mechanisms.has(*mechanism);
        Mechanism::ALL.into_iter().filter(takes).map(Mechanism::name).collect()
    }

    fn is_encrypted(&self) -> bool {
        self.security.is_some_and(|security| security != Security::Plain)
    }

    /// In words, what can be done where the server offers no way to sign in.
    pub(super) fn without_a_way(&self) -> String {
        let tls = (!self.is_encrypted()).then(|| self.tls());
        let nobody = (self.protocol == Some(Protocol::Smtp))
            .then(|| Cure::NameNobody(if self.security == Some(Security::Tls) { "smtps" } else { "smtp" }));
        let cures: Vec<Cure> = tls.into_iter().chain(nobody).collect();
        wording::list(if cures.is_empty() { &[Cure::CheckAccount] } else { &cures })
    }

    /// What of it a session still needs: of many, none is to carry a list that nothing will be looked up in.
    pub(super) fn of_session(&self) -> Self {
        let offered = self.offered.clone().filter(|_| !self.is_encrypted());
        Self { offered, ..self.clone() }
    }

    /// TLS, as it can be had.
    fn tls(&self) -> Cure {
        let start_tls = self.protocol.zip(self.offered.as_ref());
        let start_tls = start_tls.map(|(protocol, offered)| offered.has(protocol.start_tls()));
        Cure::UseTls { protocol: self.protocol, start_tls, is_loopback: self.is_loopback }
    }
}

/// A failure, as its cures are looked for.
struct Case<'a> {
    kind: FailureKind,
    stage: Stage,
    /// The server's line.
    line: &'a [u8],
    /// The same in lower case.
    text: &'a str,
    known: &'a Circumstances,
}

const APP_PASSWORD: &[&str] = &[
    "app password",
    "app-password",
    "application password",
    "application-specific",
    "application specific",
    "app-specific",
    "app specific",
    "authorization code",
    "authorized code",
];
const WEB: &[&str] =
    &["web browser", "web login", "web-login", "webalert", "browser", "log in via", "sign in via", "webmail"];
const BASIC: &[&str] =
    &["basic authentication", "basic auth", "basicauthblocked", "oauth", "modern authentication", "legacy"];
const SMTP_AUTH: &[&str] = &["smtpclientauthentication", "smtp_auth_disabled", "smtp auth"];
const SWITCHED_OFF: &[&str] = &[
    "not enabled",
    "access is disabled",
    "access disabled",
    "access denied",
    "access not allowed",
    "not allowed to use",
    "not permitted to use",
    "service is not open",
    "not open",
    "switched off",
    "turned off",
    "imap is disabled",
    "pop is disabled",
    "pop3 is disabled",
    "imap disabled",
    "pop3 disabled",
    "imap access",
    "pop access",
    "pop3 access",
];
const EXPIRED: &[&str] = &["expired"];
const SHUT: &[&str] =
    &["locked", "suspended", "blocked", "deactivated", "frozen", "abnormal", "inactive", "banned", "disabled"];
const QUOTA: &[&str] = &["over quota", "overquota", "quota", "mailbox full", "mailbox is full", "out of storage"];
const ADMINISTRATOR: &[&str] = &["[contactadmin]", "administrator", "contact"];
const GREETED: &[&str] = &["helo", "ehlo"];
const NAME: &[&str] =
    &["helo", "ehlo", "hostname", "host name", "fully-qualified", "fully qualified", "fqdn", "domain"];
const SENDER: &[&str] =
    &["sender", "sendasdenied", "send as", "from address", "return path", "mail from", "not owned by user"];
const RELAY: &[&str] = &["relay", "relaying", "relayed"];
const WANTS_TLS: &[&str] = &["starttls", "stls", "tls", "ssl", "encryption", "encrypted", "secure"];
const SENDING: &[&str] = &[
    "quota",
    "sending",
    "too much mail",
    "unsolicited mail",
    "number of messages",
    "relay limit",
    "messages per",
    "daily smtp",
];
/// What one session may have too many of.
const COMMANDS: &[&str] = &["command", "commands", "error", "errors"];
/// What is bounded in a time, or is to be tried again, is no matter of one session.
const IN_A_TIME: &[&str] = &[
    "per second",
    "per minute",
    "per hour",
    "a second",
    "a minute",
    "an hour",
    "seconds",
    "minutes",
    "later",
    "slow down",
    "login",
    "logins",
    "auth",
    "authentication",
];
/// Words for what is done too often, where that is to sign in.
const SIGNING_IN: &[&str] = &[
    "login",
    "logins",
    "logon",
    "sign in",
    "auth",
    "authentication",
    "attempt",
    "attempts",
    "connection",
    "connections",
];

impl Case<'_> {
    fn says(&self, pieces: &[&str]) -> bool {
        pieces.iter().any(|piece| holds(self.text, piece))
    }

    fn is_locked(&self) -> bool {
        self.kind == LimitConnections && self.stage <= Stage::Auth && is_about_a_lock(self.line)
    }

    fn is_sending_quota(&self) -> bool {
        let is_smtp = self.known.protocol.is_none_or(|protocol| protocol == Protocol::Smtp);
        self.kind == LimitRate && is_smtp && self.says(SENDING)
    }

    /// The causes that the server offers to choose from, in words.
    fn offered_causes(&self) -> Option<String> {
        offered_causes(self.line)
    }

    fn is_token(&self) -> bool {
        let by = |tried: Tried| matches!(tried.way, Way::Sasl(mechanism) if mechanism.takes_token());
        self.known.signs_in == SignsIn::WithToken || self.known.tried.is_some_and(by)
    }

    fn cures(&self) -> Vec<Cure> {
        let mut cures = self.usual_cures();
        // Whatever else it means, a wait that is stated is shown.
        if !cures.iter().any(|cure| matches!(cure, Cure::Wait(_))) {
            cures.extend(stated_wait(self.text).map(|wait| Cure::Wait(Some(wait.shown))));
        }
        cures
    }

    fn usual_cures(&self) -> Vec<Cure> {
        let known = self.known;
        match self.kind {
            LimitConnections if self.is_locked() => match known.others_open {
                Some(0) => vec![Cure::CloseOtherClient],
                _ => vec![Cure::OneConnection],
            },
            LimitConnections => match known.others_open {
                Some(0) => vec![Cure::CloseOtherClients],
                _ => vec![Cure::FewerConnections],
            },
            LimitRate if self.is_sending_quota() => vec![self.wait(), Cure::SendLess],
            LimitRate if self.stage <= Stage::Auth && known.signs_in != SignsIn::Nobody && self.says(SIGNING_IN) => {
                vec![self.wait(), Cure::SignInLessOften]
            }
            LimitRate if self.is_about_a_session() => self.of_a_session(),
            LimitRate => vec![self.wait(), Cure::AskForLess],
            ServerUnavailable => vec![self.wait()],
            AuthPolicy => self.policy(),
            AuthInvalid | AuthRefused if self.is_token() => match known.renewal {
                Some(Renewal::Newer) => vec![Cure::OtherToken],
                _ => vec![Cure::FreshToken],
            },
            AuthInvalid | AuthRefused if known.worked_before => vec![self.wait(), Cure::SignInLessOften],
            AuthInvalid if self.says(EXPIRED) => vec![Cure::NewPassword],
            AuthInvalid => vec![Cure::CheckUserAndPassword],
            AuthRefused => vec![Cure::CheckRefused, Cure::CheckAccount],
            AuthUnsupported => self.unsupported(),
            ServerNo | ServerBad if known.is_naming => self.naming(),
            ServerNo if self.stage == Stage::Operation && known.protocol == Some(Protocol::Smtp) => self.message(),
            ServerNo if self.stage == Stage::Operation && self.says(QUOTA) => vec![Cure::MakeRoom],
            ServerNo | FailureKind::Greeting if self.stage <= Stage::Auth => vec![Cure::SeeWhatItSays],
            Timeout => known.connect_timeout.map(Cure::Longer).into_iter().collect(),
            _ => Vec::new(),
        }
    }

    /// What it has too many of is commands, or mistakes, of one session.
    fn is_about_a_session(&self) -> bool {
        self.stage == Stage::Operation && is_about_a_session(self.text)
    }

    /// Of these commands without mail are the likeliest: past a number of them Postfix takes each for an error.
    fn of_a_session(&self) -> Vec<Cure> {
        let reads_so = || self.line.first().is_some_and(u8::is_ascii_digit);
        let is_smtp = self.known.protocol.map_or_else(reads_so, |protocol| protocol == Protocol::Smtp);
        let of_exim = self.is_of_exim();
        let commands = is_smtp.then_some(Cure::FewerOperations { of_exim });
        commands.into_iter().chain((!of_exim).then_some(Cure::SeeWhatItRefused)).collect()
    }

    fn is_of_exim(&self) -> bool {
        self.says(&["nonmail", "non-mail"])
    }

    fn wait(&self) -> Cure {
        Cure::Wait(stated_wait(self.text).map(|wait| wait.shown))
    }

    /// What lets an account in that may not come in like this.
    fn policy(&self) -> Vec<Cure> {
        let token = || {
            let ways = self.known.token_ways();
            (!self.is_token() && !ways.is_empty()).then_some(Cure::Token(ways))
        };
        if self.says(APP_PASSWORD) {
            [Some(Cure::AppPassword), token()].into_iter().flatten().collect()
        } else if self.says(WEB) {
            let password = (!self.is_token()).then_some(Cure::AppPassword);
            [Some(Cure::OpenItsPage), password, token()].into_iter().flatten().collect()
        } else if self.says(SMTP_AUTH) {
            vec![Cure::AllowSmtpAuth]
        } else if self.says(BASIC) {
            vec![token().unwrap_or(Cure::AskAdministrator)]
        } else if self.says(EXPIRED) {
            vec![if self.is_token() { Cure::FreshToken } else { Cure::NewPassword }]
        } else if self.says(QUOTA) {
            vec![Cure::MakeRoom]
        } else if self.says(SWITCHED_OFF) {
            vec![Cure::AllowProtocol(self.known.protocol)]
        } else if self.says(SHUT) {
            vec![Cure::Unlock]
        } else if self.says(ADMINISTRATOR) {
            vec![Cure::AskAdministrator]
        } else {
            vec![Cure::SeeWhatItSays]
        }
    }

    /// What is missing where a way to sign in, or a sign-in itself, is.
    fn unsupported(&self) -> Vec<Cure> {
        let known = self.known;
        let not_yet = known.security == Some(Security::Plain);
        if self.stage == Stage::Operation {
            return if self.says(WANTS_TLS) && !known.is_encrypted() {
                vec![known.tls()]
            } else if known.signs_in == SignsIn::Nobody {
                vec![Cure::NameUser]
            } else {
                Vec::new()
            };
        }
        if not_yet || (!known.is_encrypted() && self.says(WANTS_TLS)) {
            return vec![known.tls()];
        }
        let ways = known.token_ways();
        if !self.is_token() && !ways.is_empty() {
            return vec![Cure::Token(ways)];
        }
        if known.other_ways().is_empty() { vec![Cure::CheckAccount] } else { Vec::new() }
    }

    /// What is wrong with us before anybody signs in: the name, where that is what the server speaks of.
    fn naming(&self) -> Vec<Cure> {
        match &self.known.named {
            Some(named) if self.says(NAME) => vec![Cure::OtherName(named.clone())],
            _ => vec![Cure::SeeWhatItSays],
        }
    }

    /// What is wrong with a message that an SMTP server refuses.
    fn message(&self) -> Vec<Cure> {
        let nobody = self.known.signs_in == SignsIn::Nobody;
        // Postfix puts the refusal of a name off until there is a recipient.
        let name = self.known.named.as_ref().filter(|_| self.says(GREETED));
        if let Some(named) = name {
            vec![Cure::OtherName(named.clone())]
        } else if self.says(RELAY) {
            vec![if nobody { Cure::NameUser } else { Cure::OtherRecipient }]
        } else if self.says(SENDER) {
            vec![Cure::OtherSender(self.known.sender.clone())]
        } else if nobody && self.says(&["authentication", "authenticate", "authenticated", "not logged in"]) {
            vec![Cure::NameUser]
        } else if self.says(QUOTA) {
            vec![Cure::MakeRoom]
        } else {
            Vec::new()
        }
    }
}

/// Whether a line, in small letters, says that one session had too many commands, or errors.
pub(crate) fn is_about_a_session(text: &str) -> bool {
    let holds_any = |pieces: &[&str]| pieces.iter().any(|words| holds(text, words));
    text.contains("too many") && holds_any(COMMANDS) && !holds_any(IN_A_TIME)
}

/// Whether the text holds those words as words, and not as a part of an address or of a host's name, which anybody may
/// have chosen.
fn holds(text: &str, words: &str) -> bool {
    text.match_indices(words).any(|(at, _)| {
        let before = text[..at].chars().next_back();
        let after = &text[at + words.len()..];
        let in_a_name = after.starts_with('@')
            || after.strip_prefix('.').is_some_and(|rest| rest.starts_with(char::is_alphanumeric));
        !in_a_name
            && !before.is_some_and(|c| c.is_alphanumeric() || matches!(c, '.' | '@' | '-'))
            && !after.starts_with(char::is_alphanumeric)
    })
}

#[cfg(test)]
mod tests;
