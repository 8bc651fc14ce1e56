//! The commands, by name.

use imap_codec::imap_types::command::CommandBody;

/// The command's name, `UID FETCH` style.
pub(super) fn of(body: &CommandBody<'_>) -> &'static str {
    match body {
        CommandBody::Fetch { uid: true, .. } => "UID FETCH",
        CommandBody::Store { uid: true, .. } => "UID STORE",
        CommandBody::Search { uid: true, .. } => "UID SEARCH",
        CommandBody::Copy { uid: true, .. } => "UID COPY",
        CommandBody::Move { uid: true, .. } => "UID MOVE",
        CommandBody::ExpungeUid { .. } => "UID EXPUNGE",
        other => other.name(),
    }
}

/// The commands this server knows by name, even where the rest of the line is not to be understood.
const VERBS: [&str; 35] = [
    "CAPABILITY",
    "NOOP",
    "LOGOUT",
    "ID",
    "LOGIN",
    "AUTHENTICATE",
    "STARTTLS",
    "SELECT",
    "EXAMINE",
    "CREATE",
    "DELETE",
    "RENAME",
    "SUBSCRIBE",
    "UNSUBSCRIBE",
    "LIST",
    "LSUB",
    "STATUS",
    "APPEND",
    "NAMESPACE",
    "CHECK",
    "CLOSE",
    "UNSELECT",
    "EXPUNGE",
    "SEARCH",
    "FETCH",
    "STORE",
    "COPY",
    "MOVE",
    "IDLE",
    "UID FETCH",
    "UID STORE",
    "UID SEARCH",
    "UID COPY",
    "UID MOVE",
    "UID EXPUNGE",
];

/// The name a line has where a command's is, whether or not the rest makes sense.
pub(super) fn known(first: Option<&[u8]>, second: Option<&[u8]>) -> Option<&'static str> {
    let first = first?.trim_ascii_end();
    VERBS.into_iter().find(|verb| match verb.split_once(' ') {
        None => first.eq_ignore_ascii_case(verb.as_bytes()),
        Some((uid, verb)) => {
            first.eq_ignore_ascii_case(uid.as_bytes())
                && second.is_some_and(|word| word.eq_ignore_ascii_case(verb.as_bytes()))
        }
    })
}
