//! Where the programs are: in `KUBEBUILDER_ASSETS`, or in the user's cache, built there once.

use std::env;
use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::error::Error;
use crate::go_build::{
    self, ARGO_LUA, FLUX_APPLY, FLUX_HEALTH, GO_MOD, GO_SUM, HELM, KREW, KUBE_ROUTER,
    KUBE_STATE_METRICS, KUSTOMIZE_CONTROLLER, NODE, PROMTOOL, Program,
};

/// The programs that a control plane is made of.
pub(crate) struct Tools {
    folder: PathBuf,
}

impl Tools {
    /// Finds the programs, and builds them if that has not been done yet.
    pub(crate) fn find() -> Result<Self, Error> {
        match env::var_os("KUBEBUILDER_ASSETS").filter(|value| !value.is_empty()) {
            Some(folder) => Self::given(PathBuf::from(folder)),
            None => Self::built(cache_folder(&[GO_MOD, GO_SUM])?),
        }
    }

    pub(crate) fn path(&self, program: &Program) -> PathBuf {
        self.folder.join(program.name)
    }

    fn given(folder: PathBuf) -> Result<Self, Error> {
        let missing = missing_in(&folder);
        if missing.is_empty() {
            return Ok(Self { folder });
        }
        let names: Vec<_> = missing.iter().map(|program| program.name).collect();
        Err(Error::AssetsIncomplete {
            folder,
            missing: names.join(", "),
        })
    }

    fn built(folder: PathBuf) -> Result<Self, Error> {
        if missing_in(&folder).is_empty() {
            return Ok(Self { folder });
        }
        fs::create_dir_all(&folder)
            .map_err(Error::io(format!("make the folder {}", folder.display())))?;
        let _lock = lock(&folder)?;
        // Only now: another process may have built some, or all, while this one waited.
        for program in missing_in(&folder) {
            go_build::build(program, &folder)?;
        }
        Ok(Self { folder })
    }
}

/// The program that applies as Flux does, built if that has not been done yet.
pub(crate) fn flux_apply() -> Result<PathBuf, Error> {
    built_alone(
        &FLUX_APPLY,
        &[
            include_str!("../flux/go.mod"),
            include_str!("../flux/go.sum"),
            include_str!("../flux/main.go"),
        ],
    )
}

/// The real helm, built if that has not been done yet, which takes about 3 minutes.
pub fn helm() -> Result<PathBuf, Error> {
    let pinned_by = [
        include_str!("../helm/go.mod"),
        include_str!("../helm/go.sum"),
    ];
    built_alone(&HELM, &pinned_by)
}

/// The real krew, which installs plugins of kubectl, built if that has not been done yet, which takes about a minute.
pub fn krew() -> Result<PathBuf, Error> {
    let pinned_by = [
        include_str!("../krew/go.mod"),
        include_str!("../krew/go.sum"),
    ];
    built_alone(&KREW, &pinned_by)
}

/// The real promtool, built if that has not been done yet, which takes about 3 minutes.
pub fn promtool() -> Result<PathBuf, Error> {
    let pinned_by = [
        include_str!("../promtool/go.mod"),
        include_str!("../promtool/go.sum"),
    ];
    built_alone(&PROMTOOL, &pinned_by)
}

/// The real kube-state-metrics, built if that has not been done yet, which takes about 2 minutes.
pub fn kube_state_metrics() -> Result<PathBuf, Error> {
    let pinned_by = [
        include_str!("../kube-state-metrics/go.mod"),
        include_str!("../kube-state-metrics/go.sum"),
    ];
    built_alone(&KUBE_STATE_METRICS, &pinned_by)
}

/// The real kustomize-controller of Flux, built if that has not been done yet, which takes about 6 minutes. No test needs it.
pub fn kustomize_controller() -> Result<PathBuf, Error> {
    let pinned_by = [
        include_str!("../kustomize-controller/go.mod"),
        include_str!("../kustomize-controller/go.sum"),
    ];
    built_alone(&KUSTOMIZE_CONTROLLER, &pinned_by)
}

/// A program that runs the Lua of health checks and actions as Argo CD does, built if that has not been done yet.
///
/// It reads and writes JSON: `argo-cd/main.go` says which.
pub fn argo_lua() -> Result<PathBuf, Error> {
    let pinned_by = [
        include_str!("../argo-cd/go.mod"),
        include_str!("../argo-cd/go.sum"),
        include_str!("../argo-cd/main.go"),
    ];
    built_alone(&ARGO_LUA, &pinned_by)
}

/// A program that says how healthy Flux finds objects, built if that has not been done yet, which takes about 2 minutes.
///
/// It reads and writes JSON: `flux-health/main.go` says which.
pub fn flux_health() -> Result<PathBuf, Error> {
    let pinned_by = [
        include_str!("../flux-health/go.mod"),
        include_str!("../flux-health/go.sum"),
        include_str!("../flux-health/main.go"),
    ];
    built_alone(&FLUX_HEALTH, &pinned_by)
}

/// The folders of all programs of a real node and of helm, as for `PATH`; built if that has not been done yet, which takes about
/// 15 minutes.
pub fn node() -> Result<Vec<PathBuf>, Error> {
    let of_node = [
        include_str!("../node/go.mod"),
        include_str!("../node/go.sum"),
    ];
    let of_router = [
        include_str!("../kube-router/go.mod"),
        include_str!("../kube-router/go.sum"),
    ];
    let mut programs = vec![helm()?];
    for program in &NODE {
        programs.push(built_alone(program, &of_node)?);
    }
    programs.push(built_alone(&KUBE_ROUTER, &of_router)?);
    let mut folders = vec![Tools::find()?.folder];
    folders.extend(
        programs
            .iter()
            .filter_map(|path| Some(path.parent()?.to_owned())),
    );
    folders.dedup();
    Ok(folders)
}

/// A program with a module, and so a folder, of its own.
fn built_alone(program: &Program, pinned_by: &[&str]) -> Result<PathBuf, Error> {
    let folder = cache_folder(pinned_by)?;
    let path = folder.join(program.name);
    if !path.is_file() {
        fs::create_dir_all(&folder)
            .map_err(Error::io(format!("make the folder {}", folder.display())))?;
        let _lock = lock(&folder)?;
        // Only now: another process may have built it while this one waited.
        if !path.is_file() {
            go_build::build(program, &folder)?;
        }
    }
    Ok(path)
}

/// The programs that are not in the folder.
fn missing_in(folder: &Path) -> Vec<&'static Program> {
    go_build::PROGRAMS
        .iter()
        .filter(|program| !folder.join(program.name).is_file())
        .collect()
}

/// One folder per content of go.mod and go.sum: a bumped version is built beside the old one, not
/// over it.
fn cache_folder(pinned_by: &[&str]) -> Result<PathBuf, Error> {
    let absolute = |name| {
        env::var_os(name)
            .map(PathBuf::from)
            .filter(|path| path.is_absolute())
    };
    let cache = absolute("XDG_CACHE_HOME")
        .or_else(|| absolute("HOME").map(|home| home.join(".cache")))
        .ok_or(Error::NoCacheFolder)?;
    let mut hash = Sha256::new();
    for content in pinned_by {
        hash.update(content);
    }
    let hash = hash.finalize();
    let key = format!("{hash:x}");
    Ok(cache
        .join("warehouse-sync-operator/control-plane")
        .join(&key[..16]))
}

/// Holds until dropped, or until this process ends, the right to build into the folder.
fn lock(folder: &Path) -> Result<File, Error> {
    let path = folder.join("lock");
    let file = File::create(&path).map_err(Error::io(format!("open {}", path.display())))?;
    match file.try_lock() {
        Ok(()) => return Ok(file),
        Err(TryLockError::WouldBlock) => {
            go_build::say("another process builds the programs: waiting");
        }
        Err(TryLockError::Error(error)) => {
            return Err(Error::io(format!("lock {}", path.display()))(error));
        }
    }
    file.lock()
        .map_err(Error::io(format!("lock {}", path.display())))?;
    Ok(file)
}
