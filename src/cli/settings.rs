//! What the flags mean together: checked, resolved, nothing dialled yet.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

use super::anonymize::Anonymize;
use super::args::{GateArgs, ServerArgs, SignInArgs, TlsArgs};
use super::destinations::Destination;
use super::sandbox::limits;
use super::sandbox::listen::Listen;
use super::secrets;
use super::stderr;
use mailconn::event::{NewPolicy, Policy, SandboxOptions, Severity};
use mailconn::protocol::{
    Credentials, EhloName, Endpoint, Family, MayDial, Mechanism, Protocol, Security, Tls, TlsSettings, Way,
};
use mailconn::sandbox::{Like, Limit, Maildrops};

/// How to reach the server, and how long anything may take there.
pub struct Reach {
    /// Whom to dial.
    pub server: Server,
    /// What SMTP sessions call themselves.
    pub ehlo: EhloName,
    /// For how long a dial may take.
    pub connect_timeout: Duration,
    /// For how long an operation may take.
    pub operation_timeout: Duration,
    /// For how long an operation may wait.
    pub wait_timeout: Duration,
    /// The cap on connections.
    pub max_connections: Option<usize>,
    /// Whether there may be one more dial, where they are counted.
    pub may_dial: Option<MayDial>,
    /// The directory of the sessions' transcripts, if they are wanted.
    pub transcripts: Option<PathBuf>,
    /// The usual POP3 maildrops of the sandbox.
    pub maildrops: Maildrops,
}

/// How to report.
pub struct Reporting {
    /// In which forms, and where each goes.
    pub destinations: Vec<Destination>,
    /// Whether a table lists every operation.
    pub each: bool,
    /// Who replaces names.
    pub anonymize: Anonymize,
}

/// Whom to dial.
pub enum Server {
    /// The one in the box.
    Sandbox {
        /// As it was asked for: `sandbox+smtps`.
        name: String,
        /// What is spoken, how protected, and who signs in; its port is known when it listens.
        endpoint: Endpoint,
        /// The same, for the server.
        listen: Listen,
        /// How to sign in, if not by the strongest way.
        auth: Option<Way>,
        /// Its limit on connections of a user.
        connections: Option<usize>,
        /// Its other limits.
        limits: Vec<Limit>,
        /// In whose words it refuses.
        like: Option<Like>,
        /// Whether a POP3 session has its maildrop to itself, if that was said.
        maildrops: Option<Maildrops>,
        /// How late it replies.
        latency: Duration,
        /// How far away it is, as a round trip.
        rtt: Duration,
    },
    /// A real one.
    Real {
        /// Where it is, and who signs in.
        endpoint: Endpoint,
        /// With what; none where nobody does.
        credentials: Option<Credentials>,
        /// How, if not by the strongest way.
        auth: Option<Way>,
        /// Which of its addresses are dialled, if not all.
        family: Option<Family>,
        /// Whom to trust and as whom; none in plaintext.
        tls: Option<Tls>,
    },
}

impl Server {
    /// How the sandbox is to behave, where it is the server; with such maildrops unless it was asked for others.
    pub fn sandbox(&self, usual: Maildrops) -> Option<SandboxOptions> {
        let Self::Sandbox { connections, limits, like, maildrops, latency, rtt, .. } = self else { return None };
        let locks_maildrops = maildrops.unwrap_or(usual) == Maildrops::Locked;
        let limits = limits.iter().map(Limit::to_string).collect();
        let like = like.map(|like| like.name().to_owned());
        let (latency_us, rtt_us) = ((*latency).into(), (!rtt.is_zero()).then(|| (*rtt).into()));
        Some(SandboxOptions { connections: *connections, limits, like, locks_maildrops, latency_us, rtt_us })
    }

    /// How many threads of this process a connection has at the server's end.
    pub const fn threads_of_a_connection(&self) -> usize {
        match self {
            Self::Real { .. } => 0,
            Self::Sandbox { rtt, .. } if rtt.is_zero() => 1,
            // One for each direction carries its bytes.
            Self::Sandbox { .. } => 3,
        }
    }

    /// Fetches the secret for a real server.
    ///
    /// # Errors
    /// There is none, or it does not fit the way to sign in: one line.
    pub fn signed_in(mut self, args: &ServerArgs) -> Result<Self> {
        if let Self::Real { endpoint, credentials, auth, .. } = &mut self
            && endpoint.signs_in()
        {
            let patience = connect_timeout(args, endpoint.protocol);
            let secret = secrets::credentials(&args.sign_in, &*endpoint, &endpoint.user, patience)?;
            if let (Credentials::Token(_), Some(way)) = (&secret, auth) {
                ensure!(
                    matches!(way, Way::Sasl(Mechanism::OAuthBearer | Mechanism::XOAuth2)),
                    "--token-command gets a token, and this --auth would send it as a password; use oauthbearer or xoauth2, or \
                     --password-command"
                );
            }
            *credentials = Some(secret);
        }
        Ok(self)
    }

    /// The same for one more run: a sandbox like it, or the same server with the same credentials.
    pub fn again(&self) -> Self {
        match self {
            Self::Sandbox { name, endpoint, listen, auth, connections, limits, like, maildrops, latency, rtt } => {
                Self::Sandbox {
                    name: name.clone(),
                    endpoint: endpoint.clone(),
                    listen: listen.clone(),
                    auth: *auth,
                    connections: *connections,
                    limits: limits.clone(),
                    like: *like,
                    maildrops: *maildrops,
                    latency: *latency,
                    rtt: *rtt,
                }
            }
            Self::Real { endpoint, credentials, auth, family, tls } => Self::Real {
                endpoint: endpoint.clone(),
                credentials: credentials.as_ref().map(Credentials::share),
                auth: *auth,
                family: *family,
                tls: tls.clone(),
            },
        }
    }

    /// Its name in reports.
    pub fn name(&self) -> String {
        match self {
            Self::Sandbox { name, .. } => name.clone(),
            Self::Real { endpoint, .. } => endpoint.to_string(),
        }
    }

    /// Where it is.
    pub const fn endpoint(&self) -> &Endpoint {
        match self {
            Self::Sandbox { endpoint, .. } | Self::Real { endpoint, .. } => endpoint,
        }
    }

    /// Whether it is on this machine.
    pub fn is_here(&self) -> bool {
        match self {
            Self::Sandbox { .. } => true,
            Self::Real { endpoint, .. } => endpoint.is_loopback(),
        }
    }

    /// Says it if anyone may be the server.
    pub fn warn(&self) {
        if matches!(self, Self::Real { tls: Some(tls), .. } if !tls.verifies()) {
            stderr::complain(stderr::UNVERIFIED);
        }
    }

    /// What is spoken there.
    pub const fn protocol(&self) -> Protocol {
        self.endpoint().protocol
    }
}

/// What fails a run: findings that are named, and gates.
///
/// # Errors
/// They contradict each other, or a gate is none.
pub fn policy(named: &[Option<Severity>], gates: &GateArgs) -> Result<Policy> {
    Ok(Policy {
        fail_on: fail_on(named)?,
        gates: gates.resolve()?,
        baseline: None,
        need: None,
        require_decision: false,
    })
}

/// What stored runs are judged by in place of their own policies.
///
/// # Errors
/// Those of [`policy`].
pub fn new_policy(named: &[Option<Severity>], gates: &GateArgs) -> Result<NewPolicy> {
    let fail_on = (!named.is_empty()).then(|| fail_on(named)).transpose()?;
    Ok(NewPolicy { fail_on, gates: (!gates.is_empty()).then(|| gates.written()).transpose()?, baseline: None })
}

/// Which findings fail a run: those that are named, in the order of their severity. `none` stands alone.
///
/// # Errors
/// It does not.
pub fn fail_on(named: &[Option<Severity>]) -> Result<Vec<Severity>> {
    ensure!(
        !named.contains(&None) || named.len() == 1,
        "--fail-on: none stands alone; leave it out, or leave out the others"
    );
    Ok(Severity::ALL.into_iter().filter(|severity| named.contains(&Some(*severity))).collect())
}

/// A flag that changes nothing was meant to change something.
///
/// # Errors
/// One line that names it, and the cure.
pub fn only_where_they_matter(args: &ServerArgs, protocol: Protocol) -> Result<()> {
    let named = args.ehlo.is_some() || args.ehlo_label;
    ensure!(
        !named || protocol == Protocol::Smtp,
        "--ehlo and --ehlo-label are for SMTP, and the server speaks {protocol}; leave them out"
    );
    Ok(())
}

/// A host name as SMTP has it (RFC 5321 §4.1.2): labels of letters, digits and hyphens; or an address literal.
pub fn ehlo(args: &ServerArgs) -> Result<EhloName> {
    let Some(name) = &args.ehlo else {
        return Ok(if args.ehlo_label { EhloName::Label } else { EhloName::Address });
    };
    let is_label = |label: &str| {
        !label.is_empty()
            && label.len() <= 63
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let literal = name.strip_prefix('[').and_then(|name| name.strip_suffix(']'));
    let is_literal = literal.is_some_and(|address| {
        address.parse::<Ipv4Addr>().is_ok()
            || address.strip_prefix("IPv6:").is_some_and(|address| address.parse::<Ipv6Addr>().is_ok())
    });
    ensure!(
        is_literal || (name.len() <= 253 && name.split('.').all(is_label)),
        "--ehlo {name:?} is neither a host name nor an address literal; write mail.example.org or [192.0.2.1]"
    );
    Ok(EhloName::Name(name.clone()))
}

/// Whom to dial: the server of that address, else the sandbox. `flag` is how the address is given.
///
/// # Errors
/// One line: what is wrong, and the cure.
pub fn server(url: Option<&str>, flag: &'static str, args: &ServerArgs) -> Result<Server> {
    unsigned(url, flag, args)?.signed_in(args)
}

/// The same; where nothing names a protocol, the sandbox speaks that one. One scenario may need a limit that is not of another's
/// protocol.
///
/// # Errors
/// One line: what is wrong, and the cure.
pub fn server_speaking(usual: Protocol, url: Option<&str>, flag: &'static str, args: &ServerArgs) -> Result<Server> {
    named(usual, url, flag, args)?.signed_in(args)
}

/// The server of that address, else the sandbox, before anybody was asked for a secret.
///
/// # Errors
/// One line: what is wrong, and the cure.
pub fn unsigned(url: Option<&str>, flag: &'static str, args: &ServerArgs) -> Result<Server> {
    let server = named(Protocol::Imap, url, flag, args)?;
    let spoken = server.protocol();
    if let Some(limit) = args.shape.sandbox_limit.iter().find(|limit| !holds_for(limit, spoken)) {
        bail!(
            "--sandbox-limit {limit} is for another protocol than {spoken}, which the server speaks; leave it out, or name a \
             sandbox like sandbox+smtp"
        );
    }
    Ok(server)
}

/// Whether a server that speaks this keeps the limit.
pub fn holds_for(limit: &Limit, spoken: Protocol) -> bool {
    limit.protocol.is_none_or(|protocol| protocol.to_string() == spoken.name())
}

fn named(usual: Protocol, url: Option<&str>, flag: &'static str, args: &ServerArgs) -> Result<Server> {
    let url = url.unwrap_or("sandbox");
    match url.strip_prefix("sandbox") {
        Some("") if usual != Protocol::Imap => return sandbox(usual.name(), &format!("{url}+{}", usual.name()), args),
        Some("") => return sandbox("imap", url, args),
        Some(scheme) if scheme.starts_with('+') => return sandbox(&scheme[1..], url, args),
        _ => {}
    }
    let force = match (args.starttls, args.plaintext) {
        (true, _) => Some(Security::StartTls),
        (_, true) => Some(Security::Plain),
        _ => None,
    };
    // A mistyped sandbox is no address: say that first.
    let endpoint = Endpoint::parse(url, force).context(flag)?;
    let shapes = [
        ("--sandbox-connections", args.shape.sandbox_connections.is_some()),
        ("--sandbox-limit", !args.shape.sandbox_limit.is_empty()),
        ("--sandbox-like", args.shape.sandbox_like.is_some()),
        ("--sandbox-maildrops", args.shape.sandbox_maildrops.is_some()),
        ("--sandbox-latency", args.shape.sandbox_latency.is_some()),
        ("--rtt", args.shape.rtt.is_some()),
    ];
    if let Some((shape, _)) = shapes.into_iter().find(|(_, given)| *given) {
        bail!("{shape} shapes the sandbox, but {flag} names a real server; leave one out");
    }
    let family = family(args);
    if let (Some(family), Ok(address)) = (family, endpoint.host.parse()) {
        ensure!(
            family.has(address),
            "-{} asks for {family} alone, and {address} is no {family} address; leave one out",
            if family == Family::V4 { 4 } else { 6 }
        );
    }
    let tls = tls(&args.tls, &endpoint)?;
    ensure!(
        endpoint.signs_in() || args.sign_in.is_empty(),
        "{endpoint} names no user, so nobody signs in: write smtp://user@host, or drop the sign-in flags"
    );
    Ok(Server::Real { endpoint, credentials: None, auth: args.sign_in.auth, family, tls })
}

/// The one in the box, spoken to by that scheme.
fn sandbox(scheme: &str, name: &str, args: &ServerArgs) -> Result<Server> {
    let SignInArgs { auth, .. } = &args.sign_in;
    ensure!(
        SignInArgs { auth: None, ..args.sign_in.clone() }.is_empty(),
        "the sandbox makes its own user: drop the flags for passwords and tokens, or name another server"
    );
    ensure!(!args.ipv6, "the sandbox listens on 127.0.0.1, and -6 asks for IPv6 alone; leave it out, or name a server");
    if let Some(flag) = given(&args.tls) {
        bail!("the sandbox brings its own certificate, which is trusted: drop {flag}, or name another server");
    }
    let force = args.starttls.then_some(Security::StartTls);
    // Port 9 stands for the one that it will have.
    let endpoint = Endpoint::parse(&format!("{scheme}://sandbox@127.0.0.1:9"), force);
    let endpoint = endpoint.with_context(|| {
        format!("{name}: there are sandbox, sandbox+imap, sandbox+imaps, and likewise smtp, smtps, pop3 and pop3s")
    })?;
    ensure!(
        args.shape.sandbox_connections != Some(0),
        "--sandbox-connections 0 refuses every sign-in; give at least 1"
    );
    let mut limits = limits(args.shape.sandbox_connections, &args.shape.sandbox_limit, args.shape.sandbox_like);
    // The others are no business of this server's.
    limits.retain(|limit| holds_for(limit, endpoint.protocol));
    Ok(Server::Sandbox {
        name: name.to_owned(),
        endpoint,
        listen: Listen::parse(scheme, args.starttls, false)?,
        auth: *auth,
        connections: args.shape.sandbox_connections,
        limits,
        like: args.shape.sandbox_like,
        maildrops: args.shape.sandbox_maildrops,
        latency: args.shape.sandbox_latency.unwrap_or_default(),
        rtt: args.shape.rtt.unwrap_or_default(),
    })
}

/// How long a dial may take. Servers wait ten seconds for a maildrop that another connection has locked, and then say so:
/// that is worth waiting for.
pub fn connect_timeout(args: &ServerArgs, protocol: Protocol) -> Duration {
    args.connect_timeout.unwrap_or(Duration::from_secs(if protocol == Protocol::Pop3 { 15 } else { 10 }))
}

const fn family(args: &ServerArgs) -> Option<Family> {
    match (args.ipv4, args.ipv6) {
        (true, _) => Some(Family::V4),
        (_, true) => Some(Family::V6),
        _ => None,
    }
}

/// How to encrypt; none in plaintext.
fn tls(args: &TlsArgs, endpoint: &Endpoint) -> Result<Option<Tls>> {
    if endpoint.security == Security::Plain {
        without_tls(args, &format!("{endpoint}"))?;
        return Ok(None);
    }
    let settings = TlsSettings {
        ca_file: args.ca_file.clone(),
        ca_pem: None,
        client_cert: args.client_cert.clone(),
        client_key: args.client_key.clone(),
        server_name: args.server_name.clone(),
        min_version: args.tls_min,
        insecure: args.insecure,
    };
    Ok(Some(settings.client()?))
}

/// A flag on TLS where there is none promises a protection that nobody has.
fn without_tls(args: &TlsArgs, server: &str) -> Result<()> {
    match given(args) {
        Some(flag) => bail!(
            "{flag} is about TLS, and {server} is spoken to in plaintext; drop it, or use TLS: an s behind the scheme \
             (imaps://), or --starttls"
        ),
        None => Ok(()),
    }
}

/// A flag on TLS that was given.
fn given(args: &TlsArgs) -> Option<&'static str> {
    let TlsArgs { ca_file, client_cert, client_key: _, server_name, tls_min, insecure } = args;
    let flags = [
        ("--ca-file", ca_file.is_some()),
        ("--client-cert", client_cert.is_some()),
        ("--server-name", server_name.is_some()),
        ("--tls-min", tls_min.is_some()),
        ("--insecure", *insecure),
    ];
    flags.into_iter().find(|(_, given)| *given).map(|(flag, _)| flag)
}
