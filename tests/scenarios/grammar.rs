//! What a scenario's text may hold, and what is said of one that holds something else: nothing of it is run.

use mailconn::protocol::{OperationSpec, Protocol};
use mailconn::scenario::{Script, grammar};

fn imap(text: &str) -> Result<Script, String> {
    Script::parse("file", text, Protocol::Imap).map_err(|error| error.to_string())
}

/// The message, which must begin with that place.
#[track_caller]
fn mistake(text: &str, place: &str) -> String {
    let said = imap(text).expect_err(text);
    let rest = said.strip_prefix(&format!("file:{place}: "));
    rest.unwrap_or_else(|| panic!("{place} is wrong in {text:?}, it says {said}")).to_owned()
}

/// The same after a line that makes a client: places count from the line after it.
#[track_caller]
fn in_client(text: &str, column: usize) -> String {
    mistake(&format!("client use-main-or-default\n{text}"), &format!("2:{column}"))
}

#[test]
fn every_line_of_the_grammar_that_is_an_example_can_be_written() {
    let text = r#"
        protocols: imap smtp
        client A use-main-or-default user=u1 cap=5 wait=200ms timeout=1s connect=2s   # several settings
        client B use-main
        pool P threads=2
        task J1 on P
        J1 noop on A; create-default d on A; leave d on A
        J1 moves to P.2
        J1 ends
        P.2 noop on A => main or default
        T1 create k on A => opened
        T1 noop; noop via k => k
        T1 begins noop via k
        T1 finishes => k session 1
        parallel
          T1 noop on B
          T2 fetch "Sent Items" on B => main from "Sent Items"
        end
        A mode use-main
        all mode use-default
        T2 hold on B; release; mode use-main on A; pause 20ms
        T2 select Archive on B; fetch-selected on B => main from Archive
        P scope on A; create-default on A; panic => panics
        T1 would on A => main or default
        T1 would via k => explicit
        T3 dispose k => disposed
        T3 noop via k => refused D2
        T3 dispose-default on B => nothing
        T3 exit
        pause 20ms
        expect open: main k 2-default on A
        expect open: nothing on B
        expect sessions: 3
        expect opened: 3 on A
        expect sign-ins: 3 on A
        expect mode use-default on A
        expect order: T1 T2
        expect finding MC010
        expect no finding MC020
        expect no findings
        server cuts main on A
        server cuts k by rst
        server stalls default of T1 on A
        server resumes k
        server says bye to main "going down" on B
        server refuses connections
        server accepts connections
        server limits connections to 3
        server lifts the limit
        server delays 10ms
        server answers at once
        close A
        drop A
    "#;
    let text = text.replace("T3 noop via k", "T4 noop via k").replace("T1 noop; noop", "T1 noop on B; noop");
    let text = text.replace("\"going down\" on B", "\"going down\"").replace("bye to main", "bye to main on B");
    let script = imap(&text).unwrap();
    assert_eq!(script.needs_sandbox(), Some(41), "the first line that asks the server for a fault");
    let grammar = grammar();
    for word in [
        "protocols:",
        "begins",
        "moves to",
        "scope",
        "expect order:",
        "server says bye to",
        "lifts the limit",
        "would",
        "drop A",
        "server delays 10ms",
        "server answers at once",
    ] {
        assert!(grammar.contains(word), "the grammar does not tell of {word}");
    }
    for spec in Protocol::ALL.into_iter().flat_map(OperationSpec::steps) {
        let words = spec.args.iter().fold(format!(" {}", spec.name), |words, arg| words + " " + arg.name());
        assert!(grammar.contains(&words), "the grammar does not tell of{words}");
    }
    assert!(grammar.lines().all(|line| line.chars().count() <= 80), "80 columns do");
}

#[test]
fn nonsense_is_told_with_its_line_and_column() {
    assert!(mistake("", "1:1").contains("no step"));
    assert!(mistake("# nothing but a comment", "1:1").contains("no step"));
    assert!(mistake("frobnicate", "1:1").contains("`frobnicate` found; the beginning of a step (client, "));
    assert!(mistake("T1 noop", "1:8").contains("there is no client yet"));
    assert!(mistake("client use-everything", "1:8").contains("use-main-or-default"));
    assert!(mistake("client use-main user=", "1:17").contains("user=u2"));
    assert!(mistake("client use-main cap=0", "1:17").contains("cap=2"));
    assert!(in_client("  T1 dance", 6).contains("`dance` is no action"));
    assert!(in_client("T1 dance", 4).contains("with imap noop, list, status, fetch"));
    assert!(in_client("T1 stat", 4).contains("`stat` is an action of pop3"), "IMAP has none");
    assert!(in_client("T1 send", 4).contains("begin it with `protocols: smtp`"));
    assert!(in_client("T1 noop via k", 13).contains("independent connection"));
    assert!(in_client("T1 noop => loud", 12).contains("one of main, default"));
    assert!(in_client("T1 noop => refused C9", 20).contains("a rule that refuses"));
    assert!(in_client("T1 noop => fails badly", 18).contains("a word for failure"));
    assert!(in_client("T1 noop => main main", 17).contains("too much"));
    assert!(in_client("T1 noop;", 9).contains("the line ends here; an action is expected"));
    assert!(in_client("T1 fetch \"Sent", 10).contains("not closed"));
    assert!(in_client("T1 append", 4).contains("mailconn run"));
    assert!(in_client("T1 leave => opened", 10).contains("nothing in this line has a result"));
    assert!(in_client("expect finding MC1", 16).contains("MC010"));
    assert!(in_client("server cuts nobody", 13).contains("whose connection"));
    assert!(in_client("server locks maildrops", 8).contains("only POP3 has maildrops"));
    assert!(in_client("pause 0s", 7).contains("20ms"));
    assert!(in_client("é\u{7}", 1).contains("found; the beginning of a step"));
    assert!(in_client("T1 \u{7}", 4).contains("control character"));
}

#[test]
fn names_mean_one_thing_each() {
    assert!(in_client("pool client threads=1", 6).contains("capital"));
    assert!(in_client("T1 create K", 11).contains("small letters"));
    assert!(in_client("T1 create main", 11).contains("already means something else"));
    assert!(mistake("client A use-main\npool A threads=1", "2:6").contains("already means something else"));
    assert!(mistake("client A use-main\nclient use-main", "2:8").contains("has a name"));
    assert!(mistake("client A use-main\nclient B use-main\nT1 noop", "3:8").contains("like `T1 noop on A`"));
    assert!(in_client("task J on P", 11).contains("a pool"));
    assert!(in_client("T1 noop, noop", 4).contains("`noop,` is no action"));
}

#[test]
fn what_cannot_be_done_by_then_is_a_mistake_in_the_text() {
    assert!(mistake("client use-main\nT1 exit\nT1 noop", "3:1").contains("T1 has exited"));
    assert!(
        mistake("client use-main\nT1 begins noop\nT1 noop", "3:1").contains("has not finished what it began in line 2")
    );
    assert!(mistake("client use-main\nT1 begins noop", "2:1").contains("never finishes"));
    assert!(mistake("client use-main\nT1 finishes", "2:1").contains("has begun nothing"));
    assert!(in_client("T1 begins noop => main", 16).contains("T1 finishes => …"));
    assert!(mistake("client use-main\npool P threads=1\nP.1 exit", "3:5").contains("keeps its threads"));
    assert!(mistake("client use-main\npool P threads=1\nP.2 noop", "3:1").contains("threads 1 to 1"));
    assert!(mistake("client use-main\npool P threads=1\ntask J on P\nP noop", "4:1").contains("has not ended"));
    let ended = "client use-main\npool P threads=1\ntask J on P\nJ ends\nJ noop";
    assert!(mistake(ended, "5:1").contains("has ended"));
    assert!(in_client("end", 1).contains("no parallel block"));
    assert!(mistake("client use-main\nparallel\nT1 noop", "2:1").contains("never closed"));
    assert!(mistake("client use-main\nparallel\nall mode use-main", "3:1").contains("only what threads and tasks do"));
    assert!(mistake("client use-main\nprotocols: imap", "2:1").contains("before the first step"));
    assert!(
        mistake("protocols: smtp pop3\nclient use-main", "1:1").contains("for smtp, pop3, and the server speaks imap")
    );
    assert!(in_client("T1 noop; scope", 1).contains("first in its line"));
}

#[test]
fn a_text_without_end_is_not_read_to_its_end() {
    assert!(mistake(&"x".repeat(300_000), "1:1").contains("at most 262144 bytes"));
    assert!(mistake(&"pause 1ms\n".repeat(2001), "2001:1").contains("at most 2000 lines"));
    assert!(mistake(&format!("client use-main {}", "x".repeat(2000)), "1:1000").contains("longer than 1000"));
    let threads: String = (0..70).map(|number| format!("T{number} noop\n")).collect();
    assert!(mistake(&format!("client use-main\n{threads}"), "66:1").contains("at most 64 threads"));
    assert!(mistake("client use-main\npool P threads=4000000000", "2:8").contains("at most 64 threads"));
}

#[test]
fn a_finding_that_there_is_not_is_a_mistake_in_the_text() {
    for (text, column) in [("expect finding MC999", 16), ("expect no finding MC099", 19), ("expect finding mc010", 16)]
    {
        let said = in_client(text, column);
        assert!(said.contains("is no finding; there are MC001, MC002, MC010"), "{said}");
    }
}

#[test]
fn what_is_disposed_or_left_was_named_above() {
    assert!(in_client("T1 dispose zz => nothing", 12).contains("`zz` found; a connection, as `create k`"));
    assert!(in_client("T1 leave zz", 10).contains("a default, as `create-default d`"));
    assert!(in_client("T1 create-default d; create d", 29).contains("already means a default"));
    imap("client use-main-or-default\nT1 create-default d; leave d\nT2 create-default d; dispose d").unwrap();
}

#[test]
fn what_contradicts_itself_is_a_mistake_in_the_text() {
    assert!(in_client("expect open: nothing main", 22).contains("`nothing` stands alone"));
    assert!(in_client("expect open: main nothing", 19).contains("`nothing` stands alone"));
    assert!(mistake("client use-main\nT1 create k\nexpect open: k k", "3:16").contains("`k` is named twice"));
    assert!(in_client("expect open: main main", 19).contains("`main` is named twice"));
    assert!(mistake("client use-main cap=1 cap=2", "1:23").contains("`cap` is set twice"));
    assert!(in_client("T1 fetch => main from INBOX from Sent", 29).contains("`from` stands twice"));
    assert!(in_client("T1 noop => main session 1 session 2", 27).contains("`session` stands twice"));
}

#[test]
fn an_expectation_where_none_can_be_is_told_what_it_is_for() {
    assert!(mistake("client use-main\nT1 noop\nclose => ok", "3:7").contains("`close` takes no expectation"));
    assert!(in_client("pause 1ms => ok", 11).contains("`pause` takes no expectation"));
    assert!(mistake("client use-main\nT1 noop\nT1 exit => ok", "3:9").contains("only what a thread does has a result"));
    assert!(in_client("T1 noop => main; noop", 16).contains("`=>` and what it expects come last"));
    assert!(in_client("T1 noop => main => default", 17).contains("`or` stands between"));
    let two = "client A use-main\nclient B use-main\n";
    assert!(mistake(&format!("{two}expect open: A"), "3:14").contains("`A` found; one of nothing, main"));
    assert!(mistake(&format!("{two}expect A"), "3:8").contains("`A` found; one of open:, sessions:"));
}

#[test]
fn of_several_clients_the_whole_line_is_shown_that_says_which() {
    let two = "client A use-main\nclient B use-main\n";
    for (line, column, cure) in [
        ("expect open: main", 18, "expect open: main on A"),
        ("T1 fetch Sent => main", 15, "T1 fetch Sent on A => main"),
        ("T1 noop; noop on B", 8, "T1 noop on A; noop on B"),
        ("server cuts main by rst", 18, "server cuts main on A by rst"),
        ("close", 6, "close A"),
    ] {
        let said = mistake(&format!("{two}{line}"), &format!("3:{column}"));
        assert!(said.ends_with(&format!("say which one, like `{cure}`")), "{said}");
        imap(&format!("{two}{cure}")).unwrap();
    }
}

#[test]
fn a_mark_of_the_encoding_before_the_first_line_is_none_of_it() {
    imap("\u{feff}client use-main\nT1 noop").unwrap();
    assert!(mistake("\u{feff}client use-maybe", "1:8").contains("a mode"));
}

/// Main and defaults have no handle that could be passed (A5).
#[test]
fn what_has_no_handle_cannot_be_passed() {
    for (line, column) in [
        ("T1 noop via main", 13),
        ("T1 would via main", 14),
        ("T1 create-default d; noop via d", 31),
        ("T1 create-default d\nT2 hold via d", 13),
        ("T1 noop via default", 13),
    ] {
        let place = if line.contains('\n') { 3 } else { 2 };
        let said = mistake(&format!("client use-main-or-default\n{line}"), &format!("{place}:{column}"));
        assert!(said.ends_with("no handle passes main or a default (A5)"), "{line}: {said}");
    }
}

#[test]
fn whoever_was_dropped_can_be_asked_nothing_and_handles_can() {
    for (line, column) in [
        ("T1 noop", 4),
        ("T1 would", 4),
        ("T1 create l", 4),
        ("T1 create-default", 4),
        ("T1 dispose-default", 4),
        ("T1 mode use-main", 4),
        ("T1 scope; noop", 4),
        ("T1 pause 1ms; noop via k", 15),
        ("drop", 5),
        ("close", 6),
        ("expect mode use-main", 21),
    ] {
        let said = mistake(&format!("client use-main\nT1 create k\ndrop\n{line}"), &format!("4:{column}"));
        assert_eq!(said, "nobody holds the client any more, so nobody can ask it: line 3 drops it", "{line}");
    }
    let both = "client A use-main\nclient B use-main\nT1 create k on A; create-default d on A\ndrop A\n";
    assert!(mistake(&format!("{both}T1 noop via k"), "5:4").contains("nobody holds A any more"));
    assert!(mistake(&format!("{both}A mode use-main"), "5:1").contains("nobody holds A any more"));
    imap(&format!(
        "{both}T1 dispose k; leave d on A; release on A; noop on B\nall mode use-default\nexpect open: nothing on A"
    ))
    .unwrap();
}

/// Whatever stands in a text, reading it ends in a script or a message.
#[test]
fn no_text_makes_the_reader_panic() {
    let words = [
        "client",
        "use-main",
        "T1",
        "P",
        "P.1",
        "pool",
        "threads=1",
        "task",
        "on",
        "J",
        "noop",
        "via",
        "k",
        "create",
        ";",
        "=>",
        "main",
        "or",
        "from",
        "session",
        "1",
        "parallel",
        "end",
        "begins",
        "finishes",
        "moves",
        "to",
        "ends",
        "exit",
        "\"",
        "#",
        "é",
        ".",
        "=",
        "expect",
        "open:",
        "server",
        "cuts",
        "default",
        "of",
        "close",
        "drop",
        "would",
        "delays",
        "pause",
        "1ms",
        "\n",
        "\n",
        "\n",
    ];
    let mut choose = fastrand::Rng::with_seed(7);
    for _ in 0..20_000 {
        let text: Vec<&str> = (0..choose.usize(1..40)).map(|_| words[choose.usize(0..words.len())]).collect();
        let text = format!("client use-main\n{}", text.join(" "));
        if let Err(error) = Script::parse("file", &text, Protocol::Imap) {
            assert!(error.line >= 1 && error.column >= 1 && !error.message.is_empty(), "{error}");
        }
    }
}
