//! What a sandbox's clients did, told at its end.

use std::fmt::Write as _;

use super::line::{Line, Spoken};
use mailconn::sandbox::{Protocol, Totals, TotalsOf};

/// For people: a paragraph for each protocol that was spoken.
pub fn text(totals: &Totals) -> String {
    if totals.is_empty() {
        return "\nnobody connected\n".to_owned();
    }
    let mut told = String::new();
    for (protocol, of) in totals {
        let goodbye = if *protocol == Protocol::Imap { "LOGOUT" } else { "QUIT" };
        let rows = [
            (of.connections, "connections".to_owned()),
            (of.peak, "at once at most".to_owned()),
            (of.signed_in, "signed in".to_owned()),
            (of.signed_in_peak, "signed in at once at most".to_owned()),
            (of.refused, "refused (a wrong password, a limit, a maildrop in use)".to_owned()),
            (of.handshakes_failed, "TLS handshakes failed".to_owned()),
            (of.signed_out, format!("ended with {goodbye}")),
            (
                of.without_goodbye,
                format!("ended by the client without {goodbye}: servers count these until they notice"),
            ),
            (of.left_before_sign_in, "ended by the client before it had signed in".to_owned()),
            (
                of.ended_by_server.saturating_sub(of.open),
                "ended by the server (a limit, or the client was silent)".to_owned(),
            ),
            (of.open, "open at the end: their client never ended them".to_owned()),
            (of.delivered, "messages taken".to_owned()),
        ];
        // Writing to a string does not fail.
        let _ = writeln!(told, "\n{protocol}");
        for (at, (count, what)) in rows.iter().enumerate() {
            if *count > 0 || at < 2 {
                let _ = writeln!(told, "{count:>8}  {what}");
            }
        }
        let _ = writeln!(told, "commands  {}", commands(of));
    }
    told
}

/// The most frequent first.
fn commands(of: &TotalsOf) -> String {
    let mut commands: Vec<_> = of.commands.iter().collect();
    commands.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
    let commands: Vec<String> = commands.iter().map(|(verb, count)| format!("{verb} {count}")).collect();
    if commands.is_empty() { "none".to_owned() } else { commands.join(", ") }
}

/// The same as a line of JSON.
pub fn json(totals: &Totals) -> String {
    let protocols = totals.iter().map(|(protocol, of)| (protocol.to_string(), spoken(of)));
    Line::Summary { protocols: protocols.collect() }.text()
}

fn spoken(of: &TotalsOf) -> Spoken<'_> {
    Spoken {
        connections: of.connections,
        peak: of.peak,
        signed_in: of.signed_in,
        signed_in_peak: of.signed_in_peak,
        refused: of.refused,
        handshakes_failed: of.handshakes_failed,
        signed_out: of.signed_out,
        without_goodbye: of.without_goodbye,
        left_before_sign_in: of.left_before_sign_in,
        ended_by_server: of.ended_by_server.saturating_sub(of.open),
        open_at_end: of.open,
        delivered: of.delivered,
        commands: &of.commands,
    }
}
