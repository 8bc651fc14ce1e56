//! Something between client and server that mixes connections up, and keeps each client's port so that nobody notices:
//! nobody but the comparison of the two records.

use std::io::{self, BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Barrier, Mutex};
use std::thread;
use std::time::Duration;

use mailconn::allocator::Mode;
use mailconn::workload::Plan;
use serde_json::Value;
use socket2::{Domain, Socket, Type};

use super::real::{agreement, all_held, is_broken, is_clean, plan, run_by_way_of, sandbox};
use crate::cli::process::of_kind;

const OPERATIONS: u64 = 20;

/// The proxy's side of two connections to the server, each from the port that its client has.
struct Upstream(Mutex<Vec<Arc<Mutex<BufReader<TcpStream>>>>>);

/// A way to the server from the client's own port number: the server sees the port that the client has.
fn dial_from_port(port: u16, server: SocketAddr) -> io::Result<TcpStream> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    socket.set_reuse_address(true)?;
    socket.bind(&SocketAddr::from(([127, 0, 0, 2], port)).into())?;
    socket.connect(&server.into())?;
    socket.set_tcp_nodelay(true)?;
    Ok(socket.into())
}

/// Passes two connections on, reply after command; from their first operation on each to the other's server side, if
/// `swapping`.
fn proxy(server: SocketAddr, swapping: bool) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        let upstream = Arc::new(Upstream(Mutex::default()));
        let both_signed_in = Arc::new(Barrier::new(2));
        for number in 0..2 {
            let (client, peer) = listener.accept().unwrap();
            client.set_nodelay(true).unwrap();
            let to_server = dial_from_port(peer.port(), server).unwrap();
            upstream.0.lock().unwrap().push(Arc::new(Mutex::new(BufReader::new(to_server))));
            let (upstream, both_signed_in) = (Arc::clone(&upstream), Arc::clone(&both_signed_in));
            thread::spawn(move || pass_on(client, number, &upstream, &both_signed_in, swapping));
        }
    });
    address
}

fn pass_on(client: TcpStream, number: usize, upstream: &Upstream, both_signed_in: &Barrier, swapping: bool) {
    let side = |number: usize| Arc::clone(&upstream.0.lock().unwrap()[number]);
    let mut server = side(number);
    let mut client = BufReader::new(client);
    // The greeting answers no command.
    relay_until(&mut server.lock().unwrap(), &mut client, "*");
    let mut signing_in = true;
    loop {
        let mut command = String::new();
        if !matches!(client.read_line(&mut command), Ok(1..)) {
            return;
        }
        let mut words = command.split(' ').map(str::trim);
        let (tag, verb) = (words.next().unwrap().to_owned(), words.next().unwrap());
        if signing_in && !["CAPABILITY", "LOGIN", "AUTHENTICATE", "ID"].contains(&verb) {
            signing_in = false;
            both_signed_in.wait();
            if swapping {
                server = side(1 - number);
            }
        }
        let mut server = server.lock().unwrap();
        server.get_mut().write_all(command.as_bytes()).unwrap();
        relay_until(&mut server, &mut client, &tag);
    }
}

/// Passes lines on up to and with the one of that tag. No reply here holds a literal.
fn relay_until(from: &mut BufReader<TcpStream>, to: &mut BufReader<TcpStream>, tag: &str) {
    loop {
        let mut line = String::new();
        if !matches!(from.read_line(&mut line), Ok(1..)) || to.get_mut().write_all(line.as_bytes()).is_err() {
            return;
        }
        if line.split(' ').next() == Some(tag) {
            return;
        }
    }
}

fn run_through(swapping: bool, mix: &str) -> Vec<Value> {
    let sandbox = sandbox();
    let plan = Plan { pause: Duration::from_millis(1), ..plan(Mode::UseDefault, 2, OPERATIONS, mix) };
    run_by_way_of(proxy(sandbox.address(), swapping), sandbox, &plan)
}

#[test]
fn a_proxy_that_passes_on_straight_changes_nothing() {
    all_held(&is_clean(&run_through(false, "noop,status,list")), 2 * OPERATIONS);
}

#[test]
fn a_proxy_that_swaps_two_connections_is_found_out() {
    let run = run_through(true, "noop,status,list");
    let verdict = is_broken(&run, "MC002", "swapped");
    let [_, held, checked, agreed] = agreement(&verdict);
    assert_eq!(held, Some(2 * OPERATIONS), "we did nothing wrong");
    assert_eq!(checked, Some(2 * OPERATIONS));
    assert!(agreed < Some(OPERATIONS), "{agreed:?}");
    assert!(of_kind(&run, "operation").all(|operation| operation["outcome"] == "ok"), "the client noticed nothing");
}

/// Both connections carry the same commands under the same tags: only the clock tells them apart.
#[test]
fn it_is_found_out_even_if_both_say_the_same() {
    is_broken(&run_through(true, "noop"), "MC002", "swapped alike");
}
