//! Where, when and with what the figures were taken.

use std::fs;
use std::process::Command;
use std::time::SystemTime;

pub struct Machine {
    pub date: String,
    pub cpu: String,
    pub cores: usize,
    pub kernel: String,
    /// Of the last minute, when the run began.
    pub load: String,
    pub dovecot: String,
    pub rustc: String,
}

impl Machine {
    pub fn look() -> Self {
        let file = |path: &str| fs::read_to_string(path).unwrap_or_default();
        let first_word = |text: String| text.split_whitespace().next().unwrap_or("unknown").to_owned();
        let cpuinfo = file("/proc/cpuinfo");
        let model = cpuinfo.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
        let today = humantime::format_rfc3339_seconds(SystemTime::now()).to_string();
        Self {
            date: today.replace('T', " ").replace('Z', " UTC"),
            cpu: model.map_or("unknown", |(_, name)| name).trim().to_owned(),
            cores: std::thread::available_parallelism().map_or(0, usize::from),
            kernel: file("/proc/sys/kernel/osrelease").trim().to_owned(),
            load: first_word(file("/proc/loadavg")),
            dovecot: first_word(output("dovecot", &["--version"])),
            rustc: output("rustc", &["--version"]).split_whitespace().nth(1).unwrap_or("unknown").to_owned(),
        }
    }
}

fn output(program: &str, arguments: &[&str]) -> String {
    let path = std::env::var("PATH").unwrap_or_default() + ":/usr/sbin:/sbin";
    let output = Command::new(program).env("PATH", path).args(arguments).output();
    output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default()
}

/// The version of a crate that this bench was built with.
pub fn version_of(krate: &str) -> &'static str {
    let lock = include_str!("../../Cargo.lock");
    let named = format!("name = \"{krate}\"\nversion = \"");
    let version = lock.split_once(&named).and_then(|(_, rest)| rest.split_once('"'));
    version.map_or("unknown", |(version, _)| version)
}
