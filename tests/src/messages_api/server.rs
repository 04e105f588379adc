//! The HTTP side of the stand-in: hyper on a loopback port, on a thread of its own.

use std::{
    collections::HashMap,
    convert::Infallible,
    future, io,
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex},
    thread::JoinHandle,
    time::Duration,
};

use futures_util::{StreamExt, stream};
use http_body_util::{BodyExt, Full, StreamBody, combinators::BoxBody};
use hyper::{
    Method, Request, Response,
    body::{Bytes, Frame, Incoming},
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use serde_json::json;
use tokio::{net::TcpListener, sync::oneshot};

use super::{
    conversation::Conversation,
    events::{self, Block},
    limit::{Limit, Refusal, Usage},
    script::{self, Reply},
};

/// The answer of a prompt that is about its headers.
const TEXT_WITH_HEADERS: &str = "The answer is 4.";

type Body = BoxBody<Bytes, io::Error>;

/// A running stand-in. Dropped, it stops; requests in flight break.
pub struct MessagesApi {
    address: SocketAddr,
    memory: Arc<Mutex<Memory>>,
    stop: Option<oneshot::Sender<Infallible>>,
    thread: Option<JoinHandle<()>>,
}

/// What it remembers of the requests so far.
#[derive(Debug, Default)]
struct Memory {
    requests: u64,
    with_prompt: HashMap<String, u64>,
    limit: Option<Limit>,
}

/// What one request meets.
struct Met {
    number: u64,
    asked_before: u64,
    refusal: Option<Refusal>,
}

impl Memory {
    fn meet(&mut self, prompt: &str) -> Met {
        self.requests += 1;
        let refusal = self.limit.as_mut().and_then(|limit| limit.meet(self.requests));
        let asked = self.with_prompt.entry(prompt.to_owned()).or_default();
        let asked_before = *asked;
        // Who is refused by the limit has not been heard.
        *asked += u64::from(refusal.is_none());
        Met { number: self.requests, asked_before, refusal }
    }
}

impl MessagesApi {
    /// Starts on a free port of the loopback interface.
    #[must_use]
    pub fn start() -> Self {
        Self::start_on(0).unwrap()
    }

    /// Starts on this port; 0 picks a free one.
    pub fn start_on(port: u16) -> io::Result<Self> {
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, port))?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let memory = Arc::default();
        let (stop, stopped) = oneshot::channel();
        let shared = Arc::clone(&memory);
        let thread = std::thread::spawn(move || serve(listener, shared, stopped));
        Ok(Self { address, memory, stop: Some(stop), thread: Some(thread) })
    }

    /// For `ANTHROPIC_BASE_URL`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// How many messages have been asked for.
    #[must_use]
    pub fn requests(&self) -> u64 {
        self.memory.lock().unwrap().requests
    }

    /// The usage limit of the subscription is met by the request with this number (from 1), and lasts so
    /// long: every request is refused meanwhile, with the second at which it ends.
    pub fn limit(&self, begins_with: u64, lasts: Duration) {
        self.memory.lock().unwrap().limit = Some(Limit::new(begins_with, lasts));
    }

    /// How many requests the limit has refused.
    #[must_use]
    pub fn refused(&self) -> u64 {
        self.memory.lock().unwrap().limit.as_ref().map_or(0, Limit::refused)
    }

    /// Serves until the process ends.
    pub fn serve_forever(mut self) {
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

impl Drop for MessagesApi {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

/// Runs until the other end of `stopped` is dropped. What is in flight then ends with the runtime.
fn serve(
    listener: std::net::TcpListener,
    memory: Arc<Mutex<Memory>>,
    stopped: oneshot::Receiver<Infallible>,
) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async move {
        let listener = TcpListener::from_std(listener).unwrap();
        tokio::select! {
            () = accept(&listener, &memory) => {}
            _ = stopped => {}
        }
    });
}

async fn accept(listener: &TcpListener, memory: &Arc<Mutex<Memory>>) {
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        let memory = Arc::clone(memory);
        tokio::spawn(async move {
            let service = service_fn(move |request| answer(request, Arc::clone(&memory)));
            let connection = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service);
            // A client that goes away in the middle, or a connection that the script breaks.
            drop(connection.await);
        });
    }
}

async fn answer(
    request: Request<Incoming>,
    memory: Arc<Mutex<Memory>>,
) -> Result<Response<Body>, hyper::Error> {
    let path = request.uri().path().to_owned();
    Ok(match (request.method().clone(), path.as_str()) {
        (Method::POST, "/v1/messages") => {
            let body = request.into_body().collect().await?.to_bytes();
            match Conversation::read(&body) {
                Ok(conversation) => {
                    let met = memory.lock().unwrap().meet(&conversation.prompt);
                    perform(met, &conversation).await
                }
                Err(_) => error(400),
            }
        }
        (Method::POST, "/v1/messages/count_tokens") => {
            whole(200, json!({"input_tokens": 10}).to_string())
        }
        // The CLI looks whether there is a server before it asks.
        (Method::HEAD, _) => whole(200, ""),
        _ => error(404),
    })
}

async fn perform(met: Met, conversation: &Conversation) -> Response<Body> {
    let (number, model) = (met.number, &conversation.model);
    if let Some(refusal) = met.refusal {
        return with_headers(error(429), refusal.headers());
    }
    let answer = |block: &Block<'_>, pause: Duration| {
        if conversation.is_streamed {
            streamed(events::of_message(number, model, block), pause, false)
        } else {
            whole(200, events::whole_message(number, model, block))
        }
    };
    match script::reply(conversation, met.asked_before) {
        Reply::Text { deltas, pause } => answer(&Block::Text(&deltas), pause),
        Reply::Stop { reason } => {
            let deltas = ["The beginning of it.".to_owned()];
            answer(&Block::Stopped { deltas: &deltas, reason: &reason }, Duration::ZERO)
        }
        Reply::Tool { name, input } => {
            answer(&Block::ToolUse { name: &name, input }, Duration::ZERO)
        }
        Reply::Status(status) => error(status),
        Reply::Error { status, kind, message } => {
            whole(status, events::error_body_of(&kind, &message))
        }
        Reply::Usage(usage @ Usage::Reached(_)) => with_headers(error(429), usage.headers()),
        Reply::Usage(usage @ (Usage::Bridged | Usage::Near)) => {
            let deltas = [TEXT_WITH_HEADERS.to_owned()];
            with_headers(answer(&Block::Text(&deltas), Duration::ZERO), usage.headers())
        }
        Reply::Hang => future::pending().await,
        Reply::DropConnection { after_words } => {
            let deltas: Vec<String> =
                (1..=after_words).map(|word| format!("word{word} ")).collect();
            let mut events = events::of_message(number, model, &Block::Text(&deltas));
            // The message's and the text's beginning, and the words.
            events.truncate(2 + after_words);
            streamed(events, Duration::ZERO, true)
        }
    }
}

fn with_headers(
    mut response: Response<Body>,
    headers: impl IntoIterator<Item = (&'static str, String)>,
) -> Response<Body> {
    for (name, value) in headers {
        let value = hyper::header::HeaderValue::from_str(&value).unwrap();
        response.headers_mut().insert(name, value);
    }
    response
}

/// Server-sent events one after another; `breaks` ends the connection instead of the body.
fn streamed(events: Vec<Bytes>, pause: Duration, breaks: bool) -> Response<Body> {
    let broken = breaks.then(|| Err(io::Error::other("the script breaks the connection")));
    let frames = events.into_iter().map(|event| Ok(Frame::data(event))).chain(broken);
    let paced = stream::iter(frames).then(move |frame| async move {
        if !pause.is_zero() {
            tokio::time::sleep(pause).await;
        }
        frame
    });
    let mut response = Response::new(BodyExt::boxed(StreamBody::new(paced)));
    set_type(&mut response, "text/event-stream");
    response
}

fn error(status: u16) -> Response<Body> {
    whole(status, events::error_body(status))
}

fn whole(status: u16, body: impl Into<Bytes>) -> Response<Body> {
    let body = Full::new(body.into()).map_err(|never| match never {}).boxed();
    let mut response = Response::new(body);
    *response.status_mut() =
        hyper::StatusCode::from_u16(status).unwrap_or(hyper::StatusCode::INTERNAL_SERVER_ERROR);
    set_type(&mut response, "application/json");
    response
}

fn set_type(response: &mut Response<Body>, content_type: &'static str) {
    let value = hyper::header::HeaderValue::from_static(content_type);
    response.headers_mut().insert(hyper::header::CONTENT_TYPE, value);
}
