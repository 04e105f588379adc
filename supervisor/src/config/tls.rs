//! The certificates: read with the rest of the configuration, so a file that cannot be used is a mistake at the start, and at a
//! reload leaves what is in force.

use std::{path::Path, sync::Arc};

use rustls::{
    RootCertStore, ServerConfig,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
    server::WebPkiClientVerifier,
};

use crate::config::{
    error::{ConfigError, PathError, TlsError},
    limits,
    origin::Origin,
    settings::{setting::AnySetting as _, table},
    text_file,
    values::Values,
};

/// What the listener shows and asks for; `None`: it speaks plainly.
///
/// # Errors
/// When only one of certificate and key is given, or a file cannot be used.
pub(super) fn server(values: &Values<'_>) -> Result<Option<Arc<ServerConfig>>, ConfigError> {
    let certificate = values.optional(&table::TLS_CERT)?;
    let key = values.optional(&table::TLS_KEY)?;
    let client_ca = values.optional(&table::TLS_CLIENT_CA)?;
    let (Some((certificate, certificate_origin)), Some((key, key_origin))) = (certificate, key)
    else {
        let is_given = [&table::TLS_CERT, &table::TLS_KEY, &table::TLS_CLIENT_CA]
            .into_iter()
            .any(|setting| matches!(values.given(setting), Ok(Some(_))));
        return if is_given { Err(ConfigError::HalfTls) } else { Ok(None) };
    };
    let problem = |origin: &Origin, name, path: &Path, problem| ConfigError::Path {
        origin: origin.of(name),
        path: path.to_owned(),
        problem,
    };
    let chain = certificates(&certificate).map_err(|error| {
        problem(&certificate_origin, table::TLS_CERT.about().name, &certificate, error)
    })?;
    let roots = match &client_ca {
        None => None,
        Some((path, origin)) => {
            let name = table::TLS_CLIENT_CA.about().name;
            Some(roots(path).map_err(|error| problem(origin, name, path, error))?)
        }
    };
    build(chain, &key, roots)
        .map(|config| Some(Arc::new(config)))
        .map_err(|error| problem(&key_origin, table::TLS_KEY.about().name, &key, error))
}

fn build(
    chain: Vec<CertificateDer<'static>>,
    key: &Path,
    roots: Option<RootCertStore>,
) -> Result<ServerConfig, PathError> {
    let text = text_file::read_private(key, limits::TLS_FILE_BYTES, false)?;
    let key = PrivateKeyDer::from_pem_slice(text.as_bytes()).map_err(TlsError::from)?;
    let provider = Arc::new(ring::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(TlsError::from)?;
    let builder = match roots {
        None => builder.with_no_client_auth(),
        Some(roots) => builder.with_client_cert_verifier(
            WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
                .build()
                .map_err(TlsError::from)?,
        ),
    };
    let mut config = builder.with_single_cert(chain, key).map_err(TlsError::from)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, PathError> {
    let text = text_file::read_regular(path, limits::TLS_FILE_BYTES)?;
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(text.as_bytes()).collect();
    let chain = chain.map_err(TlsError::from)?;
    if chain.is_empty() { Err(TlsError::NoCertificate.into()) } else { Ok(chain) }
}

fn roots(path: &Path) -> Result<RootCertStore, PathError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(path)? {
        roots.add(certificate).map_err(TlsError::from)?;
    }
    Ok(roots)
}
