//! TLS to a server.
//!
//! Owns: which certificates are trusted: those of `sslrootcert`, else those of the system. Must never: take a
//! certificate without having checked who signed it and for which name. Proved by `__test__/tls.spec.mjs`.

use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use rustls_platform_verifier::BuilderVerifierExt;
use tokio_postgres::Error;
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::provider::{ProviderError, ProviderErrorKind, Result};

use super::place::CONNECTING;

/// `None`: the system has no certificates, and none are given.
pub(super) fn connector(roots: Option<&str>) -> Result<Option<MakeRustlsConnect>> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder =
        ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let Ok(builder) = builder else { return Ok(None) };
    let builder = match roots {
        Some(file) => builder.with_root_certificates(read(file)?),
        None => match builder.with_platform_verifier() {
            Ok(builder) => builder,
            Err(_) => return Ok(None),
        },
    };
    Ok(Some(MakeRustlsConnect::new(builder.with_no_client_auth())))
}

fn read(file: &str) -> Result<RootCertStore> {
    let unreadable = |cause: String| {
        let cause = format!("sslrootcert: no certificates can be read from '{file}': {cause}");
        ProviderError::new(ProviderErrorKind::Invalid, CONNECTING, cause)
    };
    let mut store = RootCertStore::empty();
    let found =
        CertificateDer::pem_file_iter(file).map_err(|error| unreadable(error.to_string()))?;
    for certificate in found {
        let certificate = certificate.map_err(|error| unreadable(error.to_string()))?;
        store.add(certificate).map_err(|error| unreadable(error.to_string()))?;
    }
    if store.is_empty() { Err(unreadable("there is none in it".to_owned())) } else { Ok(store) }
}

/// Whether a connection failed as the server's certificate is not trusted.
pub(super) fn is_distrust(error: &Error) -> bool {
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        let inner = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        let tls = inner.and_then(|inner| inner.downcast_ref::<rustls::Error>());
        if matches!(tls, Some(rustls::Error::InvalidCertificate(_))) {
            return true;
        }
        cause = error.source();
    }
    false
}
