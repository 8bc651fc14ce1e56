//! Real runs with one thing changed afterwards, in our record or in the server's.

use std::time::Duration;

use mailconn::allocator::{ConnectionId, Mode, Reason};
use mailconn::protocol::{Failure, FailureKind, Stage};
use mailconn::record::{Asked, Role, Run, What, WitnessedSession};
use mailconn::sandbox::Options;

use super::real::{ids, is_broken, is_clean, last_of, mixed, operations, own, plan, run_on, sandbox, verdict, witness};

#[test]
fn runs_as_they_were_are_clean_and_both_records_agree_on_all() {
    for (run, issued) in [(mixed(), 60), (own(), 36)] {
        let verdict = is_clean(&run);
        let witness = verdict.witness.unwrap();
        assert_eq!((witness.checked, witness.held), (issued, issued));
    }
}

#[test]
fn an_operation_on_any_other_socket_is_mc001() {
    let ports: Vec<u16> = mixed().witness.unwrap().iter().map(|session| session.peer_port).collect();
    for worker in 0..5 {
        let own = last_of(&mut mixed(), worker).local_port.unwrap();
        for port in ports.iter().copied().filter(|port| *port != own).chain([1]) {
            let mut run = mixed();
            last_of(&mut run, worker).local_port = Some(port);
            let verdict = is_broken(&run, "MC001", &format!("w{worker} on port {port}"));
            assert_eq!(verdict.rules.held, 59);
            let finding = &verdict.findings[0];
            assert_eq!((finding.id, finding.count), ("MC001", 1));
            assert!(finding.evidence[0].contains(&format!(" of w{worker}: ")), "{:?}", finding.evidence);
        }
    }
}

/// Moved whole, with the session and without a contradiction between the two: still the wrong connection.
#[test]
fn an_operation_on_another_ones_session_and_socket_is_mc001() {
    let places: Vec<_> = {
        let mut run = mixed();
        (0..5).map(|worker| (last_of(&mut run, worker).session, last_of(&mut run, worker).local_port)).collect()
    };
    for worker in 0..4 {
        for place in places.iter().filter(|place| **place != places[worker as usize]) {
            let mut run = mixed();
            let operation = last_of(&mut run, worker);
            (operation.session, operation.local_port) = *place;
            is_broken(&run, "MC001", &format!("w{worker} at {place:?}"));
        }
    }
}

#[test]
fn an_operation_with_another_reason_is_mc001() {
    for worker in 0..4 {
        let right = last_of(&mut mixed(), worker).reason;
        for reason in [Reason::Explicit, Reason::Main, Reason::Default, Reason::DefaultCreated].map(Some) {
            if reason != right {
                let mut run = mixed();
                last_of(&mut run, worker).reason = reason;
                is_broken(&run, "MC001", &format!("w{worker} because {reason:?}"));
            }
        }
        let mut run = mixed();
        last_of(&mut run, worker).reason = None;
        is_broken(&run, "MC001", &format!("w{worker} without a reason"));
    }
}

#[test]
fn an_operation_that_misremembers_its_inputs_is_mc001() {
    for worker in 0..4 {
        let mut run = mixed();
        let operation = last_of(&mut run, worker);
        operation.had_default = !operation.had_default;
        is_broken(&run, "MC001", &format!("w{worker}: had_default"));

        let mut run = mixed();
        last_of(&mut run, worker).mode = Mode::UseMain;
        is_broken(&run, "MC001", &format!("w{worker}: mode"));

        let mut run = mixed();
        let operation = last_of(&mut run, worker);
        operation.passed = if worker == 2 { None } else { Some(ConnectionId(99)) };
        is_broken(&run, "MC001", &format!("w{worker}: passed"));

        let mut run = mixed();
        last_of(&mut run, worker).session.as_mut().unwrap().number += 1;
        is_broken(&run, "MC001", &format!("w{worker}: session"));
    }
}

#[test]
fn a_default_of_another_thread_is_mc001() {
    let mut run = own();
    let (mut firsts, mut others) = (Vec::new(), Vec::new());
    for operation in operations(&mut run) {
        if operation.opened { &mut firsts } else { &mut others }.push(operation.number);
    }
    assert_eq!((firsts.len(), others.len()), (3, 33));
    // The threads' connections change hands, in the events alone.
    for entry in &mut run.entries {
        if let What::Created { worker: Some(worker), .. } = &mut entry.what {
            worker.0 = (worker.0 + 1) % 3;
        }
    }
    is_broken(&run, "MC001", "owners exchanged");

    let mut run = own();
    for entry in &mut run.entries {
        if let What::Created { by_hand, .. } = &mut entry.what {
            *by_hand = true;
        }
    }
    assert_eq!(is_broken(&run, "MC001", "created by hand").findings[0].count, 3);
}

#[test]
fn an_operation_on_a_connection_that_was_closed_is_mc001() {
    let mut run = own();
    // All that ended ends before the first operation.
    let (closed, mut rest): (Vec<_>, Vec<_>) =
        run.entries.into_iter().partition(|entry| matches!(entry.what, What::Closed(_)));
    let at = rest.iter().rposition(|entry| matches!(entry.what, What::Opened(_))).unwrap() + 1;
    rest.splice(at..at, closed);
    for (seq, entry) in (0..).zip(&mut rest) {
        entry.seq = seq;
    }
    run.entries = rest;
    is_broken(&run, "MC001", "closed too early");
}

/// Every command of every session, one after the other.
fn each_command(tamper: impl Fn(&mut Vec<WitnessedSession>, usize, usize)) -> usize {
    let run = mixed();
    let sizes: Vec<usize> = run.witness.as_ref().unwrap().iter().map(|session| session.commands.len()).collect();
    let mut tampered = 0;
    for (session, commands) in sizes.iter().enumerate() {
        for command in 0..*commands {
            let mut run = run.clone();
            let was = witness(&mut run).clone();
            tamper(witness(&mut run), session, command);
            let what = format!("{:?} of {:?}", was[session].commands[command], was[session].label);
            is_broken(&run, "MC002", &what);
            tampered += 1;
        }
    }
    tampered
}

#[test]
fn one_command_dropped_from_the_server_s_record_is_mc002() {
    let dropped = each_command(|witness, session, command| drop(witness[session].commands.remove(command)));
    // LOGIN, ID, LOGOUT of four sessions, and at least a command for each operation.
    assert!(dropped >= 4 * 3 + 60, "{dropped}");
}

#[test]
fn one_command_doubled_is_mc002() {
    each_command(|witness, session, command| {
        let again = witness[session].commands[command].clone();
        witness[session].commands.insert(command, again);
    });
}

#[test]
fn one_command_on_another_session_is_mc002() {
    each_command(|witness, session, command| {
        let moved = witness[session].commands.remove(command);
        let other = (session + 1) % witness.len();
        witness[other].commands.push(moved);
    });
}

#[test]
fn one_command_with_another_verb_or_tag_is_mc002() {
    each_command(|witness, session, command| {
        let verb = &mut witness[session].commands[command].verb;
        *verb = if verb == "NOOP" { "CHECK".into() } else { "NOOP".into() };
    });
    each_command(|witness, session, command| witness[session].commands[command].tag.push('9'));
}

#[test]
fn one_command_in_another_mailbox_is_mc002() {
    let mut tampered = 0;
    let count = witness(&mut mixed()).len();
    for session in 0..count {
        for command in 0..witness(&mut mixed())[session].commands.len() {
            for other in [None, Some("Sent".to_owned())] {
                let mut run = mixed();
                let witnessed = &mut witness(&mut run)[session].commands[command];
                // An EXAMINE that was refused selects nothing.
                if !matches!(&*witnessed.verb, "EXAMINE" | "FETCH" | "SEARCH")
                    || (witnessed.verb == "EXAMINE" && other.is_none())
                {
                    continue;
                }
                witnessed.selected = other;
                let what = format!("{witnessed:?}");
                is_broken(&run, "MC002", &what);
                tampered += 1;
            }
        }
    }
    assert!(tampered > 20, "{tampered}");
}

#[test]
fn one_command_at_another_time_is_mc002() {
    for later in [true, false] {
        let mut run = mixed();
        let operation = last_of(&mut run, 0).clone();
        let tag = format!("a{}", operation.commands[0].tag);
        let session = witness(&mut run).iter_mut().find(|it| Some(it.peer_port) == operation.local_port).unwrap();
        let command = session.commands.iter_mut().find(|command| command.tag == tag).unwrap();
        command.at = Some(if later {
            command.at.unwrap() + Duration::from_secs(9)
        } else {
            operation.issued_at - Duration::from_nanos(1)
        });
        let verdict = is_broken(&run, "MC002", if later { "later" } else { "earlier" });
        assert_eq!(verdict.witness.unwrap().held, 59);
    }
}

/// The server may read the last command of an operation that we have given up, or may never see it; nothing else of it.
#[test]
fn a_broken_operation_s_last_command_may_be_late_or_missing() {
    let broken = |kind| {
        let mut run = mixed();
        let operation = operations(&mut run).filter(|operation| operation.commands.len() == 2).last().unwrap();
        operation.outcome = Err(Box::new(Failure::new(kind, Stage::Operation, "given up")));
        let (tag, port) = (format!("a{}", operation.commands[1].tag), operation.local_port.unwrap());
        let session = witness(&mut run).iter().position(|session| session.peer_port == port).unwrap();
        let at = witness(&mut run)[session].commands.iter().position(|command| command.tag == tag).unwrap();
        (run, session, at)
    };
    for kind in [FailureKind::Timeout, FailureKind::Disposed, FailureKind::Closed, FailureKind::ServerNo] {
        let lost = kind != FailureKind::ServerNo;
        let disagree = |run: &Run| ids(&verdict(run)).contains(&"MC002");
        let (mut run, session, at) = broken(kind);
        *witness(&mut run)[session].commands[at].at.as_mut().unwrap() += Duration::from_secs(9);
        assert_eq!(disagree(&run), !lost, "{kind}: late");
        let (mut run, session, at) = broken(kind);
        witness(&mut run)[session].commands.remove(at);
        assert_eq!(disagree(&run), !lost, "{kind}: missing");
        let (mut run, session, at) = broken(kind);
        witness(&mut run)[session].commands[at].at = Some(Duration::ZERO);
        assert!(disagree(&run), "{kind}: early");
        let (mut run, session, at) = broken(kind);
        witness(&mut run)[session].commands.remove(at - 1);
        assert!(disagree(&run), "{kind}: the one before");
    }
}

#[test]
fn sessions_that_are_not_ours_that_are_missing_or_differ_are_mc002() {
    let count = witness(&mut mixed()).len();
    for session in 0..count {
        let tampered = |tamper: &dyn Fn(&mut Vec<WitnessedSession>), what: &str| {
            let mut run = mixed();
            tamper(witness(&mut run));
            is_broken(&run, "MC002", what);
        };
        tampered(&|witness| drop(witness.remove(session)), "missing");
        tampered(&|witness| witness[session].label = Some("#77".into()), "another label");
        tampered(&|witness| witness[session].label = None, "no label");
        tampered(&|witness| witness[session].peer_port = 1, "another port");
        tampered(&|witness| witness[session].logged_out = false, "no logout");
        tampered(&|witness| witness[session].run_id = Some("another run".into()), "another run's");
        tampered(
            &|witness| {
                let extra = WitnessedSession { peer_port: 1, commands: Vec::new(), ..witness[session].clone() };
                witness.push(extra);
            },
            "an extra session",
        );
        tampered(
            &|witness| {
                let other = (session + 1) % witness.len();
                let port = witness[session].peer_port;
                witness[session].peer_port = witness[other].peer_port;
                witness[other].peer_port = port;
            },
            "two ports exchanged",
        );
    }
}

#[test]
fn another_run_s_sessions_are_no_concern_of_ours() {
    let mut run = mixed();
    let foreign = WitnessedSession {
        peer_port: 1,
        run_id: Some("another run".into()),
        label: Some("#1".into()),
        ..witness(&mut run)[0].clone()
    };
    witness(&mut run).push(foreign);
    is_clean(&run);
}

#[test]
fn an_operation_that_we_forgot_or_claim_twice_is_mc002() {
    let mut run = mixed();
    let forgotten = run.entries.iter().rposition(|entry| matches!(entry.what, What::Operation(_))).unwrap();
    run.entries.remove(forgotten);
    is_broken(&run, "MC002", "forgotten");

    let mut run = mixed();
    let last = run.entries.iter().rposition(|entry| matches!(entry.what, What::Operation(_))).unwrap();
    let again = run.entries[last].clone();
    run.entries.insert(last, again);
    is_broken(&run, "MC002", "claimed twice");
}

#[test]
fn without_the_server_s_record_nothing_is_claimed_of_it() {
    let mut run = mixed();
    run.witness = None;
    assert!(is_clean(&run).witness.is_none());
    run.witness = Some(Vec::new());
    is_broken(&run, "MC002", "an empty record is one");
}

#[test]
fn an_empty_run_is_judged_too() {
    let mut run = own();
    run.entries.clear();
    run.witness = Some(Vec::new());
    run.header.asked = Asked::Operations(0);
    let verdict = verdict(&run);
    assert_eq!((ids(&verdict), verdict.rules.checked), (vec![], 0));
}

#[test]
fn whoever_connects_to_the_server_and_says_nothing_is_no_concern_of_ours() {
    let mut run = mixed();
    let silent = WitnessedSession {
        peer_port: 1,
        run_id: None,
        label: None,
        logged_out: false,
        open: false,
        commands: Vec::new(),
    };
    witness(&mut run).push(silent);
    is_clean(&run);
}

/// Two threads that share a connection without a lock for the unit send EXAMINE, EXAMINE, FETCH, FETCH.
#[test]
fn a7_units_whose_commands_are_interleaved_are_mc001() {
    let mut run = run_on(sandbox(Options::default()), &plan(Mode::UseMain, vec![Role::default(); 2], 5, "fetch"));
    is_clean(&run);
    let mut fetches: Vec<_> = operations(&mut run).take(2).collect();
    let (first, second) = fetches.split_at_mut(1);
    std::mem::swap(&mut first[0].commands[1], &mut second[0].commands[1]);
    let verdict = is_broken(&run, "MC001", "two FETCHes exchanged");
    assert_eq!(verdict.rules.held, verdict.rules.checked - 2);
}

#[test]
fn an_operation_that_did_not_send_what_its_name_says_is_mc001() {
    for name in ["list", "status", "fetch", "search", "nosuch"] {
        let mut run = run_on(sandbox(Options::default()), &plan(Mode::UseMain, vec![Role::default()], 3, "noop"));
        operations(&mut run).next().unwrap().name = name;
        is_broken(&run, "MC001", name);
    }
}
