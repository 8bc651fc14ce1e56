//! What the server refused is called what its own line means: a limit is no wrong password (B4).

use super::{Audit, REFUSALS};
use crate::protocol::{Endpoint, Failure, FailureKind, refusal_of};
use crate::record::run::{Entry, Run, What};

pub(super) fn check(run: &Run, audit: &mut Audit) {
    let carried = carried(run);
    for entry in &run.entries {
        if let Some(failure) = failure(entry) {
            judge(entry, failure, &carried, audit);
        }
    }
}

fn failure(entry: &Entry) -> Option<&Failure> {
    match &entry.what {
        What::OpenFailed(failed) => Some(&failed.failure),
        What::Operation(operation) => operation.outcome.as_ref().err().map(|failure| &**failure),
        What::Stopped { failure, .. } | What::TaskStopped { failure, .. } => failure.as_deref(),
        What::Closed(closed) => closed.how.failure(),
        _ => None,
    }
}

fn judge(entry: &Entry, failure: &Failure, carried: &[String], audit: &mut Audit) {
    use FailureKind::{
        AuthInvalid, AuthPolicy, AuthRefused, AuthUnsupported, LimitConnections, LimitRate, ServerBad, ServerBye,
        ServerNo, ServerUnavailable,
    };
    let seq = Some(entry.seq);
    let kind = failure.kind;
    // Nobody but the server says so.
    let its_own =
        matches!(kind, AuthInvalid | AuthPolicy | AuthRefused | ServerUnavailable | LimitConnections | LimitRate);
    let Some(line) = &failure.server_line else {
        audit.check(REFUSALS, seq, !its_own, || format!("{kind} is a server's answer, and there is none of its lines"));
        return;
    };
    // Of a line that was cut the end is not known; other kinds are told from more than the line.
    let refused = its_own || matches!(kind, AuthUnsupported | ServerNo | ServerBad | ServerBye);
    if !refused || line.ends_with('…') {
        return;
    }
    let means = refusal_of(line.as_bytes(), failure.stage, carried).kind;
    // A goodbye is one whatever its words, and nothing is a wrong password before anybody signed in; but a limit is a limit.
    let limit = matches!(means, LimitConnections | LimitRate);
    // What stands behind a mask decided, and is not known here.
    let binds = its_own && !line.contains("***");
    let holds = means == kind || !(binds || limit);
    audit.check(REFUSALS, seq, holds, || format!("it is called {kind}, the server's line means {means}: {line}"));
}

/// What the run's commands brought along, as far as its record knows: the user, and the mailboxes.
fn carried(run: &Run) -> Vec<String> {
    let user = Endpoint::parse(&run.header.server, None).map(|endpoint| endpoint.user).unwrap_or_default();
    let local = user.rsplit_once('@').map(|(local, _)| local.to_owned());
    local.into_iter().chain([user]).chain(run.header.mailboxes.iter().cloned()).collect()
}
