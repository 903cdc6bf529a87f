//! The folder of one control plane, which goes when the last process that uses it has ended.

use std::fs;
use std::io::{PipeWriter, pipe};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::error::Error;

/// Waits until no process holds the other end of its stdin, then removes the folder in `$1`.
const REMOVE_AT_THE_END: &str = r#"cat >/dev/null; rm -rf -- "$1""#;

/// A temporary folder that outlives this process by as long as the servers in it do, and no longer.
///
/// A destructor is not enough: it does not run for a static, nor when the process is killed. So a
/// small process of its own waits for the end of a pipe, which the kernel closes for every holder
/// however that holder ends.
pub(crate) struct Folder {
    path: PathBuf,
    lease: Option<PipeWriter>,
    remover: Child,
}

impl Folder {
    pub(crate) fn new() -> Result<Self, Error> {
        let temporary = tempfile::Builder::new()
            .prefix("control-plane-")
            .tempdir()
            .map_err(Error::io("make a temporary folder"))?;
        let (reader, writer) = pipe().map_err(Error::io("open a pipe"))?;
        let remover = Command::new("sh")
            .args(["-c", REMOVE_AT_THE_END, "remover"])
            .arg(temporary.path())
            .stdin(reader)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0) // Ctrl-C must end the owner only: this must live to clean up after it
            .spawn()
            .map_err(Error::io("run sh"))?;
        Ok(Self {
            path: temporary.keep(),
            lease: Some(writer),
            remover,
        })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The folder stays for as long as anybody holds a lease.
    pub(crate) fn lease(&self) -> Result<PipeWriter, Error> {
        match &self.lease {
            Some(lease) => lease.try_clone().map_err(Error::io("duplicate a pipe")),
            None => Err(Error::Stopped),
        }
    }

    /// Writes a file that only this user can read, and returns its path.
    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) -> Result<PathBuf, Error> {
        let path = self.path.join(name);
        fs::write(&path, content).map_err(Error::io(format!("write {}", path.display())))?;
        Ok(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        self.lease = None;
        // If it cannot be waited for, there is nothing left to do: it removes the folder in any
        // case.
        let _ = self.remover.wait();
    }
}
