//! What is a name by its shape, wherever it stands in a text.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::LazyLock;

use regex::Regex;

use crate::protocol::are_usual;

/// A name that shows itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Shape<'a> {
    Url(&'a str),
    Email {
        local: &'a str,
        domain: &'a str,
    },
    Address(IpAddr),
    Host(&'a str),
    Path(&'a str),
    /// Where a certificate names a person or an organisation: `O=`, and who.
    Subject {
        field: &'a str,
        name: &'a str,
    },
    /// The name of a session: some servers write their own address into it.
    Session {
        open: &'a str,
        close: &'a str,
    },
}

#[expect(clippy::expect_used, reason = "the patterns are constants, and tests use each")]
fn pattern(text: &str) -> Regex {
    Regex::new(text).expect("a pattern that can be read")
}

macro_rules! patterns {
    ($($name:ident = $text:literal;)+) => {
        $(static $name: LazyLock<Regex> = LazyLock::new(|| pattern($text));)+
    };
}

patterns! {
    URL = r#"^[A-Za-z][A-Za-z0-9+.-]*://[^\s"'<>(){}|\\^`]+"#;
    EMAIL = r"^([\p{L}\p{N}._%+~-]+)@(\[[0-9A-Fa-f:.]+\]|[\p{L}\p{N}](?:[\p{L}\p{N}.-]*[\p{L}\p{N}])?)";
    V4 = r"^[0-9]{1,3}(?:\.[0-9]{1,3}){3}";
    V6 = r"^[0-9A-Fa-f:]*:[0-9A-Fa-f:.]*";
    NUMBERED = r"^ip(?:-[0-9]{1,3}){4}";
    HOST = r"^(?:[\p{L}\p{N}_](?:[\p{L}\p{N}_-]*[\p{L}\p{N}_])?\.)+(?:\p{L}{2,63}|xn--[A-Za-z0-9-]+)";
    PATH = r#"^~?/[^\s"'<>()\[\],;:/]+(?:/[^\s"'<>()\[\],;:]*)+"#;
    SUBJECT = r#"^((?:CN|O|OU|L|ST|DC|STREET|UID|emailAddress)=)([^,()"+=]*[^,()"+=\s])"#;
    SESSION = r"^(?:(<)[A-Za-z0-9+/=]{12,}(>)|(\[)[A-Za-z0-9+/=]{16,}(\])|[A-Za-z0-9+/=]{16,})";
}

/// Endings of files that are no domains.
const FILES: [&str; 13] =
    ["cf", "cnf", "conf", "crt", "csv", "html", "json", "log", "ndjson", "pem", "toml", "txt", "xml"];

/// Those whose versions have four numbers, as addresses do.
const PRODUCTS: [&str; 18] = [
    "axigen",
    "courier",
    "cyrus",
    "dovecot",
    "exchange",
    "exim",
    "haraka",
    "hmailserver",
    "icewarp",
    "james",
    "kerio",
    "mdaemon",
    "opensmtpd",
    "pigeonhole",
    "postfix",
    "sendmail",
    "stalwart",
    "zimbra",
];
/// The highest first number of a version.
const NEWEST: u8 = 20;

/// The name that begins at that place of the text, and its length. The place is the beginning of a word, or a sign before one.
pub(super) fn at(text: &str, place: usize) -> Option<(Shape<'_>, usize)> {
    let (before, rest) = text.split_at(place);
    let found = |pattern: &Regex| pattern.find(rest).map(|found| found.as_str());
    if let Some(url) = found(&URL) {
        let url = url.trim_end_matches(['.', ',', ';', ':', '!', '?', ']']);
        return Some((Shape::Url(url), url.len()));
    }
    if let Some(parts) = EMAIL.captures(rest) {
        let (_, [local, domain]) = parts.extract();
        return Some((Shape::Email { local, domain }, local.len() + 1 + domain.len()));
    }
    if let Some((address, length)) = address(before, rest) {
        return Some((Shape::Address(address), length));
    }
    if let Some(path) = found(&PATH) {
        let path = path.trim_end_matches(['.', '!', '?']);
        return Some((Shape::Path(path), path.len()));
    }
    if let Some(parts) = SUBJECT.captures(rest) {
        let (_, [field, name]) = parts.extract();
        return Some((Shape::Subject { field, name }, field.len() + name.len()));
    }
    if let Some(session) = SESSION.captures(rest)
        && let whole = session.get_match().as_str()
        && is_random(whole)
        && ends(&rest[whole.len()..])
    {
        let sign = |one, other| session.get(one).or(session.get(other)).map_or("", |it| it.as_str());
        return Some((Shape::Session { open: sign(1, 3), close: sign(2, 4) }, whole.len()));
    }
    if let Some(host) =
        found(&NUMBERED).filter(|host| ends(&rest[host.len()..]) && !rest[host.len()..].starts_with('.'))
    {
        return Some((Shape::Host(host), host.len()));
    }
    let host = found(&HOST).filter(|host| is_host(host) && ends(rest[host.len()..].trim_start_matches('-')))?;
    Some((Shape::Host(host), host.len()))
}

/// No word goes on there.
fn ends(rest: &str) -> bool {
    !rest.starts_with(|c: char| c.is_alphanumeric() || c == '_')
}

fn address(before: &str, rest: &str) -> Option<(IpAddr, usize)> {
    if let Some(found) = V4.find(rest) {
        let goes_on = rest[found.end()..].strip_prefix('.').is_some_and(|rest| !ends(rest));
        let address = padded(found.as_str())?;
        let is_version = address.octets()[0] <= NEWEST && is_of_a_product(before);
        let is_one = !goes_on && ends(&rest[found.end()..]) && !before.ends_with('.') && !is_version;
        return is_one.then_some((address.into(), found.end()));
    }
    let text = V6.find(rest)?.as_str().trim_end_matches('.');
    let text = if text.ends_with("::") { text } else { text.trim_end_matches(':') };
    let address: IpAddr = text.parse().ok()?;
    ends(&rest[text.len()..]).then_some((address, text.len()))
}

/// An address whose numbers may begin with zeros, as some logs write them.
fn padded(text: &str) -> Option<Ipv4Addr> {
    let mut octets = [0; 4];
    for (octet, digits) in octets.iter_mut().zip(text.split('.')) {
        *octet = digits.parse().ok()?;
    }
    Some(octets.into())
}

/// Whether a number there is a version.
fn is_of_a_product(before: &str) -> bool {
    let word_of = |text: &str| text.rsplit(|c: char| !c.is_alphanumeric()).next().unwrap_or_default().to_lowercase();
    let near = before.trim_end_matches([' ', '"', '\'', '/', 'v', 'V']);
    // A colon stands behind a program that writes a log, and an address may follow.
    let label = word_of(near.trim_end_matches([':', '=']));
    PRODUCTS.contains(&word_of(near).as_str()) || ["version", "release"].contains(&label.as_str())
}

/// A sentence that ends without a blank, a file and a figure have dots, too.
fn is_host(host: &str) -> bool {
    let last = host.rsplit('.').next().unwrap_or_default();
    let is_one_case = !last.contains(char::is_lowercase) || !last.contains(char::is_uppercase);
    is_one_case && !FILES.contains(&last.to_lowercase().as_str()) && !are_usual(host)
}

/// Digits among letters, small and capital ones: no word looks like that.
fn is_random(text: &str) -> bool {
    let has = |is: fn(&char) -> bool| text.chars().any(|c| is(&c));
    let kinds = [has(char::is_ascii_digit), has(char::is_ascii_lowercase), has(char::is_ascii_uppercase)];
    kinds.iter().filter(|it| **it).count() >= if text.starts_with(['<', '[']) { 2 } else { 3 }
}
