//! Where the server is, and how to ask it for a WebSocket.

use std::fmt;

use cc_protocol::WEBSOCKET_PATHS;
use tokio_tungstenite::tungstenite::{
    self,
    client::IntoClientRequest,
    handshake::client::Request as HandshakeRequest,
    http::{HeaderValue, Uri, header::AUTHORIZATION},
};

use crate::error::Error;

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
) -> Result<HandshakeRequest, Error> {
    let refused = |what: String| Error::Address { url: url.to_owned(), what };
    let uri: Uri = url.parse().map_err(|error| refused(format!("{error}")))?;
    match uri.scheme_str() {
        Some("ws") => {}
        Some("wss") => {
            return Err(refused("TLS is not supported; use ws:// on this machine".to_owned()));
        }
        Some(_) | None => {
            return Err(refused("it must begin with ws://, as in ws://127.0.0.1:8003".to_owned()));
        }
    }
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
    Ok(request)
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
        ] {
            assert_eq!(handshake_request(url, None).unwrap().uri().to_string(), expected);
        }
    }

    #[test]
    fn an_address_that_is_no_plain_websocket_is_refused_with_advice() {
        for url in ["http://localhost:8003", "wss://localhost", "localhost:8003", "ws://"] {
            let error = handshake_request(url, None).unwrap_err();
            assert!(matches!(error, Error::Address { .. }), "{url}: {error}");
        }
    }

    #[test]
    fn a_token_is_sent_as_a_bearer_and_never_printed() {
        let token = Token::new("secret\n");
        let request = handshake_request("ws://localhost:1", Some(&token)).unwrap();
        assert_eq!(request.headers()[AUTHORIZATION], "Bearer secret");
        assert!(!format!("{token:?}{:?}", request.headers()).contains("secret"));
    }
}
