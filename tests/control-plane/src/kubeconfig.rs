//! A kubeconfig: where the API server is, how to know it, and who asks.

use k8s_openapi::ByteString;
use serde_json::{Value, json};

use crate::pki::Identity;

/// How a user proves who it is.
pub(crate) enum Credentials {
    Certificate(Identity),
    Token(String),
}

/// The content of a kubeconfig that needs no other file. It is JSON, which every reader of YAML
/// understands.
pub(crate) fn kubeconfig(
    port: u16,
    authority: &str,
    credentials: Credentials,
    namespace: &str,
) -> String {
    let user = match credentials {
        Credentials::Certificate(Identity { certificate, key }) => json!({
            "client-certificate-data": base64(&certificate),
            "client-key-data": base64(&key),
        }),
        Credentials::Token(token) => json!({ "token": token }),
    };
    json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{ "name": "test", "cluster": {
            "server": format!("https://127.0.0.1:{port}"),
            "certificate-authority-data": base64(authority),
        }}],
        "users": [{ "name": "test", "user": user }],
        "contexts": [{ "name": "test", "context": {
            "cluster": "test", "user": "test", "namespace": namespace,
        }}],
        "current-context": "test",
    })
    .to_string()
}

/// Kubernetes' own type for bytes in JSON spares a dependency.
fn base64(content: &str) -> Value {
    json!(ByteString(content.as_bytes().to_vec()))
}
