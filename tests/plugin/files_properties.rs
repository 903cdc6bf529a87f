//! Any file either gets exactly the annotation and keeps every other byte, or is unchanged.

use proptest::{prelude::*, strategy::ValueTree};
use serde_json::{Map, Value, json};

use super::files::{File, ID, LINE};

/// Text of the metadata, in many forms.
fn metadata() -> impl Strategy<Value = String> {
    let annotations = prop::sample::select(vec![
        "",
        "  annotations:\n",
        "  annotations: {}\n",
        "  annotations: { }  # none\n",
        "  annotations:\n    a: b\n",
        "  annotations:\n      a: 'b'   # deep\n      c: \"d\"\n\n",
        "  annotations:\n    # first\n    a: b\n    # last\n",
        "  annotations:\n    text: |\n      one\n\n      two\n",
        "  annotations:\n    text: >+\n      one\n\n\n",
        "  annotations:\n    plain: one\n      two\n",
        "  annotations:\n    empty:\n",
        "  annotations: {a: b, 'c': \"d,}\"}\n",
        "  annotations: {\n    a: b, # x\n    c: d\n    }\n",
        "  annotations:\n    ? a\n    : b\n",
        "  annotations: null\n",
    ]);
    let name = prop::sample::select(vec![
        "  name: prod\n",
        "  name: \"prod\" # ours\n",
        "  'name': prod\n",
        "  name:\n    prod\n",
        "  ? name\n  : prod\n",
    ]);
    let labels = prop::sample::select(vec![
        "",
        "  labels: {a: b}\n",
        "  labels:\n    a: b\n  # about the rest\n",
        "  # alone\n\n",
    ]);
    (annotations, name, labels)
        .prop_map(|(annotations, name, labels)| vec![annotations, name, labels])
        .prop_shuffle()
        .prop_map(|parts| format!("metadata:\n{}", parts.concat()))
}

/// A whole file.
fn file() -> impl Strategy<Value = String> {
    let flow = prop::sample::select(vec![
        "metadata: {name: prod}\n",
        "metadata: { name: prod , labels: {a: b} }\n",
        "metadata: {\"name\": \"prod\", \"annotations\": {\"a\": \"b\"}}\n",
        "metadata: {name: prod, annotations: {}}\n",
        "metadata:\n  {name: prod,\n   namespace: x}\n",
    ]);
    let meta = prop_oneof![3 => metadata(), 1 => flow.prop_map(str::to_owned)];
    let head = prop::sample::select(vec![
        "",
        "# ours\n",
        "---\n",
        "# x\n---\n",
        "\u{feff}",
        "kind: Other\n---\n",
    ]);
    let tail = prop::sample::select(vec![
        "",
        "spec:\n  mode: Enforce # ü 日本\n",
        "spec: {}\n...\n",
        "spec: &s {a: b}\nother: *s\n",
        "---\nkind: ConfigMap\nmetadata: {name: prod, annotations: {a: b}}\n",
        "\n\n# the end",
    ]);
    (head, meta, tail, any::<bool>(), any::<bool>()).prop_map(|(head, meta, tail, crlf, cut)| {
        let kind = "apiVersion: warehousesync.dev/v1alpha1\nkind: WarehouseSyncPolicy\n";
        let mut text = format!("{head}{kind}{meta}{tail}");
        if cut {
            text.truncate(text.trim_end_matches('\n').len());
        }
        if crlf {
            text.replace('\n', "\r\n")
        } else {
            text
        }
    })
}

/// The content of a file according to another parser than the plugin's.
fn read(text: &str) -> Vec<Value> {
    serde_saphyr::from_multiple(text).unwrap()
}

/// The same with the annotation.
fn with_annotation(mut documents: Vec<Value>) -> Vec<Value> {
    let policy = documents
        .iter_mut()
        .find(|document| document["kind"] == "WarehouseSyncPolicy");
    let annotations = &mut policy.unwrap()["metadata"]["annotations"];
    if annotations.is_null() {
        *annotations = Value::Object(Map::new());
    }
    annotations[format!("approve.warehousesync.dev/{ID}")] = json!("on-behalf:ann");
    documents
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn every_other_byte_of_the_file_is_kept(before in file()) {
        let file = File::new(&before);
        let ran = file.approve(&[ID]);
        let after = file.text();
        if ran.code != 0 {
            prop_assert!(ran.err.contains("the file is unchanged"), "{}", ran.err);
            prop_assert_eq!(&after, &before);
            return Ok(());
        }
        prop_assert_eq!(read(&after), with_annotation(read(&before)), "{}", after);
        // One insertion: the text before and after it is the original file.
        let added = after.len() - before.len();
        let place = before.bytes().zip(after.bytes()).take_while(|(one, other)| one == other).count();
        prop_assert_eq!(&after.as_bytes()[place + added..], &before.as_bytes()[place..]);
        prop_assert!(after.contains(&LINE[10..]) || after.contains(&LINE.replace(": ", "\": ")[10..]));
        prop_assert_eq!(after.contains("\r\n"), before.contains("\r\n"));
    }
}

#[test]
fn most_files_can_be_edited() {
    // Otherwise the property above would hold for a plugin that refuses everything.
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let edited = (0..60)
        .filter(|_| {
            let text = file().new_tree(&mut runner).unwrap().current();
            File::new(&text).approve(&[ID]).code == 0
        })
        .count();
    assert!(edited > 40, "{edited} of 60");
}
