//! What is between the operator and PostHog in real networks: TLS with a private certificate authority, and a proxy.
//!
//! Each runs on its own thread until the test process ends.

use std::{
    net::{SocketAddr, TcpListener as StdListener},
    path::PathBuf,
    sync::{Arc, Mutex},
};

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use rustls::pki_types::{PrivateKeyDer, pem::PemObject};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional},
    net::{TcpListener, TcpStream},
    sync::Notify,
};
use tokio_rustls::TlsAcceptor;

/// A listener on this machine, and what is done with each connection to it.
fn serve<F>(handle: impl Fn(TcpStream) -> F + Send + 'static) -> SocketAddr
where
    F: Future<Output = std::io::Result<()>> + Send + 'static,
{
    let listener = StdListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async {
            let listener = TcpListener::from_std(listener).unwrap();
            while let Ok((stream, _)) = listener.accept().await {
                // A client that disconnects is not an error.
                tokio::spawn(handle(stream));
            }
        });
    });
    address
}

/// A certificate authority that no machine trusts.
pub struct PrivateAuthority {
    issuer: Issuer<'static, KeyPair>,
    folder: tempfile::TempDir,
}

impl PrivateAuthority {
    pub fn new(name: &str) -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let certificate = params.self_signed(&key).unwrap();
        let authority = Self {
            issuer: Issuer::new(params, key),
            folder: tempfile::tempdir().unwrap(),
        };
        std::fs::write(authority.file(), certificate.pem()).unwrap();
        authority
    }

    /// Its certificate, PEM.
    pub fn file(&self) -> PathBuf {
        self.folder.path().join("ca.pem")
    }

    /// Starts a TLS server on this machine with a certificate for this name, which forwards to this port. Returns its
    /// port.
    pub fn in_front_of(&self, port: u16, name: &str) -> u16 {
        self.with_certificate(port, &CertificateParams::new([name.to_owned()]).unwrap())
    }

    /// The same with an expired certificate for localhost.
    pub fn long_ago_in_front_of(&self, port: u16) -> u16 {
        let mut params = CertificateParams::new(["localhost".to_owned()]).unwrap();
        params.not_after = rcgen::date_time_ymd(2001, 2, 3);
        self.with_certificate(port, &params)
    }

    fn with_certificate(&self, port: u16, params: &CertificateParams) -> u16 {
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let key = PrivateKeyDer::from_pem_slice(key.serialize_pem().as_bytes()).unwrap();
        let config = rustls::ServerConfig::builder()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key)
            .unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let handle = move |stream| {
            let acceptor = acceptor.clone();
            async move {
                let mut inside = acceptor.accept(stream).await?;
                let mut behind = TcpStream::connect(("127.0.0.1", port)).await?;
                // One request for each connection, so that each has to connect.
                let mut line = Vec::new();
                while !line.ends_with(b"\r\n") {
                    line.push(inside.read_u8().await?);
                }
                line.extend_from_slice(b"Connection: close\r\n");
                behind.write_all(&line).await?;
                copy_bidirectional(&mut inside, &mut behind).await?;
                Ok(())
            }
        };
        serve(handle).port()
    }
}

/// A place on a road where travellers wait until they are let through.
#[derive(Default)]
pub struct Gate(Mutex<GateState>, Notify);

#[derive(Default)]
struct GateState {
    is_closed: bool,
    waiting: usize,
    permits: usize,
}

impl Gate {
    /// From now on everybody waits.
    pub fn close(&self) {
        self.0.lock().unwrap().is_closed = true;
    }

    /// Nobody waits any more.
    pub fn open(&self) {
        *self.0.lock().unwrap() = GateState::default();
        self.1.notify_waiters();
    }

    /// Lets one through of those that wait.
    pub fn let_one_through(&self) {
        self.0.lock().unwrap().permits += 1;
        self.1.notify_waiters();
    }

    /// How many wait.
    pub fn waiting(&self) -> usize {
        let state = self.0.lock().unwrap();
        state.waiting - state.permits
    }

    async fn pass(&self) {
        {
            let mut state = self.0.lock().unwrap();
            if !state.is_closed {
                return;
            }
            state.waiting += 1;
        }
        loop {
            let change = self.1.notified();
            {
                let mut state = self.0.lock().unwrap();
                if !state.is_closed {
                    return;
                }
                if state.permits > 0 {
                    state.permits -= 1;
                    state.waiting -= 1;
                    return;
                }
            }
            change.await;
        }
    }
}

/// A way to a port of this machine on which what comes back waits at the gate. The port of it.
pub fn one_way(port: u16, gate: Arc<Gate>) -> u16 {
    let handle = move |stream: TcpStream| {
        let gate = gate.clone();
        async move {
            let behind = TcpStream::connect(("127.0.0.1", port)).await?;
            let (mut from, mut to) = stream.into_split();
            let (mut back, mut there) = behind.into_split();
            let uplink = tokio::spawn(async move { tokio::io::copy(&mut from, &mut there).await });
            let mut bytes = vec![0; 64 * 1024];
            loop {
                let length = back.read(&mut bytes).await?;
                gate.pass().await;
                if length == 0 {
                    break;
                }
                to.write_all(&bytes[..length]).await?;
            }
            uplink.abort();
            Ok(())
        }
    };
    serve(handle).port()
}

/// An HTTP proxy that records its requests.
pub struct Proxy {
    address: SocketAddr,
    heads: Arc<Mutex<Vec<String>>>,
    /// Where everybody who connects waits until it lets through.
    pub gate: Arc<Gate>,
}

impl Proxy {
    /// A proxy that allows everything.
    pub fn open() -> Self {
        Self::answering("200 Connection established")
    }

    /// A proxy that answers every request with this status; it forwards only with 200.
    pub fn answering(status: &'static str) -> Self {
        let heads = Arc::new(Mutex::new(Vec::new()));
        let gate = Arc::<Gate>::default();
        let (asked, closed) = (heads.clone(), gate.clone());
        let handle = move |stream| tunnel(stream, status, asked.clone(), closed.clone());
        Self {
            address: serve(handle),
            heads,
            gate,
        }
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The head of each request, in order.
    pub fn heads(&self) -> Vec<String> {
        self.heads.lock().unwrap().clone()
    }

    /// The targets of its connections, each once.
    pub fn places(&self) -> Vec<String> {
        let mut places: Vec<String> = self
            .heads()
            .iter()
            .filter_map(|head| {
                head.strip_prefix("CONNECT ")?
                    .split(' ')
                    .next()
                    .map(str::to_owned)
            })
            .collect();
        places.sort();
        places.dedup();
        places
    }
}

async fn tunnel(
    mut stream: TcpStream,
    status: &str,
    asked: Arc<Mutex<Vec<String>>>,
    gate: Arc<Gate>,
) -> std::io::Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await?);
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let place = head.split(' ').nth(1).unwrap_or_default().to_owned();
    asked.lock().unwrap().push(head);
    gate.pass().await;
    let answer = format!("HTTP/1.1 {status}\r\n\r\n");
    stream.write_all(answer.as_bytes()).await?;
    if status.starts_with("200") {
        let mut behind = TcpStream::connect(place).await?;
        copy_bidirectional(&mut stream, &mut behind).await?;
    }
    Ok(())
}
