//! Certificate authorities that are trusted in addition to those of the machine: `--ca-file`.

use std::path::{Path, PathBuf};

use rustls::{
    RootCertStore,
    pki_types::{CertificateDer, pem::PemObject},
};

/// A file that cannot be used as a bundle of authorities.
#[derive(Debug, thiserror::Error)]
pub enum CaFileError {
    /// It cannot be read.
    #[error(
        "cannot read --ca-file {path}: {source}. Use a PEM file with your CA certificates, or remove the flag"
    )]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// It holds no certificate at all.
    #[error(
        "--ca-file {0} has no certificate: it must be a PEM file with a block -----BEGIN CERTIFICATE----- for each CA"
    )]
    Empty(PathBuf),
    /// One of its certificates is damaged.
    #[error("certificate {place} of --ca-file {path} is damaged ({reason}): replace the file")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Which certificate, counted from one.
        place: usize,
        /// What is wrong with it.
        reason: String,
    },
}

/// Certificate authorities that are trusted in addition to those of the machine. None, unless they were read from a file.
#[derive(Debug, Clone, Default)]
pub struct Authorities(Vec<reqwest::Certificate>);

impl Authorities {
    /// Reads a PEM bundle. One damaged certificate makes it unusable: which authorities to trust is never guessed.
    pub fn read(path: &Path) -> Result<Self, CaFileError> {
        let bytes = std::fs::read(path).map_err(|source| CaFileError::Unreadable {
            path: path.to_owned(),
            source,
        })?;
        let mut certificates = Vec::new();
        for (before, block) in CertificateDer::pem_slice_iter(&bytes).enumerate() {
            let certificate = block
                .map_err(|error| error.to_string())
                .and_then(usable)
                .map_err(|reason| CaFileError::Damaged {
                    path: path.to_owned(),
                    place: before + 1,
                    reason,
                })?;
            certificates.push(certificate);
        }
        if certificates.is_empty() {
            return Err(CaFileError::Empty(path.to_owned()));
        }
        Ok(Self(certificates))
    }

    /// How many they are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// For the builder of a client.
    #[must_use]
    pub fn certificates(&self) -> Vec<reqwest::Certificate> {
        self.0.clone()
    }
}

/// reqwest looks into a certificate only when a client is built, and does not say then which one it was.
fn usable(der: CertificateDer<'_>) -> Result<reqwest::Certificate, String> {
    let certificate = reqwest::Certificate::from_der(&der).map_err(|error| error.to_string())?;
    RootCertStore::empty()
        .add(der.into_owned())
        .map_err(|error| error.to_string())?;
    Ok(certificate)
}
