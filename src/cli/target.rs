//! Whom to dial: a real server, or the one in the box, started for the occasion.

use std::sync::Arc;

use anyhow::{Context, Result};

use super::sandbox::all_limits;
use super::settings::Server;
use mailconn::protocol::{self, Credentials, Endpoint, Secret, TlsSettings};
use mailconn::sandbox::{Maildrops, Options, Sandbox, User};

/// The most commands that may wait to be taken, where the record is taken while the sandbox runs.
const RECORD_BOUND: usize = 1 << 14;

/// Whom to dial.
pub struct Target {
    /// The account; deadlines and names are the caller's.
    pub account: protocol::Settings,
    /// Its name in reports.
    pub name: String,
    /// The server, where it is in the box: it serves as long as this lives.
    pub sandbox: Option<Sandbox>,
}

impl Target {
    /// Starts the sandbox if that is the one, with such maildrops unless it was asked for others; dials nobody.
    ///
    /// # Errors
    /// It does not start.
    pub fn of(server: Server, usual: Maildrops) -> Result<Self> {
        Self::with(server, usual, &[], None)
    }

    /// The same; the sandbox has those users too, with the same password.
    ///
    /// # Errors
    /// It does not start.
    pub fn with_users(server: Server, usual: Maildrops, more: &[&str]) -> Result<Self> {
        Self::with(server, usual, more, None)
    }

    /// The same as [`of`](Self::of); the sandbox's record is taken while it runs, and it holds no more than it must.
    ///
    /// # Errors
    /// It does not start.
    pub fn recorded(server: Server, usual: Maildrops) -> Result<Self> {
        Self::with(server, usual, &[], Some(RECORD_BOUND))
    }

    fn with(server: Server, usual: Maildrops, more: &[&str], record_bound: Option<usize>) -> Result<Self> {
        match server {
            Server::Real { endpoint, credentials, auth, family, tls } => {
                let name = endpoint.to_string();
                let account = protocol::Settings {
                    credentials,
                    auth,
                    family,
                    tls,
                    ..protocol::Settings::without_sign_in(endpoint)
                };
                Ok(Self { account, name, sandbox: None })
            }
            Server::Sandbox { name, endpoint, listen, auth, connections, limits, like, maildrops, latency, rtt } => {
                let password = format!("{:016x}", fastrand::u64(..));
                let users = more.iter().copied().chain([endpoint.user.as_str()]);
                let users = users.map(|user| User::new(user, &password)).collect();
                let maildrops = maildrops.unwrap_or(usual);
                let options = Options {
                    users,
                    limits: all_limits(connections, like, limits),
                    like,
                    maildrops,
                    latency,
                    rtt,
                    record_bound,
                    ..Options::default()
                };
                let sandbox = Sandbox::serve(vec![listen.bind()?], options).context("starting the sandbox")?;
                let trust = |pem: &str| TlsSettings { ca_pem: Some(pem.to_owned()), ..TlsSettings::default() }.client();
                let tls = sandbox.ca_pem().map(trust).transpose()?;
                let endpoint = Endpoint { port: sandbox.address().port(), ..endpoint };
                let credentials = Some(Credentials::Password(Secret::new(password)));
                let starved = sandbox.starved();
                let starved: Option<protocol::Starved> = Some(Arc::new(move |port| starved.why(port)));
                let account = protocol::Settings {
                    credentials,
                    auth,
                    tls,
                    starved,
                    ..protocol::Settings::without_sign_in(endpoint)
                };
                Ok(Self { account, name, sandbox: Some(sandbox) })
            }
        }
    }
}
