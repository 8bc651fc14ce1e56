//! The command line, close to its flags. What they mean together is settled in `settings.rs`.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};

use super::exit;
use mailconn::allocator::Mode;
use mailconn::protocol::{Mechanism, TlsVersion, Way};
use mailconn::record::{Dispose, Executor, Lock, Switch};
use mailconn::report::Format;
use mailconn::sandbox::Maildrops;
use mailconn::workload::scenario::GRAMMAR;

/// Shows which mail connection each operation used, why, at what cost, and proves it against the record of the mail
/// server in the box.
#[derive(Debug, Parser)]
#[command(name = "mailconn", version, arg_required_else_help = true, after_help = exit::HELP)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The subcommands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run mail operations on several threads and report which connection each one used, and why
    ///
    /// A client has one main connection; each thread may have a default one of its own; independent ones are passed by
    /// hand. The mode decides which one an operation uses. Without --server the run uses a mail server of its own, in
    /// this process, whose record of every command is compared with ours.
    #[command(after_help = exit::HELP)]
    Run(Box<RunArgs>),
    /// Open one connection and show it phase by phase: what the server offers, what is wrong, and the cure
    ///
    /// The name's resolution, the connect, TLS, the greeting, what the server offers before and after the sign-in, the
    /// sign-in, a first operation that only reads, and the goodbye, each with the time it took.
    #[command(after_help = exit::CHECK_HELP)]
    Check(Box<CheckArgs>),
    /// Perform scenarios: what threads, tasks and the server do, step by step, and what must come of it
    ///
    /// Each step is printed as written, with what it did beside it. Without --server each scenario has a mail server of its
    /// own, in this process. One that asks the server for nothing runs on any.
    #[command(after_help = exit::SCENARIO_HELP, after_long_help = format!("{GRAMMAR}\n{}", exit::SCENARIO_HELP))]
    Scenario(Box<ScenarioArgs>),
    /// Check the file of a run or a scenario: does what it says hold, by itself and against the server's record?
    ///
    /// From the NDJSON of a run alone (mailconn run --format ndjson) the report is computed again and compared with what the
    /// file says (of a scenario: each client's run, and the steps against what the threads did), every operation's connection
    /// is checked against the rules, and against the sandbox's record if that was the server, and the events against each
    /// other: which connection was created, opened, used, closed and disposed, for whom, why, in what order, by which
    /// commands, and what the server's refusals mean. A line that is missing, doubled or at another place is found, unless
    /// the events were such that nobody could tell.
    ///
    /// What nothing else in the file depends on it cannot show: the dates (but for --dovecot-log), how long a phase truly
    /// took, seed, tool_version, items, bytes beyond what the commands take, what the server's own line was, whether
    /// certificates were verified, fail_on, how it signed in and as whom, and of which executor tasks were that each had a
    /// thread to itself and disposed what they created. A file in which everything was invented alike is no contradiction:
    /// only a server's record is one.
    #[command(after_help = exit::VERIFY_HELP)]
    Verify(VerifyArgs),
    /// Serve mail on this machine until Ctrl-C: IMAP, SMTP and POP3, in the clear and under TLS
    ///
    /// For trying clients on: everything is in memory and gone at the end. Each user has INBOX, Archive and Sent; what
    /// SMTP delivers, IMAP and POP3 see. It prints its URLs, its users and their password, and makes a certificate of its
    /// own at each start.
    #[command(
        after_help = "Exit codes:\n  0  ended by Ctrl-C or SIGTERM\n  2  wrong usage, or it could not be started"
    )]
    Sandbox(SandboxArgs),
    /// Say what a word of the reports means, and what to do about it: MC020, A7, use-default, limit-connections, rules
    ///
    /// Findings by their id, rules by their number, modes, failures and their stages, and what a check finds. rules prints
    /// the truth table from the code that decides. Without a word, all there are. Nothing is dialled.
    #[command(after_help = "Exit codes:\n  0  explained\n  2  there is no such word")]
    Explain(ExplainArgs),
}

/// The flags of `mailconn explain`.
#[derive(Debug, Args)]
pub struct ExplainArgs {
    /// The word to explain; upper and lower case are the same
    pub word: Option<String>,
}

/// The flags of `mailconn sandbox`.
#[derive(Debug, Args)]
pub struct SandboxArgs {
    /// Listen for imap, imaps, smtp, smtps, pop3 or pop3s, as in imap, imap=1143 or imap=[::1]:1143; repeatable
    /// [default: all six, on free ports of 127.0.0.1]
    #[arg(long, value_name = "PROTOCOL[=ADDRESS]", help_heading = "Listening")]
    pub listen: Vec<String>,
    /// On imap, smtp and pop3, offer STARTTLS (STLS) and let nobody sign in without it
    #[arg(long, help_heading = "Listening")]
    pub starttls: bool,
    /// Allow addresses that other machines can reach
    #[arg(long, help_heading = "Listening")]
    pub expose: bool,
    /// Write the certificate that clients must trust, in PEM
    #[arg(long, value_name = "FILE", help_heading = "Listening")]
    pub ca_file: Option<PathBuf>,

    /// Who may sign in; repeatable
    #[arg(long, value_name = "NAME", default_value = "sandbox", help_heading = "Users")]
    pub user: Vec<String>,
    /// Read the password of all users from this file, instead of making one up and printing it
    #[arg(long, value_name = "FILE", help_heading = "Users")]
    pub password_file: Option<PathBuf>,

    /// The limit on connections: of a user in IMAP and POP3, of an address in SMTP
    #[arg(long, value_name = "N", help_heading = "Behaviour")]
    pub connections: Option<usize>,
    /// Whether a POP3 session has its maildrop to itself
    #[arg(long, value_enum, value_name = "HOW", default_value = "locked", help_heading = "Behaviour")]
    pub maildrops: MaildropsArg,
    /// How late each reply is sent
    #[arg(long, value_name = "TIME", value_parser = duration, default_value = "0s", help_heading = "Behaviour")]
    pub latency: Duration,
    /// End sessions whose client was silent for so long [default: as the protocols ask, minutes]
    #[arg(long, value_name = "TIME", value_parser = positive, help_heading = "Behaviour")]
    pub idle_limit: Option<Duration>,
    /// Print a line for each session event: opened, encrypted, signed in, refused, delivered, closed
    #[arg(long, help_heading = "Behaviour")]
    pub log: bool,
}

/// The flags of `mailconn check`.
#[derive(Debug, Args)]
pub struct CheckArgs {
    /// imaps://user@host[:port], imap:// for STARTTLS, likewise smtp and pop3; or sandbox, sandbox+smtps and so on
    /// [default: $MAILCONN_SERVER, else sandbox]
    ///
    /// SMTP without a user does not sign in.
    #[arg(value_name = "URL")]
    pub url: Option<String>,
    /// How to reach it.
    #[command(flatten)]
    pub reach: ServerArgs,
    /// The report: text as things happen, or one JSON document at the end
    #[arg(long, value_enum, default_value = "text", help_heading = "Report")]
    pub format: CheckFormatArg,
    /// Where the transcript goes.
    #[command(flatten)]
    pub transcripts: TranscriptArgs,
}

/// The flags of `mailconn verify`.
#[derive(Debug, Args)]
pub struct VerifyArgs {
    /// The file, or - for standard input
    #[arg(value_name = "TRACE")]
    pub trace: PathBuf,
    /// The report: text for people, or one JSON document
    #[arg(long, value_enum, default_value = "text")]
    pub format: CheckFormatArg,
    /// Compare with the log of the Dovecot that the run was on, too
    ///
    /// Sessions are joined by the label that they sent (imap_id_log = *), else by their port. It needs
    /// login_log_format_elements with user=<%u> method=%m rport=%{rport} mpid=%e %c session=<%{session}>, and
    /// mail_log_prefix = "%s(%u)<%p><%{session}>: "; bytes are compared with imap_logout_format = in=%i out=%o. Compared are
    /// each session's name, port, user, way to sign in, TLS, end, bytes (what the sign-in takes is only bounded) and day (the
    /// log does not say its time zone). A session that signed in and is not in a log that has others of the run does not
    /// hold; where none is in it nothing could be compared, which is exit code 2.
    #[arg(long, value_name = "FILE")]
    pub dovecot_log: Option<PathBuf>,
    /// And with the transcripts in its rawlog_dir, command by command after the sign-in
    ///
    /// It is exit code 2 if it has none of the run's sessions, and does not hold if it has some of them only.
    #[arg(long, value_name = "DIR", requires = "dovecot_log")]
    pub rawlog: Option<PathBuf>,
}

/// `--format` of a check.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum CheckFormatArg {
    /// For people
    Text,
    /// One document, at the end
    Json,
}

impl CheckFormatArg {
    /// Whether it is JSON.
    pub const fn is_json(self) -> bool {
        matches!(self, Self::Json)
    }
}

/// The flags of `mailconn scenario`.
#[derive(Debug, Args)]
pub struct ScenarioArgs {
    /// Scenarios: files, - for standard input, or the names of shipped ones
    #[arg(value_name = "FILE", required_unless_present = "list")]
    pub files: Vec<PathBuf>,
    /// List the shipped scenarios: their names, what they show, which protocols they can speak
    #[arg(long, conflicts_with = "files")]
    pub list: bool,

    /// Allow steps that write to a real server: send
    #[arg(long, help_heading = "Work")]
    pub allow_writes: bool,
    /// The recipient of send [default: the user who signs in]
    #[arg(long, value_name = "ADDRESS", help_heading = "Work")]
    pub to: Option<String>,

    /// imaps://user@host[:port], imap:// for STARTTLS, likewise smtp and pop3; or sandbox, sandbox+smtp and so on
    /// [default: $MAILCONN_SERVER, else the sandbox, by the first protocol that the scenario names]
    #[arg(long, value_name = "URL", help_heading = "Server")]
    pub server: Option<String>,
    /// How to reach it.
    #[command(flatten)]
    pub reach: ServerArgs,

    /// How long an operation may wait for its connection, where the scenario does not say
    #[arg(long, value_name = "TIME", value_parser = duration, default_value = "10s", help_heading = "Deadlines")]
    pub wait_timeout: Duration,

    /// The report: text as things happen, or a line of JSON for each step as it happens
    #[arg(long, value_enum, default_value = "text", help_heading = "Report")]
    pub format: ScenarioFormatArg,
    /// Write the report to FILE instead of standard output, which - stands for
    #[arg(short, long, value_name = "FILE", help_heading = "Report")]
    pub output: Option<PathBuf>,
    /// Which findings make a scenario exit 1 that did not expect them
    #[arg(
        long,
        value_enum,
        value_name = "LIST",
        value_delimiter = ',',
        default_value = "none",
        help_heading = "Report"
    )]
    pub fail_on: Vec<FailOnArg>,
    /// Where the transcripts go.
    #[command(flatten)]
    pub transcripts: TranscriptArgs,
}

/// `--format` of a scenario.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ScenarioFormatArg {
    /// For people
    Text,
    /// One line for each step
    Ndjson,
}

/// The flags of `mailconn run`.
#[derive(Debug, Args)]
pub struct RunArgs {
    /// Which connection operations use
    #[arg(long, value_enum, default_value = "use-main-or-default", help_heading = "Connections")]
    pub mode: ModeArg,
    /// Set the mode when so many operations were issued by all workers together, as in 500=use-main; repeatable, ascending
    #[arg(long, value_name = "N=MODE", value_parser = switch, help_heading = "Connections")]
    pub switch_mode: Vec<Switch>,
    /// Who does the work
    ///
    /// A pool's threads, and those that asynchronous operations block, outlive their tasks: what a task leaves on its thread
    /// is there for the next one.
    #[arg(long, value_enum, default_value = "threads", help_heading = "Connections")]
    pub executor: ExecutorArg,
    /// Workers, a thread each
    #[arg(short, long, value_name = "N", default_value_t = 4, help_heading = "Connections")]
    pub threads: u32,
    /// With --executor pool or tasks: tasks, each of which does --operations [default: 10 for each thread]
    #[arg(long, value_name = "N", help_heading = "Connections")]
    pub tasks: Option<u32>,
    /// With --executor pool or tasks: what becomes of the default connection at a task's end [default: never]
    #[arg(long, value_enum, value_name = "WHEN", help_heading = "Connections")]
    pub dispose: Option<DisposeArg>,
    /// Workers that create their default connection by hand: all, none, half, or a list like w0,w2-w5; where there are
    /// tasks, each does at its start: all, none, half, or t0,t2-t5
    #[arg(long, value_name = "LIST", default_value = "none", help_heading = "Connections")]
    pub default_for: String,
    /// Workers that create an independent connection and pass it with each operation (LIST as above)
    #[arg(long, value_name = "LIST", default_value = "none", help_heading = "Connections")]
    pub independent_for: String,
    /// For how long an operation has its connection to itself
    ///
    /// command is the naive lock, to be seen failing: between one operation's EXAMINE and its FETCH another one may select
    /// its own mailbox on the same connection, and the reply comes from there (MC020). It needs IMAP, and fetch or search.
    #[arg(long, value_enum, default_value = "unit", help_heading = "Connections")]
    pub lock: LockArg,
    /// The most connections open or being dialled at once; more wait
    ///
    /// Workers keep their connections until all are done: in use-default, with fewer than --threads, the others wait in
    /// vain until --wait-timeout.
    #[arg(long, value_name = "N", help_heading = "Connections")]
    pub max_connections: Option<usize>,

    /// Operations for each worker, or each task [default: 100]
    #[arg(short = 'n', long, value_name = "N", conflicts_with = "duration", help_heading = "Work")]
    pub operations: Option<u64>,
    /// Work for so long instead, like 10s or 2m
    #[arg(long, value_name = "TIME", value_parser = positive, help_heading = "Work")]
    pub duration: Option<Duration>,
    /// Operations and their weights, like noop=3,fetch; a bare name counts 1 [default: depends on the protocol]
    ///
    /// IMAP has noop, list, status, fetch (EXAMINE, FETCH of headers), search (EXAMINE, SEARCH) and append (CREATE, APPEND,
    /// DELETE of a mailbox of its own); default noop=3,status=1,fetch=1. SMTP has noop, verify (RSET) and send (MAIL, RCPT,
    /// DATA); default noop=3,verify=1. POP3 has noop, stat, list and retrieve (STAT, TOP or RETR); default
    /// noop=3,stat=1,list=1. send and append need --allow-writes.
    #[arg(long, value_name = "MIX", help_heading = "Work")]
    pub ops: Option<String>,
    /// Allow operations that write: send, and append to a scratch mailbox of its own
    #[arg(long, help_heading = "Work")]
    pub allow_writes: bool,
    /// The recipient of send [default: the user who signs in]
    #[arg(long, value_name = "ADDRESS", help_heading = "Work")]
    pub to: Option<String>,
    /// IMAP: a mailbox to work on; repeatable [default: INBOX]
    #[arg(long, value_name = "NAME", help_heading = "Work")]
    pub mailbox: Vec<String>,
    /// A worker's rest between two operations
    #[arg(long, value_name = "TIME", value_parser = duration, default_value = "0s", help_heading = "Work")]
    pub pause: Duration,
    /// Decides every choice; the same seed makes the same operations [default: a new one each time]
    #[arg(long, value_name = "N", help_heading = "Work")]
    pub seed: Option<u64>,

    /// imaps://user@host[:port], imap:// for STARTTLS, likewise smtp and pop3; or sandbox [default: $MAILCONN_SERVER, else
    /// sandbox]
    ///
    /// SMTP without a user does not sign in.
    #[arg(long, value_name = "URL", help_heading = "Server")]
    pub server: Option<String>,
    /// How to reach it.
    #[command(flatten)]
    pub reach: ServerArgs,

    /// How long an operation may wait for its connection
    #[arg(long, value_name = "TIME", value_parser = duration, default_value = "60s", help_heading = "Deadlines")]
    pub wait_timeout: Duration,

    /// The report: a table for people, one JSON document, or a line of JSON for each event as it happens
    #[arg(long, value_enum, default_value = "table", help_heading = "Report")]
    pub format: FormatArg,
    /// Write the report to FILE instead of standard output, which - stands for
    #[arg(short, long, value_name = "FILE", help_heading = "Report")]
    pub output: Option<PathBuf>,
    /// Which findings make the exit code 1: some of hazard, leak, fault and advice, or none
    ///
    /// Whatever is given here, a limit exits 6, a broken invariant 7, and operations that failed exit 1.
    #[arg(
        long,
        value_enum,
        value_name = "LIST",
        value_delimiter = ',',
        default_value = "hazard,leak,fault",
        help_heading = "Report"
    )]
    pub fail_on: Vec<FailOnArg>,
    /// List every operation in the table (the ndjson format always does)
    #[arg(long, help_heading = "Report")]
    pub each: bool,
    /// Where the transcripts go.
    #[command(flatten)]
    pub transcripts: TranscriptArgs,
    /// Progress on standard error
    #[arg(long, value_enum, default_value = "auto", help_heading = "Report")]
    pub progress: ProgressArg,
}

/// How to reach a server and sign in there, whichever command does it. What the sandbox is like belongs here too: it is a
/// server like any other.
#[derive(Debug, Args)]
pub struct ServerArgs {
    /// Require STARTTLS, on loopback too
    #[arg(long, conflicts_with = "plaintext", help_heading = "Server")]
    pub starttls: bool,
    /// Allow a password in the clear, off loopback too
    #[arg(long, help_heading = "Server")]
    pub plaintext: bool,
    /// How to protect the connection.
    #[command(flatten)]
    pub tls: TlsArgs,
    /// How to sign in.
    #[command(flatten)]
    pub sign_in: SignInArgs,
    /// What SMTP sessions call themselves, a host name [default: the address of their own end]
    #[arg(long, value_name = "NAME", conflicts_with = "ehlo_label", help_heading = "Server")]
    pub ehlo: Option<String>,
    /// SMTP sessions call themselves by a name made of session and run, which the server's log then shows
    #[arg(long, help_heading = "Server")]
    pub ehlo_label: bool,
    /// The sandbox's limit on connections of a user
    #[arg(long, value_name = "N", help_heading = "Server")]
    pub sandbox_connections: Option<usize>,
    /// Whether a POP3 session of the sandbox has its maildrop to itself [default: locked; in a scenario shared]
    #[arg(long, value_enum, value_name = "HOW", help_heading = "Server")]
    pub sandbox_maildrops: Option<MaildropsArg>,
    /// How late the sandbox sends each reply
    #[arg(long, value_name = "TIME", value_parser = duration, help_heading = "Server")]
    pub sandbox_latency: Option<Duration>,

    /// How long a dial may take, from the name's resolution to the sign-in [default: 10s; with POP3 15s, since servers wait
    /// for a locked maildrop]
    #[arg(long, value_name = "TIME", value_parser = positive, help_heading = "Deadlines")]
    pub connect_timeout: Option<Duration>,
    /// How long an operation may take
    #[arg(long, value_name = "TIME", value_parser = positive, default_value = "30s", help_heading = "Deadlines")]
    pub timeout: Duration,
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
    /// Sign in by OAuth: run this in a shell; the first line that it writes is the access token
    ///
    /// It is run when the first connection signs in, and once more if the server refuses the token as expired.
    #[arg(long, value_name = "COMMAND", group = "secret", help_heading = "Server")]
    pub token_command: Option<String>,
    /// Sign in this way [default: the strongest that the server offers]
    #[arg(long, value_enum, value_name = "WAY", ignore_case = true, help_heading = "Server")]
    pub auth: Option<AuthArg>,
}

impl SignInArgs {
    /// Whether none of them was given.
    pub fn is_empty(&self) -> bool {
        let Self { password_command, password_file, password_stdin, token_command, auth } = self;
        let commands = password_command.is_none() && token_command.is_none();
        commands && password_file.is_none() && !password_stdin && auth.is_none()
    }
}

/// `--auth`.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum AuthArg {
    /// Proves the password without saying it
    #[value(name = "scram-sha-256")]
    ScramSha256,
    /// User and password at once
    Plain,
    /// User and password, one after the other; with IMAP its LOGIN command, where the server knows no other LOGIN
    Login,
    /// An access token, as RFC 7628 says it; a password given with it is taken for one
    #[value(name = "oauthbearer")]
    OAuthBearer,
    /// An access token, as Google and Microsoft say it; likewise
    #[value(name = "xoauth2")]
    XOAuth2,
    /// The protocol's own command: LOGIN of IMAP, USER and PASS of POP3
    UserPass,
}

impl From<AuthArg> for Way {
    fn from(way: AuthArg) -> Self {
        match way {
            AuthArg::ScramSha256 => Self::Sasl(Mechanism::ScramSha256),
            AuthArg::Plain => Self::Sasl(Mechanism::Plain),
            AuthArg::Login => Self::Sasl(Mechanism::Login),
            AuthArg::OAuthBearer => Self::Sasl(Mechanism::OAuthBearer),
            AuthArg::XOAuth2 => Self::Sasl(Mechanism::XOAuth2),
            AuthArg::UserPass => Self::Native,
        }
    }
}

/// The flags on TLS, the same for every command that dials.
#[derive(Debug, Args)]
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
    #[arg(long, value_enum, value_name = "VERSION", help_heading = "TLS")]
    pub tls_min: Option<TlsMinArg>,
    /// Accept any certificate: whoever is on the way can read and change everything, the password too
    #[arg(long, conflicts_with = "ca_file", help_heading = "TLS")]
    pub insecure: bool,
}

/// The flag on transcripts, the same for every command that dials.
#[derive(Debug, Args)]
pub struct TranscriptArgs {
    /// Write all that goes over each session into a file of its own in DIR, both ways, passwords and tokens left out
    ///
    /// The directory is made if it is missing, for you alone; no file in it is written over. Each line has its time, C: for
    /// ours, S: for the server's, -- for what happened. A file holds at most 64 MiB. One that cannot be written is named on
    /// standard error at the end, and changes no exit code. Mail that is fetched or sent is in it.
    #[arg(long, value_name = "DIR", help_heading = "Report")]
    pub transcript: Option<PathBuf>,
}

/// `--tls-min`.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum TlsMinArg {
    /// TLS 1.2 or 1.3
    #[value(name = "1.2")]
    Tls12,
    /// TLS 1.3 only
    #[value(name = "1.3")]
    Tls13,
}

impl From<TlsMinArg> for TlsVersion {
    fn from(version: TlsMinArg) -> Self {
        match version {
            TlsMinArg::Tls12 => Self::Tls12,
            TlsMinArg::Tls13 => Self::Tls13,
        }
    }
}

/// `--sandbox-maildrops`, and `--maildrops` of `mailconn sandbox`.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum MaildropsArg {
    /// It has, and the next one is refused, as RFC 1939 asks
    Locked,
    /// Any number have it open at a time, as Dovecot does unless told otherwise
    Shared,
}

impl From<MaildropsArg> for Maildrops {
    fn from(maildrops: MaildropsArg) -> Self {
        match maildrops {
            MaildropsArg::Locked => Self::Locked,
            MaildropsArg::Shared => Self::Shared,
        }
    }
}

/// `--mode`.
#[derive(Clone, Copy, Debug, ValueEnum)]
#[expect(clippy::enum_variant_names, reason = "the flag's words are the field's: use-main, use-default, …")]
pub enum ModeArg {
    /// Every thread shares the main connection
    UseMain,
    /// Each thread has a default connection of its own
    UseDefault,
    /// A thread's default connection if it created one, else main
    UseMainOrDefault,
}

impl From<ModeArg> for Mode {
    fn from(mode: ModeArg) -> Self {
        match mode {
            ModeArg::UseMain => Self::UseMain,
            ModeArg::UseDefault => Self::UseDefault,
            ModeArg::UseMainOrDefault => Self::UseMainOrDefault,
        }
    }
}

/// `--lock`.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum LockArg {
    /// From its first command to its last reply
    Unit,
    /// For each of its commands anew
    Command,
}

impl From<LockArg> for Lock {
    fn from(lock: LockArg) -> Self {
        match lock {
            LockArg::Unit => Self::Unit,
            LockArg::Command => Self::Command,
        }
    }
}

/// One word of `--fail-on`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum FailOnArg {
    /// Mail can be read from, or written to, the wrong place
    Hazard,
    /// A connection was left behind
    Leak,
    /// A connection was lost in the middle of something
    Fault,
    /// It works, at more cost than it needs
    Advice,
    /// No finding
    None,
}

/// `--executor`.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum ExecutorArg {
    /// A thread for each worker, from the start to the end
    Threads,
    /// A thread pool: each of its threads does one task after the other
    Pool,
    /// Asynchronous tasks, each operation in a blocking section of its own, on any of the threads
    Tasks,
}

impl From<ExecutorArg> for Executor {
    fn from(executor: ExecutorArg) -> Self {
        match executor {
            ExecutorArg::Threads => Self::Threads,
            ExecutorArg::Pool => Self::Pool,
            ExecutorArg::Tasks => Self::Tasks,
        }
    }
}

/// `--dispose`.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum DisposeArg {
    /// It is left to the thread, and serves the next task there
    Never,
    /// The task disposes it, even if it panics; an asynchronous one then does all of its work in one blocking section
    Task,
}

impl From<DisposeArg> for Dispose {
    fn from(dispose: DisposeArg) -> Self {
        match dispose {
            DisposeArg::Never => Self::Never,
            DisposeArg::Task => Self::Task,
        }
    }
}

/// `--format`.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum FormatArg {
    /// For people
    Table,
    /// One document, at the end
    Json,
    /// One line for each event, as it happens
    Ndjson,
}

impl From<FormatArg> for Format {
    fn from(format: FormatArg) -> Self {
        match format {
            FormatArg::Table => Self::Table,
            FormatArg::Json => Self::Json,
            FormatArg::Ndjson => Self::Ndjson,
        }
    }
}

/// `--progress`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ProgressArg {
    /// A live line on a terminal, else a plain line every few seconds
    Auto,
    /// None
    Never,
}

/// `500=use-main`.
fn switch(text: &str) -> Result<Switch, String> {
    let (after, mode) = text.split_once('=').ok_or_else(|| "write N=MODE, like 500=use-main".to_owned())?;
    let after = after.parse().ok().filter(|after| *after > 0);
    let after =
        after.ok_or_else(|| "N is a number of operations, at least 1; --mode sets the first mode".to_owned())?;
    let mode = Mode::ALL.into_iter().find(|known| known.name() == mode);
    let mode = mode.ok_or_else(|| format!("the modes are {}", Mode::ALL.map(Mode::name).join(", ")))?;
    Ok(Switch { after, mode })
}

/// A deadline is a moment that the clock must be able to name: longer than any run, and within every clock's reach.
const LONGEST: Duration = Duration::from_secs(366 * 24 * 60 * 60);

fn duration(text: &str) -> Result<Duration, String> {
    let time =
        humantime::parse_duration(text).map_err(|_| "give a number and a unit, like 20ms, 2s or 1m".to_owned())?;
    if time > LONGEST { Err("give at most 366d".to_owned()) } else { Ok(time) }
}

fn positive(text: &str) -> Result<Duration, String> {
    let time = duration(text)?;
    if time.is_zero() { Err("it must be longer than 0".to_owned()) } else { Ok(time) }
}
