//! Postfix's own record, parsed: its log.
//!
//! Every line of a connection names the client's port; a message is named by its queue id, which the line that names the
//! connection has too.

use std::collections::BTreeMap;
use std::path::Path;

#[derive(Debug, Default)]
pub struct PostfixLog {
    /// In the order in which they connected.
    pub sessions: Vec<SmtpSession>,
    /// In the order in which their first recipient was accepted.
    pub messages: Vec<Message>,
}

#[derive(Debug, Default)]
pub struct SmtpSession {
    pub client_port: u16,
    /// What the client called itself: once for each EHLO or HELO.
    pub names: Vec<String>,
    /// `TLSv1.3`; none in the clear.
    pub tls: Option<String>,
    /// `PLAIN`, and who: known from the first message on, as a sign-in alone is only counted.
    pub signed_in: Option<(String, String)>,
    /// The mechanism of each refused sign-in.
    pub refused_sign_ins: Vec<String>,
    /// Of its messages, in order.
    pub queue_ids: Vec<String>,
    /// The reply to each refused command of a transaction: `550 5.1.1 <nobody@localhost>: Recipient address rejected: ..`.
    pub rejects: Vec<String>,
    /// It was one too many from its address, and refused instead of greeted.
    pub over_the_limit: bool,
    /// Without QUIT: the command it was after (`CONNECT`, `AUTH`, `END-OF-MESSAGE`).
    pub lost_after: Option<String>,
    /// Ended by Postfix: the command that was one too many.
    pub too_many_errors_after: Option<String>,
    /// By name (`ehlo`, `rcpt`, `commands` for all), once it has ended.
    pub counts: Option<BTreeMap<String, Count>>,
}

/// `rcpt=2/5`: two of five were accepted; `quit=1`: all were.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Count {
    pub ok: u64,
    pub total: u64,
}

#[derive(Debug, Default)]
pub struct Message {
    pub queue_id: String,
    /// None for a message of Postfix's own, as a bounce is.
    pub client_port: Option<u16>,
    /// With its angle brackets.
    pub message_id: Option<String>,
    /// Each attempt at each recipient.
    pub deliveries: Vec<Delivery>,
}

#[derive(Debug)]
pub struct Delivery {
    pub recipient: String,
    /// `sent`, `deferred`, `bounced`.
    pub status: String,
    pub reply: String,
}

impl PostfixLog {
    pub fn read(log: &Path) -> Self {
        Self::parse(&String::from_utf8_lossy(&std::fs::read(log).expect("Postfix's log")))
    }

    fn parse(text: &str) -> Self {
        let mut parsed = Self::default();
        // A line without its end is still being written.
        for line in text.split_inclusive('\n').filter_map(|line| line.strip_suffix('\n')) {
            // Nov 24 06:19:32 localhost postfix/smtpd[11474]: connect from unknown[127.0.0.1]:49566
            let Some((program, message)) = line
                .split_once(" postfix/")
                .and_then(|(_, line)| line.split_once("]: "))
                .and_then(|(process, message)| Some((process.split_once('[')?.0, message)))
            else {
                continue;
            };
            if program == "smtpd" {
                parsed.add_smtpd_line(message);
            } else if let Some((queue_id, rest)) = message.split_once(": ") {
                parsed.add_queue_line(queue_id, rest);
            }
        }
        parsed
    }

    /// The session of the connection whose client end has this port.
    pub fn on_port(&self, client_port: u16) -> Option<&SmtpSession> {
        self.sessions.iter().rfind(|session| session.client_port == client_port)
    }

    /// The session whose client called itself this.
    pub fn named(&self, name: &str) -> Option<&SmtpSession> {
        self.sessions.iter().find(|session| session.names.iter().any(|known| known == name))
    }

    pub fn messages_of(&self, session: &SmtpSession) -> Vec<&Message> {
        let of_session = |message: &&Message| session.queue_ids.contains(&message.queue_id);
        self.messages.iter().filter(of_session).collect()
    }

    /// The connections refused because their address had too many.
    pub fn limit_refusals(&self) -> impl Iterator<Item = &SmtpSession> {
        self.sessions.iter().filter(|session| session.over_the_limit)
    }

    fn add_smtpd_line(&mut self, message: &str) {
        let Some(client_port) = port_in(message) else {
            return;
        };
        if message.starts_with("connect from ") {
            self.sessions.push(SmtpSession { client_port, ..SmtpSession::default() });
            return;
        }
        let Some(session) = self.sessions.iter_mut().rfind(|session| session.client_port == client_port) else {
            return;
        };
        if let Some((_, counts)) = message.strip_prefix("disconnect from ").and_then(|message| message.split_once(' '))
        {
            session.counts = Some(counts.split(' ').map(parse_count).collect());
        } else if let Some(command) = between(message, "lost connection after ", " from ") {
            session.lost_after = Some(command.split(" (").next().unwrap_or(command).to_owned());
        } else if let Some(command) = between(message, "too many errors after ", " from ") {
            session.too_many_errors_after = Some(command.to_owned());
        } else if message.contains("TLS connection established from ") {
            session.tls =
                between(message, "]:", " with cipher ").and_then(|rest| rest.split(": ").nth(1)).map(str::to_owned);
        } else if message.starts_with("NOQUEUE: info: ") {
            session.names.extend(between(message, "helo=<", ">").map(str::to_owned));
        } else if message.contains(": reject: ") {
            let reply = message.split_once(&format!("]:{client_port}: ")).map(|(_, reply)| reply);
            session.rejects.extend(reply.and_then(|reply| reply.split("; ").next()).map(str::to_owned));
        } else if message.starts_with("warning: Connection concurrency limit exceeded") {
            session.over_the_limit = true;
        } else if let Some(mechanism) = between(message, ": SASL ", " authentication failed") {
            session.refused_sign_ins.push(mechanism.to_owned());
        } else if let Some((queue_id, client)) = message.split_once(": client=") {
            session.queue_ids.push(queue_id.to_owned());
            let element = |name: &str| {
                let mut elements = client.split(", ").filter_map(|element| element.split_once('='));
                elements.find(|(known, _)| *known == name).map(|(_, value)| value.to_owned())
            };
            session.signed_in = element("sasl_method").zip(element("sasl_username"));
            self.message(queue_id).client_port = Some(client_port);
        }
    }

    fn add_queue_line(&mut self, queue_id: &str, rest: &str) {
        if let Some(message_id) = rest.strip_prefix("message-id=") {
            self.message(queue_id).message_id = Some(message_id.to_owned());
        } else if let Some(recipient) = between(rest, "to=<", ">")
            && let Some((status, reply)) = rest.split_once(", status=").and_then(|(_, status)| status.split_once(" ("))
        {
            let delivery = Delivery {
                recipient: recipient.to_owned(),
                status: status.to_owned(),
                reply: reply.strip_suffix(')').unwrap_or(reply).to_owned(),
            };
            self.message(queue_id).deliveries.push(delivery);
        }
    }

    /// Known by whichever of Postfix's processes wrote first.
    fn message(&mut self, queue_id: &str) -> &mut Message {
        let known = self.messages.iter().position(|message| message.queue_id == queue_id);
        let index = known.unwrap_or_else(|| {
            self.messages.push(Message { queue_id: queue_id.to_owned(), ..Message::default() });
            self.messages.len() - 1
        });
        &mut self.messages[index]
    }
}

impl SmtpSession {
    /// How often the client gave a command, refused ones included; none before the session's end, 0 if never.
    pub fn count(&self, command: &str) -> Option<u64> {
        self.counts.as_ref().map(|counts| counts.get(command).map_or(0, |count| count.total))
    }
}

impl Message {
    /// How often it was delivered to anyone.
    pub fn sent(&self) -> usize {
        self.deliveries.iter().filter(|delivery| delivery.status == "sent").count()
    }
}

/// `.. unknown[127.0.0.1]:49566 ..`
fn port_in(message: &str) -> Option<u16> {
    let (_, rest) = message.split_once("[127.0.0.1]:")?;
    let end = rest.find(|character: char| !character.is_ascii_digit()).unwrap_or(rest.len());
    rest[..end].parse().ok()
}

fn between<'a>(text: &'a str, before: &str, after: &str) -> Option<&'a str> {
    let (_, rest) = text.split_once(before)?;
    rest.split_once(after).map(|(inside, _)| inside)
}

fn parse_count(text: &str) -> (String, Count) {
    let number = |digits: &str| digits.parse().unwrap_or_else(|_| panic!("Postfix's log: {text}"));
    let (name, counts) = text.split_once('=').unwrap_or_else(|| panic!("Postfix's log: {text}"));
    let (ok, total) = counts.split_once('/').unwrap_or((counts, counts));
    (name.to_owned(), Count { ok: number(ok), total: number(total) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refused_commands_are_counted_apart() {
        let log = PostfixLog::parse(
            "Nov 24 06:19:32 localhost postfix/smtpd[1]: connect from unknown[127.0.0.1]:49566\n\
             Nov 24 06:19:32 localhost postfix/smtpd[1]: disconnect from unknown[127.0.0.1]:49566 ehlo=1 rcpt=2/5 commands=3/6\n\
             Nov 24 06:19:32 localhost postfix/smtpd[1]: connect from unknown[127.0.0.1]:49567",
        );
        let [session] = &log.sessions[..] else { panic!("the last line has no end yet: {log:?}") };
        assert_eq!(session.counts.as_ref().unwrap()["rcpt"], Count { ok: 2, total: 5 });
        assert_eq!((session.count("ehlo"), session.count("rcpt"), session.count("quit")), (Some(1), Some(5), Some(0)));
    }

    #[test]
    fn a_bounce_is_a_message_of_no_connection() {
        let log = PostfixLog::parse(
            "Nov 24 06:19:32 localhost postfix/cleanup[2]: 4jY: message-id=<20261124.4jY@localhost>\n\
             Nov 24 06:19:33 localhost postfix/lmtp[3]: 4jY: to=<u2@localhost>, orig_to=<u2>, relay=localhost[/x/lmtp], \
             delay=0.08, delays=0.01/0.01/0.02/0.04, dsn=2.0.0, status=sent (250 2.0.0 <u2@localhost> Saved)\n",
        );
        let [message] = &log.messages[..] else { panic!("{log:?}") };
        assert_eq!((message.client_port, message.sent()), (None, 1));
        assert_eq!(message.message_id.as_deref(), Some("<20261124.4jY@localhost>"));
        assert_eq!(message.deliveries[0].recipient, "u2@localhost");
        assert_eq!(message.deliveries[0].reply, "250 2.0.0 <u2@localhost> Saved");
    }
}
