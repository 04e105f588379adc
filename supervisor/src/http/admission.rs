//! Who may connect: the peer's user, the `Host` and `Origin` of the request, the token.
//!
//! Pure decisions on facts that are found elsewhere: [`crate::http::peer`] looks users up. Every request passes here
//! before it is answered or upgraded.

use std::sync::Arc;

use hyper::{
    HeaderMap, StatusCode,
    header::{AUTHORIZATION, HOST, HeaderValue, ORIGIN, SEC_WEBSOCKET_PROTOCOL},
};

use crate::{
    config::tokens::{Presented, Tokens},
    http::{
        host::{has_loopback_host, is_loopback_authority},
        peer::Peer,
    },
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
    /// Names under which a proxy passes requests on. Any other name in `Host` needs the token: a page that a foreign DNS name
    /// has led here cannot know it.
    pub(crate) allowed_hosts: Vec<String>,
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
        "the Host header must name a loopback address or localhost; behind a proxy with its own name, present the token, or see \
         --allow-host"
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

/// Whether this peer can send anything that is not refused: without a token there is nothing that a stranger could show.
///
/// # Errors
/// The reason to refuse it before it has sent a request.
pub(crate) fn check_peer(tokens: &Tokens, peer: Peer) -> Result<(), Refusal> {
    match peer {
        Peer::SameUser | Peer::Remote => Ok(()),
        Peer::ForeignUser | Peer::Unknown if tokens.are_required() => Ok(()),
        Peer::ForeignUser => Err(Refusal::ForeignUser),
        Peer::Unknown => Err(Refusal::UnknownUser),
    }
}

impl AdmissionRules {
    /// Whether this peer may send any request at all, such as one for `/livez`. It needs no token, but a valid one
    /// admits another user.
    ///
    /// # Errors
    /// The reason to refuse it.
    fn check_request(&self, peer: Peer, headers: &HeaderMap) -> Result<(), Refusal> {
        let is_proxied = || {
            one(headers, HOST)
                .is_some_and(|host| self.is_allowed(host) || self.valid_token(headers).is_some())
        };
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
        if !headers.contains_key(ORIGIN) {
            return Ok(());
        }
        // A browser sends one. Of several, nobody can say which counts for what is on the way.
        let origin = one(headers, ORIGIN).ok_or(Refusal::Origin)?;
        if self.allowed_origins.iter().any(|allowed| allowed.eq_ignore_ascii_case(origin)) {
            return Ok(());
        }
        let host = text(headers, HOST).unwrap_or_default();
        let is_same = origin
            .strip_prefix("http://")
            .or_else(|| origin.strip_prefix("https://"))
            .is_some_and(|authority| authority.eq_ignore_ascii_case(host));
        let is_ours = is_loopback_authority(host) || self.is_allowed(host);
        if is_same && is_ours { Ok(()) } else { Err(Refusal::Origin) }
    }

    /// Whether a `Host` is one of those that the operator named, with any port where the operator named none.
    fn is_allowed(&self, host: &str) -> bool {
        let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
        self.allowed_hosts
            .iter()
            .any(|allowed| allowed.eq_ignore_ascii_case(host) || allowed.eq_ignore_ascii_case(name))
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

/// The header that must not be there twice.
fn one(headers: &HeaderMap, name: hyper::header::HeaderName) -> Option<&str> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?.to_str().ok()?;
    values.next().is_none().then_some(value)
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
            allowed_hosts: vec!["ci.example".to_owned(), "port.example:8443".to_owned()],
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
            allowed_hosts: Vec::new(),
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
    fn a_host_that_the_operator_named_passes_without_a_token_and_so_do_its_own_pages() {
        for (host, passes) in [
            ("ci.example", true),
            ("CI.example:443", true),
            ("port.example:8443", true),
            ("port.example", false),
            ("port.example:1", false),
            ("ci.example.evil.example", false),
        ] {
            let headers = headers(&[("host", host)]);
            let outcome = rules(false).check_request(Peer::SameUser, &headers);
            assert_eq!(outcome.is_ok(), passes, "{host}");
        }
        let page = headers(&[("host", "ci.example"), ("origin", "https://ci.example")]);
        assert_eq!(rules(false).check_request(Peer::SameUser, &page), Ok(()));
        let other = headers(&[("host", "ci.example"), ("origin", "https://evil.example")]);
        assert_eq!(rules(false).check_request(Peer::SameUser, &other), Err(Refusal::Origin));
        let two = headers(&[("host", "ci.example"), ("host", "ci.example")]);
        assert_eq!(rules(false).check_request(Peer::SameUser, &two), Err(Refusal::Host));
    }

    #[test]
    fn two_origins_are_refused_whatever_they_are() {
        for second in ["https://allowed.example", "https://evil.example"] {
            let headers = headers(&[
                ("host", "localhost"),
                ("origin", "https://allowed.example"),
                ("origin", second),
            ]);
            let outcome = rules(false).check_request(Peer::SameUser, &headers);
            assert_eq!(outcome, Err(Refusal::Origin), "{second}");
        }
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
