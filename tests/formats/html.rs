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

/// What the script knows: of each operation its number, its worker, when it was issued, and whether it came from elsewhere or
/// failed; and when the run ends.
struct Details {
    operations: Vec<(u64, u64, u64, bool)>,
    end: u64,
}

fn details(page: &str) -> Details {
    let json = between(page, "<script type=\"application/json\">", "</script>").next().unwrap();
    let details: Value = serde_json::from_str(json).unwrap();
    let operations = details["operations"].as_array().unwrap().iter().map(|op| {
        let number = |at: usize| op[at].as_u64().unwrap();
        (number(0), number(1), op[4][0].as_u64().unwrap(), op[5][6] != 0 || op[5][7] != 0)
    });
    Details { operations: operations.collect(), end: details["end"].as_u64().unwrap() }
}

/// The bars of a path, each from where to where, as parts of the whole time.
fn bars(path: &str) -> Vec<(f64, f64)> {
    let mut pen = 0.0;
    let bars = path.split(['M', 'm']).skip(1).map(|bar| {
        let (to, width) = bar.split_once('h').unwrap();
        pen += to.split(' ').next().unwrap().parse::<f64>().unwrap();
        let from = pen;
        pen += width.parse::<f64>().unwrap();
        (from / 100_000.0, pen / 100_000.0)
    });
    bars.collect()
}

/// Those of that colour in a lane.
fn bars_of(page: &str, lane: &str, colour: &str) -> Vec<(f64, f64)> {
    let (begin, stroke) = (format!("data-lane=\"{lane}\""), format!("stroke=\"{colour}\""));
    let lane = between(page, &begin, "</tr>").next().unwrap();
    let paths = between(lane, "<path d=\"", ">").filter(|path| path.contains(&stroke));
    paths.flat_map(|path| bars(path.split('"').next().unwrap())).collect()
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
fn ten_thousand_failures_in_long_words_take_no_more_and_each_is_said_once() {
    for (mailboxes, letters) in [(40, 63), (250, 220)] {
        let directory = tempdir().unwrap();
        let here = directory.path();
        let name = |number: usize| format!("{number:0>letters$}");
        let mut args =
            "run -t 8 -n 1250 --mode use-default --ops fetch,status --progress never -o told.html".to_owned();
        (0..mailboxes).for_each(|number| args += &format!(" --mailbox {}", name(number)));
        assert_eq!(within(here, &args).code, 1);
        let page = written(here, "told.html");
        assert!((200_000..2_000_000).contains(&page.len()), "{mailboxes} of {letters}: {} bytes", page.len());
        assert!(page.contains(", failed: server-no at operation, in the words of operation "));
        let said = |number| page.matches(&format!("{}; the server refused the command", name(number))).count();
        // By a mark, and in what the script knows.
        assert!(letters > 63 || (0..mailboxes).all(|number| (1..=2).contains(&said(number))));
        assert!(
            page.contains("<h1>")
                && between(&page, "<h1>", "</h1>").next().unwrap().contains("10,000 operations failed")
        );
    }
}

#[test]
fn more_than_that_are_summarised_and_what_went_wrong_stays() {
    let directory = tempdir().unwrap();
    let here = directory.path();
    let args = "run -t 8 -n 1600 --mode use-main --lock command --ops fetch --mailbox INBOX --mailbox Archive --progress never";
    let files = "-o told.html -o told.json";
    assert_eq!(within(here, &format!("{args} {files}")).code, 1);
    let page = written(here, "told.html");
    assert!(page.len() < 2_000_000, "{} bytes", page.len());
    let told: Value = serde_json::from_str(&written(here, "told.json")).unwrap();
    let wrong =
        told["findings"].as_array().unwrap().iter().find(|it| it["id"] == "MC020").unwrap()["count"].as_u64().unwrap();
    let said = between(&page, "of 12,800 operations are drawn one by one: ", " that failed").next().unwrap();
    let [kept, all] = [said.split(' ').next(), said.rsplit(' ').next()]
        .map(|it| it.unwrap().replace(',', "").parse::<u64>().unwrap());
    assert_eq!(all, wrong, "{said}");
    let Details { operations, end } = details(&page);
    let of_wrong: Vec<u64> = operations.iter().filter(|op| op.3).map(|op| op.2).collect();
    assert_eq!((kept, kept < all), (of_wrong.len() as u64, true), "{said}: some of them are left out");
    assert!(page.contains(" that failed or came from the wrong mailbox, spread over the run, and "));
    // No part of the picture looks as if nothing had gone wrong there.
    for part in 0..5 {
        let share = of_wrong.iter().filter(|issued| **issued * 5 / (end + 1) == part).count();
        assert!(share * 20 > of_wrong.len(), "{share} of {} in part {part}", of_wrong.len());
    }
    let headline = between(&page, "<h1>", "</h1>").next().unwrap();
    assert!(headline.contains(" of the 12,800 replies "), "{headline}");
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
fn workers_that_take_turns_have_their_shares_of_the_picture_and_the_stripe_ends_where_it_is_known() {
    for workers in [4, 8] {
        let directory = tempdir().unwrap();
        let here = directory.path();
        let each = 24_000 / workers;
        let args = format!("run -t {workers} -n {each} --mode use-main --ops fetch --mailbox INBOX --mailbox Archive");
        assert_eq!(within(here, &format!("{args} --progress never -o told.html")).code, 0);
        let page = written(here, "told.html");
        let Details { operations, end } = details(&page);
        assert!(operations.len() < 24_000);
        let inks: Vec<f64> = (0..workers)
            .map(|worker| bars_of(&page, "c0", &format!("url(#r1-p{worker})")).iter().map(|(from, to)| to - from).sum())
            .collect();
        for worker in 0..workers {
            let share = operations.iter().filter(|op| op.1 == worker).count() as f64 / operations.len() as f64;
            let ink = inks[worker as usize] / inks.iter().sum::<f64>();
            for share in [share, ink] {
                let part = share * workers as f64;
                assert!((0.6..1.6).contains(&part), "w{worker} has {part} of its share: {inks:?}");
            }
        }
        assert!(!page.contains("that failed or came from"), "none did");
        // More changes than are kept.
        let until = between(&page, "What was selected is drawn until ", ": there").next().unwrap();
        let until: humantime::Duration = until.replace(' ', "").parse().unwrap_or_else(|_| panic!("{until}"));
        let part = until.as_secs_f64() / (end as f64 / 1e6);
        let drawn = ["#a3a8ae", "#00838f"].map(|colour| bars_of(&page, "c0", colour));
        let last = drawn.iter().flatten().map(|(_, to)| *to).fold(0.0, f64::max);
        assert!(part < 0.9 && (last - part).abs() < 0.02, "{last} of the stripe is drawn, {part} is known");
        // None of it lies on another part of it.
        let whole: f64 = drawn.iter().flatten().map(|(from, to)| to - from).sum();
        assert!(whole < last * 1.1, "{whole} in {last}");
    }
}

#[test]
fn lanes_of_short_lived_connections_are_spread_over_the_run() {
    let directory = tempdir().unwrap();
    let here = directory.path();
    let args = "run -t 4 --executor pool --tasks 600 --dispose task --mode use-default --ops fetch -n 1 --progress never -o told.html";
    assert_eq!(within(here, args).code, 0);
    let page = written(here, "told.html");
    let numbers: Vec<u64> = between(&page, "data-lane=\"c", "\"").map(|number| number.parse().unwrap()).collect();
    assert_eq!(numbers.len(), 48);
    for part in 0..4 {
        let drawn = numbers.iter().filter(|number| **number / 150 == part).count();
        assert!(drawn >= 3, "{drawn} of {numbers:?}");
    }
    assert!(page.contains("552 more connections not drawn"));
}

#[test]
fn one_mailbox_has_a_legend_too() {
    let directory = tempdir().unwrap();
    let here = directory.path();
    assert_eq!(within(here, "run -t 2 -n 3 --mode use-main --ops fetch --progress never -o told.html").code, 0);
    let page = written(here, "told.html");
    let legend = between(&page, "selected mailbox, beneath ", "</p>").next().unwrap();
    assert!(legend.contains("<bdi>INBOX</bdi>") && page.contains("INBOX is selected"), "{legend}");
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
