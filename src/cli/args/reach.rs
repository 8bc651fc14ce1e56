//! How to reach a server and sign in there, whichever command does it.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::choices;
use super::times::{duration, positive, round_trip};
use mailconn::protocol::{TlsVersion, Way};
use mailconn::sandbox::{Like, Limit, Maildrops};

/// How to reach a server and sign in there, whichever command does it. What the sandbox is like belongs here too: it is a
/// server like any other.
#[derive(Clone, Debug, Args)]
pub struct ServerArgs {
    /// Require STARTTLS on loopback, too
    #[arg(long, conflicts_with = "plaintext", help_heading = "Server")]
    pub starttls: bool,
    /// Allow a password in the clear to servers on other machines, too
    #[arg(long, help_heading = "Server")]
    pub plaintext: bool,
    /// Dial the host's IPv4 addresses only
    #[arg(short = '4', long, conflicts_with = "ipv6", help_heading = "Server")]
    pub ipv4: bool,
    /// Dial the host's IPv6 addresses only
    #[arg(short = '6', long, help_heading = "Server")]
    pub ipv6: bool,
    /// How to protect the connection.
    #[command(flatten)]
    pub tls: TlsArgs,
    /// How to sign in.
    #[command(flatten)]
    pub sign_in: SignInArgs,
    /// The host name by which SMTP sessions introduce themselves (EHLO) [default: the address of their own end]
    #[arg(long, value_name = "NAME", conflicts_with = "ehlo_label", help_heading = "Server")]
    pub ehlo: Option<String>,
    /// SMTP sessions introduce themselves by a name made of session and run, which the server's log then shows
    #[arg(long, help_heading = "Server")]
    pub ehlo_label: bool,
    /// What the sandbox is like.
    #[command(flatten)]
    pub shape: ShapeArgs,

    /// How long a dial may take, from the name's resolution to the sign-in [default: 10s; with POP3 15s, since servers wait
    /// for a locked maildrop]
    #[arg(long, value_name = "TIME", value_parser = positive, help_heading = "Deadlines")]
    pub connect_timeout: Option<Duration>,
    /// How long an operation may take
    #[arg(long, value_name = "TIME", value_parser = positive, default_value = "30s", help_heading = "Deadlines")]
    pub timeout: Duration,
}

/// What the sandbox is like.
#[derive(Clone, Debug, Args)]
pub struct ShapeArgs {
    /// The sandbox's limit on connections of a user; with --sandbox-like counted as that server does
    #[arg(long, value_name = "N", help_heading = "Server")]
    pub sandbox_connections: Option<usize>,
    /// A limit of the sandbox, by what it counts: user=7, address=5, user+address=3 or total=20; repeatable
    ///
    /// user=10/60s is a rate. @accept, @greeting, @sign-in or @after (the first command behind the sign-in) says where it
    /// counts and refuses: user=7@after. Behind a comma, oldest ends the oldest connection instead of refusing the newest,
    /// release=5s keeps a slot taken for that time after a connection's end, bare-release=5s after an end without LOGOUT or
    /// QUIT. imap:, smtp: or pop3: before it makes it that protocol's.
    #[arg(long, value_name = "LIMIT", help_heading = "Server")]
    pub sandbox_limit: Vec<Limit>,
    /// The sandbox refuses in the words of a server or a provider, and keeps the limits that it is documented to have, unless one is given
    ///
    /// A limit that is given is refused in these words too, wherever they are known. In a protocol, a scope or a stage for which
    /// they are not, the sandbox has its own words; without a limit that is documented, it has none.
    #[arg(long, value_parser = choices::likes(), value_name = "NAME", help_heading = "Server")]
    pub sandbox_like: Option<Like>,
    /// Whether a POP3 session of the sandbox has its maildrop to itself [default: locked; in a scenario shared]
    #[arg(long, value_parser = choices::maildrops(), value_name = "HOW", help_heading = "Server")]
    pub sandbox_maildrops: Option<Maildrops>,
    /// How late the sandbox sends each reply
    #[arg(long, value_name = "TIME", value_parser = duration, help_heading = "Server")]
    pub sandbox_latency: Option<Duration>,
    /// Have the sandbox as far away as a round trip of this length, like 80ms, at most 500ms: each direction takes half of it
    ///
    /// A dial takes what it would take over a network: the greeting comes after two round trips, one of them for TCP. Then each
    /// command takes one, TLS and the sign-in their own. What is under way does not wait for each other. A goodbye takes one
    /// too, and has 750ms: hence the bound.
    #[arg(long, value_name = "TIME", value_parser = round_trip, help_heading = "Server")]
    pub rtt: Option<Duration>,
}

/// How to sign in: the way, and where the secret comes from. Without a flag it is $MAILCONN_PASSWORD, else asked for.
#[derive(Clone, Debug, Args)]
pub struct SignInArgs {
    /// Run this in a shell; the first line that it writes is the password
    #[arg(long, value_name = "COMMAND", group = "secret", help_heading = "Server")]
    pub password_command: Option<String>,
    /// Read the password from this file; without any such flag it is $MAILCONN_PASSWORD, else asked for on a terminal
    #[arg(long, value_name = "FILE", group = "secret", help_heading = "Server")]
    pub password_file: Option<PathBuf>,
    /// Read the password from the first line of standard input
    #[arg(long, group = "secret", help_heading = "Server")]
    pub password_stdin: bool,
    /// Sign in by OAuth: run this in a shell; the one line that it writes is the access token
    ///
    /// It may write the JSON of a token endpoint instead, with access_token and expires_in. It is run for the first sign-in,
    /// and again for a sign-in after the token has expired or was refused; one run at a time. If it writes the same token
    /// again, that is not tried. If the next token is refused, too, or the command fails, the next sign-in waits 1, 2, 4 … 60 s.
    /// A comparison runs it anew for each of its runs.
    #[arg(long, value_name = "COMMAND", group = "secret", help_heading = "Server")]
    pub token_command: Option<String>,
    /// Sign in this way [default: the strongest that the server offers]
    #[arg(long, value_parser = choices::ways(), value_name = "WAY", ignore_case = true, help_heading = "Server")]
    pub auth: Option<Way>,
}

impl SignInArgs {
    /// Whether none of them was given.
    pub fn is_empty(&self) -> bool {
        let Self { password_command, password_file, password_stdin, token_command, auth } = self;
        let commands = password_command.is_none() && token_command.is_none();
        commands && password_file.is_none() && !password_stdin && auth.is_none()
    }
}

/// The flags on TLS, the same for every command that dials.
#[derive(Clone, Debug, Args)]
pub struct TlsArgs {
    /// Trust exactly the certificates of this PEM file, instead of the system's
    #[arg(long, value_name = "FILE", help_heading = "TLS")]
    pub ca_file: Option<PathBuf>,
    /// The certificate to show to a server that asks for one, PEM, followed by those that lead to its authority
    #[arg(long, value_name = "FILE", help_heading = "TLS")]
    pub client_cert: Option<PathBuf>,
    /// Its private key, PEM, unencrypted [default: in the file of --client-cert]
    #[arg(long, value_name = "FILE", requires = "client_cert", help_heading = "TLS")]
    pub client_key: Option<PathBuf>,
    /// The name that the server's certificate must be for, also sent as SNI [default: the host of --server]
    #[arg(long, value_name = "NAME", help_heading = "TLS")]
    pub server_name: Option<String>,
    /// The lowest version of TLS to accept [default: 1.2]
    #[arg(long, value_parser = choices::tls_versions(), value_name = "VERSION", help_heading = "TLS")]
    pub tls_min: Option<TlsVersion>,
    /// Accept any certificate: an attacker on the way can read and change everything, the password too
    #[arg(long, conflicts_with = "ca_file", help_heading = "TLS")]
    pub insecure: bool,
}

/// The flag on transcripts, the same for every command that dials.
#[derive(Debug, Args)]
pub struct TranscriptArgs {
    /// Write all that goes over each session into a file of its own in DIR, both ways, passwords and tokens left out
    ///
    /// DIR is created if it is missing, readable by you alone; no file in it is overwritten. Each line has its time, and C: for
    /// ours, S: for the server's, -- for what happened. A file holds at most 64 MiB. A file that cannot be written is named on
    /// standard error at the end, and does not change the exit code. Mail that is fetched or sent is in the files.
    #[arg(long, value_name = "DIR", help_heading = "Report")]
    pub transcript: Option<PathBuf>,
}
