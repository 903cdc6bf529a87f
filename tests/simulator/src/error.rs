//! What can go wrong before a request is answered: reading a scenario and opening a port.

/// Why a simulator or its server could not be made.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The scenario is not YAML of the documented shape.
    #[error("the scenario cannot be read: {0}")]
    Yaml(String),
    /// The scenario parses, but contradicts itself.
    #[error("the scenario cannot be: {0}")]
    Scenario(String),
    /// A name or an id that the simulator does not know.
    #[error("no such {kind}: {name}")]
    Unknown {
        /// What was looked for: `schema`, `source`, `key`.
        kind: &'static str,
        /// The id or name that was given.
        name: String,
    },
    /// The port could not be opened, or the server's thread not be started.
    #[error("the server cannot start on 127.0.0.1:{port}: {source}")]
    Start {
        /// The requested port; 0 is any.
        port: u16,
        /// What the system said.
        source: std::io::Error,
    },
}
