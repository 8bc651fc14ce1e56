//! The messages that `append` and `send` write.

use mailconn::protocol::{Endpoint, Stationery};

use super::scripted::Server;

fn addresses(url: &str, to: Option<&str>) -> Result<(String, String), String> {
    let endpoint = Endpoint::parse(url, None).unwrap();
    let stationery = Stationery::new(&endpoint, None, to, "9f2c41d07a6b").map_err(|error| error.to_string())?;
    let server = Server::smtp(&[]);
    server.dial_smtp().send(&stationery.letter("w3", 12)).unwrap();
    let heard = server.heard();
    let told = |start: &str| {
        let line = heard.iter().find_map(|line| line.strip_prefix(start)).unwrap();
        line.strip_suffix('>').unwrap().to_owned()
    };
    assert!(heard.contains(&"Message-ID: <9f2c41d07a6b.w3.12@mailconn.invalid>".to_owned()), "{heard:?}");
    assert!(heard.contains(&"Subject: mailconn run 9f2c41d07a6b, w3, operation 12".to_owned()), "{heard:?}");
    assert!(heard.iter().any(|line| line.starts_with("Date: ")), "{heard:?}");
    Ok((told("MAIL FROM:<"), told("RCPT TO:<")))
}

#[test]
fn a_letter_goes_from_whoever_signs_in_to_whom_it_shall_or_back() {
    for (url, to, from, recipient) in [
        ("smtp://joe@mail.example.org", None, "joe@mail.example.org", "joe@mail.example.org"),
        ("smtps://joe@example.org@mail.example.org", None, "joe@example.org", "joe@example.org"),
        ("smtp://joe@mail.example.org", Some("ann@example.com"), "joe@mail.example.org", "ann@example.com"),
        ("smtp://joe@192.0.2.1", None, "joe@[192.0.2.1]", "joe@[192.0.2.1]"),
        ("smtp://joe@[2001:db8::1]", None, "joe@[IPv6:2001:db8::1]", "joe@[IPv6:2001:db8::1]"),
        ("smtp://joe@localhost", None, "joe@localhost", "joe@localhost"),
        ("smtp://mail.example.org", Some("ann@example.com"), "ann@example.com", "ann@example.com"),
    ] {
        assert_eq!(addresses(url, to), Ok((from.to_owned(), recipient.to_owned())), "{url}");
    }
}

#[test]
fn who_is_no_address_is_told_in_one_clear_line() {
    for (url, to, named) in [
        ("smtp://joe@mail.example.org", Some("ann"), "\"ann\""),
        ("smtp://joe@mail.example.org", Some("ann@exa mple"), "\"ann@exa mple\""),
        ("smtp://joe@mail.example.org", Some("a@b.org>\r\nDATA"), r#""a@b.org>\r\nDATA""#),
        ("smtp://joe@mail.example.org", Some("\"a\r\nDATA\"@b.org"), "DATA"),
        ("smtp://two%20words@mail.example.org", None, "\"two words@mail.example.org\""),
        ("smtp://mail.example.org", None, "nobody signs in"),
    ] {
        let told = addresses(url, to).unwrap_err();
        assert!(told.contains(named) && !told.contains('\n'), "{told}");
    }
}
