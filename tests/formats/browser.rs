//! Pages in a browser, Debian's chromium: run by `scripts/test all`, which installs it.

use std::fs;
use std::path::Path;
use std::process::Command;

use tempfile::tempdir;

use super::html::between;
use super::{within, written};
use crate::cli::process::{end, mailconn};
use crate::golden::{golden, stored};

/// What the page came to be, and what the browser's console said.
fn browse(page: &Path) -> (String, Vec<String>) {
    let profile = tempdir().unwrap();
    let mut chromium = Command::new("timeout");
    chromium.args(["120", "chromium", "--headless=new", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr"]);
    chromium.args(["--window-size=1280,900", "--virtual-time-budget=3000", "--dump-dom"]);
    chromium.arg(format!("--user-data-dir={}", profile.path().display())).arg(format!("file://{}", page.display()));
    let ended = chromium.output().expect("chromium: scripts/test all installs it");
    assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
    let errors = String::from_utf8_lossy(&ended.stderr);
    let errors = errors.lines().filter(|line| line.contains("CONSOLE")).map(str::to_owned).collect();
    (String::from_utf8(ended.stdout).unwrap(), errors)
}

#[test]
#[ignore = "needs a browser: scripts/test all"]
fn the_console_has_nothing_to_say_with_and_without_script() {
    let directory = tempdir().unwrap();
    let page = directory.path().join("told.html");
    let chosen =
        ["lock-command", "use-default", "pool", "limit", "scenario-pool-hazard", "scenario-several", "switches"];
    for file in stored().iter().filter(|file| chosen.contains(&file.file_stem().unwrap().to_str().unwrap())) {
        let told = end(&mut mailconn(["report", file.to_str().unwrap(), "-o", page.to_str().unwrap()]));
        assert_eq!(told.code, 0);
        let (with, said) = browse(&page);
        assert_eq!(said, [""; 0], "{}", file.display());
        assert!(with.contains("class=\"hint\""), "{}: the script ran", file.display());
        // A browser whose script is switched off prints nothing: so the page has none.
        let text = written(directory.path(), "told.html");
        let script = between(&text, "<script>", "</script>").next().unwrap();
        fs::write(&page, text.replace(&format!("<script>{script}</script>"), "")).unwrap();
        let (without, said) = browse(&page);
        assert_eq!(said, [""; 0], "{}", file.display());
        assert!(!without.contains("class=\"hint\"") && without.contains("<h1>"), "{}", file.display());
    }
}

/// Does what a person would, and puts into the page's title what came of it.
const HANDS: &str = r#"
  const course = document.querySelector("[data-course]"), at = (type, x, y, target) =>
    target.dispatchEvent(new PointerEvent(type, { bubbles: true, clientX: x, clientY: y, pointerId: 1 }));
  const lane = document.querySelector("tr.lane"), box = lane.querySelector("td > svg").getBoundingClientRect();
  const zoom = document.querySelector("svg.zoom"), found = {};
  for (let x = box.left; x < box.right && !found.tip; x += 2) {
    at("pointermove", x, box.top + +lane.dataset.top + 4, lane.querySelector("td > svg"));
    const tip = document.querySelector(".tip");
    if (!tip.hidden) {
      found.tip = tip.textContent;
      course.scrollIntoView();
      const now = lane.querySelector("td > svg").getBoundingClientRect();
      lane.querySelector("td > svg").dispatchEvent(new MouseEvent("click",
        { bubbles: true, clientX: Math.ceil(x) + 2, clientY: now.top + +lane.dataset.top + 4 }));
      found.detail = document.querySelector(".detail").textContent;
    }
  }
  const press = (key) => course.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true }));
  press("+"); found.nearer = zoom.getAttribute("width");
  press("0"); found.whole = zoom.getAttribute("width");
  const svg = lane.querySelector("td > svg"), here = svg.getBoundingClientRect();
  course.setPointerCapture = () => {};
  at("pointerdown", here.left + here.width / 4, here.top + 5, svg);
  at("pointermove", here.left + here.width / 2, here.top + 5, svg);
  at("pointerup", here.left + here.width / 2, here.top + 5, svg);
  found.dragged = zoom.getAttribute("width");
  const link = document.querySelector("a[data-op]");
  if (link) { link.click(); found.linked = document.querySelector(".detail").textContent; }
  document.title = "FOUND " + JSON.stringify(found);
"#;

#[test]
#[ignore = "needs a browser: scripts/test all"]
fn an_operation_is_told_of_at_a_click_and_drag_and_keys_zoom() {
    let directory = tempdir().unwrap();
    let here = directory.path();
    let file = golden("lock-command");
    assert_eq!(within(here, &format!("report {} -o told.html", file.display())).code, 0);
    // The page's own policy would not let another script in.
    let page = written(here, "told.html");
    let policy = between(&page, "<meta http-equiv=\"Content-Security-Policy\"", ">").next().unwrap();
    let policy = format!("<meta http-equiv=\"Content-Security-Policy\"{policy}>");
    let handled = page.replace(&policy, "").replace("</body>", &format!("<script>{HANDS}</script></body>"));
    fs::write(here.join("handled.html"), handled).unwrap();
    let (came, said) = browse(&here.join("handled.html"));
    assert_eq!(said, [""; 0]);
    let found = between(&came, "<title>FOUND ", "</title>").next().unwrap_or_else(|| panic!("{came}"));
    let found: serde_json::Value =
        serde_json::from_str(&found.replace("&amp;", "&").replace("&lt;", "<").replace("&gt;", ">")).unwrap();
    for told in ["tip", "detail", "linked"] {
        let told = found[told].as_str().unwrap_or_else(|| panic!("{told}: {found}"));
        assert!(told.starts_with("operation ") && told.contains("fetch of ") && told.contains("waited "), "{told}");
    }
    assert!(found["linked"].as_str().unwrap().contains("answered from "), "{found}");
    assert_eq!(
        (&found["nearer"], &found["whole"], &found["dragged"]),
        (&"200%".into(), &"100%".into(), &"400%".into()),
        "{found}"
    );
}

#[test]
#[ignore = "needs a browser: scripts/test all"]
fn a_narrow_page_does_not_scroll_sideways_for_a_name_without_a_break() {
    let directory = tempdir().unwrap();
    let here = directory.path();
    let args = "run -t 2 -n 3 --mode use-main --ops fetch --mailbox INBOX --mailbox Archive --progress never";
    assert_eq!(within(here, &format!("{args} -o run.ndjson")).code, 0);
    let long = "m".repeat(90);
    let run = written(here, "run.ndjson")
        .replace("Archive", &long)
        .replace("\"sandbox\"", &format!("\"imap://{long}@{long}\""));
    fs::write(here.join("long.ndjson"), run).unwrap();
    assert_eq!(within(here, "report long.ndjson -o told.html").code, 0);
    let page = written(here, "told.html");
    assert!(page.contains(&format!("imap://{long}@{long}")) && page.contains(&format!("<bdi>{long}</bdi>")));
    // A window is wider than that. A frame tells its page how wide it came to be.
    let policy = between(&page, "<meta http-equiv=\"Content-Security-Policy\"", ">").next().unwrap();
    let says = "<script>onload = () => parent.postMessage(`FOUND ${innerWidth} ${document.documentElement.scrollWidth}`, '*')</script>";
    let page = page
        .replace(&format!("<meta http-equiv=\"Content-Security-Policy\"{policy}>"), "")
        .replace("</body>", &format!("{says}</body>"));
    fs::write(here.join("told.html"), page).unwrap();
    let frame = "<script>onmessage = (event) => document.title = event.data</script><iframe src=\"told.html\" width=\"400\" height=\"900\"></iframe>";
    fs::write(here.join("frame.html"), frame).unwrap();
    let (came, _) = browse(&here.join("frame.html"));
    let found = between(&came, "<title>FOUND ", "</title>").next().unwrap_or_else(|| panic!("{came}"));
    let widths: Vec<u32> = found.split(' ').map(|it| it.parse().unwrap()).collect();
    assert!(widths[0] == 400 && widths[1] <= 400, "{found}");
}

#[test]
#[ignore = "needs a browser: scripts/test all"]
fn a_strict_policy_takes_style_and_script_and_leaves_the_page() {
    let directory = tempdir().unwrap();
    let here = directory.path();
    within(here, "run -t 4 -n 5 --mode use-default --progress never -o told.html");
    let page = written(here, "told.html");
    let policy = between(&page, "content=\"default-src", "\"").next().unwrap().to_owned();
    let strict = page.replace(&format!("default-src{policy}"), "default-src 'none'");
    fs::write(here.join("strict.html"), strict).unwrap();
    let (came, said) = browse(&here.join("strict.html"));
    assert!(said.iter().all(|line| line.contains("Content Security Policy")), "{said:?}");
    assert!(!came.contains("class=\"hint\"") && came.contains("<h1>"));
    // What the colours hang on are attributes.
    assert!(came.contains("fill=\"url(#r1-p0)\"") && !came.contains(" style="));
}
