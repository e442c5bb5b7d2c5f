//! One HTTP connection: what it is doing, and the time it has for that.
//!
//! A client has a limited time to send a request's header, to send the next request on a connection
//! that it keeps open, and to read an answer. `body` limits the time of bodies. After the last
//! answer, what the client still sends is read and thrown away for a while: if a connection is
//! closed while bytes are unread, the client's system drops the answer as well.

use std::io;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use hyper::body::{Frame, Incoming, SizeHint};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tower::Service;

use super::budget::Budget;
use super::problem::{Kind, Problem};

/// The most bytes and fields of a request's header.
const MOST_HEADER_BYTES: usize = 32 << 10;
const MOST_HEADERS: usize = 100;
/// The buffer of a connection.
const BUFFER_BYTES: usize = 64 << 10;
/// How long a client may pause in reading an answer while others wait for memory, and in sending a
/// body while others wait for a connection.
const SHORT_PAUSE: Duration = Duration::from_secs(2);
/// What is read after the last answer, at most.
const LINGER: Duration = Duration::from_secs(30);
const LINGER_PAUSE: Duration = Duration::from_secs(2);
const LINGER_BYTES: usize = 256 << 20;

/// How long a connection may take for what it does.
#[derive(Clone, Debug)]
pub(super) struct Patience {
    pub(super) header: Duration,
    pub(super) idle: Duration,
    pub(super) write: Duration,
    /// The memory of answers. While others wait for it, clients may pause for a short time only.
    pub(super) answers: Option<Arc<Budget>>,
}

/// What a connection is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// It is open, without a request.
    Idle,
    /// A header is arriving, or the connection is new.
    Header,
    /// The next bytes of a request's body are waited for.
    Body,
    /// A request is being answered.
    Request,
}

/// What a connection is doing, and since when.
#[derive(Debug)]
pub(super) struct Activity {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    phase: Phase,
    since: Instant,
    /// Whether anything of the current request's header has arrived.
    has_begun: bool,
    /// Since when bytes wait to be sent.
    blocked_since: Option<Instant>,
}

impl Activity {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self {
            state: Mutex::new(State {
                phase: Phase::Header,
                since: Instant::now(),
                has_begun: false,
                blocked_since: None,
            }),
        })
    }

    /// Since when it may give its place to another connection, if it may: while it has no request,
    /// or while its client pauses in the middle of a body.
    pub(super) fn dispensable_since(&self) -> Option<Instant> {
        let state = self.state();
        let is_dispensable = match state.phase {
            Phase::Idle | Phase::Header => true,
            Phase::Body => state.since.elapsed() >= SHORT_PAUSE,
            Phase::Request => false,
        };
        is_dispensable.then_some(state.since)
    }

    /// Notes whether a request waits for its client to send more.
    pub(super) fn waits_for_body(&self, waits: bool) {
        self.enter(if waits { Phase::Body } else { Phase::Request });
    }

    fn enter(&self, phase: Phase) {
        let mut state = self.state();
        if state.phase != phase {
            state.phase = phase;
            state.since = Instant::now();
        }
        state.has_begun = phase == Phase::Header;
    }

    fn has_read(&self) {
        let mut state = self.state();
        match state.phase {
            Phase::Idle => {
                drop(state);
                self.enter(Phase::Header);
            }
            Phase::Header => state.has_begun = true,
            Phase::Body | Phase::Request => {}
        }
    }

    fn has_written(&self, is_blocked: bool) {
        let mut state = self.state();
        if is_blocked {
            state.blocked_since.get_or_insert_with(Instant::now);
        } else {
            state.blocked_since = None;
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The limit that a client has broken.
#[derive(Clone, Copy, Debug)]
enum Overdue {
    Idle,
    Header { has_begun: bool },
    Write,
}

impl Patience {
    /// The limit that is broken by now, or when to look again.
    fn judge(&self, activity: &Activity, now: Instant) -> Result<Option<Instant>, Overdue> {
        let state = activity.state();
        let mut next = None;
        if let Some(blocked) = state.blocked_since {
            let pause = now - blocked;
            let others_wait = || self.answers.as_ref().is_some_and(|it| it.is_exhausted());
            if pause >= self.write || (pause >= SHORT_PAUSE && others_wait()) {
                return Err(Overdue::Write);
            }
            next = Some((blocked + self.write).min(now + SHORT_PAUSE));
        }
        let (limit, overdue) = match state.phase {
            Phase::Body | Phase::Request => return Ok(next),
            Phase::Idle => (self.idle, Overdue::Idle),
            Phase::Header => {
                let has_begun = state.has_begun;
                (self.header, Overdue::Header { has_begun })
            }
        };
        let deadline = state.since + limit;
        if now >= deadline {
            return Err(overdue);
        }
        Ok(Some(next.map_or(deadline, |next| next.min(deadline))))
    }
}

/// How a connection ended.
enum End {
    /// As HTTP ends one.
    Closed,
    /// The client was too slow.
    Overdue(Overdue),
    /// Its place is needed for another one.
    Evicted,
}

/// Serves one connection to its end.
pub(super) async fn serve<App>(
    mut stream: TcpStream,
    app: App,
    activity: Arc<Activity>,
    patience: Patience,
    evicted: CancellationToken,
    stop: CancellationToken,
) where
    App: Service<Request, Response = Response> + Clone + Send + 'static,
    App::Error: Into<std::convert::Infallible> + std::error::Error + Send + Sync,
    App::Future: Send + 'static,
{
    let end = answer_requests(&mut stream, app, &activity, &patience, &evicted, &stop).await;
    let last_words = match end {
        End::Evicted | End::Overdue(Overdue::Write) => return,
        End::Overdue(Overdue::Header { has_begun: true }) => {
            let seconds = patience.header.as_secs();
            let detail = format!("the whole header must arrive within {seconds} s");
            Some(Problem::new(Kind::HeaderTimeout, detail))
        }
        _ => None,
    };
    activity.enter(Phase::Idle);
    evicted
        .run_until_cancelled(say_goodbye(&mut stream, last_words, &stop))
        .await;
}

async fn answer_requests<App>(
    stream: &mut TcpStream,
    app: App,
    activity: &Arc<Activity>,
    patience: &Patience,
    evicted: &CancellationToken,
    stop: &CancellationToken,
) -> End
where
    App: Service<Request, Response = Response> + Clone + Send + 'static,
    App::Error: Into<std::convert::Infallible> + std::error::Error + Send + Sync,
    App::Future: Send + 'static,
{
    let service = service_fn(|mut request: hyper::Request<Incoming>| {
        activity.enter(Phase::Request);
        let answering = Answering(Arc::clone(activity));
        request.extensions_mut().insert(Arc::clone(activity));
        let response = app.clone().call(request.map(Body::new));
        async move {
            let response = response.await?;
            Ok::<_, App::Error>(response.map(|body| AnswerBody { body, answering }))
        }
    });
    let watched = Watched {
        stream,
        activity: Arc::clone(activity),
    };
    let connection = http1::Builder::new()
        .header_read_timeout(None)
        .max_headers(MOST_HEADERS)
        .max_header_size(MOST_HEADER_BYTES)
        .max_buf_size(BUFFER_BYTES)
        .serve_connection(TokioIo::new(watched), service);
    let mut connection = pin!(connection);
    let mut timer = pin!(tokio::time::sleep(patience.header));
    let mut stopping = pin!(stop.cancelled());
    let mut evicting = pin!(evicted.cancelled());
    let mut is_stopping = false;
    std::future::poll_fn(move |context| {
        if evicting.as_mut().poll(context).is_ready() {
            return Poll::Ready(End::Evicted);
        }
        if !is_stopping && stopping.as_mut().poll(context).is_ready() {
            is_stopping = true;
            connection.as_mut().graceful_shutdown();
        }
        if connection.as_mut().poll(context).is_ready() {
            return Poll::Ready(End::Closed);
        }
        // What the connection does only changes while it is polled.
        loop {
            match patience.judge(activity, Instant::now()) {
                Err(overdue) => return Poll::Ready(End::Overdue(overdue)),
                Ok(None) => return Poll::Pending,
                Ok(Some(next)) => {
                    if timer.deadline() != next {
                        timer.as_mut().reset(next);
                    }
                    if timer.as_mut().poll(context).is_pending() {
                        return Poll::Pending;
                    }
                }
            }
        }
    })
    .await
}

/// Sends the last words, and reads what the client still sends, so that it gets the answer.
async fn say_goodbye(stream: &mut TcpStream, words: Option<Problem>, stop: &CancellationToken) {
    let mut scratch = Vec::new();
    let goodbye = async {
        if let Some(problem) = words {
            stream.write_all(&problem.to_bytes()).await.ok()?;
        }
        stream.shutdown().await.ok()?;
        scratch.resize(16 << 10, 0);
        let mut left = LINGER_BYTES;
        while left > 0 {
            let reading = tokio::time::timeout(LINGER_PAUSE, stream.read(&mut scratch));
            let length = reading.await.ok()?.ok()?;
            if length == 0 {
                break;
            }
            left = left.saturating_sub(length);
        }
        Some(())
    };
    let patience = async {
        tokio::select! {
            () = tokio::time::sleep(LINGER) => {}
            () = async { stop.cancelled().await; tokio::time::sleep(LINGER_PAUSE).await } => {}
        }
    };
    tokio::select! {
        _ = goodbye => {}
        () = patience => {}
    }
}

/// Answers a connection that there is no place for.
pub(super) async fn refuse(mut stream: TcpStream, problem: Problem, stop: CancellationToken) {
    say_goodbye(&mut stream, Some(problem), &stop).await;
}

/// A request in progress, until its answer was sent.
struct Answering(Arc<Activity>);

impl Drop for Answering {
    fn drop(&mut self) {
        self.0.enter(Phase::Idle);
    }
}

/// The body of an answer.
struct AnswerBody {
    body: Body,
    #[expect(dead_code, reason = "its end marks the end of the answer")]
    answering: Answering,
}

impl hyper::body::Body for AnswerBody {
    type Data = bytes::Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// A stream that notes what happens on it.
struct Watched<'a> {
    stream: &'a mut TcpStream,
    activity: Arc<Activity>,
}

impl AsyncRead for Watched<'_> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut *self.stream).poll_read(context, buffer);
        if buffer.filled().len() > before {
            self.activity.has_read();
        }
        read
    }
}

impl AsyncWrite for Watched<'_> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut *self.stream).poll_write(context, bytes);
        self.activity.has_written(written.is_pending());
        written
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut *self.stream).poll_write_vectored(context, parts);
        self.activity.has_written(written.is_pending());
        written
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.stream).poll_shutdown(context)
    }
}
