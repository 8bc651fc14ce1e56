//! The server refused a connection because too many are open.

use crate::event::{Event, Severity};
use crate::judge::finding::{Article, Detector, Evidence, Found, Proven, Spec};
use crate::ledger::{Analysis, Ledger};

pub const SPEC: Spec = Spec {
    id: "MC030",
    severity: Severity::Limit,
    article: Article {
        title: "the server refused a connection because too many are open",
        means: "Servers count the connections of a user, an address, or both, and refuse the next one: at the sign-in in IMAP, \
                in the greeting in SMTP. It has nothing to do with the password, though many programs say so. The figure is how \
                many of ours were open, or also being opened where the server may have let these in by then; other clients of \
                the same user (a phone, another machine) may hold the rest. Known limits: Gmail 15 an account, \
                Exchange Online 16, Dovecot 10 a user and address (mail_max_userip_connections), Courier 4 an address \
                (MAXPERIP), which closes one more without a word: it is probably a limit where others of ours go on.",
        example: "MC030 limit, 5 times: the server refused 5 connection(s) while 3 of ours were open; stay at 3 connections \
                  (fewer threads, or use-main), or raise the server's limit; other clients may hold some of it\n- #7 with 3 \
                  open: NO [LIMIT] Maximum number of connections from user+IP exceeded (mail_max_userip_connections=3)",
        cure: "Client: cap it (max_connections waits instead of dialling), share one connection (use-main), close what idles. \
               Administrator: Dovecot counts by user and address, so a webmail host or an office behind one address needs \
               more; a limit on sign-in rates is another thing and does not help. The exit code is 6.",
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
    evidence: Evidence,
}

impl Analysis for Detects {
    fn see(&mut self, _: &Event, _: &Ledger) {}
}

impl Detector for Detects {
    fn finding(&self, _: &Proven<'_>) -> Option<Found> {
        None
    }
}
