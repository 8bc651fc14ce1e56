//! Three examples of each command: what its `--help` begins with.

pub const MAILCONN: &str = "\
Examples:
  mailconn run --mode use-default --threads 8
  mailconn limits imaps://ann@mail.example.org
  mailconn explain 'NO [LIMIT] Too many simultaneous connections'";

pub const RUN: &str = "\
Examples:
  mailconn run --mode use-default --threads 8
  mailconn run --mode use-main --lock command --mailbox INBOX --mailbox Archive --ops fetch
  mailconn run --server imaps://ann@mail.example.org --threads 4 -n 20";

pub const CHECK: &str = "\
Examples:
  mailconn check imaps://ann@mail.example.org
  mailconn check smtp://mail.example.org --format json
  mailconn check sandbox+pop3s";

pub const LIMITS: &str = "\
Examples:
  mailconn limits imaps://ann@mail.example.org
  mailconn limits imaps://ann@mail.example.org --need 8 --max 8
  mailconn limits imaps://ann@mail.example.org --format ndjson -o limits.ndjson";

pub const COMPARE: &str = "\
Examples:
  mailconn compare --threads 20 --rtt 80ms
  mailconn compare --variant use-main --variant 'x=use-default -t 8' --fail-if 'x.service.p95 > 5s'
  mailconn compare --server imaps://ann@mail.example.org --threads 4 --for 5m";

pub const SCENARIO: &str = "\
Examples:
  mailconn scenario --list
  mailconn scenario pool-hazard
  mailconn scenario pool-hazard --format ndjson -o pool.ndjson";

pub const VERIFY: &str = "\
Examples:
  mailconn verify run.ndjson
  mailconn verify run.ndjson --fail-on hazard,leak
  mailconn verify run.ndjson --dovecot-log dovecot.log";

pub const REPORT: &str = "\
Examples:
  mailconn report run.ndjson
  mailconn report run.ndjson --format json -o run.json
  mailconn report run.ndjson --fail-if 'service.p95 > 2s'";

pub const DIFF: &str = "\
Examples:
  mailconn diff run.ndjson other.ndjson
  mailconn diff run.ndjson other.json --format json
  mailconn run --format ndjson | mailconn diff run.ndjson -";

pub const SANDBOX: &str = "\
Examples:
  mailconn sandbox
  mailconn sandbox --listen imap=1143 --user ann --log
  mailconn sandbox --limit user=7 --like dovecot --ca-file ca.pem";

pub const EXPLAIN: &str = "\
Examples:
  mailconn explain limit-connections
  mailconn explain use-main-or-default
  mailconn explain 'NO [LIMIT] Too many simultaneous connections'";

pub const SCHEMA: &str = "\
Examples:
  mailconn schema >run.schema.json
  mailconn schema ndjson >ndjson.schema.json
  mailconn schema limits >limits.schema.json";

pub const COMPLETIONS: &str = "\
Examples:
  mailconn completions bash >~/.local/share/bash-completion/completions/mailconn
  mailconn completions fish >~/.config/fish/completions/mailconn.fish
  mailconn completions zsh >_mailconn";

pub const MAN: &str = "\
Examples:
  mailconn man | man -l -
  mailconn man run | man -l -
  mailconn man limits >mailconn-limits.1";
