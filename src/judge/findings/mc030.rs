//! The server refused a connection because too many are open.

use std::collections::BTreeMap;
use std::mem;

use crate::event::{Event, Micros, SessionRefused, Severity, What};
use crate::figures::{Refused, count};
use crate::judge::finding::{Allowed, Article, Detector, Evidence, Found, Proven, Spec};
use crate::judge::refusals::{Limit, named};
use crate::judge::stated_limit;
use crate::ledger::{Analysis, Ledger};
use crate::protocol::{FailureKind, Stage};

/// The most moments that are told apart, of those after which the server has yet to answer. The next answer comes after them.
const MOMENTS: usize = 8;

pub const SPEC: Spec = Spec {
    id: "MC030",
    severity: Severity::Limit,
    article: Article {
        title: "the server refused a connection because too many are open",
        means: "Servers count the connections of a user, an address, or both, and refuse the next one: at the sign-in \
                in IMAP, in the greeting in SMTP. It has nothing to do with the password, though many programs say so. \
                The figure counts our open connections, and those being opened if the server may have let them in by \
                then; other clients of the same user (a phone, another machine) may hold the rest. Known limits: Gmail \
                15 an account, Exchange Online 16 to 20, Dovecot 10 a user and address (mail_max_userip_connections), \
                Courier 4 an address (MAXPERIP), which closes one more without a word: it is probably a limit where \
                others of ours go on. A run that is refused nothing proves no limit: Dovecot lets sign-ins that arrive \
                together past its own. mailconn limits asks one by one.",
        example,
        cure: "Client: cap it (max_connections waits instead of dialling), share one connection (use-main), close what idles. \
               Administrator: Dovecot counts by user and address, so a webmail host or an office behind one address needs \
               more; a limit on sign-in rates is another thing and does not help.",
        rules: &["B4", "W2"],
        met: &[
            "imapsync/imapsync#61",
            "MailCore/mailcore2#587",
            "mscdex/node-imap#606",
            "docker-mailserver/docker-mailserver#1165",
            "Mailu/Mailu#894",
            "zammad/zammad#3651",
        ],
    },
    detector: || Box::<Detects>::default(),
};

#[derive(Debug, Default)]
struct Detects {
    /// Refused as the server's words say, and the least number that these name as the limit.
    refused: Dials,
    limit: Option<u64>,
    /// Closed without a word, and called a limit for what the server did.
    by_deed: Dials,
    /// Closed before a word was said, while others of ours were open that the server answered afterwards; nobody had seen
    /// that by then.
    closed: Dials,
    /// The same, but that it has answered none since, by the moment.
    unanswered: BTreeMap<Micros, Dials>,
    /// When an operation succeeded last, and when a session was signed in last.
    answered: Micros,
    signed_in: Micros,
    /// How many are open; the most that ever were, and when the last of those was signed in.
    open: usize,
    most: (usize, Micros),
    /// It hung up on others as well: it was not counting, it went away.
    went_away: bool,
}

/// Dials that did not come to be, all together.
#[derive(Clone, Debug, Default)]
struct Dials {
    evidence: Evidence,
    /// How many of ours were open at most, how many others were under way, and how many were open or may have been: we know of
    /// a sign-in later than the server, which may have counted them.
    open: usize,
    dialling: usize,
    at_most: usize,
    /// When the first of them failed.
    first: Option<Micros>,
}

impl Dials {
    fn add(&mut self, refused: &Refused) {
        let dial = &refused.dial;
        self.evidence.add(|| named(dial));
        self.open = self.open.max(dial.open);
        self.dialling = self.dialling.max(dial.dialling);
        self.at_most = self.at_most.max(dial.open + refused.being_opened);
        self.first = [self.first, Some(dial.failed_us)].into_iter().flatten().min();
    }

    fn join(&mut self, later: &Self) {
        self.evidence.join(&later.evidence);
        self.open = self.open.max(later.open);
        self.dialling = self.dialling.max(later.dialling);
        self.at_most = self.at_most.max(later.at_most);
        self.first = [self.first, later.first].into_iter().flatten().min();
    }
}

impl Analysis for Detects {
    fn see(&mut self, event: &Event, _: &Ledger) {
        match &event.what {
            What::SessionOpened(opened) => {
                self.signed_in = self.signed_in.max(opened.signed_in_us);
                self.open += 1;
                self.most = self.most.max((self.open, opened.signed_in_us));
            }
            What::SessionClosed(_) => self.open = self.open.saturating_sub(1),
            What::Operation(operation) => match &operation.failure {
                None => self.answered(event.at),
                Some(failure) => {
                    let gone = matches!(
                        failure.kind,
                        FailureKind::Closed | FailureKind::ServerBye | FailureKind::Timeout
                    );
                    self.went_away |= gone && failure.stage == Stage::Operation;
                }
            },
            _ => {}
        }
    }
}

impl Detects {
    fn answered(&mut self, at: Micros) {
        self.answered = self.answered.max(at);
        if self.unanswered.first_key_value().is_some_and(|(failed, _)| *failed < at) {
            let later = self.unanswered.split_off(&at);
            for dials in mem::replace(&mut self.unanswered, later).into_values() {
                self.closed.join(&dials);
            }
        }
    }

    fn was_closed(&mut self, refused: &Refused) {
        let failed = refused.dial.failed_us;
        if self.answered > failed {
            return self.closed.add(refused);
        }
        self.unanswered.entry(failed).or_default().add(refused);
        if self.unanswered.len() > MOMENTS
            && let Some((_, mut first)) = self.unanswered.pop_first()
            && let Some(mut next) = self.unanswered.first_entry()
        {
            first.join(next.get());
            next.insert(first);
        }
    }

    /// How many it let be open at once after that, where they are more than there were when it closed one without a word: that
    /// one was not closed for their number.
    fn let_in_more(&self, closed: &Dials) -> Option<usize> {
        let (most, at) = self.most;
        (most > closed.at_most + closed.dialling && closed.first.is_some_and(|first| at > first)).then_some(most)
    }

    /// Those that were closed without a word.
    fn wordless(&self) -> Dials {
        let mut wordless = self.by_deed.clone();
        if self.refused.evidence.is_empty() && !self.went_away {
            wordless.join(&self.closed);
        }
        wordless
    }
}

impl Detector for Detects {
    fn refused(&mut self, refused: &Refused, known: &Ledger) {
        match Limit::of(refused, known) {
            Some(Limit::Stated) => {
                let limit = refused.dial.failure.server_line.as_deref().and_then(stated_limit);
                self.limit = [self.limit, limit].into_iter().flatten().min();
                self.refused.add(refused);
            }
            Some(Limit::ByDeed) => self.by_deed.add(refused),
            None if refused.dial.open > 0 && is_without_a_word(&refused.dial) => self.was_closed(refused),
            Some(Limit::MainShutOut | Limit::Locked) | None => {}
        }
    }

    fn finding(&self, _: &Proven<'_>) -> Option<Found> {
        self.found()
    }

    fn allowed(&self) -> Option<Allowed> {
        let all = self.all();
        if self.refused.evidence.is_empty() && self.let_in_more(&all).is_some() {
            return None;
        }
        let stated = self.limit.map(|limit| usize::try_from(limit).unwrap_or(usize::MAX));
        let ours = match (stated, all.at_most) {
            // Others hold the rest.
            (Some(stated), most) if most.saturating_add(all.dialling) < stated => Some(most),
            (Some(stated), _) => Some(stated),
            (None, 0) if all.dialling > 0 || self.refused.evidence.is_empty() => None,
            (None, most) => Some(most),
        };
        let is_guessed = self.refused.evidence.is_empty();
        (!all.evidence.is_empty()).then_some(Allowed { ours, stated, is_guessed })
    }
}

/// Five dials were refused while three of ours were open.
fn example() -> String {
    let evidence = Evidence { count: 5, named: Vec::new() };
    let refused = Dials { evidence, open: 3, at_most: 3, ..Dials::default() };
    let found = Detects { refused, limit: Some(3), ..Detects::default() }.found();
    found.map_or_else(String::new, |found| found.sentence)
}

impl Detects {
    /// All that were refused, with words and without.
    fn all(&self) -> Dials {
        let mut all = self.refused.clone();
        all.join(&self.wordless());
        all
    }

    fn found(&self) -> Option<Found> {
        let (all, wordless) = (self.all(), self.wordless());
        all.evidence.says(|| {
            let ours = ours(&all, &self.refused);
            let cure = cure(&all, &self.refused, self.limit);
            let (refused, closed) = (count(self.refused.evidence.count), count(wordless.evidence.count));
            match (self.refused.evidence.count, wordless.evidence.count, self.let_in_more(&wordless)) {
                (_, 0, _) => format!("the server refused {refused} connection(s) while {ours}; {cure}"),
                (0, _, Some(most)) => format!(
                    "the server closed {closed} connection(s) without a word while {ours}, and let {most} be open at once later: \
                     that is no proof of a limit on connections; it may limit how many come in a time, other clients may have \
                     left since, or it was a fault of the moment"
                ),
                (0, _, None) => {
                    let went_on = if self.answered.max(self.signed_in) > wordless.first.unwrap_or_default() {
                        "and went on answering these"
                    } else {
                        "and left these open"
                    };
                    format!(
                        "the server closed {closed} connection(s) without a word while {ours}, {went_on}: probably its limit \
                         on connections; {cure}"
                    )
                }
                _ => format!(
                    "the server refused {refused} connection(s), and closed {closed} without a word, probably for the same \
                     reason, while {ours}; {cure}"
                ),
            }
        })
    }
}

fn is_without_a_word(dial: &SessionRefused) -> bool {
    let failure = &dial.failure;
    let before_the_greeting = failure.stage == Stage::Greeting && dial.dial_us.greeting.is_none();
    failure.kind == FailureKind::Closed
        && (failure.stage == Stage::Tls || before_the_greeting)
        && failure.server_line.is_none()
}

/// How many of ours were open.
fn ours(all: &Dials, refused: &Dials) -> String {
    if all.at_most == 0 && refused.evidence.is_empty() {
        "others of ours were just ending, which it may have counted still".to_owned()
    } else if all.at_most > all.open {
        format!("{} of ours were open or being opened", count(all.at_most as u64))
    } else {
        format!("{} of ours were open", count(all.open as u64))
    }
}

fn cure(all: &Dials, refused: &Dials, limit: Option<u64>) -> String {
    let stay = |number: u64| {
        format!(
            "stay at {number} connection{} (fewer threads, or use-main), or raise the server's limit; other clients may hold \
             some of it",
            if number == 1 { "" } else { "s" }
        )
    };
    let open = all.open as u64;
    match (limit, all.at_most) {
        (Some(limit), _) if open > limit => format!(
            "it names {limit} as its limit: this server lets sign-ins that arrive together past its limit, do not count on \
             more; {}",
            stay(limit)
        ),
        (Some(limit), 0) if all.dialling == 0 => format!(
            "it names {limit} as its limit, and other clients hold all of it: close some, or raise the server's limit"
        ),
        (Some(limit), most) if open == limit || most as u64 == limit => stay(limit),
        (Some(limit), most) if limit > most as u64 && all.dialling == 0 => {
            let others = match limit - most as u64 {
                1 => "1 for another client, for a session that had just ended, or for the refused one".to_owned(),
                others => format!("{others} for other clients, or for sessions that had just ended"),
            };
            format!(
                "it names {limit} as its limit, and held {others}: stay \
                 at {limit} connections together with these (fewer threads, or use-main), or raise the server's limit"
            )
        }
        (Some(limit), most) if limit > (most as u64).saturating_add(all.dialling as u64) => format!(
            "it names {limit} as its limit, and held at least {} for other clients, or for sessions that had just ended: stay at \
             {limit} connections together with these (fewer threads, or use-main), or raise the server's limit",
            limit - most as u64 - all.dialling as u64
        ),
        (Some(limit), _) => format!("it names {limit} as its limit; {}", stay(limit)),
        (None, 0) if refused.evidence.is_empty() => {
            "use fewer connections at a time, or keep them for longer, or raise the server's limit".to_owned()
        }
        (None, 0) if all.dialling > 0 => format!(
            "{} more of ours were being opened, which it counts too: use fewer threads, or raise the server's limit",
            all.dialling
        ),
        (None, 0) => "other clients hold its connections: close some, or raise the server's limit".to_owned(),
        (None, most) if most > all.open => format!(
            "stay at {most} connections at most (fewer threads, or use-main), or raise the server's limit; other clients \
             may hold some of it"
        ),
        (None, _) => stay(open),
    }
}
