//! The HTTP side of the stand-in: hyper on a loopback port, on a thread of its own.

use std::{
    convert::Infallible,
    future, io,
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
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
    script::{self, Reply},
};

type Body = BoxBody<Bytes, io::Error>;

/// A running stand-in. Dropped, it stops; requests in flight break.
pub struct MessagesApi {
    address: SocketAddr,
    requests: Arc<AtomicU64>,
    stop: Option<oneshot::Sender<Infallible>>,
    thread: Option<JoinHandle<()>>,
}

impl MessagesApi {
    /// Starts on a free port of the loopback interface.
    #[must_use]
    pub fn start() -> Self {
        Self::start_on(0).unwrap()
    }

    /// Starts on this port; 0 picks a free one.
    ///
    /// # Errors
    /// When the port is taken.
    pub fn start_on(port: u16) -> io::Result<Self> {
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, port))?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let requests = Arc::new(AtomicU64::new(0));
        let (stop, stopped) = oneshot::channel();
        let counter = Arc::clone(&requests);
        let thread = std::thread::spawn(move || serve(listener, counter, stopped));
        Ok(Self { address, requests, stop: Some(stop), thread: Some(thread) })
    }

    /// For `ANTHROPIC_BASE_URL`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// How many messages have been asked for.
    #[must_use]
    pub fn requests(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
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
    requests: Arc<AtomicU64>,
    stopped: oneshot::Receiver<Infallible>,
) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async move {
        let listener = TcpListener::from_std(listener).unwrap();
        tokio::select! {
            () = accept(&listener, &requests) => {}
            _ = stopped => {}
        }
    });
}

async fn accept(listener: &TcpListener, requests: &Arc<AtomicU64>) {
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        let requests = Arc::clone(requests);
        tokio::spawn(async move {
            let service = service_fn(move |request| answer(request, Arc::clone(&requests)));
            let connection = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service);
            // A client that goes away in the middle, or a connection that the script breaks.
            drop(connection.await);
        });
    }
}

async fn answer(
    request: Request<Incoming>,
    requests: Arc<AtomicU64>,
) -> Result<Response<Body>, hyper::Error> {
    let path = request.uri().path().to_owned();
    Ok(match (request.method().clone(), path.as_str()) {
        (Method::POST, "/v1/messages") => {
            let number = requests.fetch_add(1, Ordering::Relaxed) + 1;
            let body = request.into_body().collect().await?.to_bytes();
            match Conversation::read(&body) {
                Ok(conversation) => perform(number, &conversation).await,
                Err(_) => error(400),
            }
        }
        (Method::POST, "/v1/messages/count_tokens") => {
            whole(200, json!({"input_tokens": 10}).to_string())
        }
        // The CLI looks whether anybody is there before it asks.
        (Method::HEAD, _) => whole(200, ""),
        _ => error(404),
    })
}

async fn perform(number: u64, conversation: &Conversation) -> Response<Body> {
    let model = &conversation.model;
    match script::reply(conversation) {
        Reply::Text { deltas, pause } => {
            streamed(events::of_message(number, model, &Block::Text(&deltas)), pause, false)
        }
        Reply::Bash { command, in_background } => {
            let input = json!({
                "command": command, "description": "as the script says",
                "run_in_background": in_background,
            });
            let block = Block::ToolUse { name: "Bash", input };
            streamed(events::of_message(number, model, &block), Duration::ZERO, false)
        }
        Reply::Status(status) => error(status),
        Reply::Hang => future::pending().await,
        Reply::DropConnection => {
            let mut events = events::of_message(number, model, &Block::Text(&[]));
            events.truncate(2);
            streamed(events, Duration::ZERO, true)
        }
    }
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
