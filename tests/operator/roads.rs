//! What stands between the operator and PostHog in real networks: TLS with a certificate of a private authority, and a proxy.
//!
//! Each lives on a thread of its own until the test process ends.

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
                // A client that goes away is its own affair.
                tokio::spawn(handle(stream));
            }
        });
    });
    address
}

/// A certificate authority that no machine knows.
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

    /// A TLS server on this machine with a certificate for this name, which hands on to this port. The port of it.
    pub fn in_front_of(&self, port: u16, name: &str) -> u16 {
        self.with_certificate(port, &CertificateParams::new([name.to_owned()]).unwrap())
    }

    /// The same with a certificate for localhost that was valid only long ago.
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
                copy_bidirectional(&mut inside, &mut behind).await?;
                Ok(())
            }
        };
        serve(handle).port()
    }
}

/// An HTTP proxy that remembers what it was asked for.
pub struct Proxy {
    address: SocketAddr,
    heads: Arc<Mutex<Vec<String>>>,
}

impl Proxy {
    /// One that lets everybody through.
    pub fn open() -> Self {
        Self::answering("200 Connection established")
    }

    /// One that answers every request with this status; it lets through only with 200.
    pub fn answering(status: &'static str) -> Self {
        let heads = Arc::new(Mutex::new(Vec::new()));
        let asked = heads.clone();
        let handle = move |stream| tunnel(stream, status, asked.clone());
        Self {
            address: serve(handle),
            heads,
        }
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The head of each request, in order.
    pub fn heads(&self) -> Vec<String> {
        self.heads.lock().unwrap().clone()
    }

    /// Where to it was asked to connect, each place once.
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
) -> std::io::Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await?);
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let place = head.split(' ').nth(1).unwrap_or_default().to_owned();
    asked.lock().unwrap().push(head);
    let answer = format!("HTTP/1.1 {status}\r\n\r\n");
    stream.write_all(answer.as_bytes()).await?;
    if status.starts_with("200") {
        let mut behind = TcpStream::connect(place).await?;
        copy_bidirectional(&mut stream, &mut behind).await?;
    }
    Ok(())
}
