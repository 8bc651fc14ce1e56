//! Stored files of runs and scenarios of every kind, and what is told of each: what was said of a run stays said.

use std::fs::read_dir;
use std::path::PathBuf;

use insta::{assert_snapshot, with_settings};

use crate::cli::process::{end, mailconn};

/// All of them.
pub fn stored() -> Vec<PathBuf> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let mut files: Vec<PathBuf> = read_dir(folder).unwrap().map(|file| file.unwrap().path()).collect();
    files.retain(|file| file.extension().is_some_and(|ending| ending == "ndjson"));
    files.sort();
    files
}

/// The one of that name.
pub fn golden(name: &str) -> PathBuf {
    stored().into_iter().find(|file| file.file_stem().unwrap() == name).unwrap()
}

#[test]
fn each_stored_file_is_told_as_it_was() {
    let files = stored();
    assert!(files.len() > 40, "{}", files.len());
    for file in files {
        let name = file.file_stem().unwrap().to_str().unwrap();
        for format in ["table", "json"] {
            let told = end(&mut mailconn(["report", file.to_str().unwrap(), "--format", format]));
            assert_eq!((told.code, &*told.stderr), (0, ""), "{name}");
            with_settings!({ snapshot_path => "golden", prepend_module_to_snapshot => false, omit_expression => true }, {
                assert_snapshot!(format!("{name}.{format}"), told.stdout);
            });
        }
    }
}

#[test]
fn each_stored_file_holds() {
    for file in stored() {
        let verified = end(&mut mailconn(["verify", file.to_str().unwrap()]));
        assert_eq!((verified.code, &*verified.stderr), (0, ""), "{}: {}", file.display(), verified.stdout);
    }
}
