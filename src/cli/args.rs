//! The command line, close to its flags. What they mean together is settled in `settings.rs`.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ColorChoice, Parser, Subcommand};
use clap_complete::Shell;

use super::schema::SchemaOf;
use super::{examples, exit, operations};
use mailconn::event::Severity;
use mailconn::report::Format;
use mailconn::sandbox::{Like, Limit, Maildrops};
use mailconn::scenario::grammar;

mod anonymize;
mod choices;
mod compare;
mod conflicts;
mod gates;
mod limits;
mod output;
mod reach;
mod reporting;
mod times;
mod work;

pub use anonymize::AnonymizeArgs;
pub use choices::Ci;
pub use compare::{Common, CompareArgs, VariantArgs};
pub use conflicts::exclude_each_other;
pub use gates::{BaselineArgs, GateArgs, are_of_runs};
pub use limits::LimitsArgs;
pub use output::OutputArgs;
pub use reach::{ServerArgs, ShapeArgs, SignInArgs, TlsArgs, TranscriptArgs};
pub use reporting::ReportingArgs;
use times::{duration, positive, round_trip};
pub use work::WorkArgs;

/// What a command that has no stream can be told in.
const TEXT_OR_JSON: &[Format] = &[Format::Table, Format::Json];

/// Shows which mail connection each operation used, why, at what cost, and proves it against the record of the mail
/// server in the box.
#[derive(Debug, Parser)]
#[command(
    name = "mailconn",
    version = env!("MAILCONN_VERSION"),
    arg_required_else_help = true,
    before_help = examples::MAILCONN,
    after_help = exit::HELP
)]
pub struct Cli {
    /// Read the named servers (--server @NAME) and the defaults of the commands that dial from FILE [default:
    /// $MAILCONN_CONFIG, else ~/.config/mailconn/config.toml]
    ///
    /// XDG_CONFIG_HOME is used where it is set. mailconn explain settings says what can stand there, and shows what does.
    #[arg(long, value_name = "FILE", global = true)]
    pub config: Option<PathBuf>,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
    /// Whether text on standard output is in colour: auto if it is a terminal; NO_COLOR and CLICOLOR_FORCE are heeded
    #[arg(
        long,
        global = true,
        value_name = "WHEN",
        default_value = "auto",
        hide_default_value = true,
        help_heading = "Report"
    )]
    pub color: ColorChoice,
}

/// The subcommands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run mail operations on several threads and report which connection each one used, and why
    ///
    /// A client has one main connection; each thread may have a default one of its own; independent ones are passed by
    /// hand. The mode decides which one an operation uses. Without --server the run uses a mail server of its own, in
    /// this process, whose record of every command is compared with ours.
    #[command(before_help = examples::RUN, after_help = exit::HELP)]
    Run(Box<RunArgs>),
    /// Open one connection and show it phase by phase: what the server offers, what is wrong, and the cure
    ///
    /// It shows resolving the name, connecting, TLS, the greeting, what the server offers before and after the sign-in, the
    /// sign-in, a first operation that only reads, and the goodbye, each with the time it took.
    #[command(before_help = examples::CHECK, after_help = exit::CHECK_HELP)]
    Check(Box<CheckArgs>),
    /// Find out how many connections a server gives, and what to set for that
    ///
    /// It opens one after the other, each signed in, until the server refuses one or --max are open. Then it finds out whether
    /// the limit is a count or a rate: it holds what is open and tries once more, signs out of one and tries again. It
    /// signs out of all at the end, and after Ctrl-C.
    ///
    /// Each new connection is asked for one NOOP: some servers let one in and refuse its first command, which counts as
    /// refused. In IMAP all open ones are asked after each attempt, to see whether they live on; SMTP and POP3 servers may count
    /// commands, so there it is only seen whether they close.
    ///
    /// --format ndjson -o FILE keeps it, for mailconn report and mailconn verify to tell and check it again.
    #[command(before_help = examples::LIMITS, after_help = exit::LIMITS_HELP)]
    Limits(Box<LimitsArgs>),
    /// Which mode should I use? Run several ways in turn, and say which is better here, by how much, at what cost
    ///
    /// Each round does every variant once, on the same seeded work and in another order; one round warms up. The next run
    /// begins when the one before has closed its connections. A sandbox is a new one for each run. A variant is better or worse
    /// if the difference is beyond --noise in the interval that is right 99 times in 100, for all variants together; if the
    /// rounds do not tell, the report says how many more would.
    ///
    /// Without -n or --duration a run works for 2 s. On a named server it says first how often it signs in, rests between two
    /// runs, and stops at the first limit of the server, with what it has.
    ///
    /// --format ndjson -o FILE keeps every run, for mailconn report and mailconn verify to tell and check again.
    #[command(before_help = examples::COMPARE, after_help = exit::COMPARE_HELP)]
    Compare(Box<CompareArgs>),
    /// Perform scenarios: what threads, tasks and the server do, step by step, and what must come of it
    ///
    /// Each step is printed as written, with what it did beside it. Without --server each scenario has a mail server of its
    /// own, in this process. One that asks the server for nothing runs on any.
    #[command(before_help = examples::SCENARIO, after_help = exit::SCENARIO_HELP, after_long_help = format!("{}\n{}", grammar(), exit::SCENARIO_HELP))]
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
    /// took, for how long a reader held the run up, schema_version, tool_version, seed, items, bytes beyond what the commands
    /// take, what the server's own line was, which mailbox a command without a selection worked on, how far certificates were
    /// verified under TLS, judged_by, how it signed in and as whom, a cap that was never reached, in which of the three words
    /// an operation was never served (disposed, refused, wait-timeout), the times of goodbyes to the server, a signal that ended a run
    /// which is whole otherwise, with its exit code, and of which executor tasks were that each had a thread to itself and
    /// disposed what they created; of a scenario its name, the text of its steps, the words for what was expected, names of
    /// connections, notes, and who disposed a connection. A consistently forged file passes; only a server's own record
    /// exposes it.
    #[command(before_help = examples::VERIFY, after_help = exit::VERIFY_HELP)]
    Verify(VerifyArgs),
    /// Tell stored runs and scenarios again: the report of their NDJSON files, in any format
    ///
    /// The report is the one that the run would have given. The files are believed: mailconn verify checks them. Each file is
    /// told of by itself, and all of them are one JSON document.
    #[command(before_help = examples::REPORT, after_help = exit::REPORT_HELP)]
    Report(ReportArgs),
    /// Show two runs side by side: the settings in which they differ, then their figures
    ///
    /// The files are those of mailconn run --format json or ndjson.
    #[command(
        before_help = examples::DIFF,
        after_help = "Exit codes:\n  0  told, whatever differs\n  2  wrong usage, or a file holds no run; or the report could not be written"
    )]
    Diff(DiffArgs),
    /// Serve mail on this machine until Ctrl-C: IMAP, SMTP and POP3, in the clear and under TLS
    ///
    /// For trying out mail clients: everything is in memory and gone at the end. Each user has INBOX, Archive and Sent; what
    /// SMTP delivers, IMAP and POP3 see. It prints its URLs, its users and their password, and makes a certificate of its
    /// own at each start. At the end it prints what the clients did: connections, the most at once, refusals, sessions that
    /// ended without LOGOUT or QUIT, commands by name.
    #[command(
        before_help = examples::SANDBOX,
        after_help = "Exit codes:\n  0  ended by Ctrl-C or SIGTERM\n  2  wrong usage, or it could not be started"
    )]
    Sandbox(SandboxArgs),
    /// Say what a word of the reports means, and what to do about it: MC020, A7, use-default, limit-connections, rules, metrics, ci, tour
    ///
    /// A finding by its id, a rule by its number, a mode, a failure or its stage, a column, what a check finds. rules prints
    /// the truth table from the code that decides, metrics every figure that a gate (--fail-if) can be about, ci the lines for a
    /// build on GitHub, GitLab or Kubernetes, tour all that mailconn can do by example, settings what is
    /// configured, and where. Without a word, it lists all words. Nothing is dialled.
    ///
    /// A server's line, such as 'NO [LIMIT] Maximum number of connections', gets the word that a run would give it, with the
    /// exit code, what it means and what to do. A line begins with its tag, *, a code, -ERR or [CODE], or speaks of a failure.
    #[command(
        before_help = examples::EXPLAIN,
        after_help = "Exit codes:\n  0  explained\n  2  it is no word and no server's line, or the line refuses nothing"
    )]
    Explain(ExplainArgs),
    /// Print the JSON Schema of what a command writes as JSON, or of a line of NDJSON
    ///
    /// It is of draft 2020-12 and allows more fields than it names: under one schema_version fields are added, and none is
    /// renamed or taken away. As in: check-jsonschema --schemafile run.schema.json run.json. The manual has the same as a page.
    #[command(before_help = examples::SCHEMA)]
    Schema(SchemaArgs),
    /// Print the completions of a shell, for it to load
    #[command(before_help = examples::COMPLETIONS)]
    Completions(CompletionsArgs),
    /// Print the manual page of mailconn, or of one of its commands
    #[command(before_help = examples::MAN)]
    Man(ManArgs),
}

/// The flags of `mailconn schema`.
#[derive(Debug, Args)]
pub struct SchemaArgs {
    /// The command whose JSON it is of, or ndjson
    #[arg(value_name = "NAME", value_parser = choices::schemas(), default_value = "run")]
    pub name: SchemaOf,
}

/// The flags of `mailconn completions`.
#[derive(Debug, Args)]
pub struct CompletionsArgs {
    /// The shell
    #[arg(value_name = "SHELL", value_parser = choices::shells())]
    pub shell: Shell,
}

/// The flags of `mailconn man`.
#[derive(Debug, Args)]
pub struct ManArgs {
    /// The command whose page it is [default: that of all of mailconn]
    #[arg(value_name = "COMMAND")]
    pub command: Option<String>,
}

/// The flags of `mailconn explain`.
#[derive(Debug, Args)]
pub struct ExplainArgs {
    /// The word to explain, in upper or lower case; or, in quotes, a line that a server sent
    #[arg(value_name = "WORD|LINE", allow_hyphen_values = true)]
    pub word: Option<String>,
    /// With metrics, those with this in their name, as in mailconn explain metrics service; with settings, a command and its
    /// flags, as in mailconn explain settings run --server @work
    #[arg(value_name = "PART", trailing_var_arg = true, allow_hyphen_values = true)]
    pub rest: Vec<OsString>,
    /// The protocol of the line
    #[arg(long, value_parser = ["imap", "smtp", "pop3"])]
    pub protocol: Option<String>,
    /// The stage at which the server sent the line [default: each stage at which it has another meaning]
    #[arg(long, value_parser = ["greeting", "tls", "auth", "wait", "operation", "logout"])]
    pub stage: Option<String>,
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

    /// A user who may sign in; repeatable
    #[arg(long, value_name = "NAME", default_value = "sandbox", help_heading = "Users")]
    pub user: Vec<String>,
    /// Read the password of all users from this file, instead of making one up and printing it
    #[arg(long, value_name = "FILE", help_heading = "Users")]
    pub password_file: Option<PathBuf>,

    /// The limit on connections: of a user in IMAP and POP3, of an address in SMTP; with --like as that server counts
    #[arg(long, value_name = "N", help_heading = "Behaviour")]
    pub connections: Option<usize>,
    /// A limit by what it counts: user=7, address=5, user+address=3 or total=20; repeatable
    ///
    /// user=10/60s is a rate. @accept, @greeting, @sign-in or @after (the first command behind the sign-in) says where it
    /// counts and refuses: user=7@after. Behind a comma, oldest ends the oldest connection instead of refusing the newest,
    /// release=5s keeps a slot taken for that time after a connection's end, bare-release=5s after an end without LOGOUT or
    /// QUIT. imap:, smtp: or pop3: before it makes it that protocol's.
    #[arg(long, value_name = "LIMIT", help_heading = "Behaviour")]
    pub limit: Vec<Limit>,
    /// Refuse in the words of a server or a provider, and keep the limits that it is documented to have, unless one is given
    ///
    /// A limit that is given is refused in these words too, wherever they are known. In a protocol, a scope or a stage for which
    /// they are not, the sandbox has its own words; without a limit that is documented, it has none.
    #[arg(long, value_parser = choices::likes(), value_name = "NAME", help_heading = "Behaviour")]
    pub like: Option<Like>,
    /// Whether a POP3 session has its maildrop to itself
    #[arg(
        long,
        value_parser = choices::maildrops(),
        value_name = "HOW",
        default_value = "locked",
        help_heading = "Behaviour"
    )]
    pub maildrops: Maildrops,
    /// How late each reply is sent
    #[arg(long, value_name = "TIME", value_parser = duration, default_value = "0s", help_heading = "Behaviour")]
    pub latency: Duration,
    /// Be as far away as a round trip of this length: each direction takes half of it
    #[arg(long, value_name = "TIME", value_parser = round_trip, default_value = "0s", help_heading = "Behaviour")]
    pub rtt: Duration,
    /// End sessions whose client was silent for this time [default: minutes, as the protocols ask]
    #[arg(long, value_name = "TIME", value_parser = positive, help_heading = "Behaviour")]
    pub idle_limit: Option<Duration>,
    /// Print a line for each session event: opened, encrypted, signed in, refused, delivered, closed
    #[arg(long, help_heading = "Report")]
    pub log: bool,
    /// text for people, or a JSON object on each line: the addresses, each session event (--log), the summary at the end
    #[arg(
        long,
        value_parser = choices::formats_of_sandbox(),
        default_value = Format::TEXT,
        help_heading = "Report"
    )]
    pub format: Format,
    /// Write all that goes over each session into a file of its own in DIR, both ways, passwords left out
    #[arg(long, value_name = "DIR", help_heading = "Report")]
    pub transcript: Option<PathBuf>,
}

/// The flags of `mailconn check`.
#[derive(Debug, Args)]
pub struct CheckArgs {
    /// imaps://user@host[:port], imap:// for STARTTLS, likewise smtp and pop3; or sandbox, sandbox+smtps and so on;
    /// or @NAME, a server of config.toml [default: $MAILCONN_SERVER, else sandbox]
    ///
    /// SMTP without a user does not sign in.
    #[arg(value_name = "URL")]
    pub url: Option<String>,
    /// How to reach it.
    #[command(flatten)]
    pub reach: ServerArgs,
    /// The report: text as things happen, or one JSON document at the end
    #[arg(
        long,
        value_parser = choices::formats_of_text(TEXT_OR_JSON),
        default_value = Format::TEXT,
        help_heading = "Report"
    )]
    pub format: Format,
    /// Whether names are replaced.
    #[command(flatten)]
    pub anonymize: AnonymizeArgs,
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
    #[arg(long, value_parser = choices::formats_of_text(TEXT_OR_JSON), default_value = Format::TEXT)]
    pub format: Format,
    /// Judge by these findings in place of those that it was judged by, and exit as it would have: some of hazard, leak,
    /// fault and advice, or none
    ///
    /// Its gates stay, unless --fail-if or --gates gives others. What does not hold is exit code 7 all the same.
    #[arg(long, value_parser = choices::severities(), value_name = "LIST", value_delimiter = ',')]
    pub fail_on: Vec<Option<Severity>>,
    /// Which figures fail it, instead of its own gates.
    #[command(flatten)]
    pub gates: GateArgs,
    /// What they compare with.
    #[command(flatten)]
    pub baseline: BaselineArgs,
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

/// The flags of `mailconn report`.
#[derive(Debug, Args)]
pub struct ReportArgs {
    /// The files, each told after the other; - for standard input
    #[arg(value_name = "FILE", required = true)]
    pub files: Vec<PathBuf>,
    /// What is written, and where.
    #[command(flatten)]
    pub output: OutputArgs,
    /// List every operation above the table
    #[arg(long, help_heading = "Report")]
    pub each: bool,
    /// Judge by these findings in place of those that it was judged by, and exit as the run would: some of hazard, leak,
    /// fault and advice, or none
    ///
    /// Its gates stay, unless --fail-if or --gates gives others. Without any of the three the exit code is 0, whatever the run
    /// came to.
    #[arg(long, value_parser = choices::severities(), value_name = "LIST", value_delimiter = ',')]
    pub fail_on: Vec<Option<Severity>>,
    /// Which figures fail it, instead of its own gates.
    #[command(flatten)]
    pub gates: GateArgs,
    /// What they compare with.
    #[command(flatten)]
    pub baseline: BaselineArgs,
}

/// The flags of `mailconn diff`.
#[derive(Debug, Args)]
pub struct DiffArgs {
    /// The run that the other one is compared with; - for standard input
    #[arg(value_name = "A")]
    pub one: PathBuf,
    /// The other one
    #[arg(value_name = "B")]
    pub other: PathBuf,
    /// The report: text for people, or one JSON document
    #[arg(long, value_parser = choices::formats_of_text(TEXT_OR_JSON), default_value = Format::TEXT)]
    pub format: Format,
    /// Whether names are replaced.
    #[command(flatten)]
    pub anonymize: AnonymizeArgs,
}

/// The flags of `mailconn scenario`.
#[derive(Debug, Args)]
pub struct ScenarioArgs {
    /// Scenarios: files, - for standard input, or the names of shipped ones
    #[arg(value_name = "FILE", required_unless_present = "list")]
    pub files: Vec<PathBuf>,
    /// List the shipped scenarios: their names, what they show, which protocols they can speak; into a pipe a line each
    #[arg(long, conflicts_with = "files")]
    pub list: bool,

    /// Allow steps that write to a real server
    #[arg(
        long,
        help_heading = "Work",
        help = format!("Allow steps that write to a real server: {}", operations::in_words("and", operations::are_writing_steps))
    )]
    pub allow_writes: bool,
    /// The sender of send, on the envelope and in the message [default: the user who signs in]
    #[arg(long, value_name = "ADDRESS", help_heading = "Work")]
    pub from: Option<String>,
    /// The recipient of send [default: the user who signs in]
    #[arg(long, value_name = "ADDRESS", help_heading = "Work")]
    pub to: Option<String>,

    /// imaps://user@host[:port], imap:// for STARTTLS, likewise smtp and pop3; or sandbox, sandbox+smtp and so on;
    /// or @NAME, a server of config.toml [default: $MAILCONN_SERVER, else the sandbox, by the first protocol that the
    /// scenario names]
    #[arg(long, value_name = "URL", help_heading = "Server")]
    pub server: Option<String>,
    /// How to reach it.
    #[command(flatten)]
    pub reach: ServerArgs,

    /// How long an operation may wait for its connection, where the scenario does not say
    #[arg(long, value_name = "TIME", value_parser = duration, default_value = "10s", help_heading = "Deadlines")]
    pub wait_timeout: Duration,

    /// What is written, and where.
    #[command(flatten)]
    pub output: OutputArgs,
    /// Which findings make a scenario exit 1 if it does not expect them
    #[arg(
        long,
        value_parser = choices::severities(),
        value_name = "LIST",
        value_delimiter = ',',
        default_value = "none",
        help_heading = "Report"
    )]
    pub fail_on: Vec<Option<Severity>>,
    /// Which figures of a client fail it.
    #[command(flatten)]
    pub gates: GateArgs,
    /// Where the transcripts go.
    #[command(flatten)]
    pub transcripts: TranscriptArgs,
}

/// The flags of `mailconn run`.
#[derive(Debug, Args)]
pub struct RunArgs {
    /// What is done.
    #[command(flatten)]
    pub work: WorkArgs,
    /// Decides every random choice; the same seed makes the same operations [default: a new one each time]
    #[arg(long, value_name = "N", help_heading = "Work")]
    pub seed: Option<u64>,

    /// imaps://user@host[:port], imap:// for STARTTLS, likewise smtp and pop3; or sandbox; or @NAME, a server of
    /// config.toml [default: $MAILCONN_SERVER, else sandbox]
    ///
    /// SMTP without a user does not sign in.
    #[arg(long, value_name = "URL", help_heading = "Server")]
    pub server: Option<String>,
    /// How to reach it.
    #[command(flatten)]
    pub reach: ServerArgs,

    /// How it is told.
    #[command(flatten)]
    pub reporting: ReportingArgs,
    /// What its gates compare with.
    #[command(flatten)]
    pub baseline: BaselineArgs,
    /// List every operation above the table (the ndjson format always does)
    #[arg(long, help_heading = "Report")]
    pub each: bool,
}
