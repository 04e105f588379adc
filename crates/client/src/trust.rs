//! Which servers this process trusts over TLS, and what it shows them.
//!
//! It is one answer for the whole process, as that of `SSL_CERT_FILE`: without [`Trust::install`] it is the certificates of the
//! system, and nothing is shown.

use std::{
    io,
    path::{Path, PathBuf},
    sync::{Arc, OnceLock},
};

use rustls::{
    ClientConfig, RootCertStore,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
};
use tokio_rustls::TlsConnector;

use crate::error::Error;

static INSTALLED: OnceLock<TlsConnector> = OnceLock::new();

/// Files in PEM form. By default the system's certificates are trusted, and the client shows none.
#[derive(Clone, Debug, Default)]
pub struct Trust {
    /// Certificates, one of which must have signed that of the server. `None`: those of the system.
    pub ca: Option<PathBuf>,
    /// The certificate that the client shows, and its key.
    pub identity: Option<(PathBuf, PathBuf)>,
}

impl Trust {
    /// Has all later connections of this process use these files. The first call counts.
    ///
    /// # Errors
    /// [`Error::Tls`].
    pub fn install(&self) -> Result<(), Error> {
        let connector = self.connector()?;
        INSTALLED.get_or_init(|| connector);
        Ok(())
    }

    fn connector(&self) -> Result<TlsConnector, Error> {
        let unusable = |error: rustls::Error| Error::Tls { what: error.to_string() };
        let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(unusable)?
            .with_root_certificates(self.roots()?);
        let mut config = match &self.identity {
            None => builder.with_no_client_auth(),
            Some((certificate, key)) => {
                let chain = certificates(certificate)?;
                let key =
                    PrivateKeyDer::from_pem_file(key).map_err(|error| in_file(key, &error))?;
                builder.with_client_auth_cert(chain, key).map_err(unusable)?
            }
        };
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(TlsConnector::from(Arc::new(config)))
    }

    fn roots(&self) -> Result<RootCertStore, Error> {
        let mut roots = RootCertStore::empty();
        let Some(path) = &self.ca else {
            let found = rustls_native_certs::load_native_certs();
            roots.add_parsable_certificates(found.certs);
            return Ok(roots);
        };
        for certificate in certificates(path)? {
            roots.add(certificate).map_err(|error| in_file(path, &error))?;
        }
        Ok(roots)
    }
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, Error> {
    let read = CertificateDer::pem_file_iter(path).and_then(Iterator::collect);
    let certificates: Vec<_> = read.map_err(|error| in_file(path, &error))?;
    if certificates.is_empty() { Err(in_file(path, &"no certificate")) } else { Ok(certificates) }
}

fn in_file(path: &Path, problem: &dyn std::fmt::Display) -> Error {
    Error::Tls { what: format!("{}: {problem}", path.display()) }
}

/// What all connections use.
pub(crate) fn connector() -> io::Result<TlsConnector> {
    if let Some(connector) = INSTALLED.get() {
        return Ok(connector.clone());
    }
    let connector = Trust::default().connector().map_err(io::Error::other)?;
    Ok(INSTALLED.get_or_init(|| connector).clone())
}
