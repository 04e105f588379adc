//! Who may connect: the peer's user, the `Host` and `Origin` of the request, the token.
//!
//! Pure decisions on facts that are found elsewhere: [`crate::http::peer`] looks users up. Every request passes here
//! before it is answered or upgraded.

use std::{net::IpAddr, sync::Arc};

use hyper::{
    HeaderMap, StatusCode,
    header::{AUTHORIZATION, HOST, HeaderValue, ORIGIN, SEC_WEBSOCKET_PROTOCOL},
};

use crate::{
    config::tokens::{Presented, Tokens},
    http::peer::Peer,
};

const BEARER_SUBPROTOCOL: &str = "bearer.";

/// What the operator allows.
#[derive(Clone, Debug)]
pub(crate) struct AdmissionRules {
    /// The supervisor listens on a loopback address.
    pub(crate) is_loopback: bool,
    /// One of them is required for every session if there are any.
    pub(crate) tokens: Arc<Tokens>,
    /// Web origins whose pages may connect.
    pub(crate) allowed_origins: Vec<String>,
}

/// Why a request is refused, before any upgrade.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refusal {
    /// A token is configured and none, or a wrong one, was presented.
    #[error("a valid token is required: send \"Authorization: Bearer TOKEN\"")]
    Token,
    /// Another user of this machine.
    #[error("this supervisor serves another user of this machine; present its token")]
    ForeignUser,
    /// The peer's user could not be found out.
    #[error("the user at the other end of this connection is unknown; present a token")]
    UnknownUser,
    /// A name in `Host` that is no loopback name: a foreign DNS name points here.
    #[error(
        "the Host header must name a loopback address or localhost; behind a proxy with its own name, present the token"
    )]
    Host,
    /// A page of a site that is not allowed.
    #[error("this Origin is not allowed; see --allow-origin")]
    Origin,
}

impl Refusal {
    #[must_use]
    pub(crate) fn status(self) -> StatusCode {
        match self {
            Self::Token => StatusCode::UNAUTHORIZED,
            Self::ForeignUser | Self::UnknownUser | Self::Host | Self::Origin => {
                StatusCode::FORBIDDEN
            }
        }
    }
}

/// A text that a request presents as a token.
#[derive(Debug, PartialEq, Eq)]
struct Candidate<'a> {
    text: &'a str,
    /// The subprotocol to echo, where the token came as one.
    subprotocol: Option<&'a str>,
}

/// A request that may have a session.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Admitted {
    pub(crate) token: Option<Presented>,
    /// To be echoed.
    pub(crate) subprotocol: Option<HeaderValue>,
}

impl AdmissionRules {
    /// Whether this peer may send any request at all, such as one for `/livez`. It needs no token, but a valid one
    /// admits another user.
    ///
    /// # Errors
    /// The reason to refuse it.
    pub(crate) fn check_request(&self, peer: Peer, headers: &HeaderMap) -> Result<(), Refusal> {
        let is_proxied = || has_one_host(headers) && self.valid_token(headers).is_some();
        if self.is_loopback && !has_loopback_host(headers) && !is_proxied() {
            return Err(Refusal::Host);
        }
        self.check_origin(headers)?;
        match peer {
            Peer::SameUser | Peer::Remote => Ok(()),
            Peer::ForeignUser | Peer::Unknown if self.valid_token(headers).is_some() => Ok(()),
            Peer::ForeignUser => Err(Refusal::ForeignUser),
            Peer::Unknown => Err(Refusal::UnknownUser),
        }
    }

    /// Whether this peer may have a session, and with which token.
    ///
    /// # Errors
    /// The reason to refuse it.
    pub(crate) fn check_session(
        &self,
        peer: Peer,
        headers: &HeaderMap,
    ) -> Result<Admitted, Refusal> {
        self.check_request(peer, headers)?;
        match self.valid_token(headers) {
            Some((token, subprotocol)) => {
                let subprotocol = subprotocol.and_then(|text| HeaderValue::from_str(text).ok());
                Ok(Admitted { token: Some(token), subprotocol })
            }
            None if self.tokens.are_required() => Err(Refusal::Token),
            None => Ok(Admitted::default()),
        }
    }

    /// The token of a request, and the subprotocol as which it came.
    fn valid_token<'a>(&self, headers: &'a HeaderMap) -> Option<(Presented, Option<&'a str>)> {
        candidates(headers)
            .into_iter()
            .find_map(|candidate| Some((self.tokens.find(candidate.text)?, candidate.subprotocol)))
    }

    /// A browser sends the origin of the page that asks. A page may connect to the host that it came from, if that is
    /// this machine; any other page belongs to another site, which uses the user's browser to get in.
    fn check_origin(&self, headers: &HeaderMap) -> Result<(), Refusal> {
        let Some(origin) = headers.get(ORIGIN) else { return Ok(()) };
        let origin = origin.to_str().map_err(|_| Refusal::Origin)?;
        if self.allowed_origins.iter().any(|allowed| allowed.eq_ignore_ascii_case(origin)) {
            return Ok(());
        }
        let host = text(headers, HOST).unwrap_or_default();
        let is_same = origin
            .strip_prefix("http://")
            .or_else(|| origin.strip_prefix("https://"))
            .is_some_and(|authority| authority.eq_ignore_ascii_case(host));
        if is_same && is_loopback_authority(host) { Ok(()) } else { Err(Refusal::Origin) }
    }
}

fn candidates(headers: &HeaderMap) -> Vec<Candidate<'_>> {
    let from_authorization = text(headers, AUTHORIZATION).and_then(|value| {
        let (scheme, token) = value.split_once(' ')?;
        let text = token.trim();
        scheme.eq_ignore_ascii_case("bearer").then_some(Candidate { text, subprotocol: None })
    });
    let from_subprotocols = headers
        .get_all(SEC_WEBSOCKET_PROTOCOL)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(str::trim)
        .filter_map(|subprotocol| {
            let text = subprotocol.strip_prefix(BEARER_SUBPROTOCOL)?;
            Some(Candidate { text, subprotocol: Some(subprotocol) })
        });
    from_authorization.into_iter().chain(from_subprotocols).collect()
}

fn text(headers: &HeaderMap, name: hyper::header::HeaderName) -> Option<&str> {
    headers.get(name)?.to_str().ok()
}

/// A proxy in front of this supervisor passes its own name on. A request with the token does not come from a page that a
/// foreign DNS name has led here: such a page cannot know the token.
fn has_one_host(headers: &HeaderMap) -> bool {
    headers.get_all(HOST).iter().count() == 1
}

/// A request without `Host` comes from an old probe, not from a browser.
fn has_loopback_host(headers: &HeaderMap) -> bool {
    let mut hosts = headers.get_all(HOST).iter();
    match (hosts.next(), hosts.next()) {
        (None, _) => true,
        (Some(host), None) => host.to_str().is_ok_and(is_loopback_authority),
        (Some(_), Some(_)) => false,
    }
}

fn is_loopback_authority(authority: &str) -> bool {
    let host = match authority.strip_prefix('[') {
        Some(rest) => match rest.split_once(']') {
            Some((address, port)) if port.is_empty() || is_port(port) => address,
            Some(_) | None => return false,
        },
        None => match authority.split_once(':') {
            Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host,
            Some(_) => return false,
            None => authority,
        },
    };
    let name = host.to_ascii_lowercase();
    name == "localhost"
        || name.ends_with(".localhost")
        || host.parse::<IpAddr>().is_ok_and(|address| address.to_canonical().is_loopback())
}

fn is_port(text: &str) -> bool {
    text.strip_prefix(':').is_some_and(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "0123456789abcdef";

    fn rules(token: bool) -> AdmissionRules {
        AdmissionRules {
            is_loopback: true,
            tokens: Tokens::for_tests(token.then_some(SECRET)),
            allowed_origins: vec!["https://allowed.example".to_owned()],
        }
    }

    fn headers(list: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in list {
            headers.append(*name, value.parse().unwrap());
        }
        headers
    }

    #[test]
    fn behind_a_proxy_with_a_name_of_its_own_the_token_admits_whatever_the_host() {
        let rules = AdmissionRules {
            is_loopback: true,
            tokens: Tokens::for_tests(Some(SECRET)),
            allowed_origins: Vec::new(),
        };
        let mut headers = HeaderMap::new();
        headers.insert(HOST, HeaderValue::from_static("ci.example.org"));
        assert_eq!(rules.check_session(Peer::SameUser, &headers), Err(Refusal::Host));
        let bearer = |token: &str| HeaderValue::from_str(&format!("Bearer {token}")).unwrap();
        headers.insert(AUTHORIZATION, bearer("fedcba9876543210"));
        assert_eq!(rules.check_session(Peer::SameUser, &headers), Err(Refusal::Host));
        headers.insert(AUTHORIZATION, bearer(SECRET));
        assert!(rules.check_session(Peer::SameUser, &headers).is_ok());
        headers.append(HOST, HeaderValue::from_static("localhost"));
        assert_eq!(rules.check_session(Peer::SameUser, &headers), Err(Refusal::Host));
    }

    #[test]
    fn hosts_that_are_this_machine_pass_and_no_others() {
        for host in [
            "localhost",
            "localhost:8003",
            "LocalHost:1",
            "app.localhost",
            "127.0.0.1:8003",
            "127.9.9.9",
            "[::1]",
            "[::1]:8003",
            "[::ffff:127.0.0.1]:1",
        ] {
            let headers = headers(&[("host", host)]);
            assert_eq!(rules(false).check_request(Peer::SameUser, &headers), Ok(()), "{host}");
        }
        for host in [
            "evil.example",
            "evil.example:8003",
            "127.0.0.1.evil.example",
            "localhost.evil.example",
            "10.0.0.1",
            "[::2]",
            "[::1",
            "[::1]x",
            "localhost:x",
            "localhost@evil.example",
            "",
        ] {
            let headers = headers(&[("host", host)]);
            let outcome = rules(false).check_request(Peer::SameUser, &headers);
            assert_eq!(outcome, Err(Refusal::Host), "{host}");
        }
        let two = headers(&[("host", "localhost"), ("host", "evil.example")]);
        assert_eq!(rules(false).check_request(Peer::SameUser, &two), Err(Refusal::Host));
        assert_eq!(rules(false).check_request(Peer::SameUser, &HeaderMap::new()), Ok(()));
    }

    #[test]
    fn pages_of_other_sites_are_refused() {
        for (origin, host, passes) in [
            ("http://localhost:8003", "localhost:8003", true),
            ("http://127.0.0.1:8003", "127.0.0.1:8003", true),
            ("https://allowed.example", "localhost:8003", true),
            ("HTTPS://Allowed.example", "localhost:8003", true),
            ("https://evil.example", "localhost:8003", false),
            ("http://localhost:9999", "localhost:8003", false),
            ("http://localhost:8003", "127.0.0.1:8003", false),
            ("https://allowed.example.evil.example", "localhost:8003", false),
            ("null", "localhost:8003", false),
            ("", "localhost:8003", false),
            ("file://", "localhost:8003", false),
        ] {
            let headers = headers(&[("host", host), ("origin", origin)]);
            let outcome = rules(false).check_request(Peer::SameUser, &headers);
            assert_eq!(outcome.is_ok(), passes, "{origin} {host}");
        }
    }

    #[test]
    fn beyond_loopback_the_same_origin_rule_does_not_open_the_door() {
        let remote = AdmissionRules { is_loopback: false, ..rules(true) };
        let headers = headers(&[("host", "rebound.example"), ("origin", "http://rebound.example")]);
        assert_eq!(remote.check_request(Peer::Remote, &headers), Err(Refusal::Origin));
    }

    #[test]
    fn another_user_needs_the_token_and_the_same_user_only_where_one_is_configured() {
        let right = headers(&[("authorization", "Bearer 0123456789abcdef")]);
        let wrong = headers(&[("authorization", "Bearer 0123456789abcdeX")]);
        let none = HeaderMap::new();
        for (rules, peer, headers, expected) in [
            (rules(false), Peer::SameUser, &none, Ok(())),
            (rules(false), Peer::ForeignUser, &none, Err(Refusal::ForeignUser)),
            (rules(false), Peer::ForeignUser, &right, Err(Refusal::ForeignUser)),
            (rules(false), Peer::Unknown, &none, Err(Refusal::UnknownUser)),
            (rules(true), Peer::SameUser, &none, Err(Refusal::Token)),
            (rules(true), Peer::SameUser, &wrong, Err(Refusal::Token)),
            (rules(true), Peer::SameUser, &right, Ok(())),
            (rules(true), Peer::ForeignUser, &right, Ok(())),
            (rules(true), Peer::ForeignUser, &wrong, Err(Refusal::ForeignUser)),
            (rules(true), Peer::Unknown, &right, Ok(())),
            (rules(true), Peer::Remote, &right, Ok(())),
            (rules(true), Peer::Remote, &none, Err(Refusal::Token)),
        ] {
            assert_eq!(rules.check_session(peer, headers).map(drop), expected, "{peer:?}");
        }
    }

    #[test]
    fn a_token_as_subprotocol_is_taken_and_echoed() {
        let offered = headers(&[("sec-websocket-protocol", "chat, bearer.0123456789abcdef")]);
        let admitted = rules(true).check_session(Peer::SameUser, &offered).unwrap();
        assert_eq!(admitted.subprotocol.unwrap(), "bearer.0123456789abcdef");
        assert_eq!(&*admitted.token.unwrap().name, "default");
    }

    #[test]
    fn health_needs_no_token() {
        let none = HeaderMap::new();
        assert_eq!(rules(true).check_request(Peer::SameUser, &none), Ok(()));
        assert_eq!(rules(true).check_request(Peer::Remote, &none), Ok(()));
    }
}
