//! The real helm, isolated from the user's home, and releases of the chart.

use std::{
    ffi::OsStr,
    fs,
    path::Path,
    process::{Command, Stdio},
};

use control_plane::ControlPlane;
use serde_json::{Map, Value};

use crate::render::{CHART, root};

/// helm with this kubeconfig; the error is its message.
fn helm(kubeconfig: &Path, args: &[impl AsRef<OsStr>]) -> Result<String, String> {
    let home = std::env::temp_dir().join("warehouse-sync-operator-helm");
    let output = Command::new(control_plane::helm().unwrap())
        .args(args)
        .env_clear()
        .env("HOME", home)
        .env("KUBECONFIG", kubeconfig)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    if output.status.success() {
        Ok(text(&output.stdout))
    } else {
        Err(text(&output.stderr))
    }
}

/// helm without a cluster.
pub fn offline(args: &[&str]) -> Result<String, String> {
    helm(Path::new("/nonexistent"), args)
}

/// The chart's folder.
pub fn chart() -> String {
    root().join(CHART).display().to_string()
}

/// Copies the chart into a folder, to change it there.
pub fn copy(to: &Path) {
    copy_folder(&root().join(CHART), to);
}

fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy_folder(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// The chart rendered with string values (`--set-string`), for a release of that name.
pub fn render_named(release: &str, values: &[&str]) -> Result<Vec<Value>, String> {
    let chart = chart();
    let mut args = vec!["template", release, &chart, "--namespace", "ops"];
    for value in values {
        args.extend(["--set-string", value]);
    }
    offline(&args).map(|yaml| documents(&yaml))
}

/// The chart in this folder rendered with values (`--set`), without a cluster.
pub fn render_at(chart: &str, values: &[&str]) -> Result<Vec<Value>, String> {
    let mut args = vec!["template", "wso", chart, "--namespace", "ops"];
    for value in values {
        args.extend(["--set", value]);
    }
    offline(&args).map(|yaml| documents(&yaml))
}

/// The chart rendered with values.
pub fn render(values: &[&str]) -> Vec<Value> {
    render_at(&chart(), values).unwrap_or_else(|said| panic!("{values:?}: {said}"))
}

/// The objects in a text.
pub fn documents(yaml: &str) -> Vec<Value> {
    let all: Vec<Option<Map<String, Value>>> = serde_saphyr::from_multiple(yaml).unwrap();
    all.into_iter().flatten().map(Value::Object).collect()
}

/// The only object of a kind.
pub fn only<'a>(objects: &'a [Value], kind: &str) -> &'a Value {
    let mut found = objects.iter().filter(|object| object["kind"] == kind);
    let first = found.next().unwrap_or_else(|| panic!("no {kind}"));
    assert!(found.next().is_none(), "more than one {kind}");
    first
}

/// A release.
pub struct Release<'a> {
    plane: &'a ControlPlane,
    name: &'a str,
    namespace: &'a str,
    chart: String,
}

/// The namespace of most releases.
pub const HOME: &str = "ops";
/// The name of most objects of the release `wso`, and that of its account.
pub const NAME: &str = "wso-warehouse-sync-operator";

impl<'a> Release<'a> {
    /// The release `wso`.
    pub fn new(plane: &'a ControlPlane) -> Self {
        Self::named(plane, "wso")
    }

    /// Another one.
    pub fn named(plane: &'a ControlPlane, name: &'a str) -> Self {
        Self::within(plane, name, HOME)
    }

    /// Another one, in another namespace.
    pub fn within(plane: &'a ControlPlane, name: &'a str, namespace: &'a str) -> Self {
        Self {
            plane,
            name,
            namespace,
            chart: chart(),
        }
    }

    /// The release `wso` of another version of the chart.
    pub fn of(plane: &'a ControlPlane, chart: &Path) -> Self {
        let chart = chart.display().to_string();
        Self {
            chart,
            ..Self::new(plane)
        }
    }

    /// `helm install`, in a namespace that it creates. It does not wait, because no kubelet starts the pods.
    pub fn install(&self, values: &[&str]) -> String {
        self.try_install(&[], values)
            .unwrap_or_else(|said| panic!("{values:?}: {said}"))
    }

    /// The same with more flags; the error is helm's message.
    pub fn try_install(&self, flags: &[&str], values: &[&str]) -> Result<String, String> {
        self.with_values(
            &[&["install", "--create-namespace"], flags].concat(),
            values,
        )
    }

    /// `helm upgrade` to these values and no others.
    pub fn upgrade(&self, values: &[&str]) -> String {
        let said = self.with_values(&["upgrade", "--reset-values"], values);
        said.unwrap_or_else(|said| panic!("{values:?}: {said}"))
    }

    /// `helm uninstall`.
    pub fn uninstall(&self) {
        self.run(&["uninstall", self.name]).unwrap();
    }

    /// The last installed version.
    pub fn manifest(&self) -> String {
        self.run(&["get", "manifest", self.name]).unwrap()
    }

    fn with_values(&self, verb: &[&str], values: &[&str]) -> Result<String, String> {
        let mut args = [verb, &[self.name, &self.chart]].concat();
        for value in values {
            args.extend(["--set", value]);
        }
        self.run(&args)
    }

    fn run(&self, args: &[&str]) -> Result<String, String> {
        helm(
            self.plane.admin_kubeconfig(),
            &[args, &["--namespace", self.namespace]].concat(),
        )
    }
}
