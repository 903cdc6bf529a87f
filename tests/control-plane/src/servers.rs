//! How etcd and kube-apiserver are started.

use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use crate::error::Error;
use crate::folder::Folder;
use crate::go_build::{self, ETCD, KUBE_APISERVER};
use crate::guard::Guarded;
use crate::pki::{self, Authority};
use crate::tools::Tools;
use crate::wait::wait_for;

/// Both take seconds on an idle machine; this is for one that compiles at the same time.
pub(crate) const READY_WITHIN: Duration = Duration::from_secs(90);

/// The name of the audit log in the folder.
pub(crate) const AUDIT_LOG: &str = "audit.log";

/// Who wrote which policy. Not its status, nor anything else: a log of all would be long.
const AUDIT_POLICY: &str = "
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
  - level: Metadata
    verbs: [create, update, patch, delete]
    resources: [{group: warehousesync.dev, resources: [warehousesyncpolicies]}]
";

/// How a control plane differs from the usual one.
#[derive(Debug, Default, Clone, Copy)]
pub struct Settings<'a> {
    /// A user whose requests are all put into the audit log.
    pub audited_user: Option<&'a str>,
    /// Feature gates of kube-apiserver, such as `WatchList=false`.
    pub feature_gates: Option<&'a str>,
}

impl Settings<'_> {
    fn audit_policy(&self) -> String {
        let user = self.audited_user.map_or_else(String::new, |user| {
            format!("  - {{level: Metadata, users: ['{user}']}}\n")
        });
        format!("{AUDIT_POLICY}{user}  - level: None\n")
    }
}

/// How to start one server, again and again.
pub(crate) struct Server {
    name: &'static str,
    command: Vec<String>,
    log: PathBuf,
    port: u16,
}

impl Server {
    pub(crate) fn etcd(tools: &Tools, folder: &Folder) -> Result<Self, Error> {
        let port = free_port()?;
        let url = format!("http://127.0.0.1:{port}");
        let data = folder.path().join("etcd");
        let command = vec![
            tools.path(&ETCD).display().to_string(),
            format!("--data-dir={}", data.display()),
            format!("--listen-client-urls={url}"),
            format!("--advertise-client-urls={url}"),
            // There are no peers: any port will do, and nobody needs to know it.
            "--listen-peer-urls=http://127.0.0.1:0".to_owned(),
            // The data need not survive a crash of the machine.
            "--unsafe-no-fsync".to_owned(),
        ];
        Ok(Self {
            name: ETCD.name,
            command,
            log: folder.path().join("etcd.log"),
            port,
        })
    }

    pub(crate) fn apiserver(
        tools: &Tools,
        folder: &Folder,
        authority: &Authority,
        etcd: &Self,
        settings: Settings,
    ) -> Result<Self, Error> {
        let port = free_port()?;
        let identity = authority.server()?;
        let ca = folder.write("ca.crt", authority.certificate())?;
        let certificate = folder.write("apiserver.crt", identity.certificate)?;
        let key = folder.write("apiserver.key", identity.key)?;
        let audit_policy = folder.write("audit-policy.yaml", settings.audit_policy())?;
        let (token_key, token_public_key) = pki::token_keys()?;
        let token_key = folder.write("tokens.key", token_key)?;
        let token_public_key = folder.write("tokens.pub", token_public_key)?;
        let mut command = vec![
            tools.path(&KUBE_APISERVER).display().to_string(),
            format!("--etcd-servers=http://127.0.0.1:{}", etcd.port),
            "--bind-address=127.0.0.1".to_owned(),
            format!("--secure-port={port}"),
            format!("--tls-cert-file={}", certificate.display()),
            format!("--tls-private-key-file={}", key.display()),
            format!("--client-ca-file={}", ca.display()),
            "--authorization-mode=RBAC".to_owned(),
            // It refuses every pod in a namespace without the ServiceAccount `default`, which only
            // a controller manager makes. All other plugins that are on by default stay on,
            // ValidatingAdmissionPolicy among them.
            "--disable-admission-plugins=ServiceAccount".to_owned(),
            "--service-account-issuer=https://kubernetes.default.svc.cluster.local".to_owned(),
            format!("--service-account-key-file={}", token_public_key.display()),
            format!("--service-account-signing-key-file={}", token_key.display()),
            format!("--audit-policy-file={}", audit_policy.display()),
            format!(
                "--audit-log-path={}",
                folder.path().join(AUDIT_LOG).display()
            ),
            "--service-cluster-ip-range=10.0.0.0/24".to_owned(),
            // Found from the default route otherwise, which a machine without a network has not;
            // and nothing may publish an endpoint at a loopback address.
            "--advertise-address=127.0.0.1".to_owned(),
            "--endpoint-reconciler-type=none".to_owned(),
        ];
        let gates = settings.feature_gates.into_iter();
        command.extend(gates.map(|gates| format!("--feature-gates={gates}")));
        Ok(Self {
            name: KUBE_APISERVER.name,
            command,
            log: folder.path().join("kube-apiserver.log"),
            port,
        })
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Starts the server and waits until `is_ready` (asked only once the server listens).
    pub(crate) fn start(
        &self,
        folder: &Folder,
        is_ready: impl Fn() -> Result<bool, Error>,
    ) -> Result<Guarded, Error> {
        let mut process = Guarded::spawn(&self.command, &self.log, folder.lease()?)?;
        let ready = wait_for(READY_WITHIN, || {
            if process.has_ended() {
                return Err(self.failed("ended by itself".to_owned()));
            }
            let listens = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).is_ok();
            Ok((listens && is_ready()?).then_some(()))
        })?;
        match ready {
            Some(()) => Ok(process),
            None => Err(self.failed(format!("was not ready within {} s", READY_WITHIN.as_secs()))),
        }
    }

    /// The last lines of the server's log, under its name.
    pub(crate) fn log_tail(&self) -> String {
        format!(
            "--- {}\n{}\n",
            self.name,
            go_build::tail(Path::new(&self.log))
        )
    }

    fn failed(&self, problem: String) -> Error {
        Error::Server {
            server: self.name,
            problem,
            log: go_build::tail(&self.log),
        }
    }
}

/// A free port on 127.0.0.1.
///
/// Not one that the kernel assigns (those begin at 32768): while a server is stopped, the kernel
/// could give its port to an outgoing connection, even to one that a client makes to that very
/// port, which then talks to itself.
fn free_port() -> Result<u16, Error> {
    const FIRST: u16 = 20_000;
    const COUNT: u16 = 10_000;
    // Two control planes that start at the same time begin at different ports, in one process and
    // in two.
    static NEXT: AtomicU32 = AtomicU32::new(0);
    for _ in 0..COUNT {
        let offset = process::id()
            .wrapping_mul(97)
            .wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed));
        let port = u16::try_from(offset % u32::from(COUNT)).map_or(FIRST, |offset| FIRST + offset);
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return Ok(port);
        }
    }
    Err(Error::NoFreePort {
        first: FIRST,
        last: FIRST + COUNT - 1,
    })
}
