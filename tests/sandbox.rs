//! The sandbox, spoken to in raw bytes by a client that shares no code with it.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::process::{Command, Output, Stdio};
use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

use mailconn::sandbox::{CloseCause, CommandStatus, Limit, Options, Sandbox, SessionRecord, User};

pub mod command;
mod faults;
mod foreign;
mod limits;
mod link;
mod pop3;
mod record;
mod smtp;
mod strangers;
mod talk;
mod tls;

const PATIENCE: Duration = Duration::from_secs(20);

fn serve(options: Options) -> Sandbox {
    Sandbox::start(TcpListener::bind("127.0.0.1:0").unwrap(), options).unwrap()
}

fn end(server: Sandbox) -> Vec<SessionRecord> {
    server.stop(PATIENCE)
}

/// One raw connection.
struct Raw(BufReader<TcpStream>);

impl Raw {
    fn silent(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        Self(BufReader::new(stream))
    }

    /// Connected, greeting read.
    fn greeted(address: SocketAddr) -> Self {
        let mut raw = Self::silent(address);
        raw.expect("* OK [CAPABILITY IMAP4REV1 SASL-IR LITERAL+ ID AUTH=PLAIN AUTH=LOGIN] mailconn sandbox ready.\r\n");
        raw
    }

    fn signed_in(address: SocketAddr) -> Self {
        let mut raw = Self::greeted(address);
        raw.ask("l LOGIN user secret");
        raw
    }

    fn selected(address: SocketAddr, mailbox: &str) -> Self {
        let mut raw = Self::signed_in(address);
        raw.ask(&format!("s SELECT {mailbox}"));
        raw
    }

    fn port(&self) -> u16 {
        self.0.get_ref().local_addr().unwrap().port()
    }

    fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.0.get_mut().write_all(bytes.as_ref()).unwrap();
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.0.read_line(&mut line).unwrap();
        line
    }

    #[track_caller]
    fn expect(&mut self, bytes: &str) {
        let mut got = vec![0; bytes.len()];
        let mut length = 0;
        while length < got.len() {
            match self.0.read(&mut got[length..]).unwrap() {
                0 => break,
                more => length += more,
            }
        }
        assert_eq!(String::from_utf8_lossy(&got[..length]), bytes);
    }

    /// Sends a command and returns everything up to and with its tagged line.
    fn ask(&mut self, command: &str) -> String {
        self.send(format!("{command}\r\n"));
        self.reply(command.split(' ').next().unwrap())
    }

    fn reply(&mut self, tag: &str) -> String {
        let mut reply = String::new();
        loop {
            let line = self.line();
            assert!(!line.is_empty(), "the connection ended after {reply:?}");
            reply.push_str(&line);
            if line.starts_with(&format!("{tag} ")) {
                return reply;
            }
        }
    }

    /// Everything to the end of the connection.
    fn rest(&mut self) -> String {
        let mut rest = String::new();
        self.0.read_to_string(&mut rest).unwrap();
        rest
    }
}

/// The record of the session that came from this port: of the newest, since one on another listener may have had it before.
#[track_caller]
fn of_port(record: &[SessionRecord], port: u16) -> &SessionRecord {
    record.iter().rfind(|session| session.peer_port == port).unwrap()
}

#[test]
fn sign_in_and_out_byte_for_byte() {
    let server = serve(Options::default());
    let mut raw = Raw::greeted(server.address());
    raw.send("a1 LOGIN user wrong\r\n");
    raw.expect("a1 NO [AUTHENTICATIONFAILED] Authentication failed.\r\n");
    raw.send("a2 LOGIN nobody secret\r\n");
    raw.expect("a2 NO [AUTHENTICATIONFAILED] Authentication failed.\r\n");
    raw.send("a3 SELECT INBOX\r\n");
    raw.expect("a3 BAD Sign in first.\r\n");
    raw.send("a4 LOGIN user \"secret\"\r\n");
    raw.expect(
        "a4 OK [CAPABILITY IMAP4REV1 SASL-IR LITERAL+ ID NAMESPACE UNSELECT UIDPLUS MOVE CHILDREN] Logged in\r\n",
    );
    raw.send("a5 FETCH 1 FLAGS\r\n");
    raw.expect("a5 BAD No mailbox selected.\r\n");
    raw.send("a6 LOGOUT\r\n");
    raw.expect("* BYE Logging out\r\na6 OK Logout completed.\r\n");
    assert_eq!(raw.rest(), "");
    let record = end(server);
    assert_eq!(record[0].closed.unwrap().1, CloseCause::Logout);
    assert!(!format!("{record:?}").contains("secret"), "no password reaches the record");
}

#[test]
fn authenticate_plain_takes_its_credentials_at_once_or_when_asked() {
    let server = serve(Options::default());
    let mut raw = Raw::greeted(server.address());
    raw.send("a AUTHENTICATE PLAIN\r\n");
    raw.expect("+ \r\n");
    raw.send("*\r\n");
    raw.expect("a BAD Authentication cancelled.\r\n");
    raw.send("b AUTHENTICATE PLAIN\r\n");
    raw.expect("+ \r\n");
    raw.send("AHVzZXIAc2VjcmV0\r\n");
    assert!(raw.line().starts_with("b OK "));
    let mut other = Raw::greeted(server.address());
    assert!(other.ask("a AUTHENTICATE PLAIN AHVzZXIAd3Jvbmc=").starts_with("a NO [AUTHENTICATIONFAILED]"));
    assert!(other.ask("b AUTHENTICATE PLAIN AHVzZXIAc2VjcmV0").starts_with("b OK "));
    assert!(other.ask("c AUTHENTICATE XOAUTH2 AHVzZXIAc2VjcmV0").starts_with("c BAD "));
    let record = end(server);
    assert!(record.iter().all(|session| session.user.as_deref() == Some("user")));
    let verbs: Vec<_> = record[0].commands.iter().map(|command| (command.verb, command.status)).collect();
    assert_eq!(verbs, [("AUTHENTICATE", CommandStatus::Bad), ("AUTHENTICATE", CommandStatus::Ok)]);
}

#[test]
fn authenticate_login_asks_for_the_name_and_then_for_the_password() {
    let server = serve(Options::default());
    let mut raw = Raw::greeted(server.address());
    raw.send("a AUTHENTICATE LOGIN\r\n");
    raw.expect("+ VXNlcm5hbWU6\r\n");
    raw.send("dXNlcg==\r\n");
    raw.expect("+ UGFzc3dvcmQ6\r\n");
    raw.send("d3Jvbmc=\r\n");
    assert!(raw.line().starts_with("a NO [AUTHENTICATIONFAILED]"));
    raw.send("b AUTHENTICATE LOGIN dXNlcg==\r\n");
    raw.expect("+ UGFzc3dvcmQ6\r\n");
    raw.send("not base64\r\n");
    assert_eq!(raw.line(), "b BAD Invalid base64 data.\r\n");
    assert!(raw.ask("c AUTHENTICATE CRAM-MD5").starts_with("c NO Unsupported"));
    raw.send("d AUTHENTICATE LOGIN dXNlcg==\r\n");
    raw.expect("+ UGFzc3dvcmQ6\r\n");
    raw.send("c2VjcmV0\r\n");
    assert!(raw.line().starts_with("d OK "));
    let record = format!("{:?}", end(server));
    assert!(!record.contains("c2VjcmV0") && !record.contains("dXNlcg"), "{record}");
}

#[test]
fn one_connection_too_many_is_refused_in_dovecots_words() {
    let users = vec![User::new("user", "secret"), User::new("other", "secret")];
    let server = serve(Options { users, limits: Limit::connections(2).into(), ..Options::default() });
    let mut first = Raw::signed_in(server.address());
    let _second = Raw::signed_in(server.address());
    let mut third = Raw::greeted(server.address());
    third.send("a LOGIN user secret\r\n");
    let refusal =
        "a NO [LIMIT] Maximum number of connections from user+IP exceeded (mail_max_userip_connections=2)\r\n";
    third.expect(refusal);
    assert_eq!(third.rest(), "", "it hangs up without another word");
    assert_eq!(of_port(&server.witness(), third.port()).closed.unwrap().1, CloseCause::Refused);
    let mut fourth = Raw::greeted(server.address());
    fourth.send("a AUTHENTICATE PLAIN AHVzZXIAc2VjcmV0\r\n");
    fourth.expect(refusal);
    let mut other = Raw::greeted(server.address());
    assert!(other.ask("a LOGIN other secret").starts_with("a OK"), "the limit is each user's own");
    first.ask("z LOGOUT");
    Raw::signed_in(server.address());
    end(server);
}

#[test]
fn select_and_examine_say_what_is_there() {
    let server = serve(Options::default());
    let mut raw = Raw::signed_in(server.address());
    raw.send("a SELECT Archive\r\n");
    raw.expect(
        "* FLAGS (\\Answered \\Flagged \\Deleted \\Seen \\Draft)\r\n\
         * OK [PERMANENTFLAGS (\\Answered \\Flagged \\Deleted \\Seen \\Draft \\*)] Flags permitted.\r\n\
         * 20 EXISTS\r\n\
         * 0 RECENT\r\n\
         * OK [UNSEEN 1] First unseen.\r\n\
         * OK [UIDVALIDITY 1767225601] UIDs valid\r\n\
         * OK [UIDNEXT 21] Predicted next UID\r\n\
         a OK [READ-WRITE] Select completed.\r\n",
    );
    raw.send("b EXAMINE inbox\r\n");
    raw.expect(
        "* FLAGS (\\Answered \\Flagged \\Deleted \\Seen \\Draft)\r\n\
         * OK [PERMANENTFLAGS ()] Read-only mailbox.\r\n\
         * 30 EXISTS\r\n\
         * 0 RECENT\r\n\
         * OK [UNSEEN 1] First unseen.\r\n\
         * OK [UIDVALIDITY 1767225600] UIDs valid\r\n\
         * OK [UIDNEXT 31] Predicted next UID\r\n\
         b OK [READ-ONLY] Examine completed.\r\n",
    );
    raw.send("c STORE 1 +FLAGS (\\Deleted)\r\nd EXPUNGE\r\ne MOVE 1 Sent\r\n");
    raw.expect("c NO Mailbox is read-only.\r\nd NO Mailbox is read-only.\r\ne NO Mailbox is read-only.\r\n");
    assert!(raw.ask("f FETCH 1 BODY[]").contains("message 1 of INBOX"));
    assert_eq!(
        raw.ask("g FETCH 1 FLAGS"),
        "* 1 FETCH (FLAGS ())\r\ng OK Fetch completed.\r\n",
        "reading left no trace"
    );
    assert_eq!(raw.ask("h SELECT Nowhere"), "h NO [NONEXISTENT] Mailbox doesn't exist: Nowhere\r\n");
    assert_eq!(raw.ask("i FETCH 1 FLAGS"), "i BAD No mailbox selected.\r\n");
    end(server);
}

#[test]
fn fetch_shows_parts_and_parts_of_parts() {
    let server = serve(Options::default());
    let mut raw = Raw::selected(server.address(), "Archive");
    raw.send("a FETCH 7 (UID BODY.PEEK[HEADER.FIELDS (Subject)] BODY.PEEK[TEXT]<8.9>)\r\n");
    raw.expect(
        "* 7 FETCH (UID 7 BODY[HEADER.FIELDS (Subject)] {33}\r\nSubject: message 7 of Archive\r\n\r\n \
         BODY[TEXT]<8> {9}\r\nmessage 7)\r\na OK Fetch completed.\r\n",
    );
    assert!(raw.ask("b FETCH 7 BODY.PEEK[TEXT]<1000.5>").contains("BODY[TEXT]<1000> {0}\r\n)"));
    assert_eq!(raw.ask("c FETCH 7 FLAGS"), "* 7 FETCH (FLAGS ())\r\nc OK Fetch completed.\r\n", "PEEK leaves no trace");
    let text = "This is message 7 of Archive, a mailbox of user.\r\n";
    assert_eq!(
        raw.ask("d FETCH 7 BODY[1]"),
        format!("* 7 FETCH (BODY[1] {{{}}}\r\n{text} FLAGS (\\Seen))\r\nd OK Fetch completed.\r\n", text.len())
    );
    assert_eq!(
        raw.ask("e UID FETCH 7 (ENVELOPE BODY INTERNALDATE)"),
        "* 7 FETCH (UID 7 ENVELOPE (\"Thu, 01 Jan 2026 07:00:00 +0000\" \"message 7 of Archive\" \
         ((\"Ada Example\" NIL \"ada\" \"sandbox.example\")) ((\"Ada Example\" NIL \"ada\" \"sandbox.example\")) \
         ((\"Ada Example\" NIL \"ada\" \"sandbox.example\")) ((NIL NIL \"user\" \"sandbox.example\")) NIL NIL NIL \
         \"<7.archive.user@sandbox.example>\") BODY (\"TEXT\" \"plain\" (\"charset\" \"us-ascii\") NIL NIL \"7bit\" 50 1) \
         INTERNALDATE \"01-Jan-2026 07:00:00 +0000\")\r\ne OK Fetch completed.\r\n"
    );
    assert_eq!(raw.ask("f FETCH 21 FLAGS"), "f BAD No message has this number: 21\r\n");
    assert_eq!(raw.ask("g UID FETCH 21:* UID"), "* 20 FETCH (UID 20)\r\ng OK Fetch completed.\r\n");
    let size = raw.ask("h FETCH 3 RFC822.SIZE");
    let size = size.split(['(', ')']).nth(1).unwrap().replace("RFC822.SIZE ", "");
    assert!(raw.ask("i FETCH 3 RFC822").contains(&format!("RFC822 {{{size}}}\r\nDate: ")));
    end(server);
}

#[test]
fn a_message_in_parts_is_described_and_shown_part_by_part() {
    let server = serve(Options::default());
    let mut raw = Raw::signed_in(server.address());
    let inner = "Subject: inner\r\n\r\ninner text\r\n";
    let message = format!(
        "Subject: outer\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=cut\r\n\r\n\
         --cut\r\nContent-Type: text/plain\r\n\r\nfirst\r\n--cut\r\nContent-Type: message/rfc822\r\n\r\n{inner}\r\n--cut--\r\n"
    );
    raw.send(format!("a APPEND INBOX {{{}+}}\r\n{message}\r\n", message.len()));
    assert!(raw.reply("a").contains("[APPENDUID 1767225600 31]"));
    raw.ask("b SELECT INBOX");
    let structure = raw.ask("c FETCH 31 BODYSTRUCTURE");
    assert!(structure.contains("((\"TEXT\" \"plain\" NIL NIL NIL \"7bit\" 5 0)(\"MESSAGE\" \"RFC822\""), "{structure}");
    assert!(structure.contains("\"inner\"") && structure.contains("\"mixed\")"), "{structure}");
    assert!(raw.ask("d FETCH 31 BODY.PEEK[1]").contains("BODY[1] {5}\r\nfirst)"));
    assert!(raw.ask("e FETCH 31 BODY.PEEK[2.HEADER]").contains("Subject: inner\r\n\r\n"));
    assert!(raw.ask("f FETCH 31 BODY.PEEK[2.TEXT]").contains("inner text"));
    assert!(raw.ask("g FETCH 31 BODY.PEEK[1.MIME]").contains("Content-Type: text/plain\r\n\r\n"));
    assert!(raw.ask("h FETCH 31 BODY.PEEK[3]").contains("BODY[3] NIL"));
    end(server);
}

#[test]
fn literals_may_come_in_pieces_and_are_asked_for_unless_they_do_not_wait() {
    let server = serve(Options::default());
    let mut raw = Raw::greeted(server.address());
    raw.send("a LOGIN {4}\r\n");
    raw.expect("+ Go ahead.\r\n");
    for piece in ["us", "er", " {6}", "\r", "\n"] {
        raw.send(piece);
        thread::sleep(Duration::from_millis(5));
    }
    raw.expect("+ Go ahead.\r\n");
    raw.send("sec");
    thread::sleep(Duration::from_millis(5));
    raw.send("ret\r\n");
    assert!(raw.line().starts_with("a OK "));
    raw.send("b APPEND Sent (\\Seen note) {12+}\r\nX: y\r\n\r\nab\r\n\r\nc NOOP\r\n");
    assert_eq!(raw.line(), "b OK [APPENDUID 1767225602 11] Append completed.\r\n");
    assert_eq!(raw.line(), "c OK NOOP completed.\r\n");
    end(server);
}

#[test]
fn literals_and_lines_have_bounds() {
    let server = serve(Options::default());
    let mut stranger = Raw::greeted(server.address());
    assert_eq!(stranger.ask("a LOGIN {5000}"), "a NO [TOOBIG] Literal is too big.\r\n");
    assert!(stranger.ask("b LOGIN user secret").starts_with("b OK"), "a refused literal is not waited for");
    assert_eq!(stranger.ask("c APPEND INBOX {33554433}"), "c NO [TOOBIG] Literal is too big.\r\n");
    stranger.send("d APPEND INBOX {99999999999999999999+}\r\n");
    assert_eq!(stranger.rest(), "d NO [TOOBIG] Literal is too big.\r\n* BYE Literal is too big.\r\n");
    let mut babbler = Raw::greeted(server.address());
    babbler.send("a ".to_owned() + &"x".repeat(70_000));
    assert_eq!(babbler.rest(), "a BAD Command line is too long.\r\n* BYE Command line is too long.\r\n");
    let record = end(server);
    assert!(record.iter().all(|session| session.closed.unwrap().1 == CloseCause::Server));
}

#[test]
fn garbage_is_bad_and_too_much_of_it_ends_the_session() {
    let server = serve(Options::default());
    let mut raw = Raw::greeted(server.address());
    raw.send(b"\x00\xff\xfe\r\n");
    raw.expect("* BAD Syntax error or unknown command.\r\n");
    raw.send("\r\na1\r\na2 FROBNICATE\r\na3 SELECT\r\na4 LOGIN user secret more\r\n");
    raw.expect("* BAD Syntax error or unknown command.\r\n");
    raw.expect(
        "a1 BAD Syntax error or unknown command.\r\na2 BAD Syntax error or unknown command.\r\n\
         a3 BAD Syntax error or unknown command.\r\na4 BAD Syntax error or unknown command.\r\n",
    );
    assert!(raw.ask("b NOOP").ends_with("b OK NOOP completed.\r\n"));
    for number in 0..20 {
        raw.send(format!("c{number} WHAT\r\n"));
    }
    assert!(raw.rest().ends_with("* BYE Too many invalid IMAP commands.\r\n"));
    let record = end(server);
    let tags: Vec<_> = record[0].commands.iter().take(7).map(|command| (&*command.tag, command.verb)).collect();
    let expected = [
        ("", "UNKNOWN"),
        ("", "UNKNOWN"),
        ("", "UNKNOWN"),
        ("", "UNKNOWN"),
        ("a3", "SELECT"),
        ("a4", "LOGIN"),
        ("b", "NOOP"),
    ];
    assert_eq!(tags, expected, "before sign-in a stray line may be half of a password");
    assert_eq!(record[0].closed.unwrap().1, CloseCause::Server);
}

#[test]
fn pipelined_commands_are_answered_in_order() {
    let server = serve(Options::default());
    let mut raw = Raw::greeted(server.address());
    raw.send("a LOGIN user secret\r\nb EXAMINE Sent\r\nc FETCH 1 UID\r\nd NOOP\r\ne LOGOUT\r\n");
    let said = raw.rest();
    let ends: Vec<_> = said.lines().filter(|line| !line.starts_with('*')).map(|line| &line[..4]).collect();
    assert_eq!(ends, ["a OK", "b OK", "c OK", "d OK", "e OK"]);
    end(server);
}

#[test]
fn half_a_line_and_a_hang_up_is_an_end_without_logout() {
    let server = serve(Options::default());
    let mut raw = Raw::signed_in(server.address());
    raw.send("a SEL");
    raw.0.get_ref().shutdown(Shutdown::Write).unwrap();
    assert_eq!(raw.rest(), "");
    let port = raw.port();
    let record = end(server);
    let session = of_port(&record, port);
    assert_eq!(session.closed.unwrap().1, CloseCause::EndOfStream);
    assert_eq!(session.commands.len(), 1, "half a command is none");
}

#[test]
fn sessions_see_each_others_changes() {
    let server = serve(Options::default());
    let mut one = Raw::selected(server.address(), "INBOX");
    let mut two = Raw::selected(server.address(), "INBOX");
    assert_eq!(one.ask("a STORE 2:3 +FLAGS (\\Flagged)").lines().count(), 3);
    assert_eq!(
        two.ask("a NOOP"),
        "* 2 FETCH (FLAGS (\\Flagged))\r\n* 3 FETCH (FLAGS (\\Flagged))\r\na OK NOOP completed.\r\n"
    );
    assert_eq!(one.ask("b STORE 3 FLAGS.SILENT (\\Deleted)"), "b OK Store completed.\r\n");
    assert_eq!(one.ask("c EXPUNGE"), "* 3 EXPUNGE\r\nc OK Expunge completed.\r\n");
    assert_eq!(one.ask("d NOOP"), "d OK NOOP completed.\r\n", "no one is told of his own changes twice");
    assert_eq!(
        two.ask("b FETCH 3:4 UID"),
        "* 4 FETCH (UID 4)\r\nb NO [EXPUNGEISSUED] Some of the messages no longer exist.\r\n",
        "sequence numbers stay while they are relied on"
    );
    assert_eq!(two.ask("c STORE 4 FLAGS.SILENT (\\Seen)"), "c OK Store completed.\r\n");
    assert_eq!(two.ask("d SEARCH ALL").matches(' ').count(), 2 + 29 + 2);
    assert_eq!(two.ask("e UID SEARCH UID 1:4"), "* SEARCH 1 2 4\r\n* 3 EXPUNGE\r\ne OK Search completed.\r\n");
    assert_eq!(two.ask("f FETCH 3 UID"), "* 3 FETCH (UID 4)\r\nf OK Fetch completed.\r\n");
    assert_eq!(one.ask("e NOOP"), "* 3 FETCH (FLAGS (\\Seen))\r\ne OK NOOP completed.\r\n");
    end(server);
}

#[test]
fn what_one_session_appends_another_fetches_under_the_uid_it_was_given() {
    let server = serve(Options::default());
    let mut writer = Raw::signed_in(server.address());
    let mut reader = Raw::selected(server.address(), "Archive");
    writer.send("a APPEND Archive (\\Draft) \"02-Feb-2026 03:04:05 +0100\" {20+}\r\nSubject: new\r\n\r\nne\r\n\r\n");
    assert_eq!(writer.reply("a"), "a OK [APPENDUID 1767225601 21] Append completed.\r\n");
    assert_eq!(reader.ask("a NOOP"), "* 21 EXISTS\r\n* 1 RECENT\r\na OK NOOP completed.\r\n");
    assert_eq!(
        reader.ask("b UID FETCH 21 (FLAGS INTERNALDATE BODY.PEEK[TEXT])"),
        "* 21 FETCH (UID 21 FLAGS (\\Draft \\Recent) INTERNALDATE \"02-Feb-2026 03:04:05 +0100\" BODY[TEXT] {4}\r\nne\r\n)\r\n\
         b OK Fetch completed.\r\n"
    );
    writer.send("b APPEND Nowhere {1+}\r\nx\r\n");
    assert_eq!(writer.reply("b"), "b NO [TRYCREATE] Mailbox doesn't exist: Nowhere\r\n");
    end(server);
}

#[test]
fn a_uid_is_never_used_again() {
    let server = serve(Options::default());
    let mut raw = Raw::selected(server.address(), "Sent");
    raw.ask("a STORE 9:10 +FLAGS.SILENT (\\Deleted)");
    assert_eq!(raw.ask("b UID EXPUNGE 10"), "* 10 EXPUNGE\r\nb OK Expunge completed.\r\n", "9 was not named");
    assert_eq!(raw.ask("c EXPUNGE"), "* 9 EXPUNGE\r\nc OK Expunge completed.\r\n");
    assert_eq!(
        raw.ask("d COPY 1 Sent"),
        "* 9 EXISTS\r\n* 1 RECENT\r\nd OK [COPYUID 1767225602 1 11] Copy completed.\r\n"
    );
    assert_eq!(raw.ask("e FETCH 9 UID"), "* 9 FETCH (UID 11)\r\ne OK Fetch completed.\r\n");
    assert_eq!(raw.ask("f UID FETCH 9:10 UID"), "f OK Fetch completed.\r\n");
    assert_eq!(
        raw.ask("g UID MOVE 11 Archive"),
        "* OK [COPYUID 1767225601 11 21] Moved.\r\n* 9 EXPUNGE\r\ng OK Move completed.\r\n"
    );
    assert_eq!(
        raw.ask("h STATUS Sent (MESSAGES UIDNEXT UIDVALIDITY UNSEEN RECENT)"),
        "* STATUS Sent (MESSAGES 8 UIDNEXT 12 UIDVALIDITY 1767225602 UNSEEN 8 RECENT 0)\r\nh OK Status completed.\r\n"
    );
    end(server);
}

#[test]
fn mailboxes_are_listed_made_renamed_and_deleted() {
    let server = serve(Options::default());
    let mut raw = Raw::signed_in(server.address());
    assert_eq!(raw.ask("a LIST \"\" \"\""), "* LIST (\\Noselect) \"/\" \"\"\r\na OK List completed.\r\n");
    assert!(raw.ask("b CREATE A/b/c").starts_with("b OK"));
    assert_eq!(
        raw.ask("c LIST \"\" A*"),
        "* LIST (\\HasChildren) \"/\" A\r\n* LIST (\\HasChildren) \"/\" A/b\r\n\
         * LIST (\\HasNoChildren) \"/\" A/b/c\r\n* LIST (\\HasNoChildren) \"/\" Archive\r\nc OK List completed.\r\n"
    );
    assert_eq!(raw.ask("d LIST \"A/\" %"), "* LIST (\\HasChildren) \"/\" A/b\r\nd OK List completed.\r\n");
    assert!(raw.ask("e DELETE A").starts_with("e NO [HASCHILDREN]"));
    assert!(raw.ask("f RENAME A/b B").starts_with("f OK"));
    assert!(raw.ask("g LIST \"\" B/%").contains(" B/c\r\n"));
    assert!(raw.ask("h CREATE INBOX").starts_with("h NO [ALREADYEXISTS]"));
    assert!(raw.ask("i DELETE INBOX").starts_with("i NO [CANNOT]"));
    assert!(raw.ask("j RENAME INBOX Old").starts_with("j OK"));
    assert!(raw.ask("k STATUS Old (MESSAGES)").contains("(MESSAGES 30)"));
    assert!(raw.ask("l STATUS INBOX (MESSAGES UIDNEXT)").contains("(MESSAGES 0 UIDNEXT 31)"));
    let before = raw.ask("m STATUS Sent (UIDVALIDITY)");
    raw.ask("n DELETE Sent");
    raw.ask("o CREATE Sent");
    assert_ne!(raw.ask("m STATUS Sent (UIDVALIDITY)"), before, "a new mailbox is not the old one");
    assert_eq!(raw.ask("p NAMESPACE"), "* NAMESPACE ((\"\" \"/\")) NIL NIL\r\np OK Namespace completed.\r\n");
    raw.ask("q UNSUBSCRIBE Sent");
    assert_eq!(raw.ask("r LSUB \"\" *").matches("* LSUB").count(), 2);
    end(server);
}

#[test]
fn a_mailbox_deleted_under_a_session_is_empty_to_it() {
    let server = serve(Options::default());
    let mut raw = Raw::selected(server.address(), "Sent");
    Raw::signed_in(server.address()).ask("a DELETE Sent");
    assert!(raw.ask("a FETCH 1 FLAGS").ends_with("a NO [EXPUNGEISSUED] Some of the messages no longer exist.\r\n"));
    assert_eq!(raw.ask("b NOOP").matches("* 1 EXPUNGE").count(), 10);
    assert_eq!(raw.ask("c SEARCH ALL"), "* SEARCH\r\nc OK Search completed.\r\n");
    end(server);
}

#[test]
fn search_finds_by_flag_date_size_and_word() {
    let server = serve(Options::default());
    let mut raw = Raw::selected(server.address(), "INBOX");
    raw.ask("s STORE 5 +FLAGS (\\Seen Work)");
    for (keys, found) in [
        ("SEEN", " 5"),
        ("KEYWORD work", " 5"),
        ("UNSEEN 4:6", " 4 6"),
        ("SINCE 2-Jan-2026 BEFORE 3-Jan-2026 SUBJECT 24", " 24"),
        ("ON 3-Jan-2026", ""),
        ("SENTON 1-Jan-2026 BODY \"message 11 \"", " 11"),
        ("OR SUBJECT \"message 1 \" UID 3", " 1 3"),
        ("NOT 1:29", " 30"),
        ("FROM ada TO user 30:*", " 30"),
        ("HEADER Message-ID 12.inbox", " 12"),
        ("SMALLER 10", ""),
        ("CHARSET UTF-8 TEXT \"of INBOX\" 2", " 2"),
    ] {
        assert_eq!(
            raw.ask(&format!("a SEARCH {keys}")),
            format!("* SEARCH{found}\r\na OK Search completed.\r\n"),
            "{keys}"
        );
    }
    assert!(raw.ask("b SEARCH CHARSET KOI8-R ALL").starts_with("b NO [BADCHARSET (US-ASCII UTF-8)]"));
    end(server);
}

#[test]
fn of_a_hundred_who_create_the_same_mailbox_one_succeeds() {
    let server = serve(Options::default());
    let address = server.address();
    let start = Barrier::new(100);
    let made = thread::scope(|scope| {
        let threads: Vec<_> = (0..100)
            .map(|_| {
                scope.spawn(|| {
                    let mut raw = Raw::signed_in(address);
                    start.wait();
                    raw.ask("a CREATE Contested").starts_with("a OK")
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).filter(|&made| made).count()
    });
    assert_eq!(made, 1);
    end(server);
}

#[test]
fn the_witness_knows_port_label_tags_and_mailboxes() {
    let server = serve(Options::default());
    let mut raw = Raw::greeted(server.address());
    assert!(raw.ask("t0 ID (\"name\" \"mailconn\" \"connection\" \"#3.2\" \"x\" NIL)").starts_with("* ID (\"name\" "));
    for command in [
        "t1 LOGIN user secret",
        "t2 EXAMINE Archive",
        "t3 UID FETCH 1 UID",
        "t4 SELECT Nowhere",
        "t5 NOOP",
        "t6 SELECT Sent",
        "t7 CLOSE",
    ] {
        raw.ask(command);
        // The client has the reply, so the record has the command.
        let record = server.witness();
        let last = of_port(&record, raw.port()).commands.last().unwrap();
        assert_eq!(&*last.tag, &command[..2]);
    }
    assert_eq!(server.open_sessions(), 1);
    raw.ask("t8 LOGOUT");
    assert_eq!(server.open_sessions(), 0, "the end is on record before it can be seen");
    let record = server.witness();
    let session = of_port(&record, raw.port());
    assert_eq!(session.number, 1);
    assert_eq!(session.user.as_deref(), Some("user"));
    let label = [("name", Some("mailconn")), ("connection", Some("#3.2")), ("x", None)];
    assert_eq!(session.label, label.map(|(name, value)| (name.to_owned(), value.map(str::to_owned))));
    let commands: Vec<_> =
        session.commands.iter().map(|command| (command.verb, command.selected.as_deref(), command.status)).collect();
    use CommandStatus::{No, Ok};
    assert_eq!(
        commands,
        [
            ("ID", None, Ok),
            ("LOGIN", None, Ok),
            ("EXAMINE", Some("Archive"), Ok),
            ("UID FETCH", Some("Archive"), Ok),
            ("SELECT", None, No),
            ("NOOP", None, Ok),
            ("SELECT", Some("Sent"), Ok),
            ("CLOSE", Some("Sent"), Ok),
            ("LOGOUT", None, Ok),
        ]
    );
    assert!(session.commands.is_sorted_by_key(|command| command.at));
    assert_eq!(session.closed.unwrap().1, CloseCause::Logout);
    end(server);
}

#[test]
fn a_reply_is_as_late_as_asked_and_delays_no_one_else() {
    let latency = Duration::from_millis(100);
    let server = serve(Options { latency, ..Options::default() });
    let address = server.address();
    let start = Instant::now();
    thread::scope(|scope| {
        for _ in 0..20 {
            // Greeting, LOGIN and NOOP: three replies.
            scope.spawn(|| Raw::signed_in(address).ask("a NOOP"));
        }
    });
    let taken = start.elapsed();
    assert!(taken >= 3 * latency && taken < 30 * latency, "{taken:?}");
    end(server);
}

#[test]
fn stop_ends_silent_clients_and_waits_for_no_one() {
    let server = serve(Options { latency: Duration::from_millis(1), ..Options::default() });
    let mut clients: Vec<Raw> = (0..20).map(|_| Raw::signed_in(server.address())).collect();
    clients.extend((0..10).map(|_| Raw::silent(server.address())));
    while server.witness().len() < 30 {
        thread::sleep(Duration::from_millis(1));
    }
    let start = Instant::now();
    let record = server.stop(Duration::from_secs(10));
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
    assert_eq!(record.len(), 30);
    assert!(record.iter().all(|session| session.closed.unwrap().1 == CloseCause::Server));
    assert!(clients[0].rest().ends_with("* BYE Server is stopping.\r\n"));
}

#[test]
fn stop_does_not_wait_for_a_reply_that_is_late_or_a_client_that_does_not_read() {
    let server = serve(Options { latency: Duration::from_secs(3600), ..Options::default() });
    let _late = Raw::silent(server.address());
    while server.open_sessions() < 1 {
        thread::sleep(Duration::from_millis(1));
    }
    let start = Instant::now();
    server.stop(Duration::from_secs(10));
    assert!(start.elapsed() < Duration::from_secs(5));

    let server = serve(Options::default());
    let mut deaf = Raw::selected(server.address(), "INBOX");
    let asking = thread::spawn(move || {
        // Megabytes of replies that no one reads: the server's writes come to a halt.
        while deaf.0.get_mut().write_all(&b"a FETCH 1:* BODY.PEEK[]\r\n".repeat(100)).is_ok() {}
    });
    thread::sleep(Duration::from_millis(300));
    let start = Instant::now();
    server.stop(Duration::from_secs(2));
    assert!(start.elapsed() < Duration::from_secs(4), "{:?}", start.elapsed());
    asking.join().unwrap();
}

#[test]
fn three_hundred_connections_at_once_are_served_and_forgotten() {
    let server = serve(Options::default());
    let mut clients: Vec<Raw> = (0..300).map(|_| Raw::silent(server.address())).collect();
    for client in &mut clients {
        client.ask("a LOGIN user secret");
    }
    assert_eq!(server.open_sessions(), 300);
    for client in &mut clients {
        client.ask("b LOGOUT");
    }
    assert_eq!(server.open_sessions(), 0);
    let record = end(server);
    assert!(record.iter().zip(1..).all(|(session, number)| session.number == number));
    assert_eq!(record.len(), 300);
}

/// Set for the process that is to run short of descriptors, so that no other one does.
const FEW_DESCRIPTORS: &str = "MAILCONN_TEST_FEW_DESCRIPTORS";

/// The other half of the next test, in a process of its own: the limit is a whole process's.
fn serve_with_few_descriptors() {
    let (_, most) = rlimit::Resource::NOFILE.get().unwrap();
    rlimit::Resource::NOFILE.set(40, most).unwrap();
    let server = serve(Options::default());
    println!("listening on {}", server.address());
    std::io::stdin().read_to_end(&mut Vec::new()).unwrap();
    let start = Instant::now();
    end(server);
    assert!(start.elapsed() < PATIENCE / 2);
}

#[test]
fn a_server_out_of_descriptors_waits_for_some_and_can_still_be_stopped() {
    if std::env::var_os(FEW_DESCRIPTORS).is_some() {
        return serve_with_few_descriptors();
    }
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args([
            "sandbox::a_server_out_of_descriptors_waits_for_some_and_can_still_be_stopped",
            "--exact",
            "--nocapture",
        ])
        .env(FEW_DESCRIPTORS, "1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = BufReader::new(child.stdout.take().unwrap());
    let address: SocketAddr = loop {
        let mut line = String::new();
        assert_ne!(said.read_line(&mut line).unwrap(), 0, "the server did not start");
        if let Some((_, address)) = line.split_once("listening on ") {
            break address.trim().parse().unwrap();
        }
    };
    let crowd: Vec<Raw> = (0..100).map(|_| Raw::silent(address)).collect();
    let waiting = crowd.last().unwrap().0.get_ref();
    waiting.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
    assert!((&*waiting).read(&mut [0; 1]).is_err(), "there is no descriptor left for it");
    drop(crowd);
    Raw::signed_in(address).ask("a LOGOUT");
    let _crowd: Vec<Raw> = (0..100).map(|_| Raw::silent(address)).collect();
    drop(child.stdin.take());
    assert!(child.wait().unwrap().success());
}

#[test]
fn a_dropped_sandbox_is_stopped() {
    let server = serve(Options::default());
    let address = server.address();
    let mut raw = Raw::signed_in(address);
    drop(server);
    assert_eq!(raw.rest(), "* BYE Server is stopping.\r\n");
    assert!(TcpStream::connect(address).is_err());
}

/// Runs Python's imaplib against the server.
fn foreign_client(address: SocketAddr) -> Output {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/foreign/imaplib_session.py");
    Command::new("python3")
        .arg(script)
        .args([&address.ip().to_string(), &address.port().to_string(), "user", "secret"])
        .output()
        .expect("this test needs python3: install it, for instance with `apt-get install python3`")
}

#[test]
fn a_foreign_client_finds_everything_as_it_should_be() {
    let server = serve(Options::default());
    let output = foreign_client(server.address());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let record = end(server);
    assert_eq!(record.len(), 2);
    assert!(record.iter().all(|session| session.closed.unwrap().1 == CloseCause::Logout));
    assert!(record.iter().flat_map(|session| &session.commands).all(|command| command.status != CommandStatus::Bad));
}
