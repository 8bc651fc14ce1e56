//! The one seam between the allocator and the world.

use std::time::Instant;

use super::id::SessionId;

/// Opens, judges and closes connections for a [`Client`](super::Client), which knows nothing else of servers.
///
/// The client calls every method without holding a lock, on the thread whose operation or disposal needs it, and may
/// call them from several threads at once. An implementation bounds each call in time: the client cannot.
///
/// ```
/// use std::io;
/// use std::net::{Shutdown, TcpListener, TcpStream};
/// use std::time::{Duration, Instant};
///
/// use mailconn::allocator::{Client, Connector, Mode, SessionId};
///
/// struct Dial(std::net::SocketAddr);
///
/// impl Connector for Dial {
///     type Connection = TcpStream;
///     type Error = io::Error;
///
///     fn connect(&self, _: SessionId) -> io::Result<TcpStream> {
///         TcpStream::connect_timeout(&self.0, Duration::from_secs(5))
///     }
///
///     fn has_broken(&self, connection: &mut TcpStream) -> bool {
///         !matches!(connection.take_error(), Ok(None))
///     }
///
///     fn close(&self, connection: TcpStream, _: Instant) {
///         let _ = connection.shutdown(Shutdown::Both); // a mail protocol says goodbye first
///     }
/// }
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let server = TcpListener::bind("127.0.0.1:0")?;
/// let client = Client::builder(Dial(server.local_addr()?)).mode(Mode::UseMain).build();
/// let port = client.with(|connection| connection.local_addr().map(|address| address.port()))??;
/// assert_eq!(client.with(|connection| connection.local_addr())??.port(), port); // main, again
/// # Ok(())
/// # }
/// ```
///
/// A panic in [`Connector::connect`] reaches whoever asked. One in another method goes no further, for these run where
/// leases and handles are dropped: its connection counts as broken.
pub trait Connector: Send + Sync + 'static {
    /// An open connection. It moves between threads, but only one thread at a time has it.
    type Connection: Send + 'static;
    /// Why a connection could not be opened.
    type Error: std::error::Error + Send + Sync + 'static;

    /// Opens the given session; may block. A session that failed leaves nothing behind.
    ///
    /// # Errors
    /// Whatever the server or the network answered; the client hands it on as
    /// [`Error::Connect`](super::Error::Connect).
    fn connect(&self, session: SessionId) -> Result<Self::Connection, Self::Error>;

    /// Whether the connection must not be used again (rule B1). Asked after each use; touches no network.
    fn has_broken(&self, connection: &mut Self::Connection) -> bool {
        let _ = connection;
        false
    }

    /// Signs a healthy connection out (LOGOUT, QUIT) and closes it, by `deadline` at the latest.
    fn close(&self, connection: Self::Connection, deadline: Instant) {
        let _ = deadline;
        drop(connection);
    }

    /// Drops a connection that has broken, without another word to the server.
    fn discard(&self, connection: Self::Connection) {
        drop(connection);
    }
}
