//! Exit codes: what a script can rely on.

/// The codes, as `--help` prints them.
pub const HELP: &str = "\
Exit codes:
  0        all held
  1        operations failed, or a hazard, leak or fault was found (--fail-on)
  2        wrong usage, and nothing was dialled; or the report could not be written
  3        a gate failed (--fail-if)
  4        no connection: network, TLS, greeting, or no answer to the sign-in
  5        sign-in refused
  6        a limit of the server: on connections, or on how much and how often
  7        an invariant of mailconn's own is broken
  129 130 143  interrupted by SIGHUP, SIGINT, SIGTERM
Where several apply, the first of 129/130/143, 7, 5, 6, 4, 1, 3 counts. 4 and 5
are about a connection's first dial: a later dial that fails is a failed
operation. A limit is 6 at any time. If the report's reader goes away, the run
ends, and that is no failure. A second signal ends it at once, without a report.";

/// The codes, as the `--help` of a check prints them.
pub const CHECK_HELP: &str = "\
Exit codes:
  0        it works
  1        an operation or the goodbye failed
  2        wrong usage, and nothing was dialled; or the report could not be written
  4        no connection: network, TLS, greeting, or no answer to the sign-in
  5        sign-in refused
  6        a limit of the server: on connections, or on how much and how often
  7        an invariant of mailconn's own is broken
  129 130 143  interrupted by SIGHUP, SIGINT, SIGTERM
Findings do not change the exit code.";

/// The codes, as the `--help` of a probe of limits prints them.
pub const LIMITS_HELP: &str = "\
Exit codes:
  0        the question is answered, whether a limit was met or not
  1        it could not be answered
  2        wrong usage, and nothing was dialled; or the report could not be written
  3        a gate failed (--fail-if)
  4        no connection: network, TLS, greeting, or no answer to the sign-in
  5        sign-in refused
  6        fewer connections than --need
  7        an invariant of mailconn's own is broken
  129 130 143  interrupted by SIGHUP, SIGINT, SIGTERM";

/// The codes, as the `--help` of a comparison prints them.
pub const COMPARE_HELP: &str = "\
Exit codes:
  0        compared, whatever is better, and whether these rounds tell or not
  1        nothing could be compared; operations failed, or a run could not be done; or --fail-on names what was found
  2        wrong usage, and nothing was dialled; or the report could not be written
  3        a gate failed (--fail-if), or --require-decision and these rounds do not tell
  4        no connection: network, TLS, greeting, or no answer to the sign-in
  5        sign-in refused
  6        stopped at a limit of the server
  7        an invariant of mailconn's own is broken
  129 130 143  interrupted by SIGHUP, SIGINT, SIGTERM
What was compared until then is told all the same.";

/// The codes, as the `--help` of scenarios prints them.
pub const SCENARIO_HELP: &str = "\
Exit codes:
  0        all was as expected
  1        a step was not as expected, or the findings were not; or --fail-on
           names what was found
  2        wrong usage, or a mistake in a scenario, and nothing was dialled; or the
           report could not be written
  3        a gate failed (--fail-if)
  7        an invariant of mailconn's own is broken
  129 130 143  interrupted by SIGHUP, SIGINT, SIGTERM
Of several scenarios the first of 129/130/143, 7, 1, 3 counts. A finding changes the
exit code only if a scenario expects or excludes it, or --fail-on names it.";

/// The codes, as the `--help` of a verification prints them.
pub const VERIFY_HELP: &str = "\
Exit codes:
  0  the trace is sound: it says what happened, whatever that was; with
     --fail-on, --fail-if or --gates, what it comes to by them
  2  wrong usage, no trace, or it cannot be read; or the server's log has nothing
     of the run to compare; or the report could not be written
  7  something in it does not hold
What the run itself came to (a limit, failed operations, an interruption) is
shown, and changes none of them: but with these flags the code of a trace that is
sound is the one that a run with them would have exited with. A trace that
was forged consistently is sound: only a server's own record exposes it.";

/// The codes, as the `--help` of a report prints them.
pub const REPORT_HELP: &str = "\
Exit codes:
  0  told, whatever the run came to
  2  wrong usage, or a file cannot be read; or the report could not be written
With --fail-on, --fail-if or --gates the exit code is that of the run or scenario,
judged so: of several the first of 129/130/143, 7, 5, 6, 4, 1, 3. A file that is
not whole is then 2 at least: what it came to is not known.";

/// Wrong usage, and nothing was dialled; or the report could not be written.
pub const USAGE: u8 = 2;

/// The code of a process that this signal ended.
pub fn interrupted_by(signal: i32) -> u8 {
    u8::try_from(128 + signal).unwrap_or(u8::MAX)
}
