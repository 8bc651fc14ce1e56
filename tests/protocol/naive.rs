//! A unit in halves, as clients use a connection that they lock for each command: it reads what is selected, whoever did so.

use mailconn::protocol::{FailureKind, ImapOperation};

use super::scripted::Server;

/// A server with two mailboxes, of which one is selected at a time: its replies name it.
fn two_mailboxes() -> Server {
    Server::start(|peer| {
        peer.sign_in();
        let mut selected: Option<String> = None;
        while let Some(line) = peer.line() {
            let (tag, command) = line.split_once(' ').unwrap();
            let reply = match (command.split(' ').next().unwrap(), &selected) {
                ("EXAMINE", _) => {
                    let name = command.trim_start_matches("EXAMINE ").trim_matches('"').to_owned();
                    let validity = name.len();
                    let missing = name == "Missing";
                    selected = (!missing).then_some(name);
                    if missing {
                        format!("{tag} NO no such mailbox\r\n")
                    } else {
                        format!("* 2 EXISTS\r\n* OK [UIDVALIDITY {validity}] ok\r\n{tag} OK\r\n")
                    }
                }
                ("FETCH", Some(name)) => {
                    let message = |number: u32| {
                        let text = format!(
                            "Subject: message {number} of {name}\r\nMessage-ID: <{number}.{name}.joe@x>\r\n\r\n"
                        );
                        format!(
                            "* {number} FETCH (FLAGS () BODY[HEADER.FIELDS (SUBJECT)] {{{}}}\r\n{text})\r\n",
                            text.len()
                        )
                    };
                    format!("{}{}{tag} OK\r\n", message(1), message(2))
                }
                ("SEARCH", Some(_)) => format!("* SEARCH 2\r\n{tag} OK\r\n"),
                ("FETCH" | "SEARCH", None) => format!("{tag} BAD No mailbox selected\r\n"),
                _ => format!("{tag} OK\r\n"),
            };
            if !peer.send(&reply) {
                return;
            }
        }
    })
}

#[test]
fn a_reading_alone_comes_from_whatever_is_selected_and_says_from_where() {
    let mut connection = two_mailboxes().dial().unwrap();
    assert_eq!(connection.select("Archive").unwrap().messages, Some(2));
    assert_eq!(connection.answered_by(), None, "a selection reads no messages");
    assert_eq!(connection.select("Sent").unwrap().uid_validity, Some(4), "another user of the connection");
    assert_eq!(connection.fetch_selected().unwrap().items, 2);
    let answer = connection.answered_by().unwrap();
    assert_eq!((answer.mailbox.as_deref(), answer.uid_validity), (Some("Sent"), Some(4)));
    assert_eq!(connection.search_selected().unwrap().items, 1);
    let answer = connection.answered_by().unwrap();
    assert_eq!((answer.mailbox.as_deref(), answer.uid_validity), (None, Some(4)));
    connection.run(ImapOperation::Noop, "").unwrap();
    assert_eq!(connection.answered_by(), None);
    connection.run(ImapOperation::Fetch, "Archive").unwrap();
    assert_eq!(connection.answered_by().unwrap().mailbox.as_deref(), Some("Archive"));
}

#[test]
fn a_reading_with_nothing_selected_is_the_server_s_to_refuse() {
    let mut connection = two_mailboxes().dial().unwrap();
    for _ in 0..2 {
        let failure = connection.fetch_selected().unwrap_err();
        assert_eq!(
            (failure.kind, failure.server_line.as_deref()),
            (FailureKind::ServerBad, Some("BAD No mailbox selected"))
        );
        assert!(connection.search_selected().is_err());
        assert_eq!(connection.answered_by(), None);
        connection.select("Archive").unwrap();
        // A selection that fails leaves none (RFC 3501 §6.3.1).
        connection.select("Missing").unwrap_err();
    }
    assert!(!connection.is_broken());
}
