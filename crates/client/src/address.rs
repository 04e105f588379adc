//! Where the server is, and how to ask it for a WebSocket.

use std::{fmt, io};

use cc_protocol::WEBSOCKET_PATHS;
use tokio_tungstenite::tungstenite::{
    self,
    client::IntoClientRequest,
    handshake::client::Request as HandshakeRequest,
    http::{HeaderValue, Uri, header::AUTHORIZATION},
};

use crate::{error::Error, stream::Endpoint};

/// How much of a refusal's body is shown.
const REJECTION_TEXT_CHARS: usize = 300;

/// What proves to the server that a client may use it. Never printed.
#[derive(Clone)]
pub struct Token(String);

impl Token {
    /// Takes the token's text without the white space around it (files end with a newline).
    #[must_use]
    pub fn new(text: &str) -> Self {
        Self(text.trim().to_owned())
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Token(…)")
    }
}

/// Checks the address, and adds the usual path and the token.
pub(crate) fn handshake_request(
    url: &str,
    token: Option<&Token>,
) -> Result<(Endpoint, HandshakeRequest), Error> {
    let path = url.strip_prefix("ws+unix://").or_else(|| url.strip_prefix("unix:"));
    let Some(path) = path else { return over_tcp(url, token) };
    if !path.starts_with('/') {
        let what = "it must be an absolute path, as in unix:/run/cc-executor.sock".to_owned();
        return Err(Error::Address { url: url.to_owned(), what });
    }
    // The host is only what the request names.
    let (_, request) = over_tcp("ws://localhost", token)?;
    Ok((Endpoint::Unix(path.into()), request))
}

fn over_tcp(url: &str, token: Option<&Token>) -> Result<(Endpoint, HandshakeRequest), Error> {
    let refused = |what: String| Error::Address { url: url.to_owned(), what };
    let uri: Uri = url.parse().map_err(|error| refused(format!("{error}")))?;
    let is_tls = match uri.scheme_str() {
        Some("ws") => false,
        Some("wss") => true,
        Some(_) | None => {
            return Err(refused(
                "it must begin with ws://, wss:// or unix:, as in ws://127.0.0.1:8003".to_owned(),
            ));
        }
    };
    let host = uri.host().unwrap_or_default().trim_matches(['[', ']']).to_owned();
    let port = uri.port_u16().unwrap_or(if is_tls { 443 } else { 80 });
    let endpoint = Endpoint::Tcp { host, port, is_tls };
    let has_path = !matches!(uri.path(), "" | "/");
    let full_url = if has_path {
        url.to_owned()
    } else {
        format!("{}{}", url.trim_end_matches('/'), WEBSOCKET_PATHS[0])
    };
    let mut request = full_url.into_client_request().map_err(|error| refused(error.to_string()))?;
    if let Some(Token(token)) = token {
        let mut value =
            HeaderValue::try_from(format!("Bearer {token}")).map_err(|_| Error::Token)?;
        value.set_sensitive(true);
        request.headers_mut().insert(AUTHORIZATION, value);
    }
    Ok((endpoint, request))
}

/// What it means that no stream could be made.
pub(crate) fn stream_error(url: &str, source: io::Error) -> Error {
    let url = url.to_owned();
    // What a TLS handshake fails with.
    if source.kind() == io::ErrorKind::InvalidData {
        Error::Tls { what: format!("{url}: {source}") }
    } else {
        Error::Connect { url, source }
    }
}

/// What a failed handshake means.
pub(crate) fn connect_error(url: &str, error: tungstenite::Error) -> Error {
    match error {
        tungstenite::Error::Io(source) => Error::Connect { url: url.to_owned(), source },
        tungstenite::Error::Http(response) => {
            let body = response.body().as_deref().unwrap_or_default();
            let text = String::from_utf8_lossy(body);
            Error::Rejected {
                status: response.status().as_u16(),
                text: text.trim().chars().take(REJECTION_TEXT_CHARS).collect(),
            }
        }
        tungstenite::Error::Url(problem) => {
            Error::Address { url: url.to_owned(), what: problem.to_string() }
        }
        other @ (tungstenite::Error::ConnectionClosed
        | tungstenite::Error::AlreadyClosed
        | tungstenite::Error::Tls(_)
        | tungstenite::Error::Capacity(_)
        | tungstenite::Error::Protocol(_)
        | tungstenite::Error::WriteBufferFull(_)
        | tungstenite::Error::Utf8(_)
        | tungstenite::Error::AttackAttempt
        | tungstenite::Error::HttpFormat(_)) => Error::Lost(Box::new(other)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_without_a_path_gets_the_usual_one() {
        for (url, expected) in [
            ("ws://127.0.0.1:8003", "ws://127.0.0.1:8003/ws/mcp"),
            ("ws://127.0.0.1:8003/", "ws://127.0.0.1:8003/ws/mcp"),
            ("ws://localhost:8003/ws", "ws://localhost:8003/ws"),
            ("wss://ci.example", "wss://ci.example/ws/mcp"),
            ("unix:/run/cc.sock", "ws://localhost/ws/mcp"),
        ] {
            assert_eq!(handshake_request(url, None).unwrap().1.uri().to_string(), expected);
        }
    }

    #[test]
    fn the_address_says_where_the_server_is_and_whether_it_speaks_tls() {
        let endpoint = |url: &str| handshake_request(url, None).unwrap().0;
        let tcp = |host: &str, port, is_tls| Endpoint::Tcp { host: host.to_owned(), port, is_tls };
        assert_eq!(endpoint("ws://localhost:8003"), tcp("localhost", 8003, false));
        assert_eq!(endpoint("ws://[::1]:8003"), tcp("::1", 8003, false));
        assert_eq!(endpoint("wss://ci.example"), tcp("ci.example", 443, true));
        assert_eq!(endpoint("unix:/run/cc.sock"), Endpoint::Unix("/run/cc.sock".into()));
        assert_eq!(endpoint("ws+unix:///run/cc.sock"), Endpoint::Unix("/run/cc.sock".into()));
    }

    #[test]
    fn an_address_that_is_no_websocket_is_refused_with_advice() {
        for url in ["http://localhost:8003", "localhost:8003", "ws://", "unix:cc.sock"] {
            let error = handshake_request(url, None).unwrap_err();
            assert!(matches!(error, Error::Address { .. }), "{url}: {error}");
        }
    }

    #[test]
    fn a_token_is_sent_as_a_bearer_and_never_printed() {
        let token = Token::new("secret\n");
        let (_, request) = handshake_request("ws://localhost:1", Some(&token)).unwrap();
        assert_eq!(request.headers()[AUTHORIZATION], "Bearer secret");
        assert!(!format!("{token:?}{:?}", request.headers()).contains("secret"));
    }
}
