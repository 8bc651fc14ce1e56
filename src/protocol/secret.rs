//! A password or a token, kept from every output.

mod words;

use std::ops::Range;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use zeroize::Zeroizing;

pub(crate) use words::are_usual;

/// A password or a token. It has no Debug, no Display and no serialised form; its memory is cleared when it is dropped.
pub struct Secret(Arc<Zeroizing<String>>);

impl Secret {
    /// Takes a password over; the caller keeps no copy.
    #[must_use]
    pub fn new(password: String) -> Self {
        Self(Arc::new(Zeroizing::new(password)))
    }

    /// The password itself, for the one command that sends it.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// The same secret, not a second copy of it.
    pub(super) fn share(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

/// What stands in a server's line where it repeated the password.
const MASKED: &[u8] = b"***";
/// The same where a line is not shown but judged: a word that means nothing, as another password there would be.
const NEUTRAL: &[u8] = b"zz";
/// A password of fewer bytes is a piece of many words: it is found by what stands around it.
const SHORTEST: usize = 4;
/// One of fewer bytes is a piece of many names and numbers: it is found where it stands apart.
const SHORTEST_PIECE: usize = 8;
/// So many digits in a row may be anything.
const SHORTEST_NUMBER: usize = 6;

/// So many bytes of a secret in a row are masked without the rest: servers break long lines, and tokens with them.
const RUN: usize = 12;

/// Finds passwords and tokens in what a server sends back: some repeat the command that they refuse.
///
/// It finds what was *repeated*, and no word that the server says of its own accord: with the password `plain`, a `***` in a
/// list of mechanisms would tell the password, and hide the mechanism. A password that is made of usual words is
/// therefore found only in its context, such as behind `LOGIN` and the user, or in base64. In what a server offers,
/// only what can be nothing else is masked. Nothing is ever decided on a masked line.
///
/// One for all sessions of an account, which learns each secret when it is first presented: a server may repeat to one
/// session what it heard in another, and what it said before tells nothing. Like [`Secret`] it can be shown in no way, and its memory is cleared. By default it
/// finds nothing.
#[derive(Default)]
pub(super) struct Mask(RwLock<Known>);

#[derive(Default)]
struct Known {
    /// Those whose forms these are.
    secrets: Vec<Secret>,
    /// Names that the user gave: they are shown, whatever the password is.
    names: Vec<String>,
    /// Each secret in each form that it is sent in: never empty, and the longest first.
    forms: Vec<Form>,
    /// Every [`RUN`] of the forms, in order; of those in base64 apart.
    runs: Runs,
    runs_in_base64: Runs,
    /// Passwords that could be the server's own words.
    usual: Vec<Usual>,
}

type Runs = Zeroizing<Vec<[u8; RUN]>>;

struct Form {
    bytes: Zeroizing<Vec<u8>>,
    looks: Looks,
}

/// How a form of a secret can be told from what a server says of its own accord.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Looks {
    /// By itself.
    Unmistakable,
    /// The same, if it stands apart from letters and digits.
    Apart,
    /// It is letters alone: apart from others, in sentences. In data it may be a name.
    Word,
    /// What stands around it in the same base64 text goes with it: the user, and pieces of the secret's ends.
    Base64,
    /// It is the whole of a base64 text, in sentences.
    WholeBase64,
}

impl Looks {
    /// Of a password that is not made of [usual words](words::are_usual).
    fn of(password: &str) -> Self {
        if password.bytes().all(|byte| byte.is_ascii_alphabetic()) {
            Self::Word
        } else if password.len() < SHORTEST_PIECE || password.bytes().all(|byte| byte.is_ascii_digit()) {
            Self::Apart
        } else {
            Self::Unmistakable
        }
    }

    const fn is_base64(self) -> bool {
        matches!(self, Self::Base64 | Self::WholeBase64)
    }
}

/// A password that could be a server's own words, and who signs in with it.
struct Usual {
    /// The user and the part before the `@`: as they are, and as they stand between quotes.
    users: Vec<String>,
    /// It is made of usual words, or a name that is shown: a server that says it alone means the word. Otherwise it is too
    /// short or a number.
    is_word: bool,
    /// As it is, and as it stands between quotes.
    spellings: [Zeroizing<String>; 2],
}

/// What a line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// A command of ours that carries no secret.
    Command,
    /// Names, flags, numbers, and messages.
    Data,
    /// What a server can do: words and numbers of its own.
    Offer,
    /// A sentence of a server's: a reply with its text, or what is no protocol at all.
    Sentence,
}

/// Which part of a line is confidential by its position, whatever stands there: for transcripts, which hold what the
/// client sends too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Confidential {
    /// Nothing. The secret is looked for all the same, unless the line is a command.
    Nothing,
    /// What follows the first so many words: 2 of `a1 LOGIN …`, 3 of `a1 AUTHENTICATE PLAIN …`, 2 of `AUTH PLAIN …`, 1
    /// of `PASS …`; and 1 of a server's `+ …` or `334 …` while a SASL exchange runs, because with both sides' lines of a
    /// SCRAM exchange a password can be guessed at leisure.
    After(usize),
    /// All of it: an answer to a challenge, or a literal of a sign-in.
    All,
}

impl Mask {
    /// For the account on a server of that name.
    pub(super) fn for_server(host: &str) -> Self {
        let labels = host.split('.').chain([host]).map(str::to_owned);
        Self(RwLock::new(Known { names: labels.collect(), ..Known::default() }))
    }

    /// The same before it is presented, if it is like no word: a server may have heard it from an earlier process, and three
    /// stars tell nobody which word it is.
    pub(super) fn expect(&self, user: &str, secret: &Secret) {
        if Looks::of(secret.expose()) == Looks::Unmistakable {
            self.learn(user, secret);
        }
    }

    /// From now on finds that secret of the user too.
    pub(super) fn learn(&self, user: &str, secret: &Secret) {
        let is_known = |known: &Known| known.secrets.iter().any(|other| other.expose() == secret.expose());
        if is_known(&self.known()) {
            return;
        }
        let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if !is_known(&known) {
            known.add_secret(user, secret.expose());
            known.secrets.push(secret.share());
        }
    }

    fn known(&self) -> RwLockReadGuard<'_, Known> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// A sentence of a server's without the secrets that it repeats, and without pieces of them that are long enough to be
    /// no chance. Where the line was `cut`, its end may be a secret's beginning.
    pub(super) fn cover(&self, line: &[u8], cut: bool) -> Vec<u8> {
        self.cover_beside(line, cut, &[])
    }

    /// The same, where the command carried these names: a mailbox may be called as the password is.
    pub(super) fn cover_beside(&self, line: &[u8], cut: bool, names: &[String]) -> Vec<u8> {
        self.known().replace(line, Part::Sentence, cut, names, MASKED)
    }

    /// The same of what the server offers.
    pub(super) fn cover_offer(&self, offered: &str) -> String {
        let shown = self.known().replace(offered.as_bytes(), Part::Offer, false, &[], MASKED);
        String::from_utf8_lossy(&shown).into_owned()
    }

    /// What the server says of its own accord: a neutral word stands wherever it repeats a command of ours.
    pub(super) fn own_words(&self, line: &[u8]) -> Vec<u8> {
        self.known().replace(line, Part::Sentence, false, &[], NEUTRAL)
    }

    /// A line of either side as a transcript may hold it, its line end kept. `said` is the command that it belongs to.
    pub(super) fn transcribe(
        &self,
        line: &[u8],
        confidential: Confidential,
        part: Part,
        cut: bool,
        said: &[String],
    ) -> Vec<u8> {
        let text = line.strip_suffix(b"\n").unwrap_or(line);
        let text = text.strip_suffix(b"\r").unwrap_or(text);
        let open = match confidential {
            Confidential::Nothing => text.len(),
            Confidential::After(words) => after_words(text, words),
            Confidential::All => 0,
        };
        let mut shown = self.known().replace(&text[..open], part, cut && open == text.len(), said, MASKED);
        if open < text.len() {
            shown.extend_from_slice(MASKED);
        }
        shown.extend_from_slice(&line[text.len()..]);
        shown
    }
}

impl Known {
    fn add_secret(&mut self, user: &str, password: &str) {
        if password.is_empty() {
            return;
        }
        let local = user.rsplit_once('@').map_or(user, |(local, _)| local);
        let names = || [user, local].into_iter().chain(self.names.iter().map(String::as_str));
        // It is shown as a name, so that it is no secret as a word.
        let is_name = names().any(|name| name.eq_ignore_ascii_case(password));
        let escaped = Zeroizing::new(password.replace('\\', "\\\\").replace('"', "\\\""));
        let alone = Zeroizing::new(STANDARD_NO_PAD.encode(password));
        let is_usual = password.len() < SHORTEST
            || words::are_usual(password)
            || (password.len() < SHORTEST_NUMBER && password.bytes().all(|byte| byte.is_ascii_digit()))
            || is_tag(password)
            || names().any(|name| contains(name.as_bytes(), password.as_bytes()));
        if is_usual {
            // Its base64 is a piece of many words too, unless it is taken with what stands before and behind it.
            for around in [format!("\0{user}\0{password}"), format!("auth=Bearer {password}\x01")] {
                self.add_base64(Zeroizing::new(around).as_bytes());
            }
            let whole = if alone.len() < SHORTEST { STANDARD.encode(password) } else { alone.as_str().to_owned() };
            self.add(whole.into_bytes(), Looks::WholeBase64);
            let spellings = [escaped, Zeroizing::new(password.to_owned())];
            let escaped = |name: &str| name.replace('\\', "\\\\").replace('"', "\\\"");
            let users = [user, local].into_iter().flat_map(|name| [name.to_owned(), escaped(name)]).collect();
            let has_letters = !password.bytes().any(|byte| byte.is_ascii_digit())
                || password.bytes().any(|byte| byte.is_ascii_alphabetic());
            let is_word = is_name || (has_letters && words::are_usual(password));
            self.usual.push(Usual { users, is_word, spellings });
        } else {
            let looks = Looks::of(password);
            self.add(password.as_bytes().to_vec(), looks);
            if let Some(latin1) = latin1(password) {
                self.add(latin1, looks);
            }
            self.add(escaped.as_bytes().to_vec(), looks);
            self.add_base64(password.as_bytes());
        }
        self.forms.sort_by_key(|form| std::cmp::Reverse(form.bytes.len()));
        self.runs = runs(self.forms.iter().filter(|form| !form.looks.is_base64()));
        self.runs_in_base64 = runs(self.forms.iter().filter(|form| form.looks == Looks::Base64));
    }

    fn add(&mut self, bytes: Vec<u8>, looks: Looks) {
        self.forms.push(Form { bytes: Zeroizing::new(bytes), looks });
    }

    /// The secret inside a longer base64 text. Three bytes make four characters, so it can begin at three places of a
    /// group; the characters that it shares with its neighbours are left out.
    fn add_base64(&mut self, secret: &[u8]) {
        for (before, shared) in [(0, 0), (1, 2), (2, 3)] {
            let text = Zeroizing::new([&[0; 2][..before], secret].concat());
            let encoded = Zeroizing::new(STANDARD_NO_PAD.encode(text.as_slice()));
            self.add(encoded.as_bytes()[shared..text.len() * 8 / 6].to_vec(), Looks::Base64);
        }
    }

    fn replace(&self, line: &[u8], part: Part, cut: bool, names: &[String], with: &[u8]) -> Vec<u8> {
        if part == Part::Command {
            return line.to_vec();
        }
        let is_judged = with == NEUTRAL;
        let offers = offers(line);
        let is_name = |text: &[u8], looks| {
            let is_listed = || looks != Looks::Unmistakable && is_listed(line, text);
            names.iter().any(|name| contains(name.as_bytes(), text)) || is_listed()
        };
        let mut covered = Vec::with_capacity(line.len());
        let mut at = 0;
        while at < line.len() {
            let part = if offers.contains(&at) { Part::Offer } else { part };
            let found = self.form(line, at, part).or_else(|| self.piece(line, at, cut));
            let found = found.filter(|(length, looks)| looks.is_base64() || !is_name(&line[at..at + length], *looks));
            let in_context = || {
                let usual = self.usual.iter().filter(|_| part == Part::Sentence);
                usual
                    .filter_map(|usual| usual.repeated(line, at, is_judged))
                    .max()
                    .map(|length| (length, Looks::Unmistakable))
            };
            if let Some((length, looks)) = found.or_else(in_context) {
                at += length;
                if looks.is_base64() {
                    let kept = covered.iter().rposition(|byte| !is_base64(*byte)).map_or(0, |last| last + 1);
                    covered.truncate(kept);
                    at += line[at..].iter().take_while(|byte| is_base64(**byte)).count();
                }
                covered.extend_from_slice(with);
            } else {
                covered.push(line[at]);
                at += 1;
            }
        }
        covered
    }

    /// The form of a secret that stands there: as it is sent, or in other case, since servers shout commands back.
    fn form(&self, line: &[u8], at: usize, part: Part) -> Option<(usize, Looks)> {
        let stands_here = |form: &&Form| {
            let rest = &line[at..];
            let apart = || is_apart(line, at, form.bytes.len());
            let begins = rest.starts_with(&form.bytes)
                || (!form.looks.is_base64()
                    && rest.get(..form.bytes.len()).is_some_and(|start| start.eq_ignore_ascii_case(&form.bytes)));
            begins
                && match form.looks {
                    Looks::Unmistakable | Looks::Base64 => true,
                    Looks::Apart => part != Part::Offer && apart(),
                    Looks::Word => part == Part::Sentence && apart(),
                    Looks::WholeBase64 => {
                        let end = line.get(at + form.bytes.len());
                        let before = at.checked_sub(1).map(|before| line[before]);
                        let ends = |byte: Option<u8>| byte.is_none_or(|byte| !is_base64(byte));
                        part == Part::Sentence && ends(before) && ends(end.copied())
                    }
                }
        };
        self.forms.iter().find(stands_here).map(|form| (form.bytes.len(), form.looks))
    }

    /// A long piece of a secret, or the beginning of one where the line was cut. Words that are usual may be anybody's.
    fn piece(&self, line: &[u8], at: usize, cut: bool) -> Option<(usize, Looks)> {
        let rest = &line[at..];
        let is_odd = |length: usize| !words::are_usual(&String::from_utf8_lossy(whole_words(line, at, length)));
        let plain = run_length(&self.runs, rest).filter(|length| is_odd(*length));
        let run = plain.map(|length| (length, Looks::Unmistakable));
        let run = run.or_else(|| run_length(&self.runs_in_base64, rest).map(|length| (length, Looks::Base64)));
        run.or_else(|| {
            let cut = cut && rest.len() >= SHORTEST;
            let begins = |form: &&Form| cut && form.looks != Looks::WholeBase64 && form.bytes.starts_with(rest);
            let form = self.forms.iter().find(begins)?;
            (form.looks.is_base64() || is_odd(rest.len())).then_some((rest.len(), form.looks))
        })
    }
}

impl Usual {
    /// How long the password is that stands there, if what is around it shows that the server repeats a command of ours, or
    /// the user with it. In a line that is shown, less shows it.
    fn repeated(&self, line: &[u8], at: usize, is_judged: bool) -> Option<usize> {
        self.spellings.iter().find_map(|spelling| {
            // Double quotes go with it.
            let quote = usize::from(line[at] == b'"' && !spelling.starts_with('"'));
            let (from, length) = (at + quote, spelling.len());
            let here = line.get(from..from + length).filter(|here| here.eq_ignore_ascii_case(spelling.as_bytes()))?;
            let is_exact = here == spelling.as_bytes();
            let (before, behind) = (&line[..from], &line[from + length..]);
            if quote > 0 && behind.first() != Some(&b'"') {
                return None;
            }
            let is_echo =
                || self.behind_user(before) || behind_pass(before) || self.is_quoted_with_user(before, behind);
            let is_shown = || self.is_assigned(before) || (!self.is_word && self.is_near(before, behind));
            let repeated = is_apart(line, from, length)
                && (self.behind_login(before) || (is_exact && (is_echo() || (!is_judged && is_shown()))));
            repeated.then_some(length + 2 * quote)
        })
    }

    /// `a1 LOGIN joe …`, with or without quotes.
    fn behind_login(&self, before: &[u8]) -> bool {
        without_between(before)
            .and_then(|before| self.without_user(before))
            .and_then(without_between)
            .is_some_and(|before| without_word(before, "LOGIN").is_some())
    }

    /// `joe:…`, and what is sent in base64.
    fn behind_user(&self, before: &[u8]) -> bool {
        let user =
            before.strip_suffix(b":").or_else(|| before.strip_suffix(b"/")).or_else(|| before.strip_suffix(b"\0"));
        user.is_some_and(|before| self.without_user(before).is_some()) || before.ends_with(b"auth=Bearer ")
    }

    /// `"joe …"`, or the like with `(` or `<`.
    fn is_quoted_with_user(&self, before: &[u8], behind: &[u8]) -> bool {
        let user = without_end(before, b" \t,;:/").and_then(|before| self.without_user(before));
        let opens = user.and_then(|before| before.last()).is_some_and(|byte| b"\"'`(<[".contains(byte));
        opens && behind.first().is_some_and(|byte| b"\"'`)>]".contains(byte))
    }

    /// `password=…`, `password: …`, `password "…"`; where it is no word, `password …` too.
    fn is_assigned(&self, before: &[u8]) -> bool {
        let name = without_end(before, b" :=\"'`<([");
        let shows = |between: &[u8]| !self.is_word || between.iter().any(|byte| *byte != b' ');
        name.is_some_and(|name| {
            shows(&before[name.len()..]) && PASSWORD.iter().any(|it| without_word(name, it).is_some())
        })
    }

    /// `joe …`, or between quotes.
    fn is_near(&self, before: &[u8], behind: &[u8]) -> bool {
        let quote = before.last().filter(|quote| QUOTES.contains(quote));
        (quote.is_some() && quote == behind.first())
            || without_between(before).is_some_and(|before| self.without_user(before).is_some())
    }

    fn without_user<'text>(&self, before: &'text [u8]) -> Option<&'text [u8]> {
        self.users.iter().find_map(|user| without_word(before, user))
    }
}

/// What may stand between the words of a command that is repeated.
const BETWEEN: &[u8] = b" \t,;\"'`()<>[]";
const QUOTES: &[u8] = b"\"'`";

/// What servers call it.
const PASSWORD: [&str; 7] = ["password", "passwd", "passphrase", "pass", "pwd", "pw", "secret"];

/// `PASS …`, as it was sent.
fn behind_pass(before: &[u8]) -> bool {
    let before = without_end(before, b" \"'`").and_then(|before| before.strip_suffix(b"PASS"));
    before.is_some_and(|before| before.last().is_none_or(|byte| BETWEEN.contains(byte) || *byte == b':'))
}

/// The text without what may stand between the words of a command that it ends with; none if it ends with none of it.
fn without_between(text: &[u8]) -> Option<&[u8]> {
    let shorter = without_end(text, BETWEEN).or_else(|| {
        // `{3}` and `{3+}` announce a literal.
        let inside = text.strip_suffix(b"}")?;
        let inside = inside.strip_suffix(b"+").unwrap_or(inside);
        without_end(inside, b"0123456789")?.strip_suffix(b"{")
    })?;
    Some(without_between(shorter).unwrap_or(shorter))
}

/// The text without what of these bytes it ends with; none if it ends with none.
fn without_end<'text>(text: &'text [u8], bytes: &[u8]) -> Option<&'text [u8]> {
    let length = text.iter().rposition(|byte| !bytes.contains(byte)).map_or(0, |last| last + 1);
    (length < text.len()).then(|| &text[..length])
}

/// The text without the word that it ends with, in any case; none if it ends with another.
fn without_word<'text>(text: &'text [u8], word: &str) -> Option<&'text [u8]> {
    let at = text.len().checked_sub(word.len()).filter(|_| !word.is_empty())?;
    let (before, end) = text.split_at(at);
    (end.eq_ignore_ascii_case(word.as_bytes()) && is_apart(text, at, word.len())).then_some(before)
}

/// Whether what stands there is no piece of a longer word or number.
fn is_apart(line: &[u8], at: usize, length: usize) -> bool {
    let is_letter = |byte: Option<&u8>| byte.is_some_and(|byte| !byte.is_ascii() || byte.is_ascii_alphanumeric());
    let before = at.checked_sub(1).and_then(|before| line.get(before));
    let joins = |here: usize, neighbour: Option<&u8>| is_letter(line.get(here)) && is_letter(neighbour);
    !joins(at, before) && !joins((at + length).saturating_sub(1), line.get(at + length))
}

/// What stands there, with the rest of the words that it begins and ends in.
fn whole_words(line: &[u8], at: usize, length: usize) -> &[u8] {
    let before = line[..at].iter().rev().take_while(|byte| byte.is_ascii_alphanumeric()).count();
    let behind = line[at + length..].iter().take_while(|byte| byte.is_ascii_alphanumeric()).count();
    &line[at - before..at + length + behind]
}

/// Where the line says what the server offers.
fn offers(line: &[u8]) -> Range<usize> {
    let is = |start: &[u8]| line.get(..start.len()).is_some_and(|begins| begins.eq_ignore_ascii_case(start));
    if is(b"* CAPABILITY ") || is(b"250-") || is(b"250 AUTH ") || is(b"250 SIZE ") {
        return 0..line.len();
    }
    let code = b"[CAPABILITY ";
    let begin = line.windows(code.len()).position(|piece| piece.eq_ignore_ascii_case(code)).unwrap_or(line.len());
    let length = line[begin..].iter().position(|byte| *byte == b']').unwrap_or(line.len() - begin);
    begin..begin + length
}

/// Whether the line names mailboxes, and this is the name of one, or of its parent.
fn is_listed(line: &[u8], text: &[u8]) -> bool {
    let word = line.strip_prefix(b"* ").and_then(|rest| rest.split(|byte| *byte == b' ').next());
    let lists = word.is_some_and(|word| [b"LIST".as_slice(), b"LSUB", b"XLIST", b"STATUS"].contains(&word));
    lists && line.split(|byte| b" \"/.".contains(byte)).any(|name| name.eq_ignore_ascii_case(text))
}

fn contains(name: &[u8], text: &[u8]) -> bool {
    !text.is_empty() && name.windows(text.len()).any(|piece| piece.eq_ignore_ascii_case(text))
}

/// Our tags: `a12`.
fn is_tag(text: &str) -> bool {
    text.strip_prefix(['a', 'A']).is_some_and(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()))
}

fn runs<'forms>(forms: impl Iterator<Item = &'forms Form> + Clone) -> Runs {
    let of = |form: &'forms Form| form.bytes.windows(RUN).filter_map(|run| run.first_chunk::<RUN>().copied());
    // As long as it will be: a list that grows leaves copies behind.
    let mut runs = Zeroizing::new(Vec::with_capacity(forms.clone().map(|form| of(form).count()).sum()));
    runs.extend(forms.flat_map(of));
    runs.sort_unstable();
    runs
}

/// The text in ISO 8859-1, as old servers repeat it; none where that is the same, or cannot be.
fn latin1(text: &str) -> Option<Vec<u8>> {
    if text.is_ascii() { None } else { text.chars().map(|letter| u8::try_from(u32::from(letter)).ok()).collect() }
}

/// How much of the text's beginning is a piece of a secret.
fn run_length(runs: &Runs, text: &[u8]) -> Option<usize> {
    let is_run = |piece: &&[u8]| runs.binary_search_by(|run| run.as_slice().cmp(piece)).is_ok();
    let count = text.windows(RUN).take_while(is_run).count();
    (count > 0).then(|| count + RUN - 1)
}

fn is_base64(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'+' || byte == b'/'
}

/// Where the word behind the first so many begins; the line's end if there is none.
fn after_words(line: &[u8], words: usize) -> usize {
    let blanks = line.iter().enumerate().filter(|(_, byte)| **byte == b' ');
    words.checked_sub(1).map_or(0, |last| blanks.map(|(at, _)| at + 1).nth(last).unwrap_or(line.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "ya29.Cafe-Tok3n_x";

    fn mask_of<'secrets>(user: &str, secrets: impl IntoIterator<Item = &'secrets Secret>) -> Mask {
        let mask = Mask::default();
        secrets.into_iter().for_each(|secret| mask.learn(user, secret));
        mask
    }

    fn cover(mask: &Mask, line: &str) -> String {
        String::from_utf8(mask.cover(line.as_bytes(), false)).unwrap()
    }

    /// No piece of the secret's base64, wherever it began, that tells more than a byte or two.
    #[track_caller]
    fn tells_nothing(shown: &str, secret: &str) {
        assert!(!shown.contains(secret), "{shown}");
        for before in 0..3 {
            let text = ["x".repeat(before).as_str(), secret].concat();
            let encoded = STANDARD_NO_PAD.encode(text);
            for piece in encoded.as_bytes()[4..].windows(4) {
                assert!(!shown.contains(std::str::from_utf8(piece).unwrap()), "{shown}");
            }
        }
    }

    #[test]
    fn every_base64_text_that_holds_the_secret_is_masked_whole() {
        for secret in [SECRET, "pazz", "pässwörd", "0123456789"] {
            for user in ["", "j", "jo", "joe", "joe@example.org"] {
                let mask = mask_of(user, [&Secret::new(secret.to_owned())]);
                for text in [
                    secret.to_owned(),
                    format!("\0{user}\0{secret}"),
                    format!("{user}\0{user}\0{secret}"),
                    format!("user={user}\x01auth=Bearer {secret}\x01\x01"),
                    format!("n,a={user},\x01host=h\x01port=993\x01auth=Bearer {secret}\x01\x01"),
                ] {
                    let encoded = STANDARD.encode(&text);
                    let shown = cover(&mask, &format!("NO bad: {encoded}; try again"));
                    tells_nothing(&shown, secret);
                    assert_eq!(shown.replace('=', ""), "NO bad: ***; try again", "{text:?}");
                }
            }
        }
    }

    #[test]
    fn a_short_password_is_found_in_each_exchange_and_leaves_other_base64_alone() {
        for password in ["x", "no", "abc"] {
            let mask = mask_of("joe", [&Secret::new(password.to_owned())]);
            for text in [format!("\0joe\0{password}"), format!("user=joe\x01auth=Bearer {password}\x01\x01")] {
                let shown = cover(&mask, &format!("NO {}", STANDARD.encode(&text)));
                assert_eq!(shown.replace('=', ""), "NO ***");
            }
            let innocent = "NO dGhpcyBpcyBub25lIG9mIGl0";
            assert_eq!(cover(&mask, innocent), innocent);
        }
    }

    #[test]
    fn where_the_line_was_cut_the_beginning_is_masked_with_what_stands_before_it() {
        let mask = mask_of("joe", [&Secret::new(SECRET.to_owned())]);
        let encoded = STANDARD.encode(format!("user=joe\x01auth=Bearer {SECRET}\x01\x01"));
        let secret_begins = "user=joe\x01auth=Bearer ".len() * 4 / 3 + 1;
        for end in secret_begins + 4..encoded.len() {
            let line = format!("NO {}", &encoded[..end]);
            let shown = String::from_utf8(mask.cover(line.as_bytes(), true)).unwrap();
            assert_eq!(shown.trim_end_matches('='), "NO ***", "cut at {end}");
        }
    }

    #[test]
    fn where_the_server_breaks_its_lines_no_long_piece_of_the_secret_is_left() {
        let token = "ya29.a0AfH6SMBx-Cafe_Tok3n.".repeat(9);
        let mask = mask_of("joe", [&Secret::new(token.clone())]);
        let encoded = STANDARD.encode(format!("user=joe\x01auth=Bearer {token}\x01\x01"));
        for text in [token, encoded] {
            for (line, next) in [(40, 76), (76, 76), (17, 30)] {
                let (first, rest) = text.split_at(line + 40);
                for piece in [&first[40..], &rest[..next]] {
                    assert_eq!(cover(&mask, &format!("NO {piece}")), "NO ***", "{piece}");
                }
            }
        }
    }

    #[test]
    fn of_several_secrets_each_is_found() {
        let [one, two, short] = ["ya29.first", "ya29.second", "abc"].map(|word| Secret::new(word.to_owned()));
        let mask = mask_of("joe", [&one, &two, &short]);
        assert_eq!(cover(&mask, "NO ya29.first, ya29.second, \"abc\", abc"), "NO ***, ***, ***, abc");
    }

    #[test]
    fn a_transcript_holds_no_sign_in_whatever_its_words_are() {
        let mask = mask_of("joe", [&Secret::new(SECRET.to_owned())]);
        let shown = |line: &str, confidential| {
            String::from_utf8(mask.transcribe(line.as_bytes(), confidential, Part::Sentence, false, &[])).unwrap()
        };
        for (line, confidential, expected) in [
            ("a1 LOGIN \"other\" \"a b\"\r\n", Confidential::After(2), "a1 LOGIN ***\r\n"),
            ("PASS two words\r\n", Confidential::After(1), "PASS ***\r\n"),
            ("AUTH PLAIN AGpvZQB4\r\n", Confidential::After(2), "AUTH PLAIN ***\r\n"),
            ("AUTH PLAIN\r\n", Confidential::After(2), "AUTH PLAIN\r\n"),
            ("AGpvZQB4\n", Confidential::All, "***\n"),
            ("\r\n", Confidential::All, "\r\n"),
            ("+ cj0x\r\n", Confidential::After(1), "+ ***\r\n"),
            ("a2 NOOP\r\n", Confidential::Nothing, "a2 NOOP\r\n"),
            ("a2 NO ya29.Cafe-Tok3n_x?\r\n", Confidential::Nothing, "a2 NO ***?\r\n"),
        ] {
            assert_eq!(shown(line, confidential), expected);
        }
    }

    #[test]
    fn a_password_of_usual_words_is_found_where_a_command_is_repeated_and_hides_no_word() {
        for password in ["ok", "auth", "LOGIN", "plain", "scram", "a", "locked", "joe", "1234", "Too many connections"]
        {
            let mask = mask_of("joe", [&Secret::new(password.to_owned())]);
            let shout = password.to_ascii_uppercase();
            for own in [
                "OK LOGIN Ok.",
                "* CAPABILITY IMAP4rev1 SASL-IR AUTH=PLAIN AUTH=LOGIN AUTH=SCRAM-SHA-256",
                "250-AUTH PLAIN LOGIN",
                "NO [AUTHENTICATIONFAILED] user joe is locked, too many connections, a login is not ok in plain",
                "BAD unknown command \"LOGIN\"",
                "504 5.5.4 Unrecognized authentication mechanism \"plain\"",
                "535 5.7.139 basic authentication is 'locked'",
                "NO the password is locked; password ok, 'Too many connections'",
                "* CAPABILITY PASSWORD=LOGIN LOGIN joe ok",
                "+OK joe's maildrop has 1234 messages",
                "-ERR [AUTH] PLAIN auth is locked",
                "a1 OK",
            ] {
                assert_eq!(cover(&mask, own), own, "{password}");
            }
            for (repeated, shown) in [
                (format!("BAD unknown: a1 LOGIN joe {password}"), "BAD unknown: a1 LOGIN joe ***"),
                (format!("BAD a1 LOGIN \"joe\" \"{password}\"?"), "BAD a1 LOGIN \"joe\" ***?"),
                (format!("BAD A1 LOGIN JOE {shout}"), "BAD A1 LOGIN JOE ***"),
                (format!("BAD arguments (joe {password})"), "BAD arguments (joe ***)"),
                (format!("-ERR unknown command: PASS {password}"), "-ERR unknown command: PASS ***"),
                (format!("-ERR PASS {password}"), "-ERR PASS ***"),
                (format!("535 5.7.8 joe:{password}"), "535 5.7.8 joe:***"),
                (format!("535 user=joe password={password}"), "535 user=joe password=***"),
                (format!("-ERR invalid command PASS {password} (line 2)"), "-ERR invalid command PASS *** (line 2)"),
                (format!("-ERR PASS {password}: refused"), "-ERR PASS ***: refused"),
                (format!("BAD in \"LOGIN {{3}} joe {{6+}} {password}\""), "BAD in \"LOGIN {3} joe {6+} ***\""),
                (format!("NO password: {password}"), "NO password: ***"),
                (format!("NO password '{password}'"), "NO password '***'"),
                (format!("NO given (joe; {password})"), "NO given (joe; ***)"),
                (format!("NO {} no", STANDARD.encode(password)), "NO *** no"),
                (format!("NO AUTH PLAIN {}", STANDARD.encode(format!("\0joe\0{password}"))), "NO AUTH PLAIN ***"),
            ] {
                if repeated == "535 user=joe password=joe" {
                    continue;
                }
                assert_eq!(cover(&mask, &repeated).replace("***=", "***").replace("***=", "***"), shown, "{password}");
            }
        }
    }

    #[test]
    fn a_short_password_that_is_no_word_is_found_beside_the_user_and_what_a_password_is_called() {
        for password in ["abc", "ab1", "12345", "x!"] {
            let mask = mask_of("ann@example.org", [&Secret::new(password.to_owned())]);
            for line in [
                "NO wrong password # for ann",
                "NO pass: #; '#' (ann; #)",
                "NO ann@example.org # ann # 'ann' '#'",
                "BAD login ann #",
                "* OK hi ann/#",
                "BAD \"LOGIN {3+} ann {5} #\"",
            ] {
                assert_eq!(
                    cover(&mask, &line.replace('#', password)).replace('"', ""),
                    line.replace('#', "***").replace('"', "")
                );
            }
            let own = "NO ann has abcd, 1234512345, 12345 of them and ab12";
            assert_eq!(cover(&mask, own), own, "{password}");
        }
    }

    #[test]
    fn what_a_server_offers_is_shown_whatever_the_password_is() {
        let mask = mask_of("joe", [&Secret::new("Sunflower".to_owned())]);
        for line in ["* CAPABILITY IMAP4rev1 SUNFLOWER X-SUNFLOWER", "250-sunflower.example.net", "250 AUTH SUNFLOWER"]
        {
            assert_eq!(cover(&mask, line), line);
        }
        let line = "OK [CAPABILITY SUNFLOWER] Sunflower";
        assert_eq!(cover(&mask, line), "OK [CAPABILITY SUNFLOWER] ***");
        let mask = mask_of("joe", [&Secret::new(SECRET.to_owned()), &Secret::new("12345678".to_owned())]);
        assert_eq!(cover(&mask, &format!("250-SIZE 12345678 X-{SECRET}")), "250-SIZE 12345678 X-***");
        assert_eq!(mask.cover_offer(&format!("SIZE 12345678 X-{SECRET}")), "SIZE 12345678 X-***");
    }

    #[test]
    fn what_is_decided_on_has_a_neutral_word_where_a_command_was_repeated() {
        let mask = mask_of("joe", [&Secret::new("Too many connections".to_owned())]);
        let own = |line: &str| String::from_utf8(mask.own_words(line.as_bytes())).unwrap();
        assert_eq!(own("NO Too many connections"), "NO Too many connections");
        assert_eq!(own("NO bad: LOGIN joe \"too many connections\""), "NO bad: LOGIN joe zz");
        assert_eq!(own("NO \"Too many connections\""), "NO \"Too many connections\"");
        assert_eq!(own("NO password: Too many connections"), "NO password: Too many connections");
        let mask = mask_of("joe", [&Secret::new("Sunshine".to_owned())]);
        assert_eq!(mask.own_words(b"NO Sunshine/locked/now"), b"NO zz/locked/now");
    }

    #[test]
    fn letters_and_digits_are_found_apart_and_no_piece_of_a_word_is() {
        let mask = |password: &str| mask_of("joe", [&Secret::new(password.to_owned())]);
        for (password, line, shown) in [
            ("ions", "NO too many connections", "NO too many connections"),
            ("sunshine", "NO wrong password Sunshine.", "NO wrong password ***."),
            ("sunshine", "NO sunshines", "NO sunshines"),
            ("123456", "NO wrong password 123456", "NO wrong password ***"),
            ("123456", "+OK 3 123456", "+OK 3 ***"),
            ("123456", "a2 OK LOGIN joe \"123456\" ok", "a2 OK LOGIN joe \"***\" ok"),
            ("123456", "* OK hi joe/123456", "* OK hi joe/***"),
            ("123456", "334 PASS 123456", "334 PASS ***"),
            ("123456", "+OK id0123456 1234567", "+OK id0123456 1234567"),
            ("hunter2", "NO hunter22 is not HUNTER2", "NO hunter22 is not ***"),
            (
                "authentication!dude9",
                "NO Authentication failed: authentication!",
                "NO Authentication failed: authentication!",
            ),
            ("authentication!dude9", "NO authentication!dud", "NO ***"),
        ] {
            assert_eq!(cover(&mask(password), line), shown, "{password}");
        }
        let data = |password: &str, line: &str| {
            let shown = mask(password).transcribe(line.as_bytes(), Confidential::Nothing, Part::Data, false, &[]);
            String::from_utf8(shown).unwrap()
        };
        for (password, line, shown) in [
            ("sunshine", "* LIST () \"/\" sunshine", "* LIST () \"/\" sunshine"),
            ("Archive-2024", "* LIST () \"/\" \"Work/Archive-2024\"", "* LIST () \"/\" \"Work/***\""),
            (
                "plain",
                "(\"text\" \"plain\" (\"charset\" \"us-ascii\"))",
                "(\"text\" \"plain\" (\"charset\" \"us-ascii\"))",
            ),
            ("Archive-2024", "your password is Archive-2024", "your password is ***"),
        ] {
            assert_eq!(data(password, line), shown, "{password}");
        }
        let mask = mask("Archive-2024");
        let names = ["Work/Archive-2024".to_owned()];
        let line = "NO no such mailbox: Archive-2024";
        assert_eq!(mask.cover_beside(line.as_bytes(), false, &names), line.as_bytes());
    }

    #[test]
    fn a_mask_for_nothing_finds_nothing() {
        for mask in [Mask::default(), mask_of("joe", [&Secret::new(String::new())])] {
            assert_eq!(cover(&mask, "NO AGpvZQA= joe"), "NO AGpvZQA= joe");
        }
    }
}
