//! Pages: that they load nothing, that what is foreign stays text, that links lead somewhere, and that they stay small.

use std::collections::BTreeSet;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use tempfile::tempdir;

use super::{within, written};
use crate::cli::process::{end, mailconn};
use crate::golden::{golden, stored};

/// What stands between these, each time.
pub fn between<'a>(text: &'a str, before: &'a str, after: &'a str) -> impl Iterator<Item = &'a str> {
    text.split(before).skip(1).map(move |rest| rest.split(after).next().unwrap())
}

fn page_of(file: &std::path::Path) -> String {
    let told = end(&mut mailconn(["report", file.to_str().unwrap(), "--format", "html"]));
    assert_eq!((told.code, &*told.stderr), (0, ""), "{}", file.display());
    told.stdout
}

fn digest(text: &str) -> String {
    format!("'sha256-{}'", STANDARD.encode(ring::digest::digest(&ring::digest::SHA256, text.as_bytes())))
}

#[test]
fn the_page_of_each_stored_file_loads_nothing_and_its_links_lead_somewhere() {
    for file in stored() {
        let (page, name) = (page_of(&file), file.display());
        let policy = between(&page, "http-equiv=\"Content-Security-Policy\" content=\"", "\"").next().unwrap();
        let style = between(&page, "<style>", "</style>").next().unwrap();
        let script = between(&page, "<script>", "</script>").next().unwrap();
        let allowed = format!("default-src 'none'; style-src {}; script-src {};", digest(style), digest(script));
        let plain = policy.replace("&#39;", "'");
        assert!(plain.starts_with(&allowed), "{name}: {plain}");
        for (what, loads) in [
            (" src=", "a file"),
            ("@import", "a style"),
            ("<link", "a file"),
            (" style=", "a style of its own"),
            (" onclick=", "a script of its own"),
        ] {
            assert!(!page.contains(what), "{name}: {loads}");
        }
        let ids: Vec<&str> = between(&page, " id=\"", "\"").collect();
        let once: BTreeSet<&str> = ids.iter().copied().collect();
        assert_eq!(once.len(), ids.len(), "{name}: an id stands twice");
        for target in between(&page, " href=\"", "\"")
            .map(|to| to.strip_prefix('#').unwrap_or(to))
            .chain(between(&page, "url(#", ")"))
        {
            assert!(once.contains(target), "{name}: {target} is nowhere");
        }
        for details in between(&page, "<script type=\"application/json\">", "</script>") {
            serde_json::from_str::<Value>(details).unwrap_or_else(|error| panic!("{name}: {error}"));
        }
    }
}

#[test]
fn the_verdict_comes_first_and_the_evidence_has_its_marks() {
    for (name, verdict, marks) in [
        ("lock-command", "came from a mailbox other than the one that was asked for", "answered from "),
        ("limit", "The server refused 2 connection(s)", "refused: limit-connections at auth"),
        ("use-main", "All held: ", "connected"),
        ("scenario-pool-hazard", "steps, all as expected", "show 2"),
        ("wrong-password", "ign-in refused", "auth-invalid"),
    ] {
        let file = golden(name);
        let page = page_of(&file);
        let heading = between(&page, "<h1>", "</h1>").next().unwrap();
        assert!(heading.contains(verdict), "{name}: {heading}");
        assert!(page.find("<h1>") < page.find("<table"), "{name}");
        assert!(page.contains(marks), "{name}: {marks}");
    }
}

#[test]
fn a_comparison_says_what_to_choose_and_shows_each_interval() {
    let file = golden("comparison");
    let page = page_of(&file);
    let table = end(&mut mailconn(["report", file.to_str().unwrap()])).stdout;
    let chosen = between(&page, "<h1>", "</h1>").next().unwrap();
    let words: Vec<&str> = table.split("\n\n").next().unwrap().split_whitespace().collect();
    let words = words.join(" ");
    let (answer, behind) = words.split_once(". ").unwrap();
    assert!(chosen.ends_with(answer) && page.contains(&format!("<p>{behind}</p>")), "{chosen}\n{words}");
    // Each variant but the reference has an estimate and an interval, and a sentence on hovering over either.
    let picture = between(&page, "aria-label=\"the interval of each variant\"", "</svg>").next().unwrap();
    let json = end(&mut mailconn(["report", file.to_str().unwrap(), "--format", "json"])).stdout;
    let json: Value = serde_json::from_str(&json).unwrap();
    let verdicts = json["verdicts"].as_array().unwrap();
    assert_eq!(picture.matches("<circle").count(), verdicts.len());
    for verdict in verdicts {
        let (name, decision) = (verdict["variant"].as_str().unwrap(), verdict["decision"].as_str().unwrap());
        assert!(picture.contains(name) && picture.contains(decision), "{name}: {picture}");
        assert!(page.contains(&format!("<td title=\"{name}")), "{name} has no row");
    }
}

#[test]
fn what_is_foreign_stays_text() {
    let directory = tempdir().unwrap();
    let here = directory.path();
    let names =
        ["<script>alert(1)</script>", "\"' onload=x <b>&amp;", "\u{202e}drawkcab", "שלום <!-- </script>", "]]>`${1}"];
    let mut command = mailconn(["run", "-n", "20", "--ops", "fetch", "--progress", "never", "-o", "told.html"]);
    for name in names {
        command.args(["--mailbox", name]);
    }
    let ended = end(command.current_dir(here));
    assert_eq!(ended.code, 1, "{}", ended.stderr);
    let page = written(here, "told.html");
    for raw in ["<script>alert", "<b>&amp;", "\u{202e}", "<!--", "</script> "] {
        assert!(!page.contains(raw), "{raw:?}");
    }
    let escaped = [
        "&lt;script&gt;alert(1)&lt;/script&gt;",
        "&quot;' onload=x &lt;b&gt;&amp;amp;",
        "u{202e}drawkcab",
        "<bdi>שלום &lt;!--",
    ];
    for name in escaped {
        assert!(page.contains(name), "{name:?}");
    }
    assert_eq!(page.matches("<script").count(), page.matches("</script>").count());
    for details in between(&page, "<script type=\"application/json\">", "</script>") {
        serde_json::from_str::<Value>(details).unwrap();
    }
}

#[test]
fn ten_thousand_operations_take_less_than_two_megabytes() {
    let directory = tempdir().unwrap();
    let here = directory.path();
    let args = "run -t 8 -n 1250 --mode use-main --mailbox INBOX --mailbox Archive --ops noop,fetch --progress never -o told.html";
    assert_eq!(within(here, args).code, 0);
    let page = written(here, "told.html");
    assert!((200_000..2_000_000).contains(&page.len()), "{} bytes", page.len());
    assert!(!page.contains("are drawn one by one"), "all of them are");
}

#[test]
fn more_than_that_are_summarised_and_what_went_wrong_stays() {
    let directory = tempdir().unwrap();
    let here = directory.path();
    let args = "run -t 8 -n 1300 --mode use-main --lock command --ops fetch --mailbox INBOX --mailbox Archive --progress never";
    let files = "-o told.html -o told.json";
    assert_eq!(within(here, &format!("{args} {files}")).code, 1);
    let page = written(here, "told.html");
    assert!(page.len() < 2_000_000, "{} bytes", page.len());
    let told: Value = serde_json::from_str(&written(here, "told.json")).unwrap();
    let wrong =
        told["findings"].as_array().unwrap().iter().find(|it| it["id"] == "MC020").unwrap()["count"].as_u64().unwrap();
    let said = between(&page, "of 10,400 operations are drawn one by one: ", " that failed").next().unwrap();
    let kept: u64 = said.split(' ').next().unwrap().replace(',', "").parse().unwrap();
    let all: u64 = said.rsplit(' ').next().unwrap().replace(',', "").parse().unwrap();
    assert_eq!(all, wrong, "{said}");
    assert_eq!(kept, wrong.min(3000), "{said}");
    for number in told["findings"][0]["evidence"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|piece| piece.as_str().unwrap().strip_prefix("operation ")?.split(' ').next())
    {
        assert!(page.contains(&format!("id=\"r1-o{number}\"")), "operation {number} is evidence");
    }
}

#[test]
fn several_files_are_one_page() {
    let files: Vec<_> = stored().into_iter().take(3).collect();
    let args = ["report", "--format", "html"].map(str::to_owned).into_iter();
    let told = end(&mut mailconn(args.chain(files.iter().map(|file| file.to_str().unwrap().to_owned()))));
    assert_eq!((told.code, &*told.stderr), (0, ""));
    assert_eq!(told.stdout.matches("<h1>").count(), 3);
    for target in ["r1-", "r2-", "r3-"] {
        assert!(
            told.stdout.contains(&format!("href=\"#{target}\"")) && told.stdout.contains(&format!("id=\"{target}\""))
        );
    }
}
