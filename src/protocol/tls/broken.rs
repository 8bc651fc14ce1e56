//! What it means that TLS broke off.

use std::fmt::Debug;

use rustls::{Error as TlsError, PeerMisbehaved};

/// What it means that TLS broke off, in or after the handshake, where neither certificates nor versions are to blame.
pub(in crate::protocol) fn broke_off(error: &TlsError) -> String {
    const BROKEN: &str = "the server, or something on the way (a proxy, a virus scanner), is broken";
    match error {
        TlsError::AlertReceived(alert) => format!("the server ended TLS ({}); its log says why", words(*alert)),
        TlsError::InvalidMessage(why) => {
            format!("the server sent what cannot be read as TLS ({}); see that this port speaks it", words(why))
        }
        TlsError::PeerIncompatible(why) => {
            format!(
                "the server and mailconn share no way to speak TLS ({}); it is too old, or set up too strictly",
                words(why)
            )
        }
        TlsError::PeerMisbehaved(PeerMisbehaved::AttemptedDowngradeToTls12WhenTls13IsSupported) => {
            "the server knows TLS 1.3 and was made to use 1.2: something on the way meddles with the connection"
                .to_owned()
        }
        TlsError::PeerMisbehaved(why) => {
            format!("the server does not keep to the rules of TLS ({}); {BROKEN}", words(why))
        }
        TlsError::InappropriateMessage { .. } | TlsError::InappropriateHandshakeMessage { .. } => {
            format!("the server sent a message of TLS that is not due; {BROKEN}")
        }
        TlsError::DecryptError => format!("what the server sent cannot be decrypted; {BROKEN}"),
        TlsError::PeerSentOversizedRecord => {
            "the server sent a record that is longer than TLS allows; see that this port speaks it".to_owned()
        }
        TlsError::FailedToGetCurrentTime => "this machine's clock cannot be read; set it".to_owned(),
        TlsError::FailedToGetRandomBytes => "this machine gives no random numbers; TLS cannot do without".to_owned(),
        TlsError::InvalidCertificate(_) | TlsError::NoCertificatesPresented => {
            "the server did not prove who it is; mailconn check says more".to_owned()
        }
        other => format!("TLS failed ({}); the server's log may say why", words(other)),
    }
}

/// A variant's name as words, without what it carries: `certificate required`, as RFC 8446 §6.2 calls it.
pub(super) fn words(variant: impl Debug) -> String {
    let name = format!("{variant:?}");
    let bare = name.split(['(', ' ', '{']).next().unwrap_or_default();
    let mut words = String::new();
    let mut before = ' ';
    for letter in bare.chars() {
        if letter.is_ascii_uppercase() && before.is_ascii_lowercase() {
            words.push(' ');
        }
        words.extend(letter.to_lowercase());
        before = letter;
    }
    words
}
