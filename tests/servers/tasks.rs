//! Tasks on a real server: who ran on whose connection, in the server's own record too.

use super::agreement::assert_recorded;
use super::tool::{Protection, Tool, assert_sums_hold, finding_ids};
use crate::support::dovecot::PrivateDovecot;

const TASKS: &str = "--threads 4 --tasks 12 -n 6 --default-for all --mode use-main-or-default";

#[test]
fn h1_tasks_inherit_and_scatter_unless_each_disposes_its_default() {
    let server = PrivateDovecot::start();
    for (user, flags, code, hazards) in [
        ("u1", "--executor pool", 1, vec!["MC010"]),
        ("u2", "--executor tasks", 1, vec!["MC010", "MC011"]),
        ("u3", "--executor pool --dispose task", 0, vec![]),
        ("u4", "--executor tasks --dispose task", 0, vec![]),
    ] {
        let tool = Tool::on(&server, user, Protection::Plain).with(TASKS).with(flags);
        let (finished, report) = tool.streamed();
        assert_eq!(finished.code, code, "{flags}: {}{}", finished.stdout, finished.stderr);
        assert_sums_hold(report.totals());
        assert_eq!(finding_ids(report.totals()), hazards, "{flags}");
        assert_eq!(report.totals()["operations"]["ok"], 72);
        if code == 0 {
            assert_eq!(report.events("session-opened").count(), 12, "{flags}: a default for each task");
        }
        assert!(report.events("session-closed").all(|closed| closed["closed"] == "logged-out"), "{flags}");
        assert_recorded(&server, user, &report);
    }
}
