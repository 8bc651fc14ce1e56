//! A relay that lets clients sign in one after the other, and otherwise changes nothing: not even their ports.

use crate::support::dovecot::PrivateDovecot;
use socket2::{Domain, Socket, Type};
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::thread;

/// Starts the relay in front of `server`'s plaintext port and returns its own. It ends with the test's process.
///
/// Dovecot asks how many sessions a user has before it starts a process for another one, and counts that one when its
/// process runs: sign-ins that arrive together pass a limit which they exceed together.
pub fn one_sign_in_at_a_time(server: &PrivateDovecot) -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let to = SocketAddr::from((Ipv4Addr::LOCALHOST, server.imap_port()));
    thread::spawn(move || {
        for client in listener.incoming() {
            relay(client.unwrap(), to).unwrap();
        }
    });
    port
}

/// Returns when the sign-in is decided; the rest goes on by itself.
fn relay(client: TcpStream, to: SocketAddr) -> io::Result<()> {
    // The client's own port on another loopback address: in the server's log it is as if there were no relay.
    let from = SocketAddr::from(([127, 0, 0, 2], client.peer_addr()?.port()));
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    socket.set_reuse_address(true)?;
    socket.bind(&from.into())?;
    socket.connect(&to.into())?;
    let mut server = BufReader::new(TcpStream::from(socket));
    let mut client = BufReader::new(client);
    pass_line(&mut server, &mut client)?; // the greeting
    pass_line(&mut client, &mut server)?; // LOGIN
    pass_line(&mut server, &mut client)?; // OK or NO
    let back = (server.get_ref().try_clone()?, client.get_ref().try_clone()?);
    thread::spawn(move || pass_all(client, back.0));
    thread::spawn(move || pass_all(server, back.1));
    Ok(())
}

fn pass_line(from: &mut BufReader<TcpStream>, to: &mut BufReader<TcpStream>) -> io::Result<()> {
    let mut line = Vec::new();
    from.read_until(b'\n', &mut line)?;
    to.get_mut().write_all(&line)
}

fn pass_all(mut from: BufReader<TcpStream>, mut to: TcpStream) {
    // Either end may go first; then the other is told.
    let _ = io::copy(&mut from, &mut to);
    let _ = to.shutdown(Shutdown::Write);
}
