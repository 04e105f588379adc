//! The client's half of a WebSocket handshake (RFC 6455 section 4.2.1).

use hyper::{
    HeaderMap, Method, StatusCode,
    header::{ALLOW, CONNECTION, HeaderName, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION, UPGRADE},
};

use crate::http::response::{HttpResponse, text, with};

/// The key of the handshake, or the response that refuses it.
pub(super) fn handshake_key(
    method: &Method,
    headers: &HeaderMap,
) -> Result<String, Box<HttpResponse>> {
    check_handshake(method, headers).map_err(|(status, problem)| {
        let response = text(status, problem);
        Box::new(match status {
            StatusCode::METHOD_NOT_ALLOWED => with(response, ALLOW, "GET"),
            StatusCode::UPGRADE_REQUIRED => {
                let response = with(response, UPGRADE, "websocket");
                with(with(response, CONNECTION, "Upgrade"), SEC_WEBSOCKET_VERSION, "13")
            }
            _ => response,
        })
    })
}

fn check_handshake(
    method: &Method,
    headers: &HeaderMap,
) -> Result<String, (StatusCode, &'static str)> {
    if *method != Method::GET {
        return Err((StatusCode::METHOD_NOT_ALLOWED, "a WebSocket begins with GET"));
    }
    if !has_word(headers, UPGRADE, "websocket") || !has_word(headers, CONNECTION, "upgrade") {
        return Err((StatusCode::UPGRADE_REQUIRED, "only WebSocket connections are served here"));
    }
    if !has_word(headers, SEC_WEBSOCKET_VERSION, "13") {
        return Err((StatusCode::UPGRADE_REQUIRED, "only version 13 of WebSocket is spoken"));
    }
    headers
        .get(SEC_WEBSOCKET_KEY)
        .and_then(|key| key.to_str().ok())
        .filter(|key| is_key(key))
        .map(str::to_owned)
        .ok_or((StatusCode::BAD_REQUEST, "Sec-WebSocket-Key must be 16 bytes in base64"))
}

/// 16 bytes in base64 are 22 characters and two of padding.
fn is_key(key: &str) -> bool {
    let is_base64 = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'+' || byte == b'/';
    key.len() == 24 && key.strip_suffix("==").is_some_and(|digits| digits.bytes().all(is_base64))
}

fn has_word(headers: &HeaderMap, name: HeaderName, word: &str) -> bool {
    headers
        .get_all(name)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|found| found.trim().eq_ignore_ascii_case(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: [(&str, &str); 4] = [
        ("upgrade", "WebSocket"),
        ("connection", "keep-alive, Upgrade"),
        ("sec-websocket-version", "13"),
        ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ];

    fn status_without(changed: &str, value: Option<&str>) -> Result<(), u16> {
        let mut headers = HeaderMap::new();
        for (name, good) in GOOD {
            let value = if name == changed { value } else { Some(good) };
            if let Some(value) = value {
                headers.insert(name, value.parse().unwrap());
            }
        }
        check_handshake(&Method::GET, &headers).map(drop).map_err(|(status, _)| status.as_u16())
    }

    #[test]
    fn only_a_complete_handshake_of_version_13_is_upgraded() {
        assert_eq!(status_without("", None), Ok(()));
        assert_eq!(status_without("upgrade", None), Err(426));
        assert_eq!(status_without("upgrade", Some("h2c")), Err(426));
        assert_eq!(status_without("connection", Some("keep-alive")), Err(426));
        assert_eq!(status_without("sec-websocket-version", None), Err(426));
        assert_eq!(status_without("sec-websocket-version", Some("8")), Err(426));
        for key in [None, Some(""), Some("short"), Some("dGhlIHNhbXBsZSBub25jZQ=!")] {
            assert_eq!(status_without("sec-websocket-key", key), Err(400), "{key:?}");
        }
        assert!(check_handshake(&Method::POST, &HeaderMap::new()).is_err());
    }
}
