//! Reports for other readers than a person at a terminal: several at once, pages, traces.

mod anonymize;
mod browser;
mod color;
mod csv;
mod github;
mod html;
mod junit;
mod markdown;
mod schema;
mod several;
mod trace_events;

use std::fs;
use std::path::Path;

use crate::cli::process::{Ended, end, mailconn};
use crate::golden::golden;

/// The command in that directory.
fn within(directory: &Path, args: &str) -> Ended {
    end(mailconn(args.split_whitespace()).current_dir(directory))
}

fn written(directory: &Path, name: &str) -> String {
    std::fs::read_to_string(directory.join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// What is told of it.
fn told(file: &Path, format: &str) -> String {
    let told = end(&mut mailconn(["report", file.to_str().unwrap(), "--format", format]));
    assert_eq!((told.code, &*told.stderr), (0, ""), "{}", file.display());
    told.stdout
}

/// Words that are markup, links, mentions, formulas or no text at all to somebody.
const HOSTILE: [&str; 16] = [
    "<script>alert(1)</script><img src=x onerror=alert(2)>",
    "a|b \\| c \\\\|d | e",
    "`x` ``y`` ```z",
    "@everyone joe@example.org, please look at owner/repo#12 and #7",
    "https://example.org/?a=b www.example.org [here](javascript:alert(3)) ![](http://example.org/x.png)",
    "**bold** _it_ ~~gone~~ $x$ :bug: GH-12 5af3c0d1 &lt;b&gt; &amp;",
    "line\none\r\n# heading\n- item\n\n| a | b |\n| - | - |",
    "\u{1}\u{1b}[31mred\u{7f}\u{9b}\u{fffe}\u{ffff}",
    "]]> <!-- --> <![CDATA[ <?xml?>",
    "\u{202e}drawkcab \u{2066}\u{200b}",
    "=cmd|' /C calc'!A0",
    "+1+1",
    "-2+3",
    "@SUM(A1:A9)",
    "\t=1+1",
    "\"quoted\", 'too'; `",
];

/// What is told of a stored run whose server and mailboxes have such words.
fn told_of_hostile(words: &str, format: &str) -> String {
    let directory = tempfile::tempdir().unwrap();
    let quoted = serde_json::to_string(words).unwrap();
    let mut all = String::new();
    for (name, said) in [
        ("limit", "\"NO [LIMIT] Maximum number of connections from user+IP exceeded (mail_max_userip_connections=3)\""),
        ("lock-command", "\"Archive\""),
    ] {
        let text = fs::read_to_string(golden(name)).unwrap();
        assert!(text.contains(said), "{name}");
        let file = directory.path().join(format!("{name}.ndjson"));
        fs::write(&file, text.replace(said, &quoted)).unwrap();
        all += &told(&file, format);
    }
    all
}
