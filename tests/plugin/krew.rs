//! The manifest for krew: the real krew installs the plugin from an index and a release on this machine.

use std::{
    fs,
    io::{BufRead, BufReader, Write},
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use super::support::run;

const VERSION: &str = "1.2.3";

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn ran(command: &mut Command) -> String {
    let ran = run(command.stdin(Stdio::null())).fine();
    ran.out
}

/// Archives as the release workflow makes them. The operator, which krew does not install, is an empty file.
fn release(folder: &Path, binaries: &Path) {
    let plugin = Path::new(env!("CARGO_BIN_EXE_kubectl-wsp"));
    fs::create_dir(binaries).unwrap();
    fs::copy(plugin, binaries.join("kubectl-wsp")).unwrap();
    fs::write(binaries.join("warehouse-sync-operator"), "").unwrap();
    for architecture in ["amd64", "arm64"] {
        let mut script = Command::new("bash");
        script.arg(root().join(".ci/archives"));
        script.args([VERSION, architecture]);
        ran(script.arg(binaries).arg(folder));
    }
}

/// Serves the files of a folder until the process ends, and returns its URL.
fn serve(folder: PathBuf) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut lines = BufReader::new(&stream).lines().map(Result::unwrap);
            let request = lines.next().unwrap();
            lines.take_while(|line| !line.is_empty()).for_each(drop);
            let name = request.split(['/', ' ']).nth(2).unwrap();
            let content = fs::read(folder.join(name)).unwrap();
            let head = format!(
                "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
                content.len()
            );
            stream.write_all(head.as_bytes()).unwrap();
            stream.write_all(&content).unwrap();
        }
    });
    url
}

/// A git repository with the manifest, which downloads from `url`.
fn index(folder: &Path, release: &Path, url: &str) {
    let mut script = Command::new("bash");
    let manifest = ran(script
        .arg(root().join(".ci/krew-manifest"))
        .arg(VERSION)
        .arg(release));
    let published = format!(
        "https://github.com/warehouse-sync-operator/warehouse-sync-operator/releases/download/v{VERSION}/"
    );
    assert_eq!(manifest.matches(&published).count(), 2, "{manifest}");
    assert!(
        !manifest.contains("VERSION") && !manifest.contains("SHA256"),
        "{manifest}"
    );
    fs::create_dir_all(folder.join("plugins")).unwrap();
    let manifest = manifest.replace(&published, &format!("{url}/"));
    fs::write(folder.join("plugins/wsp.yaml"), manifest).unwrap();
    for args in [
        &["init", "--quiet"][..],
        &["add", "."],
        &["commit", "--quiet", "--message", "index"],
    ] {
        let mut git = Command::new("git");
        git.env("HOME", folder).arg("-C").arg(folder);
        ran(git
            .args(["-c", "user.name=t", "-c", "user.email=t@example.com"])
            .args(args));
    }
}

#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
#[test]
fn krew_installs_the_plugin_from_an_index() {
    let folder = tempfile::tempdir().unwrap();
    let place = |name: &str| folder.path().join(name);
    release(&place("release"), &place("binaries"));
    let url = serve(place("release"));
    index(&place("index"), &place("release"), &url);
    let program = control_plane::krew().unwrap();
    let krew = |args: &[&str]| {
        let mut krew = Command::new(&program);
        krew.env("KREW_ROOT", place("root"))
            .env("HOME", folder.path());
        run(krew
            .env("KREW_NO_UPGRADE_CHECK", "1")
            .stdin(Stdio::null())
            .args(args))
        .fine()
    };
    krew(&[
        "index",
        "add",
        "local",
        &format!("file://{}", place("index").display()),
    ]);
    let said = krew(&["install", "--no-update-index", "local/wsp"]);
    assert!(
        said.words().contains("kubectl_complete-wsp"),
        "{}",
        said.err
    );
    let installed = ran(Command::new(place("root/bin/kubectl-wsp")).arg("--version"));
    assert_eq!(
        installed,
        format!("kubectl-wsp {}\n", env!("CARGO_PKG_VERSION"))
    );
}
