//! The flags of `mailconn compare`, and those of its variants.

use std::ffi::OsString;
use std::time::Duration;

use clap::error::Error;
use clap::parser::ValueSource;
use clap::{Arg, ArgMatches, Args, Command, CommandFactory, FromArgMatches, Parser};

use super::choices;
use super::conflicts::exclude_each_other;
use super::limits::asked_for;
use super::reach::{ServerArgs, ShapeArgs};
use super::reporting::ReportingArgs;
use super::times::{duration, positive};
use super::work::WorkArgs;

const GATES: &str = "Exit 3 if that is so and nothing else fails, as in 'use-default.service.p95 > 100ms' or 'verdict(use-default) = \
                     different-worse'; repeatable";
const MORE_OF_GATES: &str = "VARIANT.METRIC OPERATOR NUMBER, where OPERATOR is one of > >= < <= == !=; or ratio(VARIANT) \
                             OPERATOR NUMBER, of its --metric to the reference's, as in 'ratio(use-default) < 1.5': one that \
                             could not be measured fails, and one of too few rounds is as a verdict that cannot be told; or verdict(VARIANT) = DECISION, or != ; decisions are different-better, different-worse, different for either, same and \
                             cannot-tell. One on a verdict that cannot be told is passed over, and fails with \
                             --require-decision: so 'verdict(use-default) != different-better' with that fails unless it is \
                             better. A count is so in no round, of others it is the median that counts. mailconn explain \
                             metrics lists the metrics.";

/// The flags of `mailconn compare`.
#[derive(Debug, Args)]
#[command(mut_arg("fail_on", |arg| arg.default_value("none")))]
#[command(mut_arg("fail_if", |arg| arg.help(GATES).long_help(format!("{GATES}\n\n{MORE_OF_GATES}"))))]
pub struct CompareArgs {
    /// A way to run, as in 'use-default -t 4' or 'four=use-default -t 4'; repeatable [default: the three modes]
    ///
    /// A name and =, if it is to have one of its own; then the mode; then any flags of mailconn run on connections and on work,
    /// on the sandbox and --wait-timeout. A flag that is given here counts in place of the one on the command line, which all
    /// variants share. A variant without a name is called by its mode, and by its flags too where others have that mode.
    #[arg(long = "variant", value_name = "RUN", allow_hyphen_values = true, help_heading = "Comparison")]
    pub variants: Vec<String>,
    /// Compare the others with the variant of this name [default: the first]
    #[arg(long, value_name = "NAME", help_heading = "Comparison")]
    pub reference: Option<String>,
    /// Rounds, each of which runs every variant once, beside one that warms up; 8 at least for two variants, 9 for three
    #[arg(long, value_name = "N", default_value_t = 12, help_heading = "Comparison")]
    pub rounds: u32,
    /// Take no longer than this: a round for which there may be too little time is not begun
    ///
    /// A run that is under way at the end is cut, and has a second or two to sign out. A time that cannot hold the rounds that
    /// it takes to tell anything is refused.
    #[arg(long = "for", value_name = "TIME", value_parser = positive, help_heading = "Comparison")]
    pub bound: Option<Duration>,
    /// The figure that decides: a rate or a time of a run, as in service.p95 (mailconn explain metrics)
    #[arg(long, default_value = "operations_per_second", help_heading = "Comparison")]
    pub metric: String,
    /// Take smaller differences than this for none
    #[arg(long, value_name = "PERCENT", value_parser = choices::part, default_value = "3%", help_heading = "Comparison")]
    pub noise: f64,
    /// The rest between two runs [default: 3s; none where the server is on this machine]
    #[arg(long, value_name = "TIME", value_parser = duration, help_heading = "Comparison")]
    pub pace: Option<Duration>,
    /// Decides every random choice, and the order within each round: it is the same work for all variants
    /// [default: a new one each time]
    #[arg(long, value_name = "N", help_heading = "Comparison")]
    pub seed: Option<u64>,
    /// Compare on a provider that is known to block accounts for what looks unusual
    #[arg(
        long,
        help_heading = "Comparison",
        help = format!("Compare on a provider that is known to block accounts for what looks unusual: {}", asked_for())
    )]
    pub yes: bool,
    /// Exit 3 if these rounds do not tell how a variant compares, unless it did the same as the reference on one connection
    #[arg(long, help_heading = "Gates")]
    pub require_decision: bool,

    /// What all variants share.
    #[command(flatten)]
    pub common: Common,

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
}

/// What a variant of a comparison may say of its runs.
#[derive(Debug, Parser)]
#[command(no_binary_name = true, disable_help_flag = true, args_override_self = true)]
pub struct VariantArgs {
    /// What is done.
    #[command(flatten)]
    pub work: WorkArgs,
    /// What the sandbox is like.
    #[command(flatten)]
    pub shape: ShapeArgs,
}

impl VariantArgs {
    /// Reads a variant's words: on top of those that all share, which give way where they are about the same.
    ///
    /// # Errors
    /// They are not understood.
    pub fn on_top_of(common: &Common, words: &[String]) -> Result<Self, Error> {
        let mut command = Self::command();
        command.build();
        let own = command.clone().try_get_matches_from(words)?;
        let own: Vec<&Arg> = command.get_arguments().filter(|arg| is_given(&own, arg)).collect();
        let gives_way = |id: &str| {
            let mut arg = command.get_arguments().filter(|arg| arg.get_id() == id);
            arg.any(|arg| own.iter().any(|own| *own == arg || exclude_each_other(&command, own, arg)))
        };
        let shared = common.given.iter().filter(|(id, _)| !gives_way(id)).flat_map(|(_, words)| words.clone());
        let words = shared.chain(words.iter().map(OsString::from)).collect::<Vec<_>>();
        Self::try_parse_from(words)
    }
}

/// What all variants share: the flags on the work, and those on the sandbox, which are among those on the server. Each is kept
/// as it was given.
#[derive(Debug)]
pub struct Common {
    given: Vec<(String, Vec<OsString>)>,
}

impl Common {
    /// Whether the flag of that name was given.
    pub fn has(&self, id: &str) -> bool {
        self.given.iter().any(|(given, _)| given == id)
    }
}

impl FromArgMatches for Common {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, Error> {
        let command = VariantArgs::command();
        let given = command.get_arguments().filter(|arg| is_given(matches, arg));
        Ok(Self { given: given.map(|arg| (arg.get_id().to_string(), words(matches, arg))).collect() })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

impl Args for Common {
    fn augment_args(command: Command) -> Command {
        WorkArgs::augment_args(command)
    }

    fn augment_args_for_update(command: Command) -> Command {
        WorkArgs::augment_args_for_update(command)
    }
}

fn is_given(matches: &ArgMatches, arg: &Arg) -> bool {
    matches.value_source(arg.get_id().as_str()) == Some(ValueSource::CommandLine)
}

/// A flag as it was given, with each of its values.
fn words(matches: &ArgMatches, arg: &Arg) -> Vec<OsString> {
    let flag = OsString::from(format!("--{}", arg.get_long().unwrap_or_default()));
    if !arg.get_action().takes_values() {
        return vec![flag];
    }
    let with = |value| {
        let mut word = flag.clone();
        word.push("=");
        word.push(value);
        word
    };
    matches.get_raw(arg.get_id().as_str()).into_iter().flatten().map(with).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use mailconn::judge::is_flag_of_a_variant;

    #[test]
    fn each_flag_of_a_variant_is_one_that_a_stored_comparison_may_have() {
        let command = VariantArgs::command();
        let long = command.get_arguments().filter_map(Arg::get_long).map(|name| format!("--{name}"));
        let short = command.get_arguments().filter_map(Arg::get_short).map(|name| format!("-{name}"));
        let unknown: Vec<_> = long.chain(short).filter(|flag| !is_flag_of_a_variant(flag)).collect();
        assert_eq!(unknown, [""; 0]);
    }
}
