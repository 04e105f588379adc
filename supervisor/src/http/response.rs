//! Small HTTP responses.

use bytes::Bytes;
use http_body_util::Full;
use hyper::{
    Response, StatusCode,
    header::{CONTENT_TYPE, HeaderName, HeaderValue},
};
use serde_json::Value;

pub(super) type HttpResponse = Response<Full<Bytes>>;

pub(super) fn text(status: StatusCode, line: &str) -> HttpResponse {
    let newline = if line.ends_with('\n') { "" } else { "\n" };
    let mut response = Response::new(Full::from(format!("{line}{newline}")));
    *response.status_mut() = status;
    with(response, CONTENT_TYPE, "text/plain; charset=utf-8")
}

pub(super) fn json(status: StatusCode, body: &Value) -> HttpResponse {
    let mut response = Response::new(Full::from(body.to_string()));
    *response.status_mut() = status;
    with(response, CONTENT_TYPE, "application/json")
}

pub(super) fn with(
    mut response: HttpResponse,
    name: HeaderName,
    value: &'static str,
) -> HttpResponse {
    response.headers_mut().insert(name, HeaderValue::from_static(value));
    response
}
