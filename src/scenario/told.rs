//! What was expected of a step, and what happened instead, in words.

use crate::event::{Action, Did};
use crate::judge::expectations::Evaluation;

/// The expectation, if it is worth telling, and what happened instead, if it did not hold. `written` is the expectation as the
/// line has it, `names` are the words for its actions.
pub(super) fn expected_and_happened(
    came: Evaluation,
    did: &[Action],
    written: Option<&str>,
    names: &[&str],
) -> (Option<String>, Option<String>) {
    let name = |at: usize| names.get(at).copied().unwrap_or_default();
    let said = |at: usize| {
        let Some(action) = did.get(at) else { return "nothing".to_owned() };
        let told = told(action);
        // Of several actions it must be seen which one it was.
        match action.did {
            Did::Nothing | Did::Refused { .. } | Did::Failed { .. } if names.len() > 1 => {
                format!("{}: {told}", name(at))
            }
            _ => told,
        }
    };
    let written = written.map(str::to_owned);
    match came {
        Evaluation::AsExpected => (written, None),
        Evaluation::Failed(at) => {
            let last = did.iter().rposition(|action| !matches!(action.did, Did::Noted { .. }));
            let other = written.and(last).map(|last| format!("; => speaks of {}", name(last))).unwrap_or_default();
            (Some("success".to_owned()), Some(said(at) + &other))
        }
        Evaluation::Otherwise(at) => (written, Some(at.map_or_else(|| "nothing".to_owned(), said))),
        Evaluation::State { expected, found, held } => (Some(expected), (!held).then_some(found)),
    }
}

/// `noop on #0, main`; of several clients `noop on A #0, main`.
fn told(Action { client, did }: &Action) -> String {
    let of = client.as_ref().map_or_else(String::new, |client| format!("{client} "));
    match did {
        Did::Noted { text } => text.clone(),
        Did::Counted { sessions } => format!("{sessions} sessions"),
        Did::Ran { operation, session, reason, from, items, failure, .. } => {
            let items = items.filter(|items| *items > 0).map(|items| format!(": {items} items")).unwrap_or_default();
            let from = from.as_ref().filter(|_| failure.is_none()).map(|mailbox| format!(" from {mailbox}"));
            let failure = failure.as_ref().map(|failure| format!(" fails: {failure}"));
            let came = failure.unwrap_or_else(|| items + &from.unwrap_or_default());
            format!("{operation} on {of}{session}, {reason}{came}")
        }
        Did::Created { connection, .. } => format!("opened {of}{connection}"),
        Did::Disposed { connection } => format!("disposed {of}{connection}"),
        Did::Would { reason, connection: Some(connection), .. } => format!("would use {of}{connection}, {reason}"),
        Did::Would { reason, connection: None, .. } => format!("would use {reason}"),
        Did::Nothing => "nothing".to_owned(),
        // The message begins with the rule.
        Did::Refused { message, .. } => message.clone(),
        Did::Failed { session: Some(session), failure } => format!("{of}{session} fails: {failure}"),
        Did::Failed { session: None, failure } => format!("fails: {failure}"),
        Did::Panics { message } => format!("panics: {message}"),
    }
}
