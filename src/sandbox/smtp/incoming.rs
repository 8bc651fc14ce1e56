//! A message on its way in, after DATA.

use smtp_proto::request::receiver::DataReceiver;

/// The longest message taken: as long as IMAP takes one.
pub(super) const MAX_MESSAGE: usize = 32 * 1024 * 1024;

/// Takes the lines up to the one with a dot alone, and undoes their stuffing (RFC 5321, 4.5.2).
pub(super) struct Incoming {
    receiver: DataReceiver,
    text: Vec<u8>,
    /// Bytes of a message that is too big, passed over.
    dropped: usize,
}

impl Incoming {
    pub fn new() -> Self {
        let mut receiver = DataReceiver::new();
        // The line end before the first line is the one of DATA (RFC 5321, 4.1.1.4); the parser does not know it.
        receiver.ingest(&mut b"\r\n".iter(), &mut Vec::new());
        Self { receiver, text: Vec::new(), dropped: 0 }
    }

    /// Takes what is here. Says how many bytes of it belong to the message, and whether it is whole.
    pub fn take(&mut self, bytes: &[u8]) -> (usize, bool) {
        let mut rest = bytes.iter();
        let whole = self.receiver.ingest(&mut rest, &mut self.text);
        if self.dropped > 0 || self.text.len() > MAX_MESSAGE {
            self.dropped += self.text.len();
            self.text = Vec::new();
        }
        (bytes.len() - rest.len(), whole)
    }

    /// So much too big that its end is not waited for.
    pub fn is_endless(&self) -> bool {
        self.dropped > 2 * MAX_MESSAGE
    }

    /// The message; `None` if it is too big.
    pub fn text(self) -> Option<Vec<u8>> {
        (self.dropped == 0).then_some(self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dots_are_unstuffed_however_the_message_is_cut() {
        let sent = b"..a\r\n.b\r\n...\r\nc.\r\n\n.\n.\r\n\r\n.\r\nQUIT\r\n";
        let meant = b".a\r\nb\r\n..\r\nc.\r\n\n.\n.\r\n\r\n";
        for cut in 0..sent.len() - 6 {
            let mut incoming = Incoming::new();
            let (first, whole) = incoming.take(&sent[..cut]);
            assert_eq!((first, whole), (cut, false), "cut at {cut}");
            let (second, whole) = incoming.take(&sent[cut..]);
            assert_eq!((first + second, whole), (sent.len() - 6, true), "cut at {cut}");
            assert_eq!(incoming.text().unwrap(), meant, "cut at {cut}");
        }
    }

    #[test]
    fn a_message_may_be_empty() {
        let mut incoming = Incoming::new();
        assert_eq!(incoming.take(b".\r\n"), (3, true));
        assert_eq!(incoming.text().unwrap(), b"");
    }

    #[test]
    fn one_that_is_too_big_is_passed_over_to_its_end_and_not_for_ever() {
        let mut incoming = Incoming::new();
        let chunk = vec![b'x'; 1024 * 1024];
        while incoming.dropped == 0 {
            assert!(!incoming.take(&chunk).1);
        }
        assert!(incoming.text.is_empty() && !incoming.is_endless());
        for _ in 0..33 {
            incoming.take(&chunk);
        }
        assert!(incoming.is_endless());
        assert!(incoming.take(b"\r\n.\r\n").1);
        assert_eq!(incoming.text(), None);
    }
}
