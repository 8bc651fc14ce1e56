//! The strings of JSON text, replaced where they stand: all else stays as it is written, numbers to their last digit.

/// Replaces each string that is a value. `replace` gets the names of the fields that lead to it, without those of arrays, and
/// the string; it returns what is to stand there. Of text that is no JSON, what looks like one of its strings is replaced.
pub(super) fn replaced(text: &str, mut replace: impl FnMut(&[String], &str) -> String) -> String {
    let mut out = String::with_capacity(text.len());
    let mut open: Vec<Open> = Vec::new();
    let mut path: Vec<String> = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find(['"', '{', '[', '}', ']', ',']) {
        let (before, found) = rest.split_at(at);
        out.push_str(before);
        let sign = found.as_bytes()[0];
        if sign == b'"' {
            let end = end_of_string(found);
            let (token, after) = found.split_at(end);
            rest = after;
            let Ok(string) = serde_json::from_str::<String>(token) else {
                out.push_str(token);
                continue;
            };
            match open.last_mut() {
                Some(Open::Object { is_key_due: is_key_due @ true }) => {
                    *is_key_due = false;
                    path.push(string);
                    out.push_str(token);
                }
                _ => {
                    let new = replace(&path, &string);
                    let is_same = new == string;
                    out.push_str(&if is_same { token.to_owned() } else { serde_json::Value::from(new).to_string() });
                }
            }
            continue;
        }
        out.push(char::from(sign));
        rest = &found[1..];
        match sign {
            b'{' => open.push(Open::Object { is_key_due: true }),
            b'[' => open.push(Open::Array),
            b',' => {
                if let Some(Open::Object { is_key_due }) = open.last_mut() {
                    *is_key_due = true;
                    path.pop();
                }
            }
            _ => {
                // An object without fields has led to none.
                if let Some(Open::Object { is_key_due: false }) = open.pop() {
                    path.pop();
                }
            }
        }
    }
    out + rest
}

/// What was opened and is not closed.
enum Open {
    Array,
    Object { is_key_due: bool },
}

/// Where the string at the text's beginning ends, behind its closing quote.
fn end_of_string(text: &str) -> usize {
    let mut escaped = false;
    let closes = |(at, byte): (usize, u8)| {
        let is_end = byte == b'"' && !escaped && at > 0;
        escaped = byte == b'\\' && !escaped;
        is_end.then_some(at + 1)
    };
    text.bytes().enumerate().find_map(closes).unwrap_or(text.len())
}
