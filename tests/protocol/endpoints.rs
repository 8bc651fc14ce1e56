use mailconn::protocol::{Endpoint, EndpointError, Protocol, Security};

#[test]
fn addresses_are_read_and_shown_in_one_normal_form() {
    for (url, shown, security) in [
        ("imaps://joe@mail.example.org", "imaps://joe@mail.example.org:993", Security::Tls),
        ("IMAPS://joe@Mail.Example.ORG:1993", "imaps://joe@mail.example.org:1993", Security::Tls),
        ("imap://joe@mail.example.org", "imap://joe@mail.example.org:143", Security::StartTls),
        ("imap://joe@localhost", "imap://joe@localhost:143", Security::Plain),
        ("imap://joe@127.8.9.1:10143", "imap://joe@127.8.9.1:10143", Security::Plain),
        ("imap://joe@[::1]:10143", "imap://joe@[::1]:10143", Security::Plain),
        ("imaps://joe@[2001:DB8:0::1]", "imaps://joe@[2001:db8::1]:993", Security::Tls),
        ("imaps://joe@example.org@mail.example.org", "imaps://joe%40example.org@mail.example.org:993", Security::Tls),
        (
            "imaps://joe%40example.org@mail.example.org/",
            "imaps://joe%40example.org@mail.example.org:993",
            Security::Tls,
        ),
        ("imaps://a%3Ab@host", "imaps://a%3Ab@host:993", Security::Tls),
        ("imaps://j%C3%BCrgen@host", "imaps://j%C3%BCrgen@host:993", Security::Tls),
        ("smtp://joe@mail.example.org", "smtp://joe@mail.example.org:587", Security::StartTls),
        ("SMTPS://joe@mail.example.org", "smtps://joe@mail.example.org:465", Security::Tls),
        ("smtp://127.0.0.1:2525", "smtp://127.0.0.1:2525", Security::Plain),
        ("smtps://[2001:db8::1]", "smtps://[2001:db8::1]:465", Security::Tls),
        ("pop3://joe@mail.example.org", "pop3://joe@mail.example.org:110", Security::StartTls),
        ("pop3s://joe@[::1]", "pop3s://joe@[::1]:995", Security::Tls),
    ] {
        let endpoint = Endpoint::parse(url, None).unwrap();
        assert_eq!((endpoint.to_string().as_str(), endpoint.security), (shown, security), "{url}");
        assert_eq!(Endpoint::parse(shown, None).unwrap(), endpoint, "the normal form reads back: {shown}");
    }
    assert_eq!(Endpoint::parse("imaps://joe@example.org@host", None).unwrap().user, "joe@example.org");
}

#[test]
fn a_flag_decides_for_imap_and_is_an_error_with_imaps() {
    let forced = |url, force| Endpoint::parse(url, Some(force)).map(|endpoint| endpoint.security);
    assert_eq!(forced("imap://joe@host", Security::Plain), Ok(Security::Plain));
    assert_eq!(forced("imap://joe@localhost", Security::StartTls), Ok(Security::StartTls));
    assert_eq!(forced("imaps://joe@host", Security::Plain), Err(EndpointError::ForcedOnTls(Protocol::Imap)));
    assert_eq!(forced("imaps://joe@host", Security::StartTls), Err(EndpointError::ForcedOnTls(Protocol::Imap)));
    assert_eq!(forced("imap://joe@host", Security::Tls), Err(EndpointError::TlsOnPlainScheme(Protocol::Imap)));
}

#[test]
fn what_is_wrong_with_an_address_is_said_in_one_line_with_the_cure() {
    for (url, error) in [
        ("ftp://joe@host", EndpointError::UnknownScheme { scheme: Some("ftp".into()) }),
        ("joe@host", EndpointError::UnknownScheme { scheme: None }),
        ("", EndpointError::UnknownScheme { scheme: None }),
        ("imaps://host", EndpointError::MissingUser),
        ("pop3://host", EndpointError::MissingUser),
        ("smtp://@host", EndpointError::MissingUser),
        ("smtpss://joe@host", EndpointError::UnknownScheme { scheme: Some("smtpss".into()) }),
        ("imaps://@host", EndpointError::MissingUser),
        ("imaps://joe@", EndpointError::MissingHost),
        ("imaps://joe@:993", EndpointError::MissingHost),
        ("imaps://joe@host:0", EndpointError::InvalidPort),
        ("imaps://joe@host:", EndpointError::InvalidPort),
        ("imaps://joe@host:65536", EndpointError::InvalidPort),
        ("imaps://joe@host:+99", EndpointError::InvalidPort),
        ("imaps://joe@host/INBOX", EndpointError::TrailingPath),
        ("imaps://joe@host?x", EndpointError::TrailingPath),
        ("imaps://joe@ho st", EndpointError::InvalidHost),
        ("imaps://joe@münchen.de", EndpointError::InvalidHost),
        ("imaps://joe@2001:db8::1", EndpointError::InvalidHost),
        ("imaps://joe@[::1", EndpointError::InvalidHost),
        ("imaps://joe%zz@host", EndpointError::InvalidUser),
        ("imaps://joe%0d%0aX@host", EndpointError::InvalidUser),
        ("imaps://joe%ff@host", EndpointError::InvalidUser),
    ] {
        let got = Endpoint::parse(url, None).unwrap_err();
        assert_eq!(got, error, "{url}");
        assert!(!got.to_string().contains('\n'), "{got}");
    }
}

#[test]
fn a_password_in_an_address_is_refused_and_never_repeated() {
    for url in [
        "imaps://joe:hunter2@host",
        "imaps://joe:hunter2@host:0/x",
        "imaps://joe:hun/hunter2@host",
        "imaps://joe:hunter2@x@host",
        "imaps://joe:hunter2",
        "joe:hunter2@host",
        "ftp://joe:hunter2@host",
        "imaps://joe:@hunter2#@host",
        "smtp://joe:hunter2@host",
        "smtp://joe:hunter2",
    ] {
        let error = Endpoint::parse(url, None).unwrap_err();
        assert!(!format!("{error} {error:?}").contains("hunter2"), "{url}: {error}");
    }
    assert_eq!(Endpoint::parse("imaps://joe:hunter2@host", None), Err(EndpointError::PasswordInUrl));
}
