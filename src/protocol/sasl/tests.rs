//! Each mechanism byte for byte, and SCRAM against a server's side of our own, which RFC 7677's example vouches for.

use std::num::NonZeroU32;
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ring::{digest, hmac, pbkdf2};

use super::*;

const TOKEN: &str = "ya29.vF9dft4qmTc2Nvb3RlckBhdHRhdmlzdGEuY29tCg==";

fn present(secret: &str) -> Presented {
    Presented::new("joe", Secret::new(secret.to_owned()), &Arc::default()).ok().unwrap()
}

fn exchange(mechanism: Mechanism, user: &str, secret: &str) -> Exchange {
    Exchange::new(mechanism, user, &present(secret), "mail.example.org", 993).ok().unwrap()
}

fn first(exchange: &mut Exchange) -> Vec<u8> {
    exchange.initial().unwrap().unwrap().to_vec()
}

#[track_caller]
fn failure<T>(outcome: Result<T, Failure>) -> Failure {
    outcome.err().expect("it must fail")
}

#[test]
fn plain_says_all_at_once_and_has_no_more_to_say() {
    let mut plain = exchange(Mechanism::Plain, "joe", "s3cret");
    assert_eq!(first(&mut plain), b"\0joe\0s3cret");
    assert_eq!(plain.finish(), Ok(()));
    assert_eq!(failure(plain.step(b"")).kind, FailureKind::Protocol);
}

#[test]
fn login_answers_each_question_whatever_its_words_are() {
    let mut login = exchange(Mechanism::Login, "joe", "pässwörd");
    assert!(login.initial().unwrap().is_none());
    assert_eq!(**login.step(b"Username:").unwrap(), *b"joe");
    assert_eq!(**login.step(b"Kennwort").unwrap(), *"pässwörd".as_bytes());
    assert_eq!(login.finish(), Ok(()));
    assert_eq!(failure(login.step(b"Again?")).kind, FailureKind::Protocol);
}

#[test]
fn xoauth2_is_written_as_its_page_shows_it() {
    let mut xoauth2 = exchange(Mechanism::XOAuth2, "joe@example.org", TOKEN);
    let expected = format!("user=joe@example.org\x01auth=Bearer {TOKEN}\x01\x01");
    assert_eq!(first(&mut xoauth2), expected.as_bytes());
    assert_eq!(xoauth2.finish(), Ok(()));
}

#[test]
fn oauthbearer_is_written_as_rfc_7628_shows_it() {
    let mut bearer = exchange(Mechanism::OAuthBearer, "joe@example.org", TOKEN);
    let expected = format!("n,a=joe@example.org,\x01host=mail.example.org\x01port=993\x01auth=Bearer {TOKEN}\x01\x01");
    assert_eq!(first(&mut bearer), expected.as_bytes());
    let mut bearer = exchange(Mechanism::OAuthBearer, "a=b,c", TOKEN);
    assert!(first(&mut bearer).starts_with(b"n,a=a=3Db=2Cc,\x01host="), "no user can forge a header");
}

#[test]
fn a_refused_token_is_answered_as_each_mechanism_asks_and_its_status_is_kept() {
    let status = br#"{"status":"401","schemes":"bearer","scope":"https://mail.example.org/"}"#;
    for (mechanism, farewell) in [(Mechanism::XOAuth2, b"".as_slice()), (Mechanism::OAuthBearer, b"\x01")] {
        for challenge in [status.as_slice(), b"", b"\xff\x1b[2J"] {
            let mut exchange = exchange(mechanism, "joe", TOKEN);
            first(&mut exchange);
            assert_eq!(exchange.server_error(), None);
            assert_eq!(**exchange.step(challenge).unwrap(), *farewell);
            assert_eq!(exchange.server_error(), Some(printable(challenge).as_str()));
            assert_eq!(failure(exchange.step(b"")).kind, FailureKind::Protocol, "one farewell is enough");
        }
    }
    let mut exchange = exchange(Mechanism::XOAuth2, "joe", TOKEN);
    first(&mut exchange);
    exchange.step(format!("expired: {TOKEN}").as_bytes()).unwrap();
    assert_eq!(exchange.server_error(), Some("expired: ***"));
}

#[test]
fn what_a_mechanism_cannot_carry_is_said_before_anything_is() {
    for (mechanism, user, secret) in [
        (Mechanism::Plain, "", "s3cret"),
        (Mechanism::Plain, "joe", ""),
        (Mechanism::XOAuth2, "joe\x01auth=Bearer other", TOKEN),
        (Mechanism::XOAuth2, "joe", "two words"),
        (Mechanism::OAuthBearer, "joe", "a\x01b"),
        (Mechanism::OAuthBearer, "joe", "pässwörd"),
    ] {
        let failure = failure(Exchange::new(mechanism, user, &present(secret), "h", 1));
        assert_eq!((failure.kind, failure.stage), (FailureKind::AuthUnsupported, Stage::Auth), "{user:?} {secret:?}");
        assert!(secret.is_empty() || !failure.message.contains(secret), "{failure}");
    }
}

/// What a server knows and computes (RFC 5802 §3), over another library than the client's.
struct Scram {
    salted: [u8; 32],
    salt: Vec<u8>,
    rounds: u32,
}

impl Scram {
    fn new(password: &str, salt: &[u8], rounds: u32) -> Self {
        let mut salted = [0; 32];
        let count = NonZeroU32::new(rounds).unwrap();
        pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA256, count, salt, password.as_bytes(), &mut salted);
        Self { salted, salt: salt.to_vec(), rounds }
    }

    fn first(&self, nonce: &str) -> String {
        format!("r={nonce},s={},i={}", STANDARD.encode(&self.salt), self.rounds)
    }

    /// The client's proof and the server's signature over these messages.
    fn proof_and_signature(
        &self,
        client_first_bare: &str,
        server_first: &str,
        without_proof: &str,
    ) -> (String, String) {
        let mac = |key: &[u8], text: &str| hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), text.as_bytes());
        let messages = format!("{client_first_bare},{server_first},{without_proof}");
        let client_key = mac(&self.salted, "Client Key");
        let stored_key = digest::digest(&digest::SHA256, client_key.as_ref());
        let client_signature = mac(stored_key.as_ref(), &messages);
        let proof: Vec<u8> = client_key.as_ref().iter().zip(client_signature.as_ref()).map(|(a, b)| a ^ b).collect();
        let signature = mac(mac(&self.salted, "Server Key").as_ref(), &messages);
        (STANDARD.encode(proof), STANDARD.encode(signature))
    }

    /// Talks to the client: whether its proof is right, and the server's last word if it is.
    #[track_caller]
    fn meet(&self, client: &mut Exchange) -> Result<String, ()> {
        let hello = String::from_utf8(first(client)).unwrap();
        let bare = hello.strip_prefix("n,,").expect("no channel binding was looked for");
        let nonce = format!("{}server", bare.split_once(",r=").unwrap().1);
        let server_first = self.first(&nonce);
        let answer = String::from_utf8(client.step(server_first.as_bytes()).unwrap().to_vec()).unwrap();
        let (without_proof, proof) = answer.split_once(",p=").unwrap();
        assert_eq!(without_proof, format!("c=biws,r={nonce}"));
        let (expected, signature) = self.proof_and_signature(bare, &server_first, without_proof);
        if proof == expected { Ok(format!("v={signature}")) } else { Err(()) }
    }
}

#[test]
fn our_servers_side_agrees_with_the_example_of_rfc_7677() {
    let nonce = "rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0";
    let scram = Scram::new("pencil", &STANDARD.decode("W22ZaJ0SNY7soEsUEjb6gQ==").unwrap(), 4096);
    assert_eq!(scram.first(nonce), format!("r={nonce},s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"));
    let (proof, signature) =
        scram.proof_and_signature("n=user,r=rOprNGfwEbeRWgbNEkqO", &scram.first(nonce), &format!("c=biws,r={nonce}"));
    assert_eq!(proof, "dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=");
    assert_eq!(signature, "6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=");
}

#[test]
fn scram_proves_both_sides_to_each_other() {
    for (user, password, prepared) in
        [("joe", "s3cret", "s3cret"), ("a=b,c", "p,=w", "p,=w"), ("joe", "I\u{ad}X\u{2168}", "IXIX")]
    {
        let mut client = exchange(Mechanism::ScramSha256, user, password);
        let last = Scram::new(prepared, b"salt", 4096).meet(&mut client).expect("the password is right");
        assert_eq!(**client.step(last.as_bytes()).unwrap(), *b"");
        assert_eq!(client.finish(), Ok(()));
        assert_eq!(failure(client.step(b"")).kind, FailureKind::Protocol);
    }
}

#[test]
fn scram_tells_a_server_nothing_that_it_does_not_know() {
    let mut client = exchange(Mechanism::ScramSha256, "joe", "s3cret");
    assert_eq!(Scram::new("other", b"salt", 4096).meet(&mut client), Err(()));
    assert_eq!(**client.step(b"e=invalid-proof").unwrap(), *b"");
    assert_eq!(client.server_error(), Some("e=invalid-proof"));
    assert_eq!(client.finish(), Err(unproven()));
}

#[test]
fn a_server_that_proves_nothing_is_not_believed() {
    let scram = Scram::new("s3cret", b"salt", 4096);
    let forged = format!("v={}", STANDARD.encode([7; 32]));
    for last in [forged.as_str(), "v=", "v=AA==", "v=!", "v", "x=", ","] {
        let mut client = exchange(Mechanism::ScramSha256, "joe", "s3cret");
        let right = scram.meet(&mut client).expect("the password is right");
        assert_ne!(right, last);
        let refused = failure(client.step(last.as_bytes()));
        assert_eq!((refused.kind, refused.stage), (FailureKind::Protocol, Stage::Auth), "{last}");
        assert_eq!(client.finish(), Err(unproven()), "{last}");
        assert!(client.step(right.as_bytes()).is_err(), "there is no second chance");
    }
    let mut client = exchange(Mechanism::ScramSha256, "joe", "s3cret");
    scram.meet(&mut client).expect("the password is right");
    assert_eq!(client.finish(), Err(unproven()), "a success out of the blue");
    assert_eq!(exchange(Mechanism::ScramSha256, "joe", "s3cret").finish(), Err(unproven()));
}

#[test]
fn challenges_have_bounds() {
    for challenge in [
        "r={nonce}x,s=c2FsdA==,i=4294967295",
        "r={nonce}x,s=c2FsdA==,i=2000001",
        "r={nonce}x,s=c2FsdA==,i=99999999999999999999999",
        "r={nonce}x,s=c2FsdA==,i=0",
        "r={nonce},s=c2FsdA==,i=4096",
        "r=other,s=c2FsdA==,i=4096",
        "r={nonce}x,s=c2FsdA==,i=-1",
        "r={nonce}x,s=c2FsdA==,i",
        "r={nonce}x,s,i=4096",
        "r={nonce}x,,i=4096",
        "r={nonce}x,s=c2FsdA==",
        "r={nonce}x,s=?,i=4096",
        "m=new,r={nonce}x,s=c2FsdA==,i=4096",
        "\u{fffd}",
        "",
    ] {
        let mut client = exchange(Mechanism::ScramSha256, "joe", "s3cret");
        let hello = String::from_utf8(first(&mut client)).unwrap();
        let nonce = hello.split_once(",r=").unwrap().1;
        let started = Instant::now();
        let refused = failure(client.step(challenge.replace("{nonce}", nonce).as_bytes()));
        assert_eq!(refused.kind, FailureKind::Protocol, "{challenge}");
        assert!(started.elapsed() < Duration::from_secs(1), "{challenge}: nothing was hashed");
    }
    for mechanism in Mechanism::ALL {
        let mut exchange = exchange(mechanism, "joe", TOKEN);
        exchange.initial().unwrap();
        assert_eq!(failure(exchange.step(&[b'x'; LONGEST_CHALLENGE + 1])).kind, FailureKind::Protocol);
    }
}

#[test]
fn no_challenge_makes_it_panic() {
    let mut random = fastrand::Rng::with_seed(7677);
    // No digits: what asks for many rounds and stays within the bound takes its time.
    let pieces = b"=,,rsivmep+/-\0\xff AZ";
    let scram = Scram::new("s3cret", b"salt", 4096);
    for _ in 0..2_000 {
        let mut spoil = |text: String| {
            let mut bytes = text.into_bytes();
            for _ in 0..random.usize(1..4) {
                let at = random.usize(..bytes.len());
                match random.u8(..4) {
                    0 => bytes.truncate(at.max(1)),
                    1 => drop(bytes.remove(at)),
                    2 => bytes.insert(at, pieces[random.usize(..pieces.len())]),
                    _ => bytes[at] = pieces[random.usize(..pieces.len())],
                }
                if bytes.is_empty() {
                    bytes.push(b',');
                }
            }
            bytes
        };
        let mut client = exchange(Mechanism::ScramSha256, "joe", "s3cret");
        let hello = String::from_utf8(first(&mut client)).unwrap();
        let nonce = format!("{}server", hello.split_once(",r=").unwrap().1);
        let spoiled = spoil(scram.first(&nonce));
        if client.step(&spoiled).is_ok() {
            let proven = client.step(&spoiled).is_ok() && client.finish().is_ok();
            assert!(!proven, "{}", printable(&spoiled));
        }
        let mut client = exchange(Mechanism::ScramSha256, "joe", "s3cret");
        let right = scram.meet(&mut client).expect("the password is right");
        let spoiled = spoil(right.clone());
        let proves = right.as_bytes() == spoiled || spoiled.starts_with(format!("{right},").as_bytes());
        let proven = client.step(&spoiled).is_ok() && client.finish().is_ok();
        assert_eq!(proven, proves, "{}", printable(&spoiled));
    }
}

#[test]
fn the_first_answer_is_given_once_and_first() {
    for mechanism in Mechanism::ALL {
        assert_eq!(failure(exchange(mechanism, "joe", TOKEN).step(b"")).kind, FailureKind::Internal);
        let mut exchange = exchange(mechanism, "joe", TOKEN);
        assert!(exchange.initial().is_ok());
        assert_eq!(failure(exchange.initial()).kind, FailureKind::Internal);
    }
}

fn password() -> Credentials {
    Credentials::Password(Secret::new("s3cret".to_owned()))
}

fn token() -> Credentials {
    Credentials::Token(super::super::credentials::Tokens::new(|_, _| Err("nobody asks for it here".to_owned())))
}

#[test]
fn the_strongest_that_both_know_is_chosen() {
    use Mechanism::{Login, OAuthBearer, Plain, ScramSha256, XOAuth2};
    for (names, native, way) in [
        ("PLAIN LOGIN SCRAM-SHA-256 XOAUTH2", Some(Native::Login), Way::Sasl(ScramSha256)),
        ("login plain", Some(Native::Login), Way::Sasl(Plain)),
        ("LOGIN GSSAPI", Some(Native::UserPass), Way::Native),
        ("LOGIN NTLM", None, Way::Sasl(Login)),
        ("", Some(Native::Login), Way::Native),
    ] {
        let offered = Offered::read(names.split(' '));
        assert_eq!(choose(&password(), &offered, native, None, true, ""), Ok(way), "{names}");
    }
    for (names, way) in [("PLAIN XOAUTH2 OAUTHBEARER", OAuthBearer), ("XOAUTH2 PLAIN", XOAuth2)] {
        let offered = Offered::read(names.split(' '));
        assert_eq!(choose(&token(), &offered, Some(Native::Login), None, true, ""), Ok(Way::Sasl(way)));
    }
}

#[test]
fn what_is_forced_is_chosen_if_it_is_offered() {
    let offered = Offered::read(["PLAIN", "XOAUTH2", "SCRAM-SHA-256"]);
    let forced = |way, native| choose(&password(), &offered, native, Some(way), true, "");
    for mechanism in [Mechanism::Plain, Mechanism::XOAuth2, Mechanism::ScramSha256] {
        assert_eq!(forced(Way::Sasl(mechanism), None), Ok(Way::Sasl(mechanism)));
    }
    assert_eq!(forced(Way::Native, Some(Native::UserPass)), Ok(Way::Native));
    let login = Way::Sasl(Mechanism::Login);
    assert_eq!(forced(login, Some(Native::Login)), Ok(Way::Native), "IMAP's LOGIN is what most people mean");
    assert_eq!(failure(forced(login, Some(Native::UserPass))).kind, FailureKind::AuthUnsupported);
    assert_eq!(failure(forced(Way::Native, None)).kind, FailureKind::AuthUnsupported);
}

#[test]
fn where_nothing_fits_the_failure_says_what_is_offered_and_what_to_do() {
    let said = |credentials: &Credentials, names: &[&str], native, forced, encrypted| {
        let failure =
            failure(choose(credentials, &Offered::read(names.iter().copied()), native, forced, encrypted, "use it"));
        assert_eq!((failure.kind, failure.stage), (FailureKind::AuthUnsupported, Stage::Auth));
        failure.message
    };
    let forced = Some(Way::Sasl(Mechanism::ScramSha256));
    for (message, expected) in [
        (
            said(&password(), &["PLAIN", "GSSAPI"], Some(Native::Login), forced, true),
            "the server offers PLAIN, GSSAPI, the LOGIN command, not what --auth asks for; leave it out",
        ),
        (
            said(&password(), &["XOAUTH2"], None, None, true),
            "the server offers XOAUTH2, no password; use --token-command",
        ),
        (
            said(&token(), &[], Some(Native::UserPass), None, true),
            "the server offers USER and PASS, no token; give a password instead (--password-command, --password-file)",
        ),
        (said(&password(), &[], None, None, false), "the server offers no way to sign in without TLS; use it"),
        (
            said(&password(), &["NTLM", "\x1b[2J", "A-NAME-OF-MORE-THAN-TWENTY"], None, None, true),
            "the server offers NTLM, nothing that fits; see what the provider asks of the account",
        ),
    ] {
        assert_eq!(message, expected);
    }
    let many: Vec<String> = (0..10_000).map(|number| format!("X{number}")).collect();
    let offered = Offered::read(many.iter().map(String::as_str));
    assert!(failure(choose(&password(), &offered, None, None, true, "")).message.len() < 1000);
}

#[test]
fn a_mechanism_is_read_by_its_name_in_any_case() {
    for mechanism in Mechanism::ALL {
        assert_eq!(mechanism.to_string().to_lowercase().parse(), Ok(mechanism));
    }
    assert_eq!("SCRAM-SHA-1".parse::<Mechanism>(), Err(UnknownMechanism));
}
