//! What the tool says of a file, in process: all that tests know of how a file is written, read, judged and told.

use std::sync::Arc;

use mailconn::protocol::MailConnector;
use mailconn::record::{Entry, Header, Run, Summary, Verdict};
use mailconn::report::{
    self, Ndjson, Recorded, ScenarioVerification, TableOptions, Trace, Verification, scenario_verification_json,
    scenario_verification_text, verification_json, verification_text,
};
use mailconn::workload::{self, Audience, Control, Plan, Setup, Tally};
use serde_json::{Value, json};

/// `mailconn report FILE --format json`, of a run whose lines are all understood.
#[track_caller]
pub fn report(file: &[u8]) -> String {
    let run = whole(file);
    let (summary, verdict) = judged(&run);
    String::from_utf8(report::json(&run, &summary, &verdict)).unwrap()
}

/// `mailconn report FILE`, with a row for each operation and with so many rows a section, or all.
#[track_caller]
pub fn told(file: &[u8], each: bool, rows: Option<usize>) -> String {
    let run = whole(file);
    let (summary, verdict) = judged(&run);
    report::table(&run, &summary, &verdict, &TableOptions { each, rows })
}

#[track_caller]
fn whole(file: &[u8]) -> Run {
    let trace = Trace::read(file).unwrap();
    assert!(trace.is_whole(), "{:#?}", doubts(file));
    trace.run
}

fn judged(run: &Run) -> (Summary, Verdict) {
    let summary = Summary::of(run);
    let verdict = Verdict::on(run, &summary);
    (summary, verdict)
}

/// `mailconn verify FILE --format json`: of a run, or of each scenario in the file. Why it cannot be, if it cannot.
pub fn verify(file: &[u8]) -> Result<Vec<Value>, String> {
    let value = |document: Vec<u8>| serde_json::from_slice(&document).unwrap();
    verified(file, |run| value(verification_json(run)), |scenario| value(scenario_verification_json(scenario)))
}

/// `mailconn verify FILE`.
pub fn verify_text(file: &[u8]) -> Result<Vec<String>, String> {
    verified(file, verification_text, scenario_verification_text)
}

fn verified<T>(
    file: &[u8],
    of_run: impl Fn(&Verification) -> T,
    of_scenario: impl Fn(&ScenarioVerification) -> T,
) -> Result<Vec<T>, String> {
    match Recorded::read(file).map_err(|error| error.to_string())? {
        Recorded::Run(trace) => Ok(vec![of_run(&Verification::of(*trace))]),
        Recorded::Scenarios(all) => Ok(all.into_iter().map(|it| of_scenario(&ScenarioVerification::of(it))).collect()),
    }
}

/// What does not hold in a file, as `rule: sentence`; none if all does. A file that is no trace any more is one doubt.
pub fn doubts(file: &[u8]) -> Vec<String> {
    let verified = match verify(file) {
        Ok(verified) => verified,
        Err(error) => return vec![format!("no trace: {error}")],
    };
    let doubts = verified.iter().flat_map(|verified| {
        let word = |doubt: &Value, name: &str| doubt[name].as_str().unwrap().to_owned();
        let said = |doubt: &Value| word(doubt, "rule") + ": " + &word(doubt, "sentence");
        let doubts: Vec<String> = verified["doubts"].as_array().unwrap().iter().map(said).collect();
        let code = if doubts.is_empty() { 0 } else { 7 };
        assert_eq!((&verified["holds"], &verified["exit_code"]), (&json!(doubts.is_empty()), &json!(code)));
        doubts
    });
    doubts.collect()
}

/// A run's file as it is written when it was read.
pub fn rewritten(file: &[u8]) -> String {
    written(&Trace::read(file).unwrap().run)
}

/// The file of a plan that is performed here, without the server's own record.
pub fn perform(plan: &Plan, connector: &Arc<MailConnector>, setup: &Setup) -> String {
    struct Nobody;

    impl Audience for Nobody {
        fn begins(&mut self, _: &Header) {}
        fn goes_on(&mut self, _: &[Entry], _: &Tally) {}
    }

    written(&workload::run(plan, connector, setup, &Arc::new(Control::default()), &mut Nobody).unwrap())
}

fn written(run: &Run) -> String {
    let (summary, verdict) = judged(run);
    let mut file = Ndjson::start(Vec::new(), &run.header).unwrap();
    for batch in run.entries.chunks(7) {
        file.entries(batch).unwrap();
    }
    String::from_utf8(file.end(run, &summary, &verdict).unwrap()).unwrap()
}
