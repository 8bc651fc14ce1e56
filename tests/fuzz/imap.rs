//! Reads what an IMAP server says, strictly (RFC 3501 §9), and apart from the codec that the server writes with.

use std::io::BufRead;

/// One response.
#[derive(Debug)]
pub enum Response {
    /// `+`.
    Continue,
    /// `* BYE`.
    Bye,
    /// The end of a command: its tag, none where the line had none, and the status word.
    Done(Option<Vec<u8>>, &'static str),
    /// `* 3 FETCH`: each item.
    Fetch(Vec<(Vec<u8>, Value)>),
    /// `* SEARCH`: how many.
    Search(usize),
    /// Whatever else stands behind `*`.
    Other,
}

#[derive(Debug, PartialEq, Eq)]
pub enum Value {
    Atom(Vec<u8>),
    /// Quoted, or a literal.
    Text(Vec<u8>),
    List(Vec<Value>),
}

/// The next response; `None` at the end of the stream.
pub fn response(from: &mut impl BufRead) -> Result<Option<Response>, String> {
    let mut line = Vec::new();
    // Where literals begin in the line, and how long they are.
    let mut literals = Vec::new();
    loop {
        let begins = line.len();
        from.read_until(b'\n', &mut line)
            .map_err(|error| format!("no whole response: {error}, after {}", line.escape_ascii()))?;
        if line.is_empty() {
            return Ok(None);
        }
        let wrong = |what: &str| Err(format!("{what}: {}", line.escape_ascii()));
        if !line.ends_with(b"\r\n") {
            return wrong("a line that does not end with CR LF");
        }
        let text = &line[begins..line.len() - 2];
        if text.iter().any(|byte| matches!(byte, 0 | b'\r')) {
            return wrong("NUL or CR in a line");
        }
        match announced(&line[..line.len() - 2]).filter(|_| !is_text(&line)) {
            None => break,
            Some(length) => {
                let at = line.len();
                line.resize(at + length, 0);
                from.read_exact(&mut line[at..]).map_err(|error| format!("a literal is cut off: {error}"))?;
                if line[at..].contains(&0) {
                    return Err(format!("NUL in a literal: {}", line.escape_ascii()));
                }
                literals.push((at, length));
            }
        }
    }
    line.truncate(line.len() - 2);
    read(&line, &literals).map(Some).map_err(|why| format!("{why}: {}", line.escape_ascii()))
}

/// The length in `{5}` at the end of a line.
fn announced(line: &[u8]) -> Option<usize> {
    let open = line.iter().rposition(|&byte| byte == b'{')?;
    let digits = line[open + 1..].strip_suffix(b"}")?;
    (!digits.is_empty() && digits.iter().all(u8::is_ascii_digit))
        .then(|| std::str::from_utf8(digits).unwrap().parse().unwrap())
}

/// Whether a line ends in text for people, where braces are braces.
fn is_text(line: &[u8]) -> bool {
    let mut words = line.split(|&byte| byte == b' ');
    let (head, word) = (words.next().unwrap_or_default(), words.next().unwrap_or_default().trim_ascii_end());
    head == b"+" || status(word).is_some()
}

fn status(word: &[u8]) -> Option<&'static str> {
    ["OK", "NO", "BAD", "BYE", "PREAUTH"].into_iter().find(|status| status.as_bytes() == word)
}

fn read(line: &[u8], literals: &[(usize, usize)]) -> Result<Response, String> {
    let (head, rest) = halves(line).ok_or("a response of one word")?;
    if head == b"+" {
        return text(rest).map(|()| Response::Continue);
    }
    let (word, behind) = halves(rest).unwrap_or((rest, b""));
    if let Some(status) = status(word) {
        text(behind)?;
        if let Some(code) = behind.strip_prefix(b"[") {
            let end = code.iter().position(|&byte| byte == b']').ok_or("a code without an end")?;
            let mut values = Reader { line: &code[..end], at: 0, literals: &[] };
            values.list(None)?;
        }
        if behind.is_empty() {
            return Err("a status without a text".to_owned());
        }
        return match (head, status) {
            (b"*", "BYE") => Ok(Response::Bye),
            (b"*", "BAD" | "NO") => Ok(Response::Done(None, status)),
            (b"*", _) => Ok(Response::Other),
            (_, "OK" | "NO" | "BAD") => Ok(Response::Done(Some(head.to_vec()), status)),
            _ => Err("a tagged reply with a status that is none".to_owned()),
        };
    }
    if head != b"*" {
        return Err("neither data nor a status".to_owned());
    }
    let offset = line.len() - rest.len();
    let literals: Vec<_> = literals.iter().map(|&(at, length)| (at - offset, length)).collect();
    let values = Reader { line: rest, at: 0, literals: &literals }.list(None)?;
    data(values)
}

fn data(mut values: Vec<Value>) -> Result<Response, String> {
    let words: Vec<String> = values.iter().take(2).map(Value::word).collect();
    match [words[0].as_str(), words.get(1).map_or("", String::as_str)] {
        [number, "EXISTS" | "RECENT" | "EXPUNGE"] if is_number(number) && values.len() == 2 => Ok(Response::Other),
        [number, "FETCH"] if is_number(number) && values.len() == 3 => {
            let Some(Value::List(items)) = values.pop() else { return Err("FETCH without a list".to_owned()) };
            let mut found = Vec::new();
            let mut items = items.into_iter();
            while let Some(name) = items.next() {
                let (Value::Atom(name), Some(value)) = (name, items.next()) else {
                    return Err("a FETCH item without a name or value".to_owned());
                };
                item(&name, &value)?;
                found.push((name, value));
            }
            Ok(Response::Fetch(found))
        }
        ["SEARCH", _] if values[1..].iter().all(|value| is_number(&value.word())) => {
            Ok(Response::Search(values.len() - 1))
        }
        ["FLAGS", _] if values.len() == 2 => flags(&values[1]).map(|()| Response::Other),
        ["CAPABILITY", "IMAP4REV1"] => Ok(Response::Other),
        ["LIST" | "LSUB", _] if values.len() == 4 => {
            flags(&values[1])?;
            string(&values[2])?;
            astring(&values[3])?;
            Ok(Response::Other)
        }
        ["STATUS", _] if values.len() == 3 => {
            astring(&values[1])?;
            let pairs = values[2].list()?;
            let numbers = pairs.iter().skip(1).step_by(2).all(|value| is_number(&value.word()));
            if pairs.len() % 2 == 0 && numbers { Ok(Response::Other) } else { Err("STATUS without numbers".to_owned()) }
        }
        ["ID", _] if values.len() == 2 => values[1].list()?.iter().try_for_each(nstring).map(|()| Response::Other),
        ["NAMESPACE", _] if values.len() == 4 => Ok(Response::Other),
        _ => Err("data of no kind known".to_owned()),
    }
}

fn item(name: &[u8], value: &Value) -> Result<(), String> {
    match std::str::from_utf8(name).unwrap_or_default() {
        "FLAGS" => flags(value),
        "ENVELOPE" => envelope(value),
        "BODY" | "BODYSTRUCTURE" => body(value),
        "INTERNALDATE" => string(value),
        "UID" | "RFC822.SIZE" => number(value),
        "RFC822" | "RFC822.HEADER" | "RFC822.TEXT" => nstring(value),
        name if name.starts_with("BODY[") => nstring(value),
        _ => Err(format!("no item is called {}", name.escape_ascii())),
    }
}

fn envelope(value: &Value) -> Result<(), String> {
    let fields = value.list()?;
    if fields.len() != 10 {
        return Err(format!("an envelope of {} fields", fields.len()));
    }
    for field in [0, 1, 8, 9] {
        nstring(&fields[field])?;
    }
    for addresses in &fields[2..8] {
        if !addresses.is_nil() {
            let addresses = addresses.list()?;
            if addresses.is_empty() {
                return Err("an empty list of addresses".to_owned());
            }
            for address in addresses {
                let parts = address.list()?;
                if parts.len() != 4 {
                    return Err("an address of other than four parts".to_owned());
                }
                parts.iter().try_for_each(nstring)?;
            }
        }
    }
    Ok(())
}

fn body(value: &Value) -> Result<(), String> {
    let parts = value.list()?;
    if let Some(Value::List(_)) = parts.first() {
        let bodies = parts.iter().take_while(|part| matches!(part, Value::List(_))).count();
        parts[..bodies].iter().try_for_each(body)?;
        return match &parts[bodies..] {
            [subtype] => string(subtype),
            _ => Err("a multipart body without a subtype".to_owned()),
        };
    }
    let [kind, subtype, parameters, id, description, encoding, size, rest @ ..] = parts else {
        return Err("a body of too few fields".to_owned());
    };
    string(kind)?;
    string(subtype)?;
    if !parameters.is_nil() {
        let parameters = parameters.list()?;
        if parameters.is_empty() || parameters.len() % 2 != 0 {
            return Err("parameters that are no pairs".to_owned());
        }
        parameters.iter().try_for_each(string)?;
    }
    nstring(id)?;
    nstring(description)?;
    string(encoding)?;
    number(size)?;
    match (kind.word().as_str(), subtype.word().as_str(), rest) {
        ("TEXT", _, [lines]) => number(lines),
        ("MESSAGE", "RFC822", [inner, structure, lines]) => {
            envelope(inner).and_then(|()| body(structure)).and_then(|()| number(lines))
        }
        ("TEXT", ..) | ("MESSAGE", "RFC822", _) => Err("a text or a message without its fields".to_owned()),
        (_, _, []) => Ok(()),
        _ => Err("a body of too many fields".to_owned()),
    }
}

/// The parts of a body structure that are no multipart, each with its section number and size.
pub fn leaves(structure: &Value) -> Vec<(String, usize)> {
    fn walk(value: &Value, number: &str, found: &mut Vec<(String, usize)>) {
        let Value::List(parts) = value else { return };
        let below = |at: usize| if number.is_empty() { at.to_string() } else { format!("{number}.{at}") };
        if let Some(Value::List(_)) = parts.first() {
            parts
                .iter()
                .zip(1..)
                .filter(|(part, _)| matches!(part, Value::List(_)))
                .for_each(|(part, at)| walk(part, &below(at), found));
        } else {
            let number = if number.is_empty() { "1".to_owned() } else { number.to_owned() };
            found.push((number.clone(), parts[6].word().parse().unwrap_or(usize::MAX)));
            if parts[0].word() == "MESSAGE" && parts[1].word() == "RFC822" {
                let is_multipart =
                    matches!(&parts[8], Value::List(inner) if matches!(inner.first(), Some(Value::List(_))));
                walk(&parts[8], &if is_multipart { number } else { format!("{number}.1") }, found);
            }
        }
    }
    let mut found = Vec::new();
    walk(structure, "", &mut found);
    found
}

impl Value {
    /// In capitals; empty for a list.
    fn word(&self) -> String {
        match self {
            Self::Atom(text) | Self::Text(text) => String::from_utf8_lossy(text).to_uppercase(),
            Self::List(_) => String::new(),
        }
    }

    fn list(&self) -> Result<&[Self], String> {
        match self {
            Self::List(values) => Ok(values),
            other => Err(format!("no list: {other:?}")),
        }
    }

    pub fn is_nil(&self) -> bool {
        matches!(self, Self::Atom(text) if text == b"NIL")
    }
}

fn flags(value: &Value) -> Result<(), String> {
    let flags = value.list()?;
    if flags.iter().all(|flag| matches!(flag, Value::Atom(_))) {
        Ok(())
    } else {
        Err("a flag that is no atom".to_owned())
    }
}

fn string(value: &Value) -> Result<(), String> {
    if matches!(value, Value::Text(_)) { Ok(()) } else { Err(format!("no string: {value:?}")) }
}

fn nstring(value: &Value) -> Result<(), String> {
    if value.is_nil() { Ok(()) } else { string(value) }
}

fn astring(value: &Value) -> Result<(), String> {
    if matches!(value, Value::List(_)) { Err("no name".to_owned()) } else { Ok(()) }
}

fn number(value: &Value) -> Result<(), String> {
    if is_number(&value.word()) && matches!(value, Value::Atom(_)) {
        Ok(())
    } else {
        Err(format!("no number: {value:?}"))
    }
}

fn is_number(word: &str) -> bool {
    !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_digit()) && word.parse::<u32>().is_ok()
}

/// For people: printable ASCII.
fn text(text: &[u8]) -> Result<(), String> {
    if text.iter().all(|byte| matches!(byte, b' '..=b'~')) {
        Ok(())
    } else {
        Err("a text that is not ASCII".to_owned())
    }
}

fn halves(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let space = line.iter().position(|&byte| byte == b' ')?;
    Some((&line[..space], &line[space + 1..]))
}

struct Reader<'a> {
    line: &'a [u8],
    at: usize,
    literals: &'a [(usize, usize)],
}

impl Reader<'_> {
    /// Values up to `end`, which is taken; to the end of the line without one.
    fn list(&mut self, end: Option<u8>) -> Result<Vec<Value>, String> {
        let mut values = Vec::new();
        loop {
            if self.peek() == end {
                self.at += 1;
                return Ok(values);
            }
            // One space between two values, none elsewhere; between two lists it may be left out (body structures).
            if !values.is_empty() && self.peek() == Some(b' ') {
                self.at += 1;
            } else if !values.is_empty() && self.peek() != Some(b'(') {
                return Err(format!("no space at {}", self.at));
            }
            values.push(self.value(end == Some(b']'))?);
        }
    }

    fn peek(&self) -> Option<u8> {
        self.line.get(self.at).copied()
    }

    fn value(&mut self, in_brackets: bool) -> Result<Value, String> {
        match self.peek().ok_or("it ends in a list")? {
            b'(' => {
                self.at += 1;
                self.list(Some(b')')).map(Value::List)
            }
            b'"' => self.quoted(),
            b'{' => self.literal(),
            _ => self.atom(in_brackets),
        }
    }

    fn quoted(&mut self) -> Result<Value, String> {
        let mut text = Vec::new();
        loop {
            self.at += 1;
            match self.peek().ok_or("a quoted string without an end")? {
                b'"' => break,
                b'\\' => {
                    self.at += 1;
                    match self.peek() {
                        Some(byte @ (b'"' | b'\\')) => text.push(byte),
                        _ => return Err("an escape of nothing".to_owned()),
                    }
                }
                byte @ (1..=9 | 11 | 12 | 14..=0x7f) => text.push(byte),
                _ => return Err("a quoted string with 8 bits or a line's end".to_owned()),
            }
        }
        self.at += 1;
        Ok(Value::Text(text))
    }

    fn literal(&mut self) -> Result<Value, String> {
        let ends = self.line[self.at..].iter().position(|&byte| byte == b'\n').ok_or("a brace")? + self.at + 1;
        let (begins, length) =
            *self.literals.iter().find(|(begins, _)| *begins == ends).ok_or("a brace that is no literal")?;
        self.at = begins + length;
        Ok(Value::Text(self.line[begins..self.at].to_vec()))
    }

    /// An atom, or a name that need not be quoted: a bracket may stand in it (RFC 3501's ASTRING-CHAR), but where it ends a
    /// section.
    fn atom(&mut self, in_brackets: bool) -> Result<Value, String> {
        let begins = self.at;
        while let Some(byte) = self.peek() {
            match byte {
                b' ' | b')' => break,
                b']' if in_brackets => break,
                // BODY[HEADER.FIELDS ("Subject")]<0>
                b'[' if matches!(&self.line[begins..self.at], b"BODY") => {
                    self.at += 1;
                    self.list(Some(b']'))?;
                }
                b'*' if self.line[..self.at].ends_with(b"\\") => self.at += 1,
                b'(' | b'{' | b'"' | b'%' | b'*' | 0..=0x1f | 0x7f.. => {
                    return Err(format!("{} in an atom", byte.escape_ascii()));
                }
                b'\\' if self.at != begins => return Err("a backslash in an atom".to_owned()),
                _ => self.at += 1,
            }
        }
        if self.at == begins {
            Err(format!("nothing at {begins}"))
        } else {
            Ok(Value::Atom(self.line[begins..self.at].to_vec()))
        }
    }
}
