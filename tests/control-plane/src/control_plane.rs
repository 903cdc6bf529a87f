//! The control plane as a whole, and its life.

use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicUsize;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use crate::error::Error;
use crate::folder::Folder;
use crate::guard::Guarded;
use crate::kubeconfig::{Credentials, kubeconfig};
use crate::pki::Authority;
use crate::servers::{AUDIT_LOG, Server, Settings};
use crate::tools::Tools;

/// A running etcd and kube-apiserver of their own, with TLS, RBAC and admission.
///
/// They end when this is dropped or when the process ends, even if it is killed; and their folder is deleted.
pub struct ControlPlane {
    // In the order in which they must end: the folder last.
    running_apiserver: Mutex<Option<Guarded>>,
    running_etcd: Guarded,
    pub(crate) folder: Folder,
    pub(crate) tools: Tools,
    pub(crate) authority: Authority,
    pub(crate) apiserver: Server,
    etcd: Server,
    admin_kubeconfig: PathBuf,
    pub(crate) kubeconfigs: AtomicUsize,
}

impl ControlPlane {
    /// Starts a control plane and waits until it is ready: a few seconds, and some minutes the very
    /// first time (README.md).
    pub fn start() -> Result<Self, Error> {
        Self::start_with(Settings::default())
    }

    /// The same with these settings.
    pub fn start_with(settings: Settings) -> Result<Self, Error> {
        let tools = Tools::find()?;
        let folder = Folder::new()?;
        let authority = Authority::new()?;
        let etcd = Server::etcd(&tools, &folder)?;
        let apiserver = Server::apiserver(&tools, &folder, &authority, &etcd, settings)?;
        // Members of this group may do everything, regardless of RBAC.
        let admin = Credentials::Certificate(authority.user("admin", &["system:masters"])?);
        let admin = kubeconfig(apiserver.port(), authority.certificate(), admin, "default");
        let this = Self {
            running_apiserver: Mutex::new(None),
            // kube-apiserver waits for what else etcd needs.
            running_etcd: etcd.start(&folder, || Ok(true))?,
            admin_kubeconfig: folder.write("admin.kubeconfig", admin)?,
            folder,
            tools,
            authority,
            apiserver,
            etcd,
            kubeconfigs: AtomicUsize::new(0),
        };
        this.start_apiserver()?;
        Ok(this)
    }

    /// The control plane that all tests of one test binary share; the first to ask starts it.
    pub fn shared() -> Result<&'static Self, &'static Error> {
        static SHARED: OnceLock<Result<ControlPlane, Error>> = OnceLock::new();
        SHARED.get_or_init(Self::start).as_ref()
    }

    /// The kubeconfig of an administrator, who may do everything.
    #[must_use]
    pub fn admin_kubeconfig(&self) -> &Path {
        &self.admin_kubeconfig
    }

    /// Where the data, logs, keys and kubeconfigs are. It goes with the control plane.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The process ids of the servers that run.
    #[must_use]
    pub fn server_pids(&self) -> Vec<u32> {
        let apiserver = self.running_apiserver().as_ref().map(Guarded::pid);
        apiserver
            .into_iter()
            .chain([self.running_etcd.pid()])
            .collect()
    }

    /// The last lines of the servers' logs, for the message of a test that fails.
    #[must_use]
    pub fn logs_tail(&self) -> String {
        self.etcd.log_tail() + &self.apiserver.log_tail()
    }

    /// What the API server has put into its audit log: one JSON object per line for each write of a `WarehouseSyncPolicy`, but not of its status, and
    /// for each request of the user of [`Settings::audited_user`]. A line comes a little after the answer.
    pub fn audit_log(&self) -> Result<String, Error> {
        std::fs::read_to_string(self.folder().join(AUDIT_LOG))
            .map_err(Error::io("read the audit log"))
    }

    /// Kills the API server and waits until it has ended. Its clients lose their connections.
    pub fn stop_apiserver(&self) {
        drop(self.running_apiserver().take());
    }

    /// Starts the API server at its old address, with its old data, and waits until it is ready.
    /// Does nothing if it runs.
    pub fn start_apiserver(&self) -> Result<(), Error> {
        let mut running = self.running_apiserver();
        if running.as_mut().is_some_and(|server| !server.has_ended()) {
            return Ok(());
        }
        *running = Some(self.apiserver.start(&self.folder, || Ok(self.answers()))?);
        Ok(())
    }

    /// Stops the API server and starts it again.
    pub fn restart_apiserver(&self) -> Result<(), Error> {
        self.stop_apiserver();
        self.start_apiserver()
    }

    /// Makes the API server hang: it keeps its connections, but does not answer.
    pub fn pause_apiserver(&self) -> Result<(), Error> {
        self.signal_apiserver("STOP")
    }

    /// Lets a paused API server go on.
    pub fn resume_apiserver(&self) -> Result<(), Error> {
        self.signal_apiserver("CONT")
    }

    fn signal_apiserver(&self, name: &str) -> Result<(), Error> {
        self.running_apiserver()
            .as_ref()
            .ok_or(Error::Stopped)?
            .signal(name)
    }

    /// Whether the API server is ready, and has made the namespace `default`, which it does a
    /// little later.
    fn answers(&self) -> bool {
        ["/readyz", "/api/v1/namespaces/default"]
            .iter()
            .all(|path| {
                self.kubectl(["get", "--request-timeout=5s", "--raw", path])
                    .is_ok()
            })
    }

    fn running_apiserver(&self) -> MutexGuard<'_, Option<Guarded>> {
        // A test that panicked while it held the lock left nothing half done here.
        self.running_apiserver
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}
