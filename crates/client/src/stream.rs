//! The stream to the server: TCP, TLS over TCP, or a Unix socket.

use std::{
    io,
    path::PathBuf,
    pin::Pin,
    task::{Context, Poll},
};

use rustls::pki_types::ServerName;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpStream, UnixStream},
};
use tokio_rustls::client::TlsStream;

use crate::trust;

/// Where the server is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Endpoint {
    Tcp {
        /// Without brackets.
        host: String,
        port: u16,
        is_tls: bool,
    },
    Unix(PathBuf),
}

#[derive(Debug)]
pub(crate) enum Stream {
    Tcp(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
    Unix(UnixStream),
}

impl Stream {
    pub(crate) async fn connect(endpoint: &Endpoint) -> io::Result<Self> {
        let (host, port, is_tls) = match endpoint {
            Endpoint::Unix(path) => return UnixStream::connect(path).await.map(Self::Unix),
            Endpoint::Tcp { host, port, is_tls } => (host, *port, *is_tls),
        };
        let stream = TcpStream::connect((host.as_str(), port)).await?;
        // Requests are small and each matters at once.
        stream.set_nodelay(true)?;
        if !is_tls {
            return Ok(Self::Tcp(stream));
        }
        let name = ServerName::try_from(host.clone()).map_err(io::Error::other)?;
        let stream = trust::connector()?.connect(name, stream).await?;
        Ok(Self::Tls(Box::new(stream)))
    }
}

/// Does the same with each kind of stream.
macro_rules! each {
    ($stream:expr, $inner:ident => $action:expr) => {
        match $stream.get_mut() {
            Stream::Tcp($inner) => $action,
            Stream::Tls($inner) => $action,
            Stream::Unix($inner) => $action,
        }
    };
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        each!(self, inner => Pin::new(inner).poll_read(context, buffer))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        each!(self, inner => Pin::new(inner).poll_write(context, bytes))
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        each!(self, inner => Pin::new(inner).poll_flush(context))
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        each!(self, inner => Pin::new(inner).poll_shutdown(context))
    }
}
