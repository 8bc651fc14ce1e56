//! One set of shapes writes a run's file and reads it: nothing of it is lost on the way, nothing comes out otherwise.

use mailconn::record::{Summary, Verdict};
use mailconn::report::{Ndjson, Trace, Verification};

use super::traces::{RUNS, file_of};

#[test]
fn a_file_that_is_read_back_is_written_to_the_byte_as_it_was() {
    for args in RUNS {
        let file = file_of(args);
        let verification = Verification::of(Trace::read(file.as_bytes()).unwrap());
        let run = verification.run();
        let summary = Summary::of(run);
        let mut again = Ndjson::start(Vec::new(), &run.header).unwrap();
        again.entries(&run.entries).unwrap();
        let again = again.end(run, &summary, &Verdict::on(run, &summary)).unwrap();
        assert_eq!(String::from_utf8(again).unwrap(), file, "{args}");
    }
}
