//! The names that are private, and what stands in place of each: one name has one, two have two.

use std::collections::{HashMap, HashSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::labels::Labels;
use crate::protocol::{Endpoint, are_usual, mailbox_as_sent};
use crate::report::known;

/// So many bytes of names are kept; those that come later are called alike.
const MOST: usize = 4 << 20;
/// A part of a host's name that is shorter says nothing: `com`, `co`, `mx1`.
const SHORTEST_LABEL: usize = 4;
/// Authorities number their certificates: `R11`, `WE1`.
const SHORTEST_SUBJECT: usize = 3;
/// Blocks for documentation (RFC 5737), and how many hosts each has.
const BLOCKS: [[u8; 3]; 3] = [[192, 0, 2], [198, 51, 100], [203, 0, 113]];
const BLOCK: usize = 254;

/// What a name is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Kind {
    User,
    Host,
    Mailbox,
    Path,
    /// A person or an organisation, in a certificate.
    Subject,
    Variant,
    V4,
    V6,
}

impl Kind {
    /// What stands before and behind its number.
    const fn around(self) -> (&'static str, &'static str) {
        match self {
            Self::User => ("user-", ""),
            Self::Host => ("host-", ".example"),
            Self::Mailbox => ("mailbox-", ""),
            Self::Path => ("/path-", ""),
            Self::Subject => ("name-", ""),
            Self::Variant => ("variant-", ""),
            Self::V4 | Self::V6 => ("address-", ""),
        }
    }

    fn called(self, number: usize) -> String {
        let (before, behind) = self.around();
        match self {
            Self::V4 => {
                let block = BLOCKS.get((number - 1) / BLOCK).copied();
                let [a, b, c] = block.unwrap_or(BLOCKS[0]);
                let last = block.map_or(255, |_| u8::try_from((number - 1) % BLOCK + 1).unwrap_or(255));
                Ipv4Addr::new(a, b, c, last).to_string()
            }
            Self::V6 => {
                let last = u16::try_from(number).unwrap_or(u16::MAX);
                Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, last).to_string()
            }
            _ => format!("{before}{number}{behind}"),
        }
    }

    /// Made of words that anybody says, and none that stands in place of another one.
    fn says_nothing(self, name: &str) -> bool {
        says_nothing(name) && self.number_in(name).is_none()
    }

    /// The number in a name that stands in place of another one.
    fn number_in(self, name: &str) -> Option<usize> {
        let (before, behind) = self.around();
        name.strip_prefix(before)?.strip_suffix(behind)?.parse().ok()
    }
}

/// Private names, as far as they are known.
#[derive(Debug, Default)]
pub(super) struct Names {
    aliases: HashMap<(Kind, String), String>,
    taken: HashMap<Kind, HashSet<usize>>,
    /// How names are written in text, by their first word in small letters.
    spellings: HashMap<String, Vec<Spelling>>,
    /// Those that are no words, or stand in text without anything between words.
    signs: Vec<Spelling>,
    pub(super) labels: Labels,
    bytes: usize,
}

/// A name as it is written, and what stands in place of it.
#[derive(Clone, Debug)]
pub(super) struct Spelling {
    pub(super) name: String,
    pub(super) alias: String,
}

impl Names {
    /// How many are known.
    pub(super) fn len(&self) -> usize {
        self.aliases.len()
    }

    /// Names that may begin with that word, in small letters.
    pub(super) fn beginning_with(&self, word: &str) -> &[Spelling] {
        self.spellings.get(word).map_or(&[], Vec::as_slice)
    }

    pub(super) fn signs(&self) -> &[Spelling] {
        &self.signs
    }

    /// What stands in place of the name. One that stands for another already stays, unless it stands for a third here.
    fn alias(&mut self, kind: Kind, name: &str) -> String {
        if let Some(alias) = self.aliases.get(&(kind, name.to_owned())) {
            return alias.clone();
        }
        if self.bytes + name.len() > MOST {
            let (before, behind) = kind.around();
            return format!("{before}many{behind}");
        }
        let taken = self.taken.entry(kind).or_default();
        let own = kind.number_in(name).filter(|own| *own > 0 && !taken.contains(own));
        let number = own.unwrap_or_else(|| (taken.len().max(1)..).find(|next| !taken.contains(next)).unwrap_or(1));
        taken.insert(number);
        let alias = kind.called(number);
        self.bytes += name.len();
        self.aliases.insert((kind, name.to_owned()), alias.clone());
        alias
    }

    /// From now on the name is found in text, whole words of it, if it is not made of words that anybody says.
    pub(super) fn spell(&mut self, name: &str, alias: &str) {
        let core = name.trim_matches(|c: char| !c.is_alphanumeric());
        let is_encoded = name.starts_with('&') && name.contains('-');
        let is_sign = is_encoded || core.chars().any(|c| c >= '\u{2e80}') || (core.is_empty() && !name.is_ascii());
        let name = if is_sign { name } else { core };
        if name.is_empty() || name == alias || says_nothing(name) || self.bytes + name.len() > MOST {
            return;
        }
        let first = name.split(|c: char| !c.is_alphanumeric()).next().unwrap_or_default().to_lowercase();
        let among = if is_sign { &mut self.signs } else { self.spellings.entry(first).or_default() };
        if among.iter().all(|known| known.name != name) {
            self.bytes += name.len();
            among.push(Spelling { name: name.to_owned(), alias: alias.to_owned() });
            among.sort_by_key(|known| std::cmp::Reverse(known.name.len()));
        }
    }

    /// A user, with or without a domain.
    pub(super) fn user(&mut self, user: &str) -> String {
        if let Some((local, domain)) = user.rsplit_once('@') {
            return format!("{}@{}", self.user(local), self.host(domain));
        }
        if user.is_empty() || (EVERYBODYS.contains(&&*user.to_lowercase()) && Kind::User.number_in(user).is_none()) {
            return user.to_owned();
        }
        let alias = self.alias(Kind::User, &user.to_lowercase());
        // `DOMAIN\anna`, `anna+lists`.
        let parts = user.split(['\\', '+', '*', '/']).filter(|part| *part != user);
        for part in [user].into_iter().chain(parts) {
            self.spell(part, &alias);
            self.spell(&STANDARD.encode(part), &alias);
        }
        alias
    }

    /// A host, by its name or its address. What is reserved for such use stays, and a provider that everybody knows.
    pub(super) fn host(&mut self, host: &str) -> String {
        if let Ok(address) = host.trim_matches(['[', ']']).parse() {
            return self.address(address);
        }
        let lower = host.trim_end_matches('.').to_lowercase();
        let bare = lower.strip_prefix("*.").unwrap_or(&lower);
        if bare.is_empty() || is_public_host(bare) || (!bare.contains('.') && are_usual(bare)) {
            return host.to_owned();
        }
        let alias = self.alias(Kind::Host, bare);
        self.spell(bare, &alias);
        let short = alias.trim_end_matches(".example");
        let labels: Vec<&str> = bare.split('.').collect();
        let own = labels.iter().take(labels.len().saturating_sub(1)).filter(|label| label.len() >= SHORTEST_LABEL);
        own.for_each(|label| self.spell(label, short));
        lower.replace(bare, &alias)
    }

    /// An address. Those of this machine stay, and those that stand for others.
    pub(super) fn address(&mut self, address: IpAddr) -> String {
        let is_public = match address {
            IpAddr::V4(v4) => v4.is_loopback() || v4.is_unspecified() || v4.is_documentation(),
            IpAddr::V6(v6) => v6.is_loopback() || v6.is_unspecified() || v6.segments()[..2] == [0x2001, 0xdb8],
        };
        let kind = if address.is_ipv4() { Kind::V4 } else { Kind::V6 };
        if is_public { address.to_string() } else { self.alias(kind, &address.to_string()) }
    }

    /// A mailbox, part by part of the hierarchy.
    pub(super) fn mailbox(&mut self, name: &str) -> String {
        let mut alias = String::new();
        for part in name.split_inclusive(['/', '.', '\\']) {
            let bare = part.trim_end_matches(['/', '.', '\\']);
            alias += &self.part_of_mailbox(bare.trim());
            alias += &part[bare.trim_end().len()..];
        }
        self.spell_mailbox(name, &alias);
        alias
    }

    fn part_of_mailbox(&mut self, part: &str) -> String {
        if part.is_empty() || Kind::Mailbox.says_nothing(part) || is_scratch(part) {
            return part.to_owned();
        }
        let alias = self.alias(Kind::Mailbox, part);
        self.spell_mailbox(part, &alias);
        alias
    }

    /// As people write it, as IMAP does, and as messages show it.
    fn spell_mailbox(&mut self, name: &str, alias: &str) {
        let sent = mailbox_as_sent(name);
        let sent = sent.trim_matches('"');
        let escaped = name.replace('\\', "\\\\").replace('"', "\\\"");
        let bytes = name.chars().map(|c| match u32::from(c) {
            byte @ 0x80..0x100 => format!("\\x{byte:02x}"),
            _ => c.to_string(),
        });
        let of_bytes: String = bytes.collect();
        for spelling in [name, sent, &sent.replace('\\', ""), &escaped, &of_bytes] {
            self.spell(spelling, alias);
        }
    }

    /// A directory or a file.
    pub(super) fn path(&mut self, path: &str) -> String {
        self.alias(Kind::Path, path)
    }

    /// Whom a certificate is for, or by whom.
    pub(super) fn subject(&mut self, name: &str) -> String {
        let is_short = name.len() <= SHORTEST_SUBJECT;
        if is_short || are_usual(name) || AUTHORITIES.iter().any(|known| name.starts_with(known)) {
            return name.to_owned();
        }
        let alias = self.alias(Kind::Subject, name);
        self.spell(name, &alias);
        alias
    }

    /// A variant whose name was made of private ones.
    pub(super) fn variant(&mut self, name: &str) -> String {
        let alias = self.alias(Kind::Variant, name);
        self.spell(name, &alias);
        alias
    }

    /// A server's address, if it is one.
    pub(super) fn server(&mut self, url: &str) -> Option<String> {
        let Endpoint { protocol, security, host, port, user } = Endpoint::parse(url, None).ok()?;
        let user = self.user(&user);
        Some(Endpoint { protocol, security, host: self.host(&host), port, user }.to_string())
    }
}

/// One that a run makes for itself: `mailconn-RUN-w0`.
fn is_scratch(mailbox: &str) -> bool {
    let Some((run, who)) = mailbox.strip_prefix("mailconn-").and_then(|rest| rest.split_once('-')) else {
        return false;
    };
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    run.bytes().all(|byte| byte.is_ascii_hexdigit()) && who.strip_prefix(['w', 't']).is_some_and(is_number)
}

/// Users that say nothing of anybody. Other usual words are names too: Max, Grant, Page.
const EVERYBODYS: [&str; 10] =
    ["sandbox", "mailconn", "test", "user", "admin", "root", "nobody", "guest", "postmaster", "anonymous"];

/// Made of words that anybody says. One of them is a product's and people's.
fn says_nothing(name: &str) -> bool {
    are_usual(name) && !name.eq_ignore_ascii_case("james")
}

/// Authorities that sign for everybody: how their names begin.
const AUTHORITIES: [&str; 22] = [
    "Let's Encrypt",
    "Internet Security Research Group",
    "ISRG",
    "DigiCert",
    "Sectigo",
    "COMODO",
    "USERTrust",
    "The USERTRUST",
    "GlobalSign",
    "Google Trust Services",
    "GTS",
    "Amazon",
    "Starfield",
    "GoDaddy",
    "Go Daddy",
    "Entrust",
    "ZeroSSL",
    "Buypass",
    "Actalis",
    "SwissSign",
    "Certum",
    "Microsoft",
];

/// Names that are reserved (RFC 2606), and providers whose limits are known.
pub(super) fn is_public_host(host: &str) -> bool {
    // Companies name hosts of their own under .test and .invalid.
    const RESERVED: [&str; 6] =
        ["localhost", "localhost.localdomain", "example", "example.com", "example.net", "example.org"];
    let is_below = |end: &str| host.strip_suffix(end).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'));
    let is_reserved = RESERVED.into_iter().any(is_below);
    // One that stands for others has a form of its own.
    (is_reserved && Kind::Host.number_in(host).is_none()) || is_of_a_provider(host)
}

/// Whether it is a provider's own host. What stands before may be the name of its customer.
fn is_of_a_provider(host: &str) -> bool {
    known::end_of(host).is_some_and(|end| are_usual(&host[..host.len() - end.len()]))
}
