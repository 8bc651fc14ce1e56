//! One set of shapes writes a run's file and reads it: nothing of it is lost on the way, nothing comes out otherwise.

use super::traces::{RUNS, file_of};
use crate::support::tool::rewritten;

#[test]
fn a_file_that_is_read_back_is_written_to_the_byte_as_it_was() {
    for args in RUNS {
        let file = file_of(args);
        assert_eq!(rewritten(file.as_bytes()), file, "{args}");
    }
}
