//! `--listen`: what is spoken, and where.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};

use anyhow::{Context, Result, bail};
use socket2::{Domain, Socket, Type};

use mailconn::sandbox::{Limit, Listening, Protocol, Security};

/// The protocols by their URL's scheme.
const SCHEMES: [(&str, Protocol, bool); 6] = [
    ("imap", Protocol::Imap, false),
    ("imaps", Protocol::Imap, true),
    ("smtp", Protocol::Smtp, false),
    ("smtps", Protocol::Smtp, true),
    ("pop3", Protocol::Pop3, false),
    ("pop3s", Protocol::Pop3, true),
];

/// Connections that wait to be accepted; std's listener holds 128, and clients come in crowds.
const BACKLOG: i32 = 4096;

/// One listener to be.
#[derive(Debug, PartialEq, Eq)]
pub struct Listen {
    /// As in a URL.
    pub scheme: &'static str,
    protocol: Protocol,
    security: Security,
    address: SocketAddr,
}

/// What the flags ask for: all protocols, if none.
pub fn all(asked: &[String], starttls: bool, expose: bool) -> Result<Vec<Listen>> {
    let default: Vec<_> = SCHEMES.iter().map(|(scheme, ..)| (*scheme).to_owned()).collect();
    let asked = if asked.is_empty() { &default } else { asked };
    asked.iter().map(|text| Listen::parse(text, starttls, expose)).collect()
}

impl Listen {
    /// Reads `imap`, `imap=1143` or `imap=127.0.0.1:1143`.
    pub fn parse(text: &str, starttls: bool, expose: bool) -> Result<Self> {
        let (name, address) = text.split_once('=').map_or((text, None), |(name, address)| (name, Some(address)));
        let Some(&(scheme, protocol, encrypts)) = SCHEMES.iter().find(|(scheme, ..)| *scheme == name) else {
            bail!("--listen {text:?}: there are imap, imaps, smtp, smtps, pop3 and pop3s, as in imap=127.0.0.1:1143");
        };
        let address = address.map_or(Some(on_loopback(0)), |address| {
            address.parse().ok().or_else(|| address.parse().ok().map(on_loopback))
        });
        let Some(address) = address else {
            bail!(
                "--listen {text:?}: the address must be a port or IP:PORT, as in {scheme}=1143 or {scheme}=[::1]:1143"
            );
        };
        if !expose && !address.ip().is_loopback() {
            bail!("--listen {text}: other machines could reach it; add --expose if that is meant, or use 127.0.0.1");
        }
        let security = match (encrypts, starttls) {
            (true, _) => Security::Tls,
            (false, true) => Security::StartTls,
            (false, false) => Security::Plain,
        };
        Ok(Self { scheme, protocol, security, address })
    }

    /// Whether it speaks TLS, from the first byte or later.
    pub fn encrypts(&self) -> bool {
        self.security != Security::Plain
    }

    /// Whether that limit can be met there.
    pub fn keeps(&self, limit: &Limit) -> bool {
        limit.protocol.is_none_or(|protocol| protocol == self.protocol)
    }

    /// # Errors
    /// The system does not let us: one line.
    pub fn bind(&self) -> Result<Listening> {
        let bound = || -> std::io::Result<TcpListener> {
            let socket = Socket::new(Domain::for_address(self.address), Type::STREAM, None)?;
            // A server that was just stopped must not keep the next one from its port.
            socket.set_reuse_address(true)?;
            socket.bind(&self.address.into())?;
            socket.listen(BACKLOG)?;
            Ok(socket.into())
        };
        let listener = bound().with_context(|| format!("cannot listen on {} for {}", self.address, self.scheme))?;
        Ok(Listening { listener, protocol: self.protocol, security: self.security })
    }
}

fn on_loopback(port: u16) -> SocketAddr {
    (IpAddr::from(Ipv4Addr::LOCALHOST), port).into()
}
