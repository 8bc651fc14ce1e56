//! `--anonymize`: a server and users that nobody is called like are looked for in all that is told of them.

use std::collections::BTreeSet;
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use mailconn::protocol::{Stage, refusal};
use mailconn::report::{Anonymizer, Format};
use serde_json::Value;
use tempfile::tempdir;

use super::{within, written};
use crate::cli::process::{Ended, PASSWORD, end, events, mailconn};
use crate::golden::stored;
use crate::protocol::scripted::{Peer, Server};

/// Stands in each name, whatever its case.
const CANARY: &str = "canar";
const USER: &str = "zoe.canary@canary-mail.de";
const MAILBOXES: [&str; 5] = ["Canary", "canary", "Canäry \"Box\"/Orders", "Trips.Canary & Sons", "台北canary"];
/// What says the same in other letters.
const HIDDEN: [&str; 6] = ["Can&AOQ-ry", "&U,BTFw-", "台北", "Can\\xe4ry", "91.198.174", "2a02:ec80"];

fn holds_a_canary(text: &str) -> Option<String> {
    let lower = text.to_lowercase();
    let plain = lower.find(CANARY).map(|at| lower[at.saturating_sub(60)..].chars().take(120).collect());
    let encoded = ["zoe.canary", USER].map(|user| STANDARD.encode(user));
    let hidden = HIDDEN.into_iter().chain(encoded.iter().map(String::as_str));
    plain.or_else(|| hidden.into_iter().find(|it| text.contains(it)).map(str::to_owned))
}

#[track_caller]
fn is_clean(what: &str, text: &str) {
    assert!(!text.is_empty(), "{what}: nothing was told");
    assert_eq!(holds_a_canary(text), None, "{what}: {text}");
}

const GREETING: &str = "* OK [CAPABILITY IMAP4rev1 ID X-HOST=mx7.canary-mail.de] mx7.canary-mail.de Dovecot 2.3.19.1 ready for \
                        91.198.174.192 (canary-mail) <kXTkCanary1234AAAAAB>\r\n";

/// Signs everybody in and names everything that it knows in all that it says.
fn names_all(peer: &mut Peer) {
    peer.send(GREETING);
    let mut examined = 0;
    while let Some(line) = peer.line() {
        let (tag, command) = line.split_once(' ').unwrap();
        let (verb, argument) = command.split_once(' ').unwrap_or((command, ""));
        examined += usize::from(verb == "EXAMINE");
        let reply = match verb {
            "LOGOUT" => format!("* BYE canary-mail.de says goodbye\r\n{tag} OK\r\n"),
            "ID" => format!("* ID (\"name\" \"Dovecot\" \"host\" \"mx7.canary-mail.de\")\r\n{tag} OK\r\n"),
            "STATUS" => format!("* STATUS {} (MESSAGES 2)\r\n{tag} OK\r\n", argument.split(" (").next().unwrap()),
            "EXAMINE" if examined == 4 && peer.number == 0 => {
                "* BYE user <zoe.canary> was moved to mx8.canary-mail.de [2a02:ec80::1], session=<kXTkCanary1234AAAAAC>\r\n"
                    .to_owned()
            }
            "EXAMINE" => format!(
                "{tag} NO [NONEXISTENT] Mailbox {argument} does not exist for zoe.canary (/var/vmail/canary-mail.de/zoe/Maildir), \
                 see https://help.canary-mail.de/zoe or tell root@canary-mail.de (0.001 + 0.000 secs).\r\n"
            ),
            _ => format!("{tag} OK [CAPABILITY IMAP4rev1 ID] done for zoe.canary\r\n"),
        };
        if !peer.send(&reply) || verb == "LOGOUT" {
            return;
        }
    }
}

fn url(server: &Server) -> String {
    format!("imap://{}@{}", USER.replace('@', "%40"), server.address)
}

fn against(server: &Server, here: &Path, command: &str, args: &[&str]) -> Ended {
    let url = url(server);
    let mut process = mailconn([command]);
    if ["check", "limits"].contains(&command) {
        process.arg(&url);
    } else {
        process.args(["--server", &url]);
    }
    end(process.args(args).env("MAILCONN_PASSWORD", PASSWORD).current_dir(here))
}

fn run(server: &Server, here: &Path, args: &[&str]) -> Ended {
    let mailboxes = MAILBOXES.iter().flat_map(|name| ["--mailbox", name]);
    let work = ["-t", "2", "-n", "12", "--ops", "status,fetch,noop", "--progress", "never", "--seed", "7"];
    let args: Vec<&str> = work.into_iter().chain(mailboxes).chain(args.iter().copied()).collect();
    against(server, here, "run", &args)
}

#[test]
fn no_name_is_left_in_any_format_of_a_run_or_of_its_file() {
    let server = Server::start(names_all);
    let directory = tempdir().unwrap();
    let here = directory.path();
    let plain = run(&server, here, &["--format", "ndjson", "-o", "plain.ndjson"]);
    assert_eq!(plain.code, 1, "{}", plain.stderr);
    assert!(holds_a_canary(&written(here, "plain.ndjson")).is_some(), "the canary sings");
    for format in Format::ALL {
        let name = format.name();
        let told = run(&server, here, &["--format", name, "-o", "told", "--anonymize"]);
        assert_eq!(told.code, 1, "{name}: {}", told.stderr);
        is_clean(&format!("run {name}"), &written(here, "told"));
        let told = within(here, &format!("report plain.ndjson --anonymize --format {name} -o told"));
        assert_eq!(told.code, 0, "{name}: {}", told.stderr);
        is_clean(&format!("report {name}"), &written(here, "told"));
    }
    let told = run(&server, here, &["--each", "--anonymize"]);
    is_clean("run --each", &told.stdout);
    assert!(told.stdout.contains("user-1"), "{}", told.stdout);
}

#[test]
fn a_file_without_names_is_verified_and_told_again_as_any_other() {
    let server = Server::start(names_all);
    let directory = tempdir().unwrap();
    let here = directory.path();
    run(&server, here, &["--format", "ndjson", "-o", "plain.ndjson"]);
    run(&server, here, &["--format", "ndjson", "-o", "live.ndjson", "--anonymize"]);
    within(here, "report plain.ndjson --anonymize -o told.ndjson");
    for file in ["live.ndjson", "told.ndjson"] {
        let verified = within(here, &format!("verify {file}"));
        assert_eq!(verified.code, within(here, "verify plain.ndjson").code, "{file}: {}", verified.stdout);
        assert!(verified.stdout.contains("is sound"), "{}", verified.stdout);
        // A second time changes nothing.
        let again = within(here, &format!("report {file} --anonymize --format ndjson"));
        assert_eq!(again.stdout, written(here, file), "{file}");
        let told = events(&written(here, file));
        let names: BTreeSet<&str> =
            told[0]["mailboxes"].as_array().unwrap().iter().map(|name| name.as_str().unwrap()).collect();
        assert_eq!(names.len(), MAILBOXES.len(), "two names stay two: {names:?}");
        let used: BTreeSet<&str> = told.iter().filter_map(|event| event["mailbox"].as_str()).collect();
        assert!(used.is_subset(&names) && used.len() > 1, "one name stays one: {used:?} of {names:?}");
        let user = told[0]["server"].as_str().unwrap();
        assert!(user.starts_with("imap://user-1%40host-1.example@127.0.0.1:"), "{user}");
        let said = told.iter().find_map(|event| event["failure"]["server_line"].as_str()).unwrap();
        assert!(
            said.contains("NO [NONEXISTENT] Mailbox") && said.contains("for user-1 (/path-1), see https://host-"),
            "{said}"
        );
    }
    let plain = within(here, "report plain.ndjson --format json").stdout;
    let told = within(here, "report plain.ndjson --format json --anonymize").stdout;
    let [plain, told]: [Value; 2] = [plain, told].map(|text| serde_json::from_str(&text).unwrap());
    for same in ["run_id", "exit_code", "operations", "connections", "verdict"] {
        assert_eq!(plain[same], told[same], "{same}");
    }
}

#[test]
fn no_name_is_left_in_what_other_commands_tell() {
    let server = Server::start(names_all);
    let directory = tempdir().unwrap();
    let here = directory.path();
    let home = here.join("canary");
    std::fs::create_dir(&home).unwrap();
    for (command, args) in [
        ("check", &["--anonymize"][..]),
        ("check", &["--anonymize", "--format", "json"]),
        ("limits", &["--max", "2", "--hold", "1s", "--anonymize"]),
        ("limits", &["--max", "2", "--hold", "1s", "--anonymize", "--format", "ndjson"]),
        ("run", &["-n", "2", "--mailbox", "Canary", "--anonymize", "--format", "json"]),
        (
            "compare",
            &[
                "--variant",
                "use-main --mailbox 'Canary Trips'",
                "--variant",
                "use-main -t 2",
                "-n",
                "2",
                "--ops",
                "noop",
                "--rounds",
                "8",
                "--progress",
                "never",
                "--pace",
                "0s",
                "--fail-if",
                "use-main-mailbox-Canary-Trips.service.max > 1h",
                "--anonymize",
                "--format",
                "ndjson",
                "-o",
                "compared.ndjson",
                "-o",
                "-",
            ],
        ),
    ] {
        let told = against(&server, here, command, args);
        assert!(told.code < 2, "{command} {args:?}: {}", told.stderr);
        is_clean(&format!("{command} {args:?}"), &told.stdout);
    }
    let server = Server::smtp(&[
        ("", "220 canary7 ESMTP Postfix\r\n"),
        ("EHLO", "250-canary7\r\n250 AUTH PLAIN LOGIN\r\n"),
        ("AUTH", "535 5.7.8 Error: authentication failed for <zoe@canary-mail.de> from unknown[91.198.174.192]\r\n"),
    ]);
    let smtp = url(&server).replace("imap", "smtp");
    for args in [&["check", &smtp][..], &["run", "--server", &smtp, "--format", "json"]] {
        let told = end(mailconn(args.iter().chain(&["--anonymize"])).env("MAILCONN_PASSWORD", PASSWORD));
        assert_eq!(told.code, 5, "{}", told.stderr);
        is_clean(&args.join(" "), &told.stdout);
    }
    let verified = within(here, "verify compared.ndjson");
    assert_eq!(verified.code, 0, "{}", verified.stdout);
    is_clean("compared", &written(here, "compared.ndjson"));
    std::fs::write(
        home.join("case.txt"),
        "client A use-main user=zoe.canary\nclient B use-main user=leo.canary@canary-mail.de\nT1  noop on A\nT1  noop on B\n",
    )
    .unwrap();
    // Nothing failed: there is nothing to annotate.
    for format in Format::ALL.iter().filter(|it| **it != Format::Github) {
        let name = format.name();
        let told = within(here, &format!("scenario canary/case.txt --anonymize --format {name} -o told"));
        assert_eq!(told.code, 0, "{name}: {}", told.stderr);
        is_clean(&format!("scenario {name}"), &written(here, "told"));
        if name == "ndjson" {
            let verified = within(here, "verify told");
            assert_eq!(verified.code, 0, "{}", verified.stdout);
            assert!(written(here, "told").contains("user-1") && written(here, "told").contains("user-2"));
        }
    }
}

#[test]
fn two_runs_are_compared_without_their_names() {
    let directory = tempdir().unwrap();
    let here = directory.path();
    within(here, "run -n 2 --progress never -o one.ndjson -o one.json");
    for ending in ["ndjson", "json"] {
        let one = written(here, &format!("one.{ending}"));
        let with = |server: &str| {
            let named = format!("\"imaps://zoe.canary@{server}:993\"");
            ["\"server\":", "\"server\": "].iter().fold(one.clone(), |text, field| {
                text.replace(&format!("{field}\"sandbox\""), &format!("{field}{named}"))
            })
        };
        std::fs::write(here.join(format!("a.{ending}")), with("mx1.canary-mail.de")).unwrap();
        std::fs::write(here.join(format!("b.{ending}")), with("mx2.canary-mail.de")).unwrap();
    }
    for command in ["diff a.ndjson b.ndjson", "diff a.json b.json --format json", "diff a.ndjson b.json"] {
        let told = within(here, &format!("{command} --anonymize")).stdout;
        is_clean(command, &told);
        assert!(told.contains("host-1.example") && told.contains("host-2.example"), "{command}: {told}");
    }
}

#[test]
fn every_stored_file_with_names_is_told_without_them_and_holds() {
    let directory = tempdir().unwrap();
    let here = directory.path();
    let names = [("Archive", "Canary"), ("joe", "zoecanary"), ("127.0.0.1", "mx.canary-mail.de")];
    let mut named = 0;
    for file in stored() {
        let plain = std::fs::read_to_string(&file).unwrap();
        let text = names.iter().fold(plain.clone(), |text, (from, to)| text.replace(from, to));
        std::fs::write(here.join("named"), &text).unwrap();
        let files = ["told.ndjson", "told.txt", "told.json", "told.html", "told.trace"];
        let told = within(
            here,
            "report named --anonymize -o told.ndjson -o told.txt -o told.json -o told.html --trace-events told.trace",
        );
        assert_eq!((told.code, &*told.stderr), (0, ""), "{}", file.display());
        files.iter().for_each(|told| is_clean(&file.display().to_string(), &written(here, told)));
        let verified = within(here, "verify told.ndjson");
        assert_eq!(verified.code, 0, "{}: {}", file.display(), verified.stdout);
        named += usize::from(text != plain);
    }
    assert!(named > 15, "{named}");
}

#[test]
fn a_refusal_means_the_same_with_other_names() {
    let mut replaced = BTreeSet::new();
    for row in include_str!("../protocol/refusals.tsv").lines().skip(1) {
        let [_, _, stage, line, _] = row.split('\t').collect::<Vec<_>>()[..] else { panic!("{row}") };
        let stage = Stage::ALL.into_iter().find(|it| it.name() == stage).unwrap();
        let told = Anonymizer::default().text(line);
        let [one, other] = [line, &told].map(|line| refusal(line.as_bytes(), stage).kind);
        assert_eq!(one, other, "{line}\n{told}");
        if told != line {
            replaced.insert(format!("{line}\n    {told}"));
        }
    }
    assert!(replaced.len() > 10, "{replaced:#?}");
}

#[test]
fn what_names_nobody_stays() {
    let names = Anonymizer::default();
    for user in ["test", "admin", "postmaster"] {
        let server = format!("imaps://{user}@imap.gmail.com:993");
        assert_eq!(names.server(&server), server);
    }
    for text in [
        "* OK Gimap ready for requests",
        "* OK [CAPABILITY IMAP4rev1 SASL-IR LITERAL+ AUTH=SCRAM-SHA-256-PLUS] Dovecot (Debian) ready.",
        "220 smtp.gmail.com ESMTP ready",
        "NO [LIMIT] Maximum number of connections from user+IP exceeded (mail_max_userip_connections=10)",
        "NO [AUTHENTICATIONFAILED] Authentication failed.Please try a test login",
        "Dovecot 2.3.19.1, Exim 4.96.1.2, version 10.0.1.2 at 12:34:56 on 127.0.0.1 and ::1, tls1.3 TLS_AES_256_GCM_SHA384",
        "550 5.7.1 rejected; service.max > 1ms; #3.2 on a12, 0.001 + 0.000 secs, 100% of 3/4",
        "C=US, O=Let's Encrypt, CN=R11",
        "user-1@host-1.example 192.0.2.1 2001:db8::1 /path-1 <session> localhost mail.example.org",
    ] {
        assert_eq!(names.text(text), text);
    }
}

#[test]
fn a_name_that_is_like_a_word_of_servers_is_replaced() {
    for user in ["max", "grant", "will.page", "Maximilian", "maxmustermann", "needham", "author", "userton", "40213"] {
        let told = Anonymizer::default().server(&format!("imaps://{user}@imap.gmail.com:993"));
        assert_eq!(told, "imaps://user-1@imap.gmail.com:993", "{user}");
    }
    for mailbox in ["Maxwell", "Needham", "Author", "mailconn-Merger", "mailconn-0a1b-w1-Merger"] {
        let told = Anonymizer::default().text(&format!("imap://mx.acme.de/{mailbox}"));
        assert_eq!(told, "imap://host-1.example/mailbox-1", "{mailbox}");
    }
    // A provider's own hosts are known to everybody, and not those of its customers.
    for host in ["acme.mail.protection.outlook.com", "acme.hosting.xyz", "mail.acme.yahoodns.net"] {
        assert_eq!(Anonymizer::default().host(host), "host-1.example", "{host}");
    }
    for host in ["imap.gmail.com", "smtp.office365.com", "imap.mail.yahoo.com", "smtp-mail.outlook.com"] {
        assert_eq!(Anonymizer::default().host(host), host);
    }
}

#[test]
fn a_name_that_looks_like_one_of_ours_is_not_taken_for_another() {
    let names = Anonymizer::default();
    let servers =
        ["zoe", "user-1", "user-4", "leo"].map(|user| names.server(&format!("imaps://{user}@mail.acme.de:993")));
    let users = servers.each_ref().map(|server| server.split(['/', '@']).nth(2).unwrap());
    assert_eq!(users, ["user-1", "user-2", "user-4", "user-3"]);
}

#[test]
fn what_has_the_shape_of_a_name_is_replaced_wherever_it_stands() {
    for (text, told) in [
        (
            "exim: 10.77.66.54, 010.077.066.054 and postfix 91.198.174.192",
            "exim: 192.0.2.1, 192.0.2.1 and postfix 192.0.2.2",
        ),
        ("connect from ip-10-77-66-55", "connect from host-1.example"),
        ("from 8.8.8.8:993, [2a00:1450::1]:25", "from 192.0.2.1:993, [2001:db8::1]:25"),
        ("mx1.acme.de, MX1.ACME.DE and mx2.acme.de.", "host-1.example, host-1.example and host-2.example."),
        ("<zoe@acme.de>: zoe is over quota, Zoe", "<user-1@host-1.example>: user-1 is over quota, user-1"),
        ("421 acme7 Service not available", "421 host-1.example Service not available"),
        ("(/home/zoe/Maildir/.Orders)", "(/path-1)"),
        ("imaps://zoe%40acme.de@mail.acme.de:993", "imaps://user-1%40host-1.example@host-2.example:993"),
        ("C=DE, O=Acme Gears GmbH, CN=mail.acme.de", "C=DE, O=name-1, CN=host-1.example"),
        ("[BE1P281MB1234AA00]", "[session]"),
    ] {
        assert_eq!(Anonymizer::default().text(text), told);
    }
}

#[test]
fn a_transcript_names_all_and_is_refused() {
    let directory = tempdir().unwrap();
    for command in ["run", "check", "limits", "compare", "scenario pool-hazard"] {
        let ended = within(directory.path(), &format!("{command} --anonymize --transcript kept"));
        assert_eq!((ended.code, &*ended.stdout), (2, ""), "{command}");
        assert!(
            ended.stderr.contains("leave out one of them") && ended.stderr.lines().count() == 1,
            "{}",
            ended.stderr
        );
        assert!(!directory.path().join("kept").exists(), "{command}");
    }
}
