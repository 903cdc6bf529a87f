//! `approve -f` and `deny -f`: one annotation more in a file, and nothing else.

use std::{fs, os::unix::fs::PermissionsExt, path::PathBuf};

use serde_json::Value;
use warehouse_sync_operator::api::proposal::ProposedAction;

use super::support::{Env, Ran, plugin, run};

pub const ID: &str = "rf-abcdefghijklmnopqrstuvwxyz";
pub const LINE: &str = "approve.warehousesync.dev/rf-abcdefghijklmnopqrstuvwxyz: \"on-behalf:ann\"";

/// A file in its own folder, which is removed with it.
pub struct File {
    folder: tempfile::TempDir,
    pub path: PathBuf,
}

impl File {
    pub fn new(text: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("policy.yaml");
        fs::write(&path, text).unwrap();
        Self { folder, path }
    }

    pub fn text(&self) -> String {
        fs::read_to_string(&self.path).unwrap()
    }

    /// Approves without a cluster.
    pub fn approve(&self, more: &[&str]) -> Ran {
        let mut command = plugin();
        command.args(["approve", "--offline", "--on-behalf", "ann", "-f"]);
        run(command.arg(&self.path).args(more))
    }
}

const HEAD: &str = "apiVersion: warehousesync.dev/v1alpha1\nkind: WarehouseSyncPolicy\n";

/// Approves in a file: content before and after, with `+` for the new line.
fn edited(before: &str, after: &str) {
    let (before, after) = (format!("{HEAD}{before}"), format!("{HEAD}{after}"));
    let after = after.replace('+', LINE);
    let file = File::new(&before);
    file.approve(&[ID]).fine();
    assert_eq!(file.text(), after);
    // The same again changes nothing.
    file.approve(&[ID]).fine();
    assert_eq!(file.text(), after);
}

/// Checks that a file is refused and stays unchanged.
fn refused(text: &str, args: &[&str], words: &str) {
    let file = File::new(text);
    file.approve(args).refused(words);
    assert_eq!(file.text(), text);
}

#[test]
fn annotations_are_added_after_the_name() {
    edited(
        "metadata:\n  name: prod   # ours\n  # who asks\n  labels: {a: b}\nspec: {}\n",
        "metadata:\n  name: prod   # ours\n  annotations:\n    +\n  # who asks\n  labels: {a: b}\nspec: {}\n",
    );
    edited(
        "metadata:\n    labels:\n        a: b\n    name: 'prod'\n\n\nspec: {}\n",
        "metadata:\n    labels:\n        a: b\n    name: 'prod'\n    annotations:\n        +\n\n\nspec: {}\n",
    );
}

#[test]
fn an_annotation_is_added_to_existing_ones() {
    edited(
        "metadata:\n  name: prod\n  annotations:\n    a: b # why\n    # the end\nspec: {}\n",
        "metadata:\n  name: prod\n  annotations:\n    a: b # why\n    +\n    # the end\nspec: {}\n",
    );
    edited(
        "metadata:\n  annotations:\n    note: |\n      two\n      lines\n  name: prod\n",
        "metadata:\n  annotations:\n    +\n    note: |\n      two\n      lines\n  name: prod\n",
    );
    edited(
        "metadata:\n  annotations:\n    a: b\n    note: >-\n      two\n\n      lines\n  name: prod\n",
        "metadata:\n  annotations:\n    a: b\n    +\n    note: >-\n      two\n\n      lines\n  name: prod\n",
    );
}

#[test]
fn empty_annotations_are_filled() {
    edited(
        "metadata:\n  annotations:\n  name: prod\n",
        "metadata:\n  annotations:\n    +\n  name: prod\n",
    );
    edited(
        "metadata:\n  annotations: # none yet\n  name: prod\n",
        "metadata:\n  annotations: # none yet\n    +\n  name: prod\n",
    );
    edited(
        "metadata:\n  annotations: {}\n  name: prod\n",
        "metadata:\n  annotations: {+}\n  name: prod\n",
    );
}

#[test]
fn flow_style_stays_flow_style() {
    edited(
        "metadata: {name: prod}\nspec: {}\n",
        "metadata: {name: prod, annotations: {+}}\nspec: {}\n",
    );
    edited(
        "metadata: { name: prod, annotations: { a: b } }\n",
        "metadata: { name: prod, annotations: { +, a: b } }\n",
    );
    edited(
        "metadata: {\n  name: prod, # ours\n  namespace: x\n}\n",
        "metadata: {\n  name: prod, annotations: {+}, # ours\n  namespace: x\n}\n",
    );
}

#[test]
fn json_stays_json() {
    let file = File::new(
        r#"{"apiVersion": "warehousesync.dev/v1alpha1", "kind": "WarehouseSyncPolicy", "metadata": {"name": "prod"}}"#,
    );
    file.approve(&[ID]).fine();
    let json: Value = serde_json::from_str(&file.text()).unwrap();
    let key = format!("approve.warehousesync.dev/{ID}");
    assert_eq!(json["metadata"]["annotations"][key], "on-behalf:ann");
}

#[test]
fn line_breaks_and_the_end_of_the_file_stay_as_they_are() {
    let file =
        File::new(&format!("{HEAD}metadata:\n  name: prod\nspec: {{}}\n").replace('\n', "\r\n"));
    let before = file.text();
    file.approve(&[ID]).fine();
    let line = format!("  name: prod\r\n  annotations:\r\n    {LINE}\r\n");
    assert_eq!(file.text(), before.replace("  name: prod\r\n", &line));

    edited(
        "metadata:\n  name: prod",
        "metadata:\n  name: prod\n  annotations:\n    +",
    );
    edited(
        "metadata:\n  name: prod # x",
        "metadata:\n  name: prod # x\n  annotations:\n    +",
    );
}

#[test]
fn the_named_one_of_several_documents_is_edited() {
    let policy = |name: &str| format!("{HEAD}metadata:\n  name: {name}\n");
    let other = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: prod}\ndata: {kind: WarehouseSyncPolicy}\n";
    let text = format!(
        "# all of ours\n---\n{}---\n{other}---\n{}...\n",
        policy("prod"),
        policy("dev")
    );
    refused(
        &text,
        &[ID],
        "write the name before the id, one of prod, dev",
    );
    refused(&text, &["qa", ID], "no policy qa, only prod, dev");
    let file = File::new(&text);
    file.approve(&["dev", ID]).fine();
    let dev = format!("{}  annotations:\n    {LINE}\n", policy("dev"));
    assert_eq!(file.text(), text.replace(&policy("dev"), &dev));
}

#[test]
fn a_file_that_cannot_be_edited_safely_is_unchanged() {
    for (text, words) in [
        ("metadata: &m\n  name: prod\n", "anchors or aliases"),
        (
            "metadata:\n  name: prod\n  annotations: &a\n    x: y\nspec: *a\n",
            "anchors or aliases",
        ),
        (
            "x: &a {y: z}\nmetadata:\n  name: prod\n  annotations: *a\n",
            "anchors or aliases",
        ),
        (
            "x: &a {y: z}\nmetadata:\n  name: prod\n  annotations:\n    <<: *a\n",
            "anchors or aliases",
        ),
        (
            "metadata:\n  name: \"{{ .Values.name }}\"\n",
            "line 4 looks like a template",
        ),
        (
            "metadata:\n  name: {{ .Values.name }}\n",
            "looks like a template",
        ),
        (
            "metadata:\n  name: prod\n  annotations: null\n",
            "annotations are not a map",
        ),
        (
            "metadata:\n  name: prod\n  annotations: [a]\n",
            "annotations are not a map",
        ),
        (
            "metadata:\n  name: |\n    prod\n",
            "write the annotation by hand",
        ),
        (
            "metadata:\n  name: prod\n  annotations: {a: b}\n  annotations: {c: d}\n",
            "twice",
        ),
        (
            "metadata:\n  namespace: x\n",
            "no document of kind WarehouseSyncPolicy with a name",
        ),
        ("metadata:\n  name: prod\n bad: [\n", "not valid YAML"),
    ] {
        refused(&format!("{HEAD}{text}"), &[ID], words);
    }
    refused("", &[ID], "no document of kind WarehouseSyncPolicy");
    refused(
        "kind: Deployment\nmetadata: {name: prod}\n",
        &[ID],
        "no document of kind WarehouseSyncPolicy",
    );
}

#[test]
fn an_answer_in_a_file_is_not_replaced() {
    let text = format!(
        "{HEAD}metadata:\n  name: prod\n  annotations:\n    approve.warehousesync.dev/{ID}: on-behalf:bob\n"
    );
    refused(
        &text,
        &[ID],
        "already exists with the value \"on-behalf:bob\"",
    );
}

#[test]
fn a_reason_is_written_as_valid_yaml() {
    let file = File::new(&format!("{HEAD}metadata: {{name: prod}}\n"));
    let reason = "\"no\": # {it's} &all* \\ über 日本";
    let mut command = plugin();
    command.args(["deny", "--offline", "--reason", reason, ID, "-f"]);
    run(command.arg(&file.path)).fine();
    let read: Value = serde_saphyr::from_str(&file.text()).unwrap();
    let key = format!("deny.warehousesync.dev/{ID}");
    assert_eq!(read["metadata"]["annotations"][key], reason);
}

#[test]
fn links_and_permissions_are_kept_and_no_other_file_remains() {
    let file = File::new(&format!("{HEAD}metadata: {{name: prod}}\n"));
    fs::set_permissions(&file.path, fs::Permissions::from_mode(0o640)).unwrap();
    let link = file.folder.path().join("link.yaml");
    std::os::unix::fs::symlink("policy.yaml", &link).unwrap();
    let mut command = plugin();
    command.args(["deny", "--offline", "--reason", "no", ID, "-f"]);
    run(command.arg(&link)).fine();
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    assert!(file.text().contains("deny.warehousesync.dev"));
    assert_eq!(
        fs::metadata(&file.path).unwrap().permissions().mode() & 0o777,
        0o640
    );
    assert_eq!(fs::read_dir(file.folder.path()).unwrap().count(), 2);
}

#[test]
fn missing_arguments_are_named() {
    let text = format!("{HEAD}metadata: {{name: prod}}\n");
    refused(&text, &["rf-abcdef"], "not a complete id");
    refused(&text, &["rs-abcdefghijklmnopqrstuvwxyz"], "add --yes");
    let file = File::new(&text);
    run(plugin().args(["approve", ID, "-f"]).arg(&file.path)).refused("needs --on-behalf");
    let live = run(plugin().args(["approve", "prod", ID, "--on-behalf", "ann"]));
    assert_eq!(live.code, 2, "{}", live.err);
    run(plugin().args(["approve", ID])).refused("name the policy and the id of the proposal");
    run(plugin().args([
        "approve",
        "--offline",
        "--on-behalf",
        "ann",
        ID,
        "-f",
        "/nonexistent.yaml",
    ]))
    .refused("cannot read /nonexistent.yaml");
}

#[test]
fn with_a_cluster_only_waiting_proposals_are_approved_and_kubectl_accepts_the_file() {
    let env = Env::new();
    let proposal = env.proposal(ProposedAction::Resync, "orders");
    env.propose([&proposal]);
    let file = File::new(&format!("# ours\n{}\n", env.policy("prod")));
    let path = file.path.to_str().unwrap();
    let answer = |id: &str| env.plugin(&["approve", "-f", path, "--on-behalf", "ann", "--yes", id]);
    answer("rs-aaaaaaaaaaaaaaaaaaaaaaaaaa").refused("has no proposal");
    let ran = answer(&proposal.id[..8]).fine();
    assert!(
        ran.words().contains("wipe orders and import it again"),
        "{}",
        ran.err
    );
    env.kubectl(&["apply", "-f", path]);
    let key = format!("approve.warehousesync.dev/{}", proposal.id);
    assert_eq!(env.annotation(&key).as_deref(), Some("on-behalf:ann"));
}
