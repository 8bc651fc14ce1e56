//! Signing in over a protocol: when it is one's turn, which way, and the exchange carried to its end.

use std::sync::atomic::Ordering;
use std::time::Instant;

use base64::Engine;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig, STANDARD};
use zeroize::Zeroizing;

use super::capabilities::Capabilities;
use super::credentials::Presented;
use super::cure::Tried;
use super::endpoint::Security;
use super::failure::{Failure, FailureKind, Stage};
use super::lines::Lines;
use super::opening::Opening;
use super::sasl::{ACCEPTS_UNREAD, Exchange, Mechanism, Native, Offered, Way, choose};
use super::secret::Secret;
use super::session::DialEvent;

/// A server that asks more often than any mechanism does wants something else.
const MOST_TURNS: usize = 16;
/// Servers pad as they like.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// What a server answers within a sign-in, if it does not refuse it.
pub(super) enum Turn {
    /// It asks, in base64.
    Asks(Vec<u8>),
    /// It is content.
    Accepts,
}

/// One protocol's way to carry a sign-in. Lines are handed over in base64, without their end.
pub(super) trait Carrier {
    /// The protocol's own command, if the server takes it here and it can carry both.
    fn native(&self, offered: &Capabilities, user: &str, secret: &Secret) -> Option<Native>;

    /// Signs in by it.
    fn sign_in_natively(&mut self, user: &str, secret: &Secret) -> Result<(), Failure>;

    /// Whether the command that begins a SASL exchange can carry that first answer.
    fn takes(&self, first: &[u8]) -> bool;

    /// Begins a SASL exchange; with the client's first answer, where one is given.
    fn start(&mut self, mechanism: Mechanism, first: Option<&[u8]>) -> Result<Turn, Failure>;

    /// Answers what the server asked.
    fn answer(&mut self, line: &[u8]) -> Result<Turn, Failure>;
}

/// How SMTP (RFC 4954) and POP3 (RFC 5034) carry a sign-in: by AUTH, which is the same line in both.
pub(super) struct LineCarrier<'lines> {
    pub(super) lines: &'lines mut Lines,
    /// The longest first answer that fits into a line with its command.
    pub(super) longest_first: usize,
    /// Reads what the server answers.
    pub(super) turn: fn(&mut Lines) -> Result<Turn, Failure>,
    /// Signs in by the protocol's own command, where it has one.
    pub(super) user_pass: Option<UserPass>,
}

type UserPass = fn(&mut Lines, &str, &Secret) -> Result<(), Failure>;

impl Carrier for LineCarrier<'_> {
    fn native(&self, offered: &Capabilities, user: &str, secret: &Secret) -> Option<Native> {
        let fits = |text: &str| !text.contains(['\r', '\n', '\0']) && text.len() <= 4096;
        // A server that does not say what it can do knows the oldest way.
        let knows = offered.has("USER") || offered.iter().next().is_none();
        (self.user_pass.is_some() && knows && fits(user) && fits(secret.expose())).then_some(Native::UserPass)
    }

    fn sign_in_natively(&mut self, user: &str, secret: &Secret) -> Result<(), Failure> {
        let sign_in = self.user_pass.ok_or_else(|| {
            let message = "the protocol has no command of its own to sign in by";
            Failure::new(FailureKind::Internal, Stage::Auth, message)
        })?;
        sign_in(self.lines, user, secret)
    }

    fn takes(&self, first: &[u8]) -> bool {
        first.len() <= self.longest_first
    }

    fn start(&mut self, mechanism: Mechanism, first: Option<&[u8]>) -> Result<Turn, Failure> {
        match first {
            // An empty one is written as "=".
            Some(b"") => self.lines.say(&format!("AUTH {mechanism} =")),
            Some(first) => {
                let first = Zeroizing::new(String::from_utf8_lossy(first).into_owned());
                self.lines.say(&Zeroizing::new(format!("AUTH {mechanism} {}", first.as_str())));
            }
            None => self.lines.say(&format!("AUTH {mechanism}")),
        }
        self.lines.send()?;
        (self.turn)(self.lines)
    }

    fn answer(&mut self, line: &[u8]) -> Result<Turn, Failure> {
        self.lines.send_content(&Zeroizing::new([line, b"\r\n"].concat()))?;
        (self.turn)(self.lines)
    }
}

impl Opening<'_> {
    /// Signs in, carefully (rule B6). `since` is when its phase began. The goodbye after a failure is the caller's.
    ///
    /// Returns the name of the mechanism, or of the protocol's own command.
    pub(super) fn sign_in(
        &mut self,
        carrier: &mut impl Carrier,
        offered: &Capabilities,
        since: Instant,
    ) -> Result<&'static str, Failure> {
        match self.present(carrier, offered) {
            Ok(by) => {
                self.accepted();
                self.account.worked.store(true, Ordering::Release);
                self.phases.sign_in = Some(since.elapsed().saturating_sub(self.waited));
                self.signed_in_at = Some(Instant::now());
                self.tell(DialEvent::SignedIn);
                Ok(by)
            }
            Err(failure) => {
                self.fails_now();
                // A goodbye may take its time, and others wait.
                if self.token_refused.is_none() {
                    self.tell_the_gate(&failure);
                }
                Err(failure)
            }
        }
    }

    fn present(&mut self, carrier: &mut impl Carrier, offered: &Capabilities) -> Result<&'static str, Failure> {
        self.token_refused = None;
        let settings = &self.account.settings;
        let endpoint = &settings.endpoint;
        let (credentials, secret) = self.what_to_present()?;
        let presented =
            Presented::new(&endpoint.user, secret, &self.account.mask).inspect_err(|_| self.is_told = true)?;
        let credentials = &*credentials;
        self.account.live.check(Stage::Auth)?;
        if endpoint.user.contains('\0') || presented.secret.expose().contains('\0') {
            let message = "the user or the password holds a NUL, which no way to sign in can carry; use another";
            return Err(Failure::new(FailureKind::AuthUnsupported, Stage::Auth, message));
        }
        let is_password = !credentials.is_token();
        let native = carrier.native(offered, &endpoint.user, &presented.secret).filter(|_| is_password);
        let mechanisms = Offered::read(offered.mechanisms(endpoint.protocol)).shown_by(&self.account.mask);
        let encrypted = endpoint.security != Security::Plain;
        let way = choose(credentials, &mechanisms, native, settings.auth, encrypted, &self.known.without_a_way())?;
        let (name, done) = match (way, native) {
            (Way::Native, native) => {
                let name = native.map_or("", Native::name);
                self.tries(name, Way::Native);
                (name, carrier.sign_in_natively(&endpoint.user, &presented.secret))
            }
            (Way::Sasl(mechanism), _) => (mechanism.name(), self.exchange(carrier, mechanism, &presented)),
        };
        done.inspect_err(|failure| self.refused(failure, credentials, &presented.secret))?;
        self.account.took(&presented.secret);
        Ok(name)
    }

    fn tries(&mut self, name: &'static str, way: Way) {
        self.tell(DialEvent::SigningIn(name));
        self.sign_in_attempted = true;
        self.known.tried = Some(Tried { name, way, by_flag: self.account.settings.auth.is_some() });
    }

    fn exchange(
        &mut self,
        carrier: &mut impl Carrier,
        mechanism: Mechanism,
        presented: &Presented,
    ) -> Result<(), Failure> {
        let endpoint = &self.account.settings.endpoint;
        let mut exchange = Exchange::new(mechanism, &endpoint.user, presented, &endpoint.host, endpoint.port)?;
        let initial = exchange.initial()?.map(|initial| encoded(&initial));
        self.tries(mechanism.name(), Way::Sasl(mechanism));
        let initial = initial.as_ref().map(|initial| initial.as_slice());
        let carried = self.carry(carrier, mechanism, &mut exchange, initial);
        self.known.exchange_said = exchange.server_error().map(str::to_owned);
        carried
    }

    /// Begins the exchange, and gives the first answer. A server that does not understand the two at once (BAD, 501) is
    /// asked once more without the answer: nothing was refused yet, so rule B6 is kept. A broken session refuses that too.
    fn begin(
        &mut self,
        carrier: &mut impl Carrier,
        mechanism: Mechanism,
        initial: Option<&[u8]>,
    ) -> Result<Turn, Failure> {
        let turn = match initial.filter(|initial| carrier.takes(initial)) {
            None => carrier.start(mechanism, None)?,
            at_once => match carrier.start(mechanism, at_once) {
                Err(failure) if failure.kind == FailureKind::ServerBad => {
                    self.tell(DialEvent::FirstAnswerRefused(&failure));
                    carrier.start(mechanism, None).map_err(|again| {
                        // It hung up with its refusal: that says more than the end of the session.
                        if again.kind == FailureKind::Closed { failure } else { again }
                    })?
                }
                answered => return answered,
            },
        };
        match (turn, initial) {
            (Turn::Asks(_), Some(initial)) => carrier.answer(initial),
            (Turn::Accepts, Some(_)) => Err(Failure::new(FailureKind::Protocol, Stage::Auth, ACCEPTS_UNREAD)),
            (turn, _) => Ok(turn),
        }
    }

    fn carry(
        &mut self,
        carrier: &mut impl Carrier,
        mechanism: Mechanism,
        exchange: &mut Exchange,
        initial: Option<&[u8]>,
    ) -> Result<(), Failure> {
        let mut turn = self.begin(carrier, mechanism, initial)?;
        for _ in 0..MOST_TURNS {
            turn = match turn {
                Turn::Accepts => return exchange.finish().inspect_err(|_| self.distrusts = true),
                Turn::Asks(line) => match decoded(&line, exchange).and_then(|challenge| exchange.step(&challenge)) {
                    Ok(answer) => carrier.answer(&encoded(&answer))?,
                    Err(failure) => {
                        self.distrusts = true;
                        // RFC 4954 §4, RFC 9051 §6.2.2, RFC 5034 §4: how an exchange is called off. Its refusal is no
                        // news.
                        let _ = carrier.answer(b"*");
                        return Err(failure);
                    }
                },
            };
        }
        let message = "the server asks on and on; no mechanism takes so many turns";
        Err(Failure::new(FailureKind::Protocol, Stage::Auth, message))
    }
}

fn encoded(bytes: &[u8]) -> Zeroizing<Vec<u8>> {
    let mut line = Zeroizing::new(vec![0; bytes.len().div_ceil(3) * 4]);
    // It is as long as the text needs, so there is nothing that could fail.
    let length = STANDARD.encode_slice(bytes, &mut line).unwrap_or_default();
    line.truncate(length);
    line
}

fn decoded(line: &[u8], exchange: &Exchange) -> Result<Vec<u8>, Failure> {
    BASE64.decode(line.trim_ascii()).map_err(|_| {
        let message = "the server's challenge is not base64";
        // Then it is a text, and no secret that both sides share.
        Failure::new(FailureKind::Protocol, Stage::Auth, message).with_line(&exchange.masked(line))
    })
}
