//! A check's events with other names in them.

use std::net::SocketAddr;

use super::{CheckEvent, CheckHeader};
use crate::protocol::{Certificate, Failure, TlsDetails};
use crate::report::Anonymizer;

impl CheckHeader {
    /// The same with other names.
    #[must_use]
    pub fn anonymous(self, names: &Anonymizer) -> Self {
        Self { server: names.server(&self.server), ..self }
    }
}

impl CheckEvent {
    pub(super) fn anonymous(self, names: &Anonymizer) -> Self {
        let line = |line: Option<String>| line.map(|line| names.text(&line));
        match self {
            Self::Resolved(all) => Self::Resolved(all.into_iter().map(|it| address(it, names)).collect()),
            Self::Connected { address: it, local_port } => Self::Connected { address: address(it, names), local_port },
            Self::Secured(tls) => Self::Secured(TlsDetails {
                server_name: names.host(&tls.server_name),
                certificate: tls.certificate.map(|it| certificate(it, names)),
                ..tls
            }),
            Self::Greeted(line) => Self::Greeted(names.text(&line)),
            Self::Offered(offers) => Self::Offered(offers.with(|offered| names.text(offered))),
            Self::FirstAnswerRefused(said) => Self::FirstAnswerRefused(line(said)),
            Self::Labelled(label) => Self::Labelled(names.text(&label)),
            Self::Failed(failure) => {
                let server_line = line(failure.server_line);
                let further_lines = failure.further_lines.iter().map(|line| names.text(line)).collect();
                let message = names.text(&failure.message);
                Self::Failed(Failure { message, server_line, further_lines, ..failure })
            }
            Self::SigningIn(_) | Self::TokenRefused | Self::SignedIn | Self::Ran { .. } | Self::SignedOut => self,
        }
    }
}

fn address(it: SocketAddr, names: &Anonymizer) -> SocketAddr {
    // What stands in place of an address is one.
    names.host(&it.ip().to_string()).parse().map_or(it, |address| SocketAddr::new(address, it.port()))
}

fn certificate(it: Certificate, names: &Anonymizer) -> Certificate {
    Certificate {
        names: it.names.iter().map(|name| names.host(name)).collect(),
        subject: names.text(&it.subject),
        issuer: names.text(&it.issuer),
        ..it
    }
}
