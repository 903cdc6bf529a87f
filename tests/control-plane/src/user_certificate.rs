//! A client certificate whose subject has several organizations: the API server reads them as the
//! user's groups.
//!
//! rcgen makes the other certificates, but can hold one value per kind of name only
//! (<https://github.com/rustls/rcgen/issues/81>). Its keys and signatures are used here too.

use rcgen::{CertificateParams, KeyPair, PublicKeyData, SigningKey};
use yasna::models::{GeneralizedTime, ObjectIdentifier, UTCTime};
use yasna::{DERWriter, DERWriterSeq, construct_der};

/// RFC 5758, section 3.2: the algorithm that rcgen generates keys for unless told otherwise.
const ECDSA_WITH_SHA256: &[u64] = &[1, 2, 840, 10045, 4, 3, 2];
/// RFC 4519, section 2.3 and 2.19.
const COMMON_NAME: &[u64] = &[2, 5, 4, 3];
const ORGANIZATION: &[u64] = &[2, 5, 4, 10];
/// RFC 5280, section 4.1.2.1: version numbers begin at zero.
const VERSION_3: u8 = 2;

/// The DER of a certificate for `key`, signed by the authority that has this name and key.
pub(crate) fn sign(
    authority: (&str, &KeyPair),
    key: &KeyPair,
    name: &str,
    groups: &[&str],
) -> Result<Vec<u8>, rcgen::Error> {
    let (authority_name, authority_key) = authority;
    let body = construct_der(|writer| {
        writer.write_sequence(|fields| write_body(fields, authority_name, key, name, groups));
    });
    let signature = authority_key.sign(&body)?;
    Ok(construct_der(|writer| {
        writer.write_sequence(|fields| {
            fields.next().write_der(&body);
            write_algorithm(fields.next());
            fields
                .next()
                .write_bitvec_bytes(&signature, signature.len() * 8);
        });
    }))
}

/// RFC 5280, section 4.1.2, field by field. Without an extended key usage, a certificate is good
/// for every use.
fn write_body(
    fields: &mut DERWriterSeq<'_>,
    authority: &str,
    key: &KeyPair,
    name: &str,
    groups: &[&str],
) {
    // The authority never revokes, so all its users share one serial number; and they are valid as
    // long as it is.
    let validity = CertificateParams::default();
    fields
        .next()
        .write_tagged(yasna::Tag::context(0), |writer| writer.write_u8(VERSION_3));
    fields.next().write_u8(1);
    write_algorithm(fields.next());
    write_name(fields.next(), authority, &[]);
    fields.next().write_sequence(|times| {
        times
            .next()
            .write_utctime(&UTCTime::from_datetime(validity.not_before));
        times
            .next()
            .write_generalized_time(&GeneralizedTime::from_datetime(validity.not_after));
    });
    write_name(fields.next(), name, groups);
    fields.next().write_der(&key.subject_public_key_info());
}

fn write_algorithm(writer: DERWriter<'_>) {
    writer.write_sequence(|fields| {
        fields
            .next()
            .write_oid(&ObjectIdentifier::from_slice(ECDSA_WITH_SHA256));
    });
}

fn write_name(writer: DERWriter<'_>, common_name: &str, organizations: &[&str]) {
    writer.write_sequence(|parts| {
        for organization in organizations {
            write_name_part(parts.next(), ORGANIZATION, organization);
        }
        write_name_part(parts.next(), COMMON_NAME, common_name);
    });
}

fn write_name_part(writer: DERWriter<'_>, kind: &[u64], value: &str) {
    writer.write_set(|set| {
        set.next().write_sequence(|pair| {
            pair.next().write_oid(&ObjectIdentifier::from_slice(kind));
            pair.next().write_utf8_string(value);
        });
    });
}
