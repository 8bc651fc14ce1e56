//! README and the tour say what is true today: each of their commands runs, and exits as they say; the picture is what is
//! reported.

use std::fs;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anstyle::{Color, RgbColor};
use anstyle_svg::{Palette, Term, VGA};
use tempfile::TempDir;

use crate::cli::process::{end, mailconn};
use crate::golden::golden;
use crate::support::unconfigured;

/// Commands that are not run here: they run this test.
const EXCEPTED: [&str; 2] = ["scripts/test", "scripts/test all"];
/// How a server begins that the next commands of its block talk to, and that ends with the block.
const SERVER: &str = "mailconn sandbox ";
/// The port that such a server has in the text.
const PORT: &str = "1143";

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The commands of each `sh` block of the page, in order.
fn blocks(page: &str) -> Vec<Vec<String>> {
    let text = fs::read_to_string(root().join(page)).unwrap();
    let parts = text.split("```").skip(1).step_by(2).filter_map(|part| part.strip_prefix("sh\n"));
    let commands = |part: &str| part.replace("\\\n", "").lines().map(str::to_owned).collect();
    parts.map(commands).collect()
}

/// The commands of the page's tables, in order: a row ends with one.
fn rows(page: &str) -> Vec<String> {
    let text = fs::read_to_string(root().join(page)).unwrap();
    let commands = text.lines().filter(|line| line.starts_with("| ")).filter_map(|row| {
        let (command, rest) = row.split_once("`mailconn ")?.1.split_once('`')?;
        let code = rest.split_once("(exit ").map_or("0", |(_, code)| code.split_once(')').unwrap().0);
        Some(format!("mailconn {command}   # exit {code}"))
    });
    commands.collect()
}

/// A place to run a page's commands in, one after the other.
struct Place {
    folder: TempDir,
    port: String,
}

impl Place {
    fn new() -> Self {
        let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        Self { folder: tempfile::tempdir().unwrap(), port: free.local_addr().unwrap().port().to_string() }
    }

    /// Built already, and no need to write into the checkout: the words are the page's, the places are this test's.
    fn command(&self, line: &str) -> Command {
        let line = line
            .replace("cargo run --release --", "mailconn")
            .replace("imaps://ann@mail.example.org", "sandbox")
            .replace("smtp://ann@mail.example.org", "sandbox+smtp")
            .replace("ann@example.org", "sandbox@example.org")
            .replace("scripts/servers", &format!("{}/scripts/servers", root().display()))
            .replace("/tmp/mailconn-tour", &format!("{}/servers", self.folder.path().display()))
            .replace(PORT, &self.port);
        let binaries = Path::new(env!("CARGO_BIN_EXE_mailconn")).parent().unwrap();
        let path = format!("{}:{}", binaries.display(), std::env::var("PATH").unwrap());
        let mut bash = Command::new("bash");
        unconfigured(&mut bash).args(["-c", &line]).current_dir(self.folder.path()).stdin(Stdio::null());
        bash.env("PATH", path).env("HOME", self.folder.path());
        bash
    }

    fn runs(&self, command: &str) {
        let (line, comment) = command.split_once("   # ").unwrap_or((command, "exit 0"));
        let expected: i32 = comment.trim().trim_start_matches("exit ").parse().unwrap();
        let output = self.command(line).output().unwrap();
        let (said, complained) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert_eq!(output.status.code(), Some(expected), "{command}\n{said}\n{complained}");
    }

    fn serves(&self, command: &str) -> Serving {
        let server = self.command(&format!("exec {command}")).stdout(Stdio::null()).spawn().unwrap();
        let began = Instant::now();
        while TcpStream::connect(format!("127.0.0.1:{}", self.port)).is_err() {
            assert!(began.elapsed() < Duration::from_secs(20), "{command}");
        }
        Serving(server)
    }
}

/// A server under way; it ends as it would with Ctrl-C.
struct Serving(Child);

impl Drop for Serving {
    fn drop(&mut self) {
        let number = self.0.id().to_string();
        let _ = Command::new("kill").args(["-INT", &number]).status();
        let _ = self.0.wait();
    }
}

/// Runs all of the page, and returns how many commands there were.
fn all_run(page: &str) -> usize {
    let place = Place::new();
    let mut run = 0;
    for block in blocks(page) {
        let mut server = None;
        for command in block.iter().filter(|command| !EXCEPTED.contains(&command.as_str())) {
            match command.starts_with(SERVER) {
                true => server = Some(place.serves(command)),
                false => place.runs(command),
            }
            run += 1;
        }
        drop(server);
    }
    run
}

#[test]
fn every_command_of_the_readme_runs_and_exits_as_it_says() {
    assert_eq!(blocks("README.md")[0][0], "cargo run --release -- run --mode use-default --threads 8");
    let (place, rows) = (Place::new(), rows("README.md"));
    assert!(rows.len() >= 8, "{rows:?}");
    for row in rows {
        // Nobody presses Ctrl-C.
        place.runs(&row.replace(SERVER, "timeout --preserve-status -s INT 1 mailconn sandbox "));
    }
    assert!(all_run("README.md") >= 10);
}

#[test]
fn every_command_of_the_tour_runs_and_exits_as_it_says() {
    assert!(all_run("src/tour.md") >= 30);
}

/// The colours of a dark terminal that read well: each on its background as black on white does, nearly.
const DARK: Palette = {
    let mut palette = VGA;
    palette.0[1] = RgbColor(0xff, 0x7b, 0x72);
    palette.0[2] = RgbColor(0x56, 0xd3, 0x64);
    palette.0[3] = RgbColor(0xe3, 0xb3, 0x41);
    palette
};
const LIGHT_GREY: Color = Color::Rgb(RgbColor(0xe6, 0xed, 0xf3));
const DARK_GREY: Color = Color::Rgb(RgbColor(0x16, 0x1b, 0x22));

#[test]
fn the_picture_of_the_readme_is_the_report_of_a_stored_run() {
    let run = golden("lock-command");
    let told = end(&mut mailconn(["report", run.to_str().unwrap(), "--color", "always"])).stdout;
    let term = Term::new().palette(DARK).fg_color(LIGHT_GREY).bg_color(DARK_GREY);
    // As dim as it can be and still be read, and by a property that browsers know for a part of a text.
    let due = term.render_svg(told.trim_end()).replace("opacity: 0.4", "fill-opacity: 0.65");
    let file = run.with_extension("svg");
    if std::env::var_os("MAILCONN_RENEW").is_some() {
        fs::write(&file, &due).unwrap();
    }
    assert!(
        fs::read_to_string(&file).unwrap_or_default() == due,
        "{} is not what is reported: renew it with MAILCONN_RENEW=1 cargo test --test it -- readme::the_picture, and look at it",
        file.display()
    );
    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    assert!(readme.contains("](tests/golden/lock-command.svg)"), "README shows it");
}

#[test]
fn the_changelog_begins_with_this_version() {
    let log = fs::read_to_string(root().join("CHANGELOG.md")).unwrap();
    let newest = log.lines().find_map(|line| line.strip_prefix("## ")).unwrap();
    assert_eq!(newest.split(',').next(), Some(env!("CARGO_PKG_VERSION")));
}
