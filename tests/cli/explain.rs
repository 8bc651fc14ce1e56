//! `mailconn explain`: whatever word a report can say is explained, and each explanation is whole.

use std::collections::BTreeSet;
use std::path::PathBuf;

use mailconn::allocator::{Kind, Mode, Reason, route};
use mailconn::event::{Executor, HowClosed, Lock};
use mailconn::figures::WhyOpened;
use mailconn::protocol::{FailureKind, Stage};
use mailconn::report::{explain, explained_words};

use super::process::{end, mailconn, shell};
use crate::support::rules;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn source(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap()
}

/// What the list of `mailconn explain` has behind that label.
fn listed(label: &str) -> BTreeSet<String> {
    let words = explained_words();
    let (_, after) = words.split_once(&format!("\n{label} ")).unwrap_or_else(|| panic!("{label} is missing: {words}"));
    let lines = after.lines().enumerate().take_while(|(number, line)| *number == 0 || line.starts_with("   "));
    lines.flat_map(|(_, line)| line.split_whitespace()).map(str::to_owned).collect()
}

fn names<'a>(names: impl IntoIterator<Item = &'a str>) -> BTreeSet<String> {
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
        // The name may have another sense, too.
        assert!(is_whole(name).starts_with(&text), "{typed}");
        let ended = end(&mut mailconn(["explain", typed]));
        assert_eq!((ended.code, ended.stdout), (0, text), "{typed}: {}", ended.stderr);
    }
}

/// A finding stands in reports of probes and of interrupted runs, too, which exit otherwise.
#[test]
fn no_finding_s_cure_names_an_exit_code() {
    for spec in mailconn::judge::ALL {
        assert!(!spec.article.cure.contains("exit code"), "{}: {}", spec.id, spec.article.cure);
    }
}

/// Its words are German.
#[test]
fn a_refusal_in_another_language_is_a_server_s_line() {
    let ended = end(&mut mailconn(["explain", "Die maximale Anzahl gleichzeitiger Verbindungen (3) ist erreicht"]));
    assert!(ended.stdout.contains("limit-connections"), "{}{}", ended.stdout, ended.stderr);
}

#[test]
fn what_people_ask_for_by_another_word_is_explained() {
    for (typed, name) in [
        ("Thunderbird", "thunderbird"),
        ("Maximum number of server connections to cache", "thunderbird"),
        ("cached connections", "thunderbird"),
        ("anonymize", "anonymize"),
        ("--anonymize", "anonymize"),
        ("anonymous", "anonymize"),
        ("decision", "cannot-tell"),
        ("undecided", "cannot-tell"),
        ("cannot tell", "cannot-tell"),
        ("better", "different-better"),
        ("worse", "different-worse"),
        ("equal", "same"),
        ("verdict", "verdict"),
    ] {
        assert!(explain(typed).unwrap().starts_with(&format!("{name}  ")), "{typed}");
        drop(is_whole(name));
    }
}

/// What is known of it, its settings, and how its limit is found.
#[test]
fn every_known_server_is_explained_by_its_name_its_settings_and_its_hosts() {
    let file: toml::Table = source("src/report/known/servers.toml").parse().unwrap();
    let list =
        |row: &toml::Table, name: &str| row.get(name).map(|it| it.as_array().unwrap().clone()).unwrap_or_default();
    let unwrapped = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    for row in list(&file, "server") {
        let row = row.as_table().unwrap();
        let name = row["name"].as_str().unwrap();
        let text = explain(name).unwrap();
        assert!(
            text.starts_with(&format!("{name}  ")) && text.lines().all(|line| line.chars().count() <= 80),
            "{text}"
        );
        assert_eq!(explain(&name.to_uppercase()).unwrap(), text);
        let settings = list(row, "settings");
        for called in settings.iter().map(|it| it["name"].as_str().unwrap()) {
            assert!(text.contains(called), "{called}: {text}");
            assert_eq!(explain(called).unwrap(), text, "{called}");
        }
        for host in list(row, "hosts").iter().map(|host| host.as_str().unwrap()) {
            assert_eq!(explain(&format!("imap.{host}")).unwrap(), text, "{host}");
        }
        assert!(unwrapped(&text).contains("mailconn limits URL finds out how many there are"), "{text}");
        assert!(unwrapped(&explained_words()).contains(name), "{name}");
    }
    let exchange = explain("exchange").unwrap();
    assert!(exchange.contains("Exchange Online  provider") && exchange.contains("Microsoft Exchange  mail server"));
    assert!(explain("outlook").unwrap().starts_with("Exchange Online  "));
    assert!(unwrapped(&explain("Dovecot").unwrap()).contains("POP3: mail_max_userip_connections (10 unless set) in"));
}

#[test]
fn every_finding_says_its_severity_and_each_severity_is_explained() {
    for spec in mailconn::judge::ALL {
        let severity = spec.severity.name();
        let text = explain(spec.id).unwrap();
        assert!(text.starts_with(&format!("{}  {severity}: ", spec.id)), "{text}");
        let example = text.split_once("\nlooks like ").unwrap().1.trim_start();
        assert!(example.starts_with(&format!("{} {severity}: ", spec.id)), "{example}");
        assert!(is_whole(severity).contains("  severity: "), "{severity}");
        assert!(listed("severities").contains(severity), "{severity}");
    }
}

#[test]
fn everything_that_a_check_can_find_is_explained() {
    let is_name = |text: &&str| {
        let mut parts = text.split('-');
        let plain = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_lowercase());
        let rest =
            |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'.');
        text.contains('-') && parts.next().is_some_and(plain) && parts.all(rest)
    };
    let code = source("src/probe/check/diagnostics.rs");
    let emitted = names(code.split('"').skip(1).step_by(2).filter(is_name));
    assert!(emitted.len() >= 20, "{emitted:?}");
    assert_eq!(listed("checks"), emitted);
    emitted.iter().for_each(|name| drop(is_whole(name)));
}

/// The tables of the stored reports: header and rows, with the titles over the header in front of it.
fn tables() -> Vec<(BTreeSet<String>, String, Vec<String>)> {
    let files = ["tests/golden", "tests/snapshots"]
        .into_iter()
        .flat_map(|folder| std::fs::read_dir(root().join(folder)).unwrap().map(|entry| entry.unwrap().path()));
    let files = files.filter(|path| {
        let name = path.file_name().unwrap().to_str().unwrap();
        name.ends_with(".table.snap") || name.contains("__table__")
    });
    let is_word = |word: &str| {
        word.starts_with(|first: char| first.is_ascii_lowercase())
            && word.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
    };
    let is_header = |line: &str| line.trim().contains("  ") && line.split_whitespace().all(is_word);
    let mut tables = Vec::new();
    for file in files {
        let text = std::fs::read_to_string(file).unwrap();
        for block in text.split("\n\n") {
            let mut lines = block.lines().skip_while(|line| line.starts_with("---"));
            let Some(mut header) = lines.next() else { continue };
            let mut titles = "";
            if header.starts_with("   ") {
                (titles, header) = (header, lines.next().unwrap_or_default());
            }
            if is_header(header) {
                let words = titles.split_whitespace().chain(header.split_whitespace()).map(str::to_owned).collect();
                tables.push((words, header.to_owned(), lines.map(str::to_owned).collect()));
            }
        }
    }
    assert!(tables.len() > 50, "{}", tables.len());
    tables
}

#[test]
fn every_column_of_a_report_is_explained() {
    let columns: BTreeSet<String> = tables().into_iter().flat_map(|(words, ..)| words).collect();
    assert!(columns.len() > 30, "{columns:?}");
    columns.iter().for_each(|column| drop(explain(column).unwrap()));
    let gone: Vec<_> = listed("columns").difference(&columns).cloned().collect();
    assert_eq!(gone, [""; 0], "no report has such a column");
}

#[test]
fn how_sessions_begin_and_end_is_explained() {
    let mut seen = BTreeSet::new();
    for (words, header, rows) in tables() {
        for column in ["why", "closed"].into_iter().filter(|_| words.contains("session")) {
            let Some(at) = header.find(column) else { continue };
            let cells = rows.iter().filter(|row| row.starts_with('#')).filter_map(|row| row.get(at..));
            seen.extend(cells.map(|cell| cell.split("  ").next().unwrap().trim().to_owned()));
        }
    }
    assert!(seen.len() >= 5, "{seen:?}");
    seen.iter().for_each(|word| drop(explain(word).unwrap()));
    // The tables shorten the events' names: an article has both. A table can also say that a session is open.
    let article = |name: &str| explain(name).unwrap().split("  ").next().unwrap().to_owned();
    let openings = [WhyOpened::FirstUse, WhyOpened::ByHand, WhyOpened::Again].map(|it| article(it.name()));
    assert_eq!(listed("openings"), BTreeSet::from(openings));
    let endings = [HowClosed::LoggedOut, HowClosed::NoLogout, HowClosed::HungUp, HowClosed::Discarded];
    let endings = endings.map(|it| article(it.name())).into_iter().chain(["logout failed", "open"].map(article));
    assert_eq!(listed("endings"), endings.collect());
}

#[test]
fn every_step_of_a_check_is_explained() {
    let mut seen = BTreeSet::new();
    for url in ["sandbox+imap", "sandbox+smtps", "sandbox+pop3"] {
        let ended = end(&mut mailconn(["check", url]));
        let steps = ended.stdout.lines().skip(2).take_while(|line| !line.is_empty());
        seen.extend(steps.filter(|line| !line.starts_with(' ')).map(|line| line.split(' ').next().unwrap().to_owned()));
    }
    seen.extend(["token", "wait"].map(str::to_owned));
    assert!(seen.len() > 8, "{seen:?}");
    seen.iter().for_each(|step| drop(is_whole(step)));
    let gone: Vec<_> = listed("steps").difference(&seen).cloned().collect();
    assert_eq!(gone, [""; 0], "no check has such a step");
}

#[test]
fn the_file_of_words_has_articles_of_one_form() {
    let file = source("src/words.md");
    let long: Vec<_> = file.lines().filter(|line| line.len() > 118 && !line.starts_with("- Try: ")).collect();
    assert_eq!(long, [""; 0]);
    let labels = ["It means", "Try", "What to do", "Rules", "Met in", "Also called"];
    let (_, articles) = file.split_once("\n## ").unwrap();
    let mut called = Vec::new();
    for chapter in articles.split("\n## ") {
        let (title, articles) = chapter.split_once("\n\n### ").unwrap();
        for article in articles.split("\n\n### ") {
            let blocks: Vec<&str> = article.trim_end().split("\n\n").collect();
            let [name, what, list] = blocks[..] else { panic!("{title}: a name, a paragraph and a list: {article}") };
            assert!(!what.starts_with('-'), "{name}: {what}");
            let items: Vec<_> = list.strip_prefix("- ").unwrap().split("\n- ").collect();
            let items: Vec<_> = items.iter().map(|item| item.split_once(": ").unwrap()).collect();
            let order: Vec<_> = items.iter().map(|(label, _)| labels.iter().position(|it| it == label)).collect();
            assert!(order[0] == Some(0) && order.is_sorted() && !order.contains(&None), "{name}: {items:?}");
            called.push((title, name));
            for (label, text) in items {
                match label {
                    "Rules" => {
                        text.split(", ").for_each(|number| assert!(rules::is_number(number), "{name}: {number}"))
                    }
                    "Also called" => called.extend(text.split(',').map(|other| (title, other.trim()))),
                    "Try" => {
                        let mut words = text.trim_matches('`').split(' ');
                        assert_eq!(words.next(), Some("mailconn"), "{text}");
                        let ended = end(&mut mailconn(words));
                        assert!([0, 1].contains(&ended.code), "{text}: {}: {}", ended.code, ended.stderr);
                    }
                    _ => {}
                }
            }
        }
    }
    let once: BTreeSet<_> = called.iter().map(|(title, name)| (title, name.to_lowercase())).collect();
    assert_eq!(once.len(), called.len(), "a word has one article in a chapter");
}

#[test]
fn every_rule_is_explained_in_the_words_of_the_file() {
    let rules = rules::all();
    assert_eq!(listed("rules"), rules.iter().map(|rule| rule.number.to_owned()).collect());
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
    let kinds_and_reasons =
        names([Kind::Main, Kind::Default, Kind::Independent].map(Kind::name).into_iter().chain(reasons));
    let locks = names([Lock::Unit, Lock::Command].map(Lock::name));
    let expected = [
        ("failures", kinds),
        ("stages", stages),
        ("modes", modes),
        ("connections", kinds_and_reasons),
        ("locks", locks),
    ];
    for (label, expected) in expected {
        assert_eq!(listed(label), expected, "{label}");
        expected.iter().for_each(|word| assert!(is_whole(word).contains("\nwhat to do "), "{word}"));
    }
    [Executor::Threads, Executor::Pool, Executor::Tasks].iter().for_each(|it| drop(explain(it.name()).unwrap()));
    let greeting = explain("greeting").unwrap();
    assert_eq!(greeting.matches("\nit means ").count(), 2, "it is a failure and a stage: {greeting}");
    let broken = explain("broken").unwrap();
    assert!(broken.contains("severity: ") && broken.contains("how a session ended: "), "{broken}");
    let closed = explain("closed").unwrap();
    assert!(closed.contains("without a word") && closed.contains("column: "), "{closed}");
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
    let (words, _) = words.split_once("\nservers ").unwrap();
    for word in words.split_whitespace().filter(|word| explain(word).is_ok() && *word != "rules") {
        let text = explain(word).unwrap();
        assert!(!text.contains("github.com"), "{word}");
        if let Some((_, threads)) = text.split_once("\nmet in ") {
            let threads = threads.split("\n\n").next().unwrap().split("\nalso called ").next().unwrap();
            let threads = threads.split_whitespace();
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

/// Commands and files are there as they are, and whole; prose is no Markdown.
#[test]
fn a_page_of_the_manual_is_printed_whole() {
    for (page, text) in [("ci", include_str!("../../src/ci.md")), ("tour", include_str!("../../src/tour.md"))] {
        let told = end(&mut mailconn(["explain", page]));
        assert_eq!((told.code, &*told.stderr), (0, ""));
        assert_eq!(told.stdout.lines().find(|line| line.chars().count() > 80), None, "{page}");
        assert!(["`", "**", "](", "##"].iter().all(|mark| !told.stdout.contains(mark)), "{page}");
        let code: Vec<&str> = text.split("```").skip(1).step_by(2).flat_map(|block| block.lines().skip(1)).collect();
        assert!(code.len() > 40, "{page}");
        for line in code {
            let due = if line.is_empty() { String::new() } else { format!("    {line}") };
            assert!(told.stdout.lines().any(|shown| shown == due), "{page}: {line}");
        }
    }
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
        ("rule", "rules or rules-held"),
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
    for word in ["", "aquarium"] {
        let ended = end(&mut mailconn(["explain", word]));
        let expected = format!("nothing is called \"{word}\"; mailconn explain lists all there is\n");
        assert!(ended.code == 2 && ended.stderr.ends_with(&expected), "{:?}", ended.stderr);
    }
    let closed = end(&mut shell("{} explain | true"));
    assert_eq!((closed.code, &*closed.stderr), (0, ""));
}

/// Whose words they are, and so what raises it; and what counts them.
#[test]
fn a_pasted_refusal_leads_to_the_servers_own_setting_and_to_limits() {
    const COUNTED: &str = "mailconn limits URL finds out how many there are, and what to set for them.";
    for (line, raised) in [
        (
            "NO [UNAVAILABLE] Maximum number of connections from user+IP exceeded (mail_max_userip_connections=7)",
            "On the server, Dovecot: this raises it: mail_max_userip_connections (10 unless set) in `protocol imap { … }`",
        ),
        (
            "-ERR [IN-USE] Maximum number of connections from user+IP exceeded (mail_max_userip_connections=10)",
            "On the server, Dovecot: this raises it: mail_max_userip_connections (10 unless set) in `protocol pop3 { … }`",
        ),
        (
            "a1 NO Too many open connections (3 of 3 for u1)",
            "On the server, Cyrus: this raises it: maxlogins_per_user (no limit unless set) in /etc/imapd.conf.",
        ),
        (
            "a1 NO Too many open connections (3 of 3 from localhost [127.0.0.1])",
            "On the server, Cyrus: this raises it: maxlogins_per_host",
        ),
        (
            "421 Too many concurrent SMTP connections; please try again later.",
            "On the server, Exim: this raises it: smtp_accept_max (20 unless set)",
        ),
        (
            "421 Too many concurrent SMTP connections from this IP address; please try again later.",
            "On the server, Exim: this raises it: smtp_accept_max_per_host",
        ),
        (
            "421 4.7.0 mx.example.org Error: too many connections from 192.0.2.7",
            "On the server, Postfix: one of these keeps it, and raises it: smtpd_client_connection_count_limit (50 unless set) in main.cf",
        ),
        (
            "* BAD [ALERT] Too many simultaneous connections. (Failure)",
            "On the server: the limit is Gmail's own, and cannot be raised.",
        ),
    ] {
        let text = explained(line, "").split_whitespace().collect::<Vec<_>>().join(" ");
        let (_, cure) = text.split_once(" what to do ").unwrap();
        assert!(cure.contains(raised) && cure.ends_with(COUNTED), "{line}: {text}");
    }
    // Nobody knows whose words these are; and what is no limit on connections is not counted.
    let unknown = explained("* NO too many connections", "").split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(unknown.ends_with(COUNTED) && !unknown.contains("On the server"), "{unknown}");
    for line in ["-ERR [IN-USE] maildrop is locked", "NO [AUTHENTICATIONFAILED] no", "421 4.7.0 rate limit exceeded"] {
        assert!(!explained(line, "").contains("mailconn limits URL"), "{line}");
    }
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

/// What stands in a report can be pasted as it stands there.
#[test]
fn a_phrase_of_a_report_is_explained_by_the_name_that_it_begins_with() {
    for (phrase, name) in [
        ("rules held", "rules-held"),
        ("rules held for 400 of 400 operations", "rules-held"),
        ("the server's own record agrees for 3 of 4", "witness"),
        ("What matters to connections", "what-matters-to-connections"),
        ("What matters to connections, and whether it is offered:", "what-matters-to-connections"),
        ("Findings:", "findings"),
        ("Failures", "failures"),
        ("FAILED: auth-invalid", "auth-invalid"),
        ("12x closed at operation (fetch of INBOX, FETCH)", "closed"),
        ("not begun", "not-begun"),
        ("signed in by PLAIN (4)", "signed-in-by"),
        ("first to last: 36 ms", "first-to-last"),
        ("exit 0: all held", "exit"),
        ("all as expected", "expected"),
        ("could not open", "could-not-open"),
        ("tasks ran on", "tasks-ran-on"),
        ("dial ms", "dial"),
        ("another task's default", "default"),
        ("MC050 advice: operations waited 206.9ms for their connection", "MC050"),
        ("MC031 limit: the server throttled, too many commands", "MC031"),
        ("A7 unit", "A7"),
    ] {
        let ended = end(&mut mailconn(["explain", phrase]));
        if ended.code == 0 {
            assert!(ended.stdout.starts_with(&format!("{name}  ")), "{phrase}: {}", ended.stdout);
        } else {
            assert!(ended.stderr.contains(&format!("; did you mean {name}? ")), "{phrase}: {}", ended.stderr);
        }
    }
}

#[test]
fn words_that_are_no_report_s_and_no_server_s_are_told_so_in_one_line() {
    for (phrase, nearest) in [
        ("foo bar baz", None),
        ("no operation to compare", Some("operation or variant")),
        ("rules holds", Some("rules-held")),
        ("main used", Some("main")),
        ("what is a witness?", Some("witness")),
        ("OK computer", None),
    ] {
        let ended = end(&mut mailconn(["explain", phrase]));
        assert_eq!((ended.code, &*ended.stdout), (2, ""), "{phrase}");
        assert_eq!(ended.stderr.lines().count(), 1, "{}", ended.stderr);
        if phrase.starts_with("OK") {
            assert!(ended.stderr.contains("the line refuses nothing"), "{}", ended.stderr);
            continue;
        }
        let said = format!("\"{phrase}\" is no word of the reports and no server's line; ");
        assert!(ended.stderr.contains(&said), "{}", ended.stderr);
        assert!(ended.stderr.contains("--protocol takes any text for one"), "{}", ended.stderr);
        let meant = nearest.map(|nearest| format!("; did you mean {nearest}? "));
        assert_eq!(ended.stderr.contains("did you mean"), meant.is_some(), "{}", ended.stderr);
        assert!(meant.is_none_or(|meant| ended.stderr.contains(&meant)), "{}", ended.stderr);
    }
    // Who says that a server sent it is believed.
    assert!(explained("foo bar baz", "--protocol imap --stage auth").contains("\nauth-refused  "));
    assert!(explained("foo bar baz", "--stage operation").contains("\nserver-no  "));
}

#[test]
fn a_line_is_found_behind_a_log_s_words() {
    for (line, args, expected) in [
        ("imaplib.error: b'[AUTHENTICATIONFAILED] Authentication failed.'", "--stage auth", "auth-invalid 5 auth"),
        ("[AUTHENTICATIONFAILED] Authentication failed.", "--stage auth", "auth-invalid 5 auth"),
        ("Error: 535 5.7.8 Bad credentials", "--stage auth", "auth-invalid 5 auth"),
        ("server said: -ERR [IN-USE] locked", "--stage auth", "limit-connections 6 auth"),
        ("Too many simultaneous connections. (Failure)", "--stage auth", "limit-connections 6 auth"),
        ("Disconnected (auth failed, 1 attempts in 2 secs)", "--stage auth", "auth-refused 5 auth"),
    ] {
        assert_eq!(parts(&explained(line, args)), [expected], "{line}");
        let without = end(&mut mailconn(["explain", line]));
        assert_eq!(without.code, 0, "{line}: {}", without.stderr);
        assert!(parts(&without.stdout).iter().any(|part| part.starts_with(expected.split(' ').next().unwrap())));
    }
}
