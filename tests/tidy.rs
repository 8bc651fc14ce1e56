//! The repository tests itself: which room may know which, and that the rules, the tests and the manual agree.

mod imports;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use crate::support::rules;
use imports::{Imports, imports};

/// Which rooms a room may import, beside itself.
const ARROWS: [(&str, &[&str]); 15] = [
    ("allocator", &[]),
    ("compare", &["event", "figures", "judge", "report", "workload"]),
    ("event", &["allocator", "protocol"]),
    ("protocol", &["allocator"]),
    ("figures", &["allocator", "protocol", "event", "ledger"]),
    ("judge", &["allocator", "protocol", "event", "figures", "ledger"]),
    ("ledger", &["allocator", "event"]),
    ("observe", &["event", "sandbox"]),
    ("probe", &["allocator", "event", "figures", "protocol", "judge", "report", "workload"]),
    ("report", &["allocator", "protocol", "event", "figures", "judge"]),
    ("sandbox", &[]),
    ("scenario", &["allocator", "protocol", "event", "judge", "workload"]),
    ("workload", &["allocator", "protocol", "event"]),
    ("manual", &["allocator"]),
    (
        "cli",
        &[
            "allocator",
            "compare",
            "event",
            "judge",
            "observe",
            "probe",
            "protocol",
            "report",
            "sandbox",
            "scenario",
            "workload",
        ],
    ),
];

/// Circles of more than two files that there are all the same, and why.
const CIRCLES: [(&[&str], &str); 1] = [(
    &[
        "protocol/capabilities.rs",
        "protocol/classify.rs",
        "protocol/credentials.rs",
        "protocol/cure.rs",
        "protocol/cure/wording.rs",
        "protocol/sasl.rs",
        "protocol/secret.rs",
        "protocol/secret/words.rs",
    ],
    "cures are worded where refusals are classified; the one session makes them data, which the report words",
)];

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn files(folder: &Path, ending: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path, ending));
        } else if path.to_str().unwrap().ends_with(ending) {
            found.push(path);
        }
    }
    found.sort();
    found
}

fn read(path: impl AsRef<Path>) -> String {
    let path = root().join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The code of a file: without comments, so that prose and doc links are free to name any room.
fn code(text: &str) -> String {
    text.lines().map(|line| line.split("//").next().unwrap_or(line)).collect::<Vec<_>>().join("\n")
}

/// The words that follow `prefix` in the text.
fn words_after<'a>(text: &'a str, prefix: &'a str) -> impl Iterator<Item = &'a str> {
    text.split(prefix).skip(1).map(|rest| {
        let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len());
        &rest[..end]
    })
}

#[test]
fn rooms_import_only_the_rooms_they_may_know() {
    let arrows: BTreeMap<&str, &[&str]> = ARROWS.into_iter().collect();
    let source = root().join("src");
    let mut seen = BTreeSet::new();
    for path in files(&source, ".rs") {
        let inside = path.strip_prefix(&source).unwrap();
        let room = inside.components().next().unwrap().as_os_str().to_str().unwrap().trim_end_matches(".rs");
        if ["lib", "main"].contains(&room) {
            continue;
        }
        let allowed = arrows.get(room).unwrap_or_else(|| panic!("{room} is a new room: give it its arrows"));
        let code = code(&fs::read_to_string(&path).unwrap());
        for known in words_after(&code, "crate::").chain(words_after(&code, "mailconn::")) {
            let internal_of_the_binary = room == "cli" && !arrows.contains_key(known);
            assert!(
                known == room || allowed.contains(&known) || internal_of_the_binary,
                "{}: {room} must not know {known}",
                inside.display()
            );
        }
        assert!(!code.contains("use crate::{"), "{}: name the room in each `use`", inside.display());
        seen.insert(room.to_owned());
    }
    let expected: BTreeSet<String> = arrows.keys().map(|room| (*room).to_owned()).collect();
    assert_eq!(seen, expected, "every room has its arrows, and every arrow its room");
}

/// The circles of more than two files: each of them is reached from each of the others.
fn circles(imports: &Imports) -> BTreeSet<BTreeSet<&str>> {
    let mut reached: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for file in imports.keys() {
        let from_here = reached.entry(file).or_default();
        let mut next = vec![file];
        while let Some(file) = next.pop() {
            next.extend(imports.get(file).into_iter().flat_map(BTreeMap::keys).filter(|file| from_here.insert(file)));
        }
    }
    let circle = |file: &&str| {
        reached[file].iter().filter(|it| reached.get(*it).is_some_and(|back| back.contains(file))).copied().collect()
    };
    reached.keys().map(circle).filter(|circle: &BTreeSet<&str>| circle.len() > 2).collect()
}

#[test]
fn no_circle_has_more_than_two_files() {
    let source = root().join("src");
    let texts = files(&source, ".rs").into_iter().map(|path| {
        (path.strip_prefix(&source).unwrap().to_str().unwrap().to_owned(), fs::read_to_string(&path).unwrap())
    });
    let texts: Vec<(String, String)> = texts.collect();
    let imports = imports(texts.iter().map(|(file, text)| (&**file, &**text)));
    let allowed: BTreeSet<BTreeSet<&str>> = CIRCLES.iter().map(|(files, _)| files.iter().copied().collect()).collect();
    let found = circles(&imports);
    let mut wrong = String::new();
    for circle in found.difference(&allowed) {
        wrong += "\nthese files import each other in a circle:\n";
        for file in circle {
            for (from, names) in imports[*file].iter().filter(|(from, _)| circle.contains(&***from)) {
                wrong += &format!("  {file} takes from {from}: {names:?}\n");
            }
        }
    }
    for gone in allowed.difference(&found) {
        wrong += &format!("\nnot a circle, or not the whole of it: {gone:?}; take it off the exceptions\n");
    }
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn the_allocator_uses_std_alone() {
    for path in files(&root().join("src/allocator"), ".rs") {
        let code = code(&fs::read_to_string(&path).unwrap());
        for line in code.lines().map(str::trim).filter(|line| line.starts_with("use ") || line.starts_with("pub use "))
        {
            let from = line.trim_start_matches("pub ").trim_start_matches("use ");
            let ours = ["std::", "super::", "crate::allocator", "self::"].iter().any(|ours| from.starts_with(ours));
            let face = ["capacity", "client", "connector", "error", "event", "handle", "id", "lease", "mode"];
            let re_export = path.ends_with("mod.rs") && face.iter().any(|file| from.starts_with(file));
            assert!(ours || re_export, "{}: {line}", path.display());
        }
    }
}

#[test]
fn route_is_asked_in_the_allocator_alone() {
    for path in files(&root().join("src"), ".rs") {
        let inside = path.strip_prefix(root().join("src")).unwrap().to_str().unwrap().to_owned();
        // It prints the table that the allocator decides by, and decides nothing.
        let shows = inside == "report/explain/rules.rs";
        if !inside.starts_with("allocator/") && !shows {
            let code = code(&fs::read_to_string(&path).unwrap());
            assert!(
                !code.contains("route("),
                "{inside}: the decision is the allocator's, the verdict has its own table"
            );
        }
    }
}

/// Rules named by tests: `fn a2_use_default_creates…`.
fn rules_of_the_tests() -> BTreeSet<String> {
    let mut rules = BTreeSet::new();
    for path in files(&root().join("tests"), ".rs") {
        let text = fs::read_to_string(&path).unwrap();
        for name in words_after(&text, "fn ") {
            let number = name.split('_').next().unwrap_or_default().to_uppercase();
            if rules::is_number(&number) {
                rules.insert(number);
            }
        }
    }
    rules
}

#[test]
fn every_rule_of_the_specification_is_listed_once() {
    let letters = [('K', 3), ('A', 8), ('W', 3), ('C', 5), ('D', 6), ('M', 2), ('H', 1), ('B', 6)];
    let expected =
        letters.into_iter().flat_map(|(letter, last)| (1..=last).map(move |digit| format!("{letter}{digit}")));
    let listed = rules::all().into_iter().map(|rule| rule.number.to_owned());
    assert_eq!(listed.collect::<Vec<_>>(), expected.collect::<Vec<_>>());
    let manual = read("src/manual.rs");
    for file in ["rules.md", "words.md"] {
        assert!(
            manual.contains(&format!("\n#![doc = include_str!(\"{file}\")]\n")),
            "the manual has {file} from there"
        );
    }
    let again = manual.split("**").skip(1).step_by(2).find(|word| rules::is_number(word));
    assert_eq!(again, None, "the manual has a rule of its own");
}

#[test]
fn the_tests_speak_of_each_rule_that_is_built() {
    assert_eq!(rules_of_the_tests(), rules::built());
}

#[test]
fn every_rule_that_is_named_is_listed() {
    let listed: BTreeSet<&str> = rules::all().iter().map(|rule| rule.number).collect();
    let mut named = BTreeSet::new();
    let endings = [".rs", ".md", ".txt"];
    for path in endings.iter().flat_map(|ending| files(&root().join("src"), ending)).chain([root().join("README.md")]) {
        let text = fs::read_to_string(&path).unwrap();
        for word in text.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| rules::is_number(word)) {
            assert!(listed.contains(word), "{}: no rule is called {word}", path.display());
            named.insert(word.to_owned());
        }
    }
    assert!(named.len() >= 30, "{named:?}");
}

/// A finding is one file and one line of the registry: whoever adds one, or takes one away, touches nothing else.
#[test]
fn every_finding_stands_in_one_file_and_one_line_of_the_registry() {
    let is_id =
        |word: &&str| word.len() == 5 && word.starts_with("MC") && word[2..].bytes().all(|it| it.is_ascii_digit());
    let source = root().join("src");
    let registry = read("src/judge/findings/mod.rs");
    for spec in mailconn::judge::ALL {
        let (id, file) = (spec.id, spec.id.to_lowercase());
        assert_eq!(registry.lines().filter(|line| line.trim() == file).count(), 1, "{id} has a line of the registry");
        let says = read(format!("src/judge/findings/{file}.rs"));
        assert_eq!(says.matches(&format!("id: \"{id}\"")).count(), 1, "{id} has a file of its own");
    }
    let mut found = 0;
    for path in files(&source, ".rs") {
        let inside = path.strip_prefix(&source).unwrap().to_str().unwrap().to_owned();
        // What explains findings to people, or helps them to ask, may name them.
        if inside.starts_with("report/explain") || ["manual.rs", "cli/args.rs", "cli/operations.rs"].contains(&&*inside)
        {
            continue;
        }
        let code = code(&read(&path));
        for id in code.split(|c: char| !c.is_ascii_alphanumeric()).filter(is_id) {
            let at_home = inside == format!("judge/findings/{}.rs", id.to_lowercase());
            let refers = inside.starts_with("judge/findings/") && mailconn::judge::ALL.iter().any(|it| it.id == id);
            // A name that shows what a name looks like.
            let shows = inside == "scenario/parse/expectations.rs";
            assert!(at_home || refers || shows, "{inside} names {id}: it is that finding's file's to know");
            found += u32::from(at_home);
        }
    }
    assert!(found as usize >= mailconn::judge::ALL.len(), "{found}");
}

/// A format is one file and one line of the registry, likewise.
#[test]
fn every_format_stands_in_one_file_and_one_line_of_the_registry() {
    let registry = read("src/report/mod.rs");
    for format in mailconn::report::Format::ALL {
        let name = format.name();
        let module = name.replace('-', "_");
        let line = |line: &&str| line.split_whitespace().next() == Some(&module);
        assert_eq!(registry.lines().filter(line).count(), 1, "{name} has a line of the registry");
        let files = [format!("src/report/{module}.rs"), format!("src/report/{module}/mod.rs")];
        let file = files.iter().find(|file| root().join(file).exists()).unwrap();
        assert_eq!(read(file).matches(&format!("name: \"{name}\"")).count(), 1, "{name} has a file of its own");
    }
}

#[test]
fn every_rule_of_a_verification_is_in_the_manual_in_its_words() {
    let manual = read("src/manual.rs");
    for rule in mailconn::judge::Rule::ALL {
        let (name, says) = (rule.name(), rule.says());
        assert!(manual.contains(&format!("//! | `{name}` | {says} |")), "{name}");
    }
}

#[test]
fn exit_codes_are_the_same_in_help_and_readme() {
    let readme = read("README.md");
    let help = read("src/cli/exit.rs");
    for code in ["0", "1", "2", "4", "5", "6", "7"] {
        let line = help.lines().find(|line| line.trim_start().starts_with(&format!("{code} "))).unwrap();
        let meaning = line.trim_start().trim_start_matches(code).trim();
        assert!(readme.contains(&format!("| {code} | {meaning} |")), "README lacks: {code}: {meaning}");
    }
}
