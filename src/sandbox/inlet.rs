//! Bytes in, whole commands out, and nothing without a bound. No I/O: the caller reads, this decides.

/// The longest text of one command, its literals not counted.
const MAX_LINE: usize = 64 * 1024;

/// The longest line of a protocol that is asked for passwords by SASL in lines of their own (RFC 4954, 4).
pub(super) const MAX_SASL_LINE: usize = 12 * 1024;

/// What a client that has not signed in may send in literals: a name and a password.
const MAX_LITERAL_OF_STRANGERS: usize = 4 * 1024;

/// What a signed-in client may send in the literals of one command: a message.
const MAX_LITERAL: usize = 32 * 1024 * 1024;

const FIRST_BUFFER: usize = 4 * 1024;
const KEPT_BUFFER: usize = 256 * 1024;

/// How far the bytes at hand get us.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Progress {
    /// A whole command, of this many bytes, is at the front.
    Whole(usize),
    /// Read more.
    More,
    /// The client announced a literal and waits for our consent.
    Consent,
    /// The text of the command is too long to go on.
    TooLong,
    /// The announced literal is too big. The client sends it anyway if it did not ask for consent.
    TooBig {
        /// Whether the client waits for our consent, and so can be refused without closing.
        asked: bool,
    },
}

/// A session's input buffer.
pub(super) struct Inlet {
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    /// Where the present line of the present command begins; beyond `end` while a literal is incomplete.
    line: usize,
    /// Everything from `line` to here holds no line end.
    searched: usize,
    text: usize,
    literals: usize,
    max_literals: usize,
}

impl Inlet {
    pub fn new() -> Self {
        Self {
            buffer: vec![0; FIRST_BUFFER],
            start: 0,
            end: 0,
            line: 0,
            searched: 0,
            text: 0,
            literals: 0,
            max_literals: MAX_LITERAL_OF_STRANGERS,
        }
    }

    /// Signed-in clients may send messages.
    pub fn trust(&mut self) {
        self.max_literals = MAX_LITERAL;
    }

    /// Room to read into. Tell [`Inlet::received`] how much of it was used.
    pub fn room(&mut self) -> &mut [u8] {
        if self.start == self.end {
            self.rebase();
            if self.buffer.len() > KEPT_BUFFER {
                self.buffer = vec![0; FIRST_BUFFER];
            }
        } else if self.end == self.buffer.len() {
            if self.start > 0 {
                self.buffer.copy_within(self.start..self.end, 0);
                self.rebase();
            } else {
                self.buffer.resize(self.buffer.len() * 2, 0);
            }
        }
        &mut self.buffer[self.end..]
    }

    fn rebase(&mut self) {
        self.end -= self.start;
        self.line -= self.start;
        self.searched -= self.start;
        self.start = 0;
    }

    pub fn received(&mut self, bytes: usize) {
        self.end += bytes;
    }

    /// The first `length` bytes at hand.
    pub fn front(&self, length: usize) -> &[u8] {
        &self.buffer[self.start..self.start + length]
    }

    /// All that is at hand: part of a message, or a line that stands in the way, in which a refusal can find its tag.
    pub fn fragment(&self) -> &[u8] {
        &self.buffer[self.start..self.end]
    }

    /// Forgets the first `length` bytes and looks for the next command.
    pub fn consume(&mut self, length: usize) {
        self.start += length;
        self.line = self.start;
        self.searched = self.start;
        self.text = 0;
        self.literals = 0;
    }

    /// Looks at what has come in. `literals` is false where a line is only a line: in a SASL exchange.
    pub fn advance(&mut self, literals: bool) -> Progress {
        while self.searched <= self.end {
            let Some(length) = self.buffer[self.searched..self.end].iter().position(|&byte| byte == b'\n') else {
                self.searched = self.end;
                return if self.text + (self.end - self.line) > MAX_LINE { Progress::TooLong } else { Progress::More };
            };
            let after = self.searched + length + 1;
            self.text += after - self.line;
            if self.text > MAX_LINE {
                return Progress::TooLong;
            }
            let announced = if literals { announced_literal(&self.buffer[self.line..after]) } else { None };
            let Some((size, asked)) = announced else {
                return Progress::Whole(after - self.start);
            };
            if size > self.max_literals - self.literals {
                // Whatever else is here belongs to the next command: the caller consumes up to this line's end.
                self.line = after;
                self.searched = after;
                return Progress::TooBig { asked };
            }
            self.literals += size;
            self.line = after + size;
            self.searched = self.line;
            if asked && self.end == after {
                return Progress::Consent;
            }
        }
        Progress::More
    }

    /// The same where a command is a line, and no longer than this.
    pub fn advance_line(&mut self, longest: usize) -> Progress {
        let newline = self.buffer[self.searched..self.end].iter().position(|&byte| byte == b'\n');
        let length = newline.map_or(self.end, |at| self.searched + at + 1) - self.start;
        if length > longest {
            return Progress::TooLong;
        }
        match newline {
            Some(_) => Progress::Whole(length),
            None => {
                self.searched = self.end;
                Progress::More
            }
        }
    }

    /// Whether something stands behind the first `length` bytes.
    pub fn goes_on_behind(&self, length: usize) -> bool {
        self.start + length < self.end
    }

    /// After [`Progress::TooBig`]: the bytes up to and with the line that announced the literal.
    pub fn refused(&self) -> usize {
        self.line - self.start
    }
}

/// The size of the literal that follows this line, and whether the client waits for consent (RFC 7888).
fn announced_literal(line: &[u8]) -> Option<(usize, bool)> {
    let line = line.strip_suffix(b"\n")?;
    let line = line.strip_suffix(b"\r").unwrap_or(line).strip_suffix(b"}")?;
    let (line, asked) = match line.strip_suffix(b"+") {
        Some(line) => (line, false),
        None => (line, true),
    };
    let open = line.iter().rposition(|byte| !byte.is_ascii_digit())?;
    if line[open] != b'{' || open + 1 == line.len() {
        return None;
    }
    let digits = std::str::from_utf8(&line[open + 1..]).ok()?;
    // A number too long to be one is too big all the same.
    Some((digits.parse().unwrap_or(usize::MAX), asked))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn feed(inlet: &mut Inlet, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let room = inlet.room();
            let length = room.len().min(bytes.len());
            room[..length].copy_from_slice(&bytes[..length]);
            inlet.received(length);
            bytes = &bytes[length..];
        }
    }

    #[test]
    fn a_command_is_whole_at_its_line_end_however_it_is_cut() {
        let command = b"a LOGIN {4+}\r\nuser {6+}\r\nsecret\r\n";
        for cut in 0..command.len() {
            let mut inlet = Inlet::new();
            feed(&mut inlet, &command[..cut]);
            assert_eq!(inlet.advance(true), Progress::More, "cut at {cut}");
            feed(&mut inlet, &command[cut..]);
            assert_eq!(inlet.advance(true), Progress::Whole(command.len()), "cut at {cut}");
        }
    }

    #[test]
    fn consent_is_asked_once_and_an_empty_literal_needs_it_too() {
        let mut inlet = Inlet::new();
        feed(&mut inlet, b"a LOGIN {0}\r\n");
        assert_eq!(inlet.advance(true), Progress::Consent);
        assert_eq!(inlet.advance(true), Progress::More);
        feed(&mut inlet, b" x\r\n");
        assert_eq!(inlet.advance(true), Progress::Whole(17));
    }

    #[test]
    fn a_literal_without_bounds_is_refused_before_it_comes() {
        let mut inlet = Inlet::new();
        feed(&mut inlet, b"a APPEND INBOX {99999999999999999999999}\r\nb NOOP\r\n");
        assert_eq!(inlet.advance(true), Progress::TooBig { asked: true });
        inlet.consume(inlet.refused());
        assert_eq!(inlet.advance(true), Progress::Whole(8));
    }

    #[test]
    fn braces_elsewhere_announce_nothing() {
        for line in ["a {}\r\n", "a {+}\r\n", "a 5}\r\n", "a {5\r\n", "a \"{5}\"\r\n", "}\r\n", "5}\r\n"] {
            assert_eq!(announced_literal(line.as_bytes()), None, "{line:?}");
        }
    }

    #[test]
    fn a_line_without_end_is_too_long_in_time() {
        let mut inlet = Inlet::new();
        feed(&mut inlet, &vec![b'x'; MAX_LINE + 1]);
        assert_eq!(inlet.advance(true), Progress::TooLong);
    }
}
