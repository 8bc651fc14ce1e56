//! Which commit a release is of: from the repository it is built in, or from the package, which cargo writes it into.
//!
//! Other builds do not say it: each commit would build everything anew.

use std::env;
use std::fs;
use std::process::Command;

fn main() {
    let version = env::var("CARGO_PKG_VERSION").unwrap_or_default();
    let is_release = env::var("PROFILE").is_ok_and(|profile| profile == "release");
    println!("cargo::rerun-if-changed=build.rs");
    let of = if is_release { commit() } else { Some("not a release build".to_owned()) };
    let of = of.map(|of| format!(" ({of})")).unwrap_or_default();
    println!("cargo::rustc-env=MAILCONN_VERSION={version}{of}");
}

fn commit() -> Option<String> {
    let packed = fs::read_to_string(".cargo_vcs_info.json").ok();
    let packed = packed.and_then(|info| Some(info.split_once("\"sha1\": \"")?.1.split_once('"')?.0.to_owned()));
    let hash = packed.or_else(|| {
        // Where it is part of another repository, that one's commits say nothing of it.
        fs::exists(".git/logs/HEAD").ok().filter(|is_there| *is_there)?;
        println!("cargo::rerun-if-changed=.git/logs/HEAD");
        git(&["rev-parse", "HEAD"])
    })?;
    hash.get(..10).map(str::to_owned)
}

/// The first line that git answers.
fn git(arguments: &[&str]) -> Option<String> {
    let output = Command::new("git").args(arguments).output().ok().filter(|output| output.status.success())?;
    String::from_utf8(output.stdout).ok()?.lines().next().map(str::to_owned)
}
