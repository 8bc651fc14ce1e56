//! `mailconn explain`: whatever word a report can say is explained, and each explanation is whole.

use std::collections::BTreeSet;
use std::path::Path;

use mailconn::allocator::{Kind, Mode, Reason, route};
use mailconn::event::Lock;
use mailconn::protocol::{FailureKind, Stage};
use mailconn::report::{explain, explained_words};

use super::process::{end, mailconn, shell};
use crate::support::rules;

fn source(path: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

/// The string literals of the code in that folder, or file.
fn literals(path: &str) -> BTreeSet<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    if path.is_dir() {
        let inside = std::fs::read_dir(&path).unwrap();
        return inside.flat_map(|entry| literals(entry.unwrap().path().to_str().unwrap())).collect();
    }
    let text = std::fs::read_to_string(path).unwrap();
    text.split('"').skip(1).step_by(2).map(str::to_owned).collect()
}

/// What the list of `mailconn explain` has behind that label.
fn listed(label: &str) -> BTreeSet<String> {
    let words = explained_words();
    let (_, after) = words.split_once(&format!("\n{label} ")).unwrap_or_else(|| panic!("{label} is missing: {words}"));
    let lines = after.lines().enumerate().take_while(|(number, line)| *number == 0 || line.starts_with("   "));
    lines.flat_map(|(_, line)| line.split_whitespace()).map(str::to_owned).collect()
}

fn names(names: impl IntoIterator<Item = &'static str>) -> BTreeSet<String> {
    names.into_iter().map(str::to_owned).collect()
}

#[track_caller]
fn is_whole(word: &str) -> String {
    let text = explain(word).unwrap();
    assert!(text.starts_with(word), "{text}");
    assert!(text.contains("\nit means "), "{text}");
    let wide = text.lines().find(|line| line.chars().count() > 80);
    assert_eq!(wide, None, "{word}");
    assert!(["`", "**", "]("].iter().all(|mark| !text.contains(mark)), "it is no markdown: {text}");
    assert_eq!(explain(&word.to_uppercase()).unwrap(), text);
    assert_eq!(explain(&format!(" {} ", word.to_lowercase())).unwrap(), text);
    text
}

#[test]
fn every_finding_that_the_code_can_emit_is_explained_with_an_example_a_cure_and_its_rule() {
    let words = explained_words();
    for id in mailconn::judge::ALL.iter().map(|spec| spec.id) {
        let text = is_whole(id);
        for part in ["\nlooks like ", "\nwhat to do ", "\nrule"] {
            assert!(text.contains(part), "{id} lacks {part:?}: {text}");
        }
        assert!(text.contains(&format!("\nlooks like   {id} ")), "its example is what the report shows: {text}");
        assert!(words.contains(&format!("\n{id}  ")), "{id} is not in the list: {words}");
    }
}

#[test]
fn what_readers_of_the_reference_type_is_explained() {
    for (typed, name) in [
        ("create", "create"),
        ("CreateConnection", "create"),
        ("EmailClient.CreateConnection()", "create"),
        ("createAsDefaultConnection", "create"),
        ("pool", "pool"),
        ("ConnectionPool", "pool"),
        ("thread pool", "pool"),
        ("dispose", "dispose"),
        ("scope", "scope"),
        ("Client::thread_scope", "scope"),
        ("ConnectionAsgmtMode", "mode"),
        ("EmailClient.ConnectionAsgmtMode", "mode"),
        ("ConnectionAsgmtType", "mode"),
        ("ConnectionAsgmtType.UseMain", "use-main"),
        ("UseDefault", "use-default"),
        ("usemainordefault", "use-main-or-default"),
        ("main connection", "main"),
        ("Default  connection", "default"),
        ("independent connections", "independent"),
    ] {
        let text = explain(typed).unwrap();
        assert!(text.starts_with(&format!("{name}  ")), "{typed}: {text}");
        assert_eq!(is_whole(name), text, "{typed}");
        let ended = end(&mut mailconn(["explain", typed]));
        assert_eq!((ended.code, ended.stdout), (0, text), "{typed}: {}", ended.stderr);
    }
}

#[test]
fn every_finding_has_the_severity_of_the_manual() {
    let manual = source("src/manual.rs");
    let rows = manual.lines().filter_map(|line| line.strip_prefix("//! | MC"));
    let mut checked = 0;
    for row in rows {
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        let id = format!("MC{}", cells[0]);
        let text = explain(&id).unwrap();
        assert!(text.starts_with(&format!("{id}  {}: ", cells[1])), "{text}");
        assert!(is_whole(cells[1]).contains("  severity: "), "{}", cells[1]);
        assert!(listed("severities").contains(cells[1]), "{}", cells[1]);
        let example = text.split_once("\nlooks like ").unwrap().1.trim_start();
        assert!(example.starts_with(&format!("{id} {}", cells[1])), "{example}");
        checked += 1;
    }
    assert!(checked >= 12, "{checked}");
}

#[test]
fn every_concern_of_a_check_is_explained() {
    let is_name = |text: &String| {
        let mut parts = text.split('-');
        let plain = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_lowercase());
        let rest =
            |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'.');
        text.contains('-') && parts.next().is_some_and(plain) && parts.all(rest)
    };
    let emitted: BTreeSet<String> = literals("src/probe/check/diagnostics.rs").into_iter().filter(is_name).collect();
    assert!(emitted.len() >= 20, "{emitted:?}");
    assert_eq!(listed("of a check"), emitted);
    emitted.iter().for_each(|name| drop(is_whole(name)));
}

#[test]
fn every_rule_is_explained_in_the_words_of_the_file() {
    let mut list = listed("rules");
    for word in ["(the", "truth", "table)"] {
        assert!(list.remove(word));
    }
    let rules = rules::all();
    assert_eq!(list, rules.iter().map(|rule| rule.number.to_owned()).collect());
    for rule in rules {
        let text = is_whole(rule.number).split_whitespace().collect::<Vec<_>>().join(" ");
        let (practice, paragraphs) = rule.blocks.split_last().unwrap();
        let start = format!("{} {}", rule.number, paragraphs.join(" "));
        let (_, rows) = text.split_once(&start).unwrap_or_else(|| panic!("{start}\n\n{text}"));
        let labels = [("- It means: ", "it means "), (" - See: ", " see "), (" - Met in: ", " met in ")];
        let expected = labels.into_iter().fold(practice.clone(), |text, (label, shown)| text.replacen(label, shown, 1));
        assert_eq!(rows.trim(), expected);
        assert!(expected.starts_with("it means ") && expected.contains(" see "), "{expected}");
    }
    let unwrapped = |word| explain(word).unwrap().split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(
        unwrapped("C3")
            .starts_with("C3 A second default for the same thread is refused; the first goes on working. it means ")
    );
    assert!(unwrapped("H1").contains("even when the task panics: Client::thread_scope. it means"), "the last line too");
    assert!(
        unwrapped("B6").contains(" hold the account's next sign-in back as long as the server says, "),
        "the details"
    );
    // Behind a word stands the rule itself; its details stand behind its number.
    let refused = unwrapped("auth-refused");
    assert!(refused.ends_with(" rule B6: Signing in is careful. Until one sign-in of an account has succeeded, only one is \
                               under way. A refused one ends all further sign-ins to that account. Trouble of the server \
                               and a throttle hold the next one back."), "{refused}");
}

#[test]
fn every_failure_stage_mode_kind_reason_and_lock_is_explained() {
    let kinds = names(FailureKind::ALL.map(FailureKind::name));
    let stages = names(Stage::ALL.map(Stage::name));
    let modes = names(Mode::ALL.map(Mode::name));
    let reasons = [Reason::Explicit, Reason::Main, Reason::Default, Reason::DefaultCreated].map(Reason::name);
    let words = names([Kind::Main, Kind::Default, Kind::Independent].map(Kind::name).into_iter().chain(reasons))
        .into_iter()
        .chain([Lock::Unit, Lock::Command].map(|lock| lock.name().to_owned()))
        .collect();
    for (label, expected) in [("failures", kinds), ("stages", stages), ("modes", modes), ("words", words)] {
        assert_eq!(listed(label), expected, "{label}");
        expected.iter().for_each(|word| assert!(is_whole(word).contains("\nwhat to do "), "{word}"));
    }
    let greeting = explain("greeting").unwrap();
    assert_eq!(greeting.matches("\nit means ").count(), 2, "it is a failure and a stage: {greeting}");
}

#[test]
fn threads_are_cited_by_repository_and_number_alone_and_rules_that_are_named_exist() {
    let is_thread = |text: &str| {
        let (repository, number) = text.split_once('#').unwrap_or_default();
        let named = |part: &str| !part.is_empty() && !part.contains(char::is_whitespace);
        let (owner, name) = repository.split_once('/').unwrap_or_default();
        named(owner) && named(name) && !name.contains('/') && number.parse::<u32>().is_ok()
    };
    let mut cited = 0;
    let words = explained_words();
    for word in words.split_whitespace().filter(|word| explain(word).is_ok() && *word != "rules") {
        let text = explain(word).unwrap();
        assert!(!text.contains("://") || !text.contains("github"), "{word}");
        if let Some((_, threads)) = text.split_once("\nmet in ") {
            let threads = threads.split("\n\n").next().unwrap().split_whitespace();
            for thread in threads.map(|thread| thread.trim_end_matches(',')) {
                assert!(is_thread(thread), "{word}: {thread}");
                cited += 1;
            }
        }
        for rule in text.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| rules::is_number(word)) {
            assert!(explain(rule).is_ok(), "{word} names {rule}, which is no rule: {text}");
        }
        if let Some((_, see)) = text.split_once("\nsee ") {
            let see = see.lines().next().unwrap();
            see.split(',').map(str::trim).for_each(|other| assert!(explain(other).is_ok(), "{word} refers to {other}"));
        }
    }
    assert!(cited > 50, "{cited}");
}

#[test]
fn rules_prints_the_table_by_which_the_code_decides() {
    let text = explain("rules").unwrap();
    let yes = |is| if is { "yes" } else { "no" };
    let mut rows = 0;
    for mode in Mode::ALL {
        for (passed, has) in [(true, true), (true, false), (false, true), (false, false)] {
            let reason = route(mode, has, passed).name();
            let found = text.lines().any(|line| {
                let cells: Vec<&str> = line.split_whitespace().collect();
                cells.starts_with(&[mode.name(), yes(passed), yes(has)]) && cells.last() == Some(&reason)
            });
            assert!(found, "{mode} {passed} {has} {reason}: {text}");
            rows += 1;
        }
    }
    assert_eq!(rows, 12);
    // The specification's own words for three of the cells.
    for line in [
        "use-default          no      no       a default, created first  default-created",
        "use-main-or-default  no      no       main                      main",
        "use-main-or-default  yes      refused (C3)",
    ] {
        assert!(text.contains(&format!("\n{line}\n")), "{line}: {text}");
    }
}

#[test]
fn the_command_prints_it_and_a_word_that_is_unknown_has_a_nearest_one() {
    let ended = end(&mut mailconn(["explain", "mc020"]));
    assert_eq!((ended.code, &*ended.stderr), (0, ""));
    assert_eq!(ended.stdout, explain("MC020").unwrap());
    assert_eq!(end(&mut mailconn(["explain"])).stdout, explained_words());
    for (word, nearest) in [
        ("MC21", "MC021"),
        ("limit-conections", "limit-connections"),
        ("use-defualt", "use-default"),
        ("rule", "rules"),
        ("A9", "A1"),
        ("MC02", "MC020 or MC021"),
        ("sess", "session"),
        ("\u{1b}[31mrules", "rules"),
    ] {
        let ended = end(&mut mailconn(["explain", word]));
        assert_eq!((ended.code, &*ended.stdout), (2, ""), "{word}");
        assert_eq!(ended.stderr.lines().count(), 1, "{:?}", ended.stderr);
        assert!(ended.stderr.contains(&format!("did you mean {nearest}? ")), "{word}: {:?}", ended.stderr);
        assert!(!ended.stderr.contains('\u{1b}'), "{:?}", ended.stderr);
    }
    for word in ["", "kubernetes"] {
        let ended = end(&mut mailconn(["explain", word]));
        let expected = format!("nothing is called \"{word}\"; mailconn explain lists all there is\n");
        assert!(ended.code == 2 && ended.stderr.ends_with(&expected), "{:?}", ended.stderr);
    }
    let closed = end(&mut shell("{} explain | true"));
    assert_eq!((closed.code, &*closed.stderr), (0, ""));
}

/// What `mailconn explain` says of that line.
#[track_caller]
fn explained(line: &str, args: &str) -> String {
    let ended = end(&mut mailconn(["explain", line].into_iter().chain(args.split_whitespace())));
    assert_eq!((ended.code, &*ended.stderr), (0, ""), "{line}");
    let wide = ended.stdout.lines().find(|line| line.chars().count() > 80);
    assert_eq!(wide, None, "{}", ended.stdout);
    ended.stdout
}

/// Word, exit code and stages of each part.
fn parts(text: &str) -> Vec<String> {
    let value = |label: &str, line: &str| line.strip_prefix(label).map(|value| value.trim().to_owned());
    let is_kind = |word: &&str| FailureKind::ALL.iter().any(|kind| kind.name() == *word);
    let (mut word, mut at, mut parts) = ("", String::new(), Vec::new());
    for line in text.lines() {
        word = line.split("  ").next().filter(is_kind).unwrap_or(word);
        at = value("at ", line).unwrap_or(at);
        parts.extend(value("exit code ", line).map(|code| format!("{word} {code} {at}")));
    }
    for label in ["\nit means ", "\nwhat to do "] {
        assert_eq!(text.matches(label).count(), parts.len(), "{text}");
    }
    parts
}

#[test]
fn a_pasted_line_is_what_a_run_would_call_it() {
    for (line, args, expected) in [
        (
            "NO [LIMIT] Maximum number of connections from user+IP exceeded (mail_max_userip_connections=10)",
            "",
            vec!["limit-connections 6 auth, operation"],
        ),
        ("a1 NO [AUTHENTICATIONFAILED] Authentication failed.", "--stage auth", vec!["auth-invalid 5 auth"]),
        ("NO LOGIN failed.", "", vec!["auth-refused 5 auth", "server-no 1 operation"]),
        ("A0003 NO [OVERQUOTA] full", "", vec!["auth-policy 5 auth", "server-no 1 operation"]),
        ("12 BAD Unknown command", "", vec!["server-bad 5 auth", "server-bad 1 operation"]),
        ("421 4.3.2 Service not available", "", vec!["server-unavailable 4 greeting, auth", "server-bye 1 operation"]),
        ("-ERR [LOGIN-DELAY] wait 5 minutes", "--protocol pop3 --stage auth", vec!["limit-rate 6 auth"]),
        ("-ERR [AUTH] no", "--stage=auth", vec!["auth-invalid 5 auth"]),
        ("* BYE Server shutting down", "--stage operation", vec!["server-bye 1 operation"]),
        (
            "534-5.7.9 Application-specific password required. For more\n534-5.7.9 information, go to\n534 5.7.9  https://x",
            "--protocol smtp --stage auth",
            vec!["auth-policy 5 auth"],
        ),
        ("* NO [ALERT] look here\na2 NO [UNAVAILABLE] no backend\n", "--stage auth", vec!["server-unavailable 4 auth"]),
        ("Invalid credentials (Failure)", "--protocol imap --stage auth", vec!["auth-invalid 5 auth"]),
        ("535", "--stage auth", vec!["auth-refused 5 auth"]),
        ("454 4.7.0 TLS not available", "--stage tls", vec!["server-unavailable 4 tls"]),
        ("502 what", "--stage tls", vec!["server-bad 4 tls"]),
        ("554 go away", "--stage greeting", vec!["greeting 4 greeting"]),
    ] {
        assert_eq!(parts(&explained(line, args)), expected, "{line}");
    }
    let text = explained("NO Too many login failures, try again in 15 minutes", "--stage auth");
    assert!(text.contains("\nit says      wait 15 min\n"), "{text}");
    // Control characters do not reach the terminal.
    assert!(!explained("NO \u{1b}[31mred", "").contains('\u{1b}'));
    // A word that is known stays one, whatever else is said.
    assert_eq!(explained("closed", "--stage auth"), explain("closed").unwrap());
    for line in ["a1 OK done", "250 2.0.0 queued", "+OK", "* PREAUTH hello"] {
        let ended = end(&mut mailconn(["explain", line]));
        assert_eq!((ended.code, &*ended.stdout), (2, ""), "{line}");
        assert!(ended.stderr.contains("the line refuses nothing"), "{}", ended.stderr);
        assert_eq!(ended.stderr.lines().count(), 1, "{}", ended.stderr);
    }
    assert_eq!(end(&mut mailconn(["explain", "NO x", "--stage", "connect"])).code, 2);
}

/// The library's word for each line of the list is the command's too.
#[test]
fn pasted_lines_of_real_servers_have_the_word_of_the_list() {
    let rows = include_str!("../protocol/refusals.tsv").lines().skip(1).step_by(12);
    for row in rows {
        let [_, protocol, stage, line, word] = row.split('\t').collect::<Vec<_>>()[..] else { panic!("{row}") };
        let text = explained(line, &format!("--protocol {protocol} --stage {stage}"));
        assert!(text.contains(&format!("\n{word}  ")), "{row}: {text}");
    }
}

/// What a report says of a failure can be pasted as it stands there.
#[test]
fn a_failure_at_its_stage_is_explained_as_both() {
    for said in ["closed at auth", "limit-connections at auth, not tried", " timeout at wait: nothing came "] {
        let (kind, rest) = said.trim().split_once(" at ").unwrap();
        let stage = rest.split([',', ':']).next().unwrap();
        let ended = end(&mut mailconn(["explain", said]));
        assert_eq!((ended.code, &*ended.stderr), (0, ""));
        assert!(
            ended.stdout.starts_with(&format!("{kind}  ")) && ended.stdout.contains(&format!("\n{stage}  ")),
            "{said}"
        );
    }
    assert!(end(&mut mailconn(["explain", "NO at all"])).stdout.contains("it means"), "a line is a line");
}
