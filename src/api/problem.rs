//! Every error that a client can see, and its status code: problem+json (RFC 9457).
//!
//! The policy: 400 if the request can't be read; 422 if it was read, but a field or the picture is
//! wrong; 401 without a key, and 403 if the key may not be used for the request; a more specific 4xx
//! where HTTP has one; 503 with `Retry-After` if the log or the table
//! does not answer. Internal errors are logged, not shown.

use axum::http::{HeaderValue, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use crate::event_log::LogError;
use crate::imaging::ImagingError;
use crate::operation::{FieldError, MalformedId, Operation, OperationId, Status};
use crate::picture_store::StoreError;
use crate::processing::ProcessingError;

/// Seconds after which a client may try again after a 503.
const RETRY_SECONDS: u32 = 2;
const CONTENT_TYPE: &str = "application/problem+json";
/// The most wrong fields that an answer names.
const MOST_ERRORS: usize = 16;

/// The kind of error. It determines `type`, `title` and `status`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    MissingBody,
    UnreadableBody,
    BodyTooLarge,
    BodyTimeout,
    HeaderTimeout,
    UnsupportedContentType,
    UnsupportedEncoding,
    InvalidFields,
    NotAPicture,
    BrokenPicture,
    PictureTooLarge,
    KeyReused,
    KeyInUse,
    MalformedIdentifier,
    Unauthenticated,
    Forbidden,
    WrongHost,
    ForeignOrigin,
    NoSecret,
    BrokenLink,
    LinkEnded,
    UnknownOperation,
    OperationGone,
    OperationFailed,
    NotAcceptable,
    NoSuchPath,
    MethodNotAllowed,
    TooMany,
    Unavailable,
    Internal,
}

impl Kind {
    fn facts(self) -> (StatusCode, &'static str, &'static str) {
        match self {
            Self::MissingBody => (
                StatusCode::BAD_REQUEST,
                "missing-body",
                "The request has no body",
            ),
            Self::UnreadableBody => (
                StatusCode::BAD_REQUEST,
                "unreadable-body",
                "The body cannot be read",
            ),
            Self::BodyTooLarge => (
                StatusCode::PAYLOAD_TOO_LARGE,
                "body-too-large",
                "The body is too large",
            ),
            Self::BodyTimeout => (
                StatusCode::REQUEST_TIMEOUT,
                "body-timeout",
                "The body did not arrive in time",
            ),
            Self::HeaderTimeout => (
                StatusCode::REQUEST_TIMEOUT,
                "header-timeout",
                "The header did not arrive in time",
            ),
            Self::UnsupportedContentType => (
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "unsupported-content-type",
                "The content type is not supported",
            ),
            Self::UnsupportedEncoding => (
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "unsupported-encoding",
                "The encoding of the body is not supported",
            ),
            Self::InvalidFields => (
                StatusCode::UNPROCESSABLE_ENTITY,
                "invalid-fields",
                "Some fields cannot be accepted",
            ),
            Self::NotAPicture => (
                StatusCode::UNPROCESSABLE_ENTITY,
                "not-a-picture",
                "The image is not a readable picture",
            ),
            Self::BrokenPicture => (
                StatusCode::UNPROCESSABLE_ENTITY,
                "broken-picture",
                "The picture is broken",
            ),
            Self::PictureTooLarge => (
                StatusCode::UNPROCESSABLE_ENTITY,
                "picture-too-large",
                "The picture is too large",
            ),
            Self::KeyReused => (
                StatusCode::UNPROCESSABLE_ENTITY,
                "idempotency-key-reused",
                "The idempotency key belongs to another request",
            ),
            Self::KeyInUse => (
                StatusCode::CONFLICT,
                "idempotency-key-in-use",
                "A request with the idempotency key is still being accepted",
            ),
            Self::MalformedIdentifier => (
                StatusCode::BAD_REQUEST,
                "malformed-identifier",
                "The identifier is malformed",
            ),
            Self::Unauthenticated => (
                StatusCode::UNAUTHORIZED,
                "unauthenticated",
                "The request needs a key",
            ),
            Self::Forbidden => (
                StatusCode::FORBIDDEN,
                "forbidden",
                "The key may not be used for this",
            ),
            Self::WrongHost => (
                StatusCode::MISDIRECTED_REQUEST,
                "wrong-host",
                "The service does not have this name",
            ),
            Self::ForeignOrigin => (
                StatusCode::FORBIDDEN,
                "foreign-origin",
                "The page of another site may not use the service",
            ),
            Self::NoSecret => (
                StatusCode::NOT_IMPLEMENTED,
                "no-secret",
                "Links and tickets are not set up",
            ),
            Self::BrokenLink => (
                StatusCode::FORBIDDEN,
                "broken-link",
                "The link or ticket does not hold",
            ),
            Self::LinkEnded => (
                StatusCode::GONE,
                "link-ended",
                "The link or ticket has ended",
            ),
            Self::UnknownOperation => (
                StatusCode::NOT_FOUND,
                "unknown-operation",
                "No such operation",
            ),
            Self::OperationGone => (
                StatusCode::GONE,
                "operation-gone",
                "The operation's pictures were removed",
            ),
            Self::OperationFailed => (
                StatusCode::UNPROCESSABLE_ENTITY,
                "operation-failed",
                "The operation failed",
            ),
            Self::NotAcceptable => (
                StatusCode::NOT_ACCEPTABLE,
                "not-acceptable",
                "The result has a different type",
            ),
            Self::NoSuchPath => (StatusCode::NOT_FOUND, "no-such-path", "No such path"),
            Self::MethodNotAllowed => (
                StatusCode::METHOD_NOT_ALLOWED,
                "method-not-allowed",
                "The method is not allowed here",
            ),
            Self::TooMany => (
                StatusCode::TOO_MANY_REQUESTS,
                "too-many",
                "The limit of the tenant is reached",
            ),
            Self::Unavailable => (
                StatusCode::SERVICE_UNAVAILABLE,
                "unavailable",
                "The service is temporarily unavailable",
            ),
            Self::Internal => (
                StatusCode::INTERNAL_SERVER_ERROR,
                "internal",
                "Internal error",
            ),
        }
    }
}

/// An error as a client sees it.
#[derive(Debug)]
pub(super) struct Problem {
    kind: Kind,
    detail: String,
    errors: Vec<FieldError>,
    /// Whether the connection is closed after the answer, because the client may still be sending
    /// a body that nobody reads.
    closes: bool,
    /// Seconds after which the client may try again.
    retry_seconds: Option<u64>,
}

impl Problem {
    pub(super) fn new(kind: Kind, detail: impl Into<String>) -> Self {
        Self {
            kind,
            detail: detail.into(),
            errors: Vec::new(),
            closes: false,
            retry_seconds: None,
        }
    }

    /// Says when the client may try again.
    pub(super) fn retry_after(mut self, seconds: u64) -> Self {
        self.retry_seconds = Some(seconds);
        self
    }

    /// Closes the connection after the answer.
    pub(super) fn and_close(mut self) -> Self {
        self.closes = true;
        self
    }

    /// Adds the fields that are wrong.
    pub(super) fn with_errors(mut self, errors: Vec<FieldError>) -> Self {
        self.errors = errors;
        self
    }

    /// Names the first of the fields that are wrong.
    pub(super) fn fields(mut errors: Vec<FieldError>) -> Self {
        let more = errors.len().saturating_sub(MOST_ERRORS);
        errors.truncate(MOST_ERRORS);
        let mut lines: Vec<_> = errors.iter().map(ToString::to_string).collect();
        if more > 0 {
            lines.push(format!("and {more} more fields are wrong"));
        }
        Self::new(Kind::InvalidFields, lines.join("; ")).with_errors(errors)
    }

    /// Nobody knows who sends the request.
    pub(super) fn unauthenticated(detail: &str) -> Self {
        Self::new(Kind::Unauthenticated, detail)
    }

    pub(super) fn unknown(id: OperationId) -> Self {
        Self::new(
            Kind::UnknownOperation,
            format!("no operation has the identifier {id}"),
        )
    }

    /// The operation may have been accepted a moment ago, by another process.
    pub(super) fn unsettled(id: OperationId) -> Self {
        Self::new(
            Kind::Unavailable,
            format!("the operation {id} is not in the picture table yet; please try again"),
        )
    }

    /// The pictures of `operation` were removed, because it expired or was erased.
    pub(super) fn gone(operation: &Operation) -> Self {
        let (id, at) = (operation.id, operation.expires_at.unwrap_or_default());
        let detail = match operation.status {
            Status::Erased => format!("the operation {id} was erased at {at}"),
            _ => format!("the operation {id} expired at {at}"),
        };
        Self::new(Kind::OperationGone, detail)
    }

    /// An error that a client can't fix. `error` is only logged.
    pub(super) fn internal(error: &dyn std::fmt::Display) -> Self {
        tracing::error!(%error, "a request ended with an internal error");
        Self::new(Kind::Internal, "the error was logged; please try again")
    }

    /// The log or the table says once when it becomes unavailable, and once when it is back.
    fn unavailable(error: &dyn std::fmt::Display, detail: &str) -> Self {
        tracing::debug!(%error, "a request ended with 503");
        Self::new(Kind::Unavailable, detail)
    }
}

impl From<LogError> for Problem {
    fn from(error: LogError) -> Self {
        match &error {
            LogError::Unavailable(_) => Self::unavailable(
                &error,
                "the request could not be stored and was not accepted; please try again",
            ),
            LogError::Misconfigured(_) => Self::unavailable(
                &error,
                "the event log is not set up, so the request was not accepted; please try again \
                 later",
            ),
            LogError::TooLarge { .. } => Self::new(Kind::BodyTooLarge, error.to_string()),
        }
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        match &error {
            StoreError::Unavailable(_) => Self::unavailable(
                &error,
                "the picture table does not answer; please try again",
            ),
            StoreError::Misconfigured(_) => Self::unavailable(
                &error,
                "the picture table is not set up; please try again later",
            ),
            StoreError::Corrupt { .. } => Self::internal(&error),
        }
    }
}

impl From<MalformedId> for Problem {
    fn from(error: MalformedId) -> Self {
        Self::new(Kind::MalformedIdentifier, error.to_string())
    }
}

impl From<ProcessingError> for Problem {
    fn from(error: ProcessingError) -> Self {
        match error {
            ProcessingError::Picture(error) => error.into(),
            ProcessingError::NoProcess(_) => Self::unavailable(
                &error,
                "the picture cannot be checked now; please try again",
            ),
            ProcessingError::Panicked(_) | ProcessingError::Fatal { .. } => {
                let detail = error.to_string();
                Self::new(Kind::BrokenPicture, detail.clone())
                    .with_errors(vec![FieldError::new("image", detail)])
            }
        }
    }
}

impl From<ImagingError> for Problem {
    fn from(error: ImagingError) -> Self {
        let kind = match error {
            ImagingError::Option(error) => return Self::fields(vec![error]),
            ImagingError::NotAPicture(_) => Kind::NotAPicture,
            ImagingError::TooLarge(_) => Kind::PictureTooLarge,
            ImagingError::Header { .. } | ImagingError::Body { .. } => Kind::BrokenPicture,
            ImagingError::Encode { .. } => return Self::internal(&error),
        };
        let detail = error.to_string();
        Self::new(kind, detail.clone()).with_errors(vec![FieldError::new("image", detail)])
    }
}

#[derive(Serialize)]
struct Body<'a> {
    r#type: String,
    title: &'a str,
    status: u16,
    detail: &'a str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<FieldBody<'a>>,
}

#[derive(Serialize)]
struct FieldBody<'a> {
    field: &'a str,
    message: &'a str,
}

impl Problem {
    fn body(&self) -> Body<'_> {
        let (status, slug, title) = self.kind.facts();
        let fields = self.errors.iter().map(|error| FieldBody {
            field: &error.field,
            message: &error.message,
        });
        Body {
            r#type: format!("urn:picresize:problem:{slug}"),
            title,
            status: status.as_u16(),
            detail: &self.detail,
            errors: fields.collect(),
        }
    }

    /// The whole answer as it is sent, for a connection that has no request. It is closed then.
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let (status, ..) = self.kind.facts();
        let body = serde_json::to_string(&self.body()).unwrap_or_default();
        let retry = if status == StatusCode::SERVICE_UNAVAILABLE {
            format!("retry-after: {RETRY_SECONDS}\r\n")
        } else {
            String::new()
        };
        format!(
            "HTTP/1.1 {status}\r\ncontent-type: {CONTENT_TYPE}\r\ncontent-length: {}\r\n{retry}\
             connection: close\r\n\r\n{body}",
            body.len()
        )
        .into_bytes()
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let (status, ..) = self.kind.facts();
        let mut response = (status, axum::Json(self.body())).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(CONTENT_TYPE));
        let is_unavailable = status == StatusCode::SERVICE_UNAVAILABLE;
        let usual = is_unavailable.then_some(u64::from(RETRY_SECONDS));
        if let Some(seconds) = self.retry_seconds.or(usual) {
            headers.insert(header::RETRY_AFTER, seconds.into());
        }
        if self.kind == Kind::UnsupportedEncoding {
            headers.insert(
                header::ACCEPT_ENCODING,
                HeaderValue::from_static("identity"),
            );
        }
        if status == StatusCode::UNAUTHORIZED {
            let scheme = HeaderValue::from_static("Bearer realm=\"picresize\"");
            headers.insert(header::WWW_AUTHENTICATE, scheme);
        }
        if self.closes {
            headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }
}

/// The answer for a path that has no route.
pub(super) async fn no_such_path(uri: Uri) -> Problem {
    Problem::new(
        Kind::NoSuchPath,
        format!("there is nothing at {}; post pictures to /api/", uri.path()),
    )
}
