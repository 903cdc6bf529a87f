//! The certificate authority of one control plane, and the keys that it vouches for.

use pem::Pem;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};

use crate::error::Error;
use crate::user_certificate;

/// The authority's name: a certificate names its issuer, and must name it exactly so.
const NAME: &str = "control-plane-ca";

/// A certificate with its key, both PEM.
pub(crate) struct Identity {
    pub(crate) certificate: String,
    pub(crate) key: String,
}

/// One authority for the server and its users: the API server takes a user's name and groups from
/// its certificates.
pub(crate) struct Authority {
    certificate: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    pub(crate) fn new() -> Result<Self, Error> {
        let make = || {
            let key = KeyPair::generate()?;
            let mut params = CertificateParams::default();
            params.distinguished_name.push(DnType::CommonName, NAME);
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
            Ok(Self {
                certificate: params.self_signed(&key)?.pem(),
                issuer: Issuer::new(params, key),
            })
        };
        make().map_err(certificate_of(NAME))
    }

    /// The authority's own certificate, PEM.
    pub(crate) fn certificate(&self) -> &str {
        &self.certificate
    }

    /// For a server on this machine only.
    pub(crate) fn server(&self) -> Result<Identity, Error> {
        let name = "kube-apiserver";
        let make = || {
            let mut params =
                CertificateParams::new(["127.0.0.1".to_owned(), "localhost".to_owned()])?;
            params.distinguished_name.push(DnType::CommonName, name);
            params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
            let key = KeyPair::generate()?;
            Ok(Identity {
                certificate: params.signed_by(&key, &self.issuer)?.pem(),
                key: key.serialize_pem(),
            })
        };
        make().map_err(certificate_of(name))
    }

    /// For a user whom the API server knows by this name and these groups.
    pub(crate) fn user(&self, name: &str, groups: &[&str]) -> Result<Identity, Error> {
        let make = || {
            let key = KeyPair::generate()?;
            let der = user_certificate::sign((NAME, self.issuer.key()), &key, name, groups)?;
            Ok(Identity {
                certificate: pem::encode(&Pem::new("CERTIFICATE", der)),
                key: key.serialize_pem(),
            })
        };
        make().map_err(certificate_of(name))
    }
}

/// The keys that the API server signs and checks the tokens of service accounts with, PEM: the
/// private one, then the public one (it does not take the latter from the former's file).
pub(crate) fn token_keys() -> Result<(String, String), Error> {
    let key = KeyPair::generate().map_err(certificate_of("service accounts"))?;
    Ok((key.serialize_pem(), key.public_key_pem()))
}

fn certificate_of(subject: &str) -> impl FnOnce(rcgen::Error) -> Error {
    let subject = subject.to_owned();
    move |source| Error::Certificate { subject, source }
}
