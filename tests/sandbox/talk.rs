//! Lines said to a server and heard from it, in the clear or under TLS.

use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use mailconn::sandbox::{Listening, Options, Protocol, Sandbox, Security};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use super::PATIENCE;

/// A server that speaks this, once for each.
pub fn serving(speaks: &[(Protocol, Security)], options: Options) -> Sandbox {
    let listening = speaks.iter().map(|&(protocol, security)| {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        Listening { listener, protocol, security }
    });
    Sandbox::serve(listening.collect(), options).unwrap()
}

pub fn speaking(protocol: Protocol, security: Security) -> Sandbox {
    serving(&[(protocol, security)], Options::default())
}

/// Trusts this server and no other.
pub fn trust(server: &Sandbox) -> Arc<ClientConfig> {
    trusting(server.ca_pem().unwrap())
}

/// Trusts this authority alone.
pub fn trusting(ca_pem: &str) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(ca_pem.as_bytes()).unwrap()).unwrap();
    let config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    Arc::new(config)
}

/// Waits until this holds, within the tests' patience.
#[track_caller]
pub fn eventually(holds: impl Fn() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < PATIENCE, "it has not come to pass");
        thread::sleep(Duration::from_millis(1));
    }
}

pub struct Talk<S>(BufReader<S>);

pub type Encrypted = Talk<StreamOwned<ClientConnection, TcpStream>>;

impl Talk<TcpStream> {
    pub fn to(address: SocketAddr) -> Self {
        Self::over(TcpStream::connect(address).unwrap())
    }

    pub fn over(stream: TcpStream) -> Self {
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        Self(BufReader::new(stream))
    }

    pub fn port(&self) -> u16 {
        self.0.get_ref().local_addr().unwrap().port()
    }

    pub fn socket(&self) -> &TcpStream {
        self.0.get_ref()
    }

    /// The handshake happens with the first bytes that are read or written.
    pub fn encrypt(self, config: &Arc<ClientConfig>, name: &str) -> Encrypted {
        assert!(self.0.buffer().is_empty(), "the server said more than it may");
        let name = ServerName::try_from(name.to_owned()).unwrap();
        let connection = ClientConnection::new(Arc::clone(config), name).unwrap();
        Talk(BufReader::new(StreamOwned::new(connection, self.0.into_inner())))
    }
}

impl Encrypted {
    pub fn socket(&self) -> &TcpStream {
        &self.0.get_ref().sock
    }

    pub fn connection(&self) -> &ClientConnection {
        &self.0.get_ref().conn
    }
}

impl<S: Read + Write> Talk<S> {
    pub fn say(&mut self, bytes: impl AsRef<[u8]>) {
        self.0.get_mut().write_all(bytes.as_ref()).unwrap();
        self.0.get_mut().flush().unwrap();
    }

    pub fn hear(&mut self) -> String {
        let mut line = String::new();
        self.0.read_line(&mut line).unwrap();
        line
    }

    /// Hears a line, if one comes.
    pub fn try_hear(&mut self, line: &mut String) -> std::io::Result<usize> {
        self.0.read_line(line)
    }

    pub fn inner(&mut self) -> &mut impl Read {
        &mut self.0
    }

    /// Says a line, hears a line.
    pub fn ask(&mut self, line: &str) -> String {
        self.say(format!("{line}\r\n"));
        self.hear()
    }

    /// What is heard next, byte for byte.
    #[track_caller]
    pub fn expect(&mut self, text: &str) {
        let mut got = vec![0; text.len()];
        let mut length = 0;
        while length < got.len() {
            match self.0.read(&mut got[length..]).unwrap() {
                0 => break,
                more => length += more,
            }
        }
        assert_eq!(String::from_utf8_lossy(&got[..length]), text);
    }

    /// Hears up to and with the line for which this holds.
    pub fn until(&mut self, last: impl Fn(&str) -> bool) -> String {
        let mut heard = String::new();
        loop {
            let line = self.hear();
            assert!(!line.is_empty(), "the connection ended after {heard:?}");
            heard.push_str(&line);
            if last(&line) {
                return heard;
            }
        }
    }

    /// Everything to the end of the connection, however it ends.
    pub fn rest(&mut self) -> String {
        String::from_utf8(self.rest_as_bytes()).unwrap()
    }

    pub fn rest_as_bytes(&mut self) -> Vec<u8> {
        let mut rest = Vec::new();
        match self.0.read_to_end(&mut rest) {
            Ok(_) => {}
            Err(error) if matches!(error.kind(), ErrorKind::ConnectionReset | ErrorKind::UnexpectedEof) => {}
            Err(error) => panic!("{error}"),
        }
        rest
    }
}
