//! Private names in text: those that are known, and what is one by its shape.

use std::sync::LazyLock;

use regex::Regex;

use super::names::{Names, is_public_host};
use super::shapes::{self, Shape};
use crate::protocol::{Protocol, are_usual};

/// Where servers say their own name: the replies of SMTP that begin with it, and Cyrus' greeting.
static OWN_NAME: LazyLock<Option<Regex>> = LazyLock::new(|| {
    let smtp = r"(?:220|221|250|421)[ -](?:[245]\.[0-9]+\.[0-9]+ )?([\p{L}\p{N}-]+)(?:$|[\s,;:])";
    let cyrus = r"(?:\* OK|\+OK) (?:\[[^\]]*\] )?([\p{L}\p{N}-]+) Cyrus\b";
    Regex::new(&format!("^(?:{smtp}|{cyrus})")).ok()
});

impl Names {
    /// The text with other names in place of private ones.
    pub(super) fn text(&mut self, text: &str) -> String {
        if let Some(own) = OWN_NAME.as_ref().and_then(|own| own.captures(text))
            && let Some(name) = own.get(1).or(own.get(2)).filter(|name| !are_usual(name.as_str()))
        {
            self.host(name.as_str());
        }
        self.replaced(text, true)
    }

    /// The same of a text in which nothing is a name by its shape.
    pub(super) fn known_in(&mut self, text: &str) -> String {
        self.replaced(text, false)
    }

    fn replaced(&mut self, text: &str, by_shape: bool) -> String {
        let text = self.signs().iter().fold(text.to_owned(), |text, sign| text.replace(&sign.name, &sign.alias));
        let mut out = String::with_capacity(text.len());
        let mut at = 0;
        let mut in_word = false;
        while let Some(c) = text[at..].chars().next() {
            let may_begin = !in_word && (c.is_alphanumeric() || matches!(c, '/' | '~' | '<' | '[' | ':' | '_'));
            let known = may_begin.then(|| self.known_at(&text[at..])).flatten();
            let shape = (may_begin && by_shape).then(|| shapes::at(&text, at)).flatten();
            let shape = shape.filter(|(_, length)| known.as_ref().is_none_or(|(_, known)| length > known));
            let found = match shape {
                Some((shape, length)) => Some((self.in_place_of(&shape), length)),
                None => known,
            };
            match found {
                Some((alias, length)) => {
                    out += &alias;
                    at += length;
                    in_word = true;
                }
                None => {
                    out.push(c);
                    at += c.len_utf8();
                    in_word = c.is_alphanumeric();
                }
            }
        }
        out
    }

    /// What stands in place of the known name with which the text begins, and that name's length.
    fn known_at(&self, text: &str) -> Option<(String, usize)> {
        let word = text.split(|c: char| !c.is_alphanumeric()).next().unwrap_or_default();
        let known = self.beginning_with(&word.to_lowercase());
        let found = known.iter().filter_map(|known| Some((known, length_of(&known.name, text)?)));
        let (best, length) = found.max_by_key(|(known, length)| (*length, text.starts_with(&known.name)))?;
        Some((best.alias.clone(), length))
    }

    fn in_place_of(&mut self, shape: &Shape<'_>) -> String {
        match *shape {
            Shape::Url(url) => self.url(url),
            Shape::Email { local, domain } => self.user(&format!("{local}@{domain}")),
            Shape::Address(address) => self.address(address),
            Shape::Host(host) => self.host(host),
            Shape::Path(path) => self.path(path),
            Shape::Subject { field, name } => {
                let text = self.text(name);
                field.to_owned() + &if text == name { self.subject(name) } else { text }
            }
            Shape::Session { open, close } => format!("{open}session{close}"),
        }
    }

    /// An address of mail as one; of another that is not a provider's, the host is all that is left.
    fn url(&mut self, url: &str) -> String {
        if let Some(server) = self.server(url) {
            return server;
        }
        let Some((scheme, rest)) = url.split_once("://") else { return url.to_owned() };
        let (place, path) = rest.find(['/', '?', '#']).map_or((rest, ""), |at| rest.split_at(at));
        let (user, host) = place.rsplit_once('@').map_or((None, place), |(user, host)| (Some(user), host));
        let (host, port) = match host.rsplit_once(':') {
            Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => (name, format!(":{port}")),
            _ => (host, String::new()),
        };
        let is_of_mail = Protocol::ALL.iter().any(|protocol| scheme.to_lowercase().starts_with(protocol.name()));
        let user = user.map(|user| self.user(user) + "@").unwrap_or_default();
        let path = if is_public_host(host) || path == "/" || path.is_empty() {
            path.to_owned()
        } else if is_of_mail {
            "/".to_owned() + &self.mailbox(path.trim_start_matches('/'))
        } else {
            "/…".to_owned()
        };
        format!("{scheme}://{user}{}{port}{path}", self.host(host))
    }
}

/// How much of the text is that name, in whatever case; none if it does not begin with it, or a word goes on behind it.
fn length_of(name: &str, text: &str) -> Option<usize> {
    let mut letters = text.char_indices();
    let mut length = 0;
    for wanted in name.chars() {
        let (at, c) = letters.next()?;
        if c != wanted && !c.to_lowercase().eq(wanted.to_lowercase()) {
            return None;
        }
        length = at + c.len_utf8();
    }
    letters.next().is_none_or(|(_, next)| !next.is_alphanumeric()).then_some(length)
}
