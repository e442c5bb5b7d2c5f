//! Serves one HTTP connection.
//!
//! A client has a limited time to send a request's header, to send the next request on a connection
//! that it keeps open, and to read an answer: `activity` judges that. `body` limits the time of
//! bodies. After the last answer, what the client still sends is read and thrown away for a while:
//! if a connection is closed while bytes are unread, the client's system drops the answer as well.

use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
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

use super::activity::{Activity, Overdue, Phase, TimeLimits};
use super::problem::{Kind, Problem};

/// The most bytes and fields of a request's header.
const MOST_HEADER_BYTES: usize = 32 << 10;
const MOST_HEADERS: usize = 100;
/// The buffer of a connection.
const BUFFER_BYTES: usize = 64 << 10;
/// What is read after the last answer, at most.
const LINGER: Duration = Duration::from_secs(30);
const LINGER_PAUSE: Duration = Duration::from_secs(2);
const LINGER_BYTES: usize = 256 << 20;

/// How a connection ended.
enum End {
    /// As HTTP ends one.
    Closed,
    /// The client was too slow.
    Overdue(Overdue),
    /// Its slot is needed for another one.
    Evicted,
}

/// Serves one connection to its end.
pub(super) async fn serve<App>(
    mut stream: TcpStream,
    app: App,
    activity: Arc<Activity>,
    limits: TimeLimits,
    evicted: CancellationToken,
    stop: CancellationToken,
) where
    App: Service<Request, Response = Response> + Clone + Send + 'static,
    App::Error: Into<std::convert::Infallible> + std::error::Error + Send + Sync,
    App::Future: Send + 'static,
{
    let end = answer_requests(&mut stream, app, &activity, &limits, &evicted, &stop).await;
    let last_answer = match end {
        End::Evicted | End::Overdue(Overdue::Write) => return,
        End::Overdue(Overdue::Header { has_begun: true }) => {
            let seconds = limits.header.as_secs();
            let detail = format!("the whole header must arrive within {seconds} s");
            Some(Problem::new(Kind::HeaderTimeout, detail))
        }
        _ => None,
    };
    activity.enter(Phase::Idle);
    evicted
        .run_until_cancelled(close(&mut stream, last_answer, &stop))
        .await;
}

async fn answer_requests<App>(
    stream: &mut TcpStream,
    app: App,
    activity: &Arc<Activity>,
    limits: &TimeLimits,
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
            answering.0.begins_answer();
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
    let mut timer = pin!(tokio::time::sleep(limits.header));
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
        activity.ends_request();
        // What the connection does only changes while it is polled.
        loop {
            match limits.judge(activity, Instant::now()) {
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

/// Closes a connection. Sends the last answer first, if there is one, and reads what the client
/// still sends, so that it gets the answer.
async fn close(stream: &mut TcpStream, last_answer: Option<Problem>, stop: &CancellationToken) {
    let mut scratch = Vec::new();
    let closing = async {
        if let Some(problem) = last_answer {
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
    tokio::select! {
        _ = closing => {}
        () = tokio::time::sleep(LINGER) => {}
        () = async { stop.cancelled().await; tokio::time::sleep(LINGER_PAUSE).await } => {}
    }
}

/// Answers a connection that there is no slot for.
pub(super) async fn refuse(mut stream: TcpStream, problem: Problem, stop: CancellationToken) {
    close(&mut stream, Some(problem), &stop).await;
}

/// A request in progress, until hyper has its whole answer.
struct Answering(Arc<Activity>);

impl Drop for Answering {
    fn drop(&mut self) {
        self.0.has_answered();
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

fn note_written(activity: &Activity, written: &Poll<io::Result<usize>>) {
    match written {
        Poll::Ready(written) => activity.has_written(Some(*written.as_ref().unwrap_or(&0))),
        Poll::Pending => activity.has_written(None),
    }
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
        note_written(&self.activity, &written);
        written
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut *self.stream).poll_write_vectored(context, parts);
        note_written(&self.activity, &written);
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
