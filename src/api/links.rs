//! Signed links to results, and tickets with which others post pictures. Both are for browsers, which
//! have no key: a server with a key makes them.
//!
//! A link has the tenant, the time of its end, and a signature of these and the identifier. A ticket is
//! a text with all that it allows, and its signature. So nothing needs to be stored. A ticket has the
//! identifier of its operation, so it makes one operation, however often it is used.

use std::sync::Arc;

use axum::extract::rejection::{JsonRejection, PathRejection};
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::{Json, http::Uri};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::access::Caller;
use super::guard::RESOURCE_POLICY;
use super::operations::{identifier, send_picture};
use super::problem::{Kind, Problem};
use super::state::ApiState;
use super::waiting::find;
use crate::access::{Permission, Purpose};
use crate::operation::{FieldError, OperationId, ResizeOptions, Tenant};

/// How long a link or a ticket holds, in seconds: by default, and at most.
const USUAL_SECONDS: u64 = 3_600;
const MOST_SECONDS: u64 = 30 * 24 * 3_600;
/// The most characters of a ticket, and of the name under which a picture is saved.
const MOST_TICKET: usize = 4_096;
const MOST_NAME: usize = 120;

/// What a client may say about a new link or ticket.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Terms {
    /// How long it holds.
    seconds: Option<u64>,
    /// The options of a ticket's request.
    options: serde_json::Map<String, Value>,
}

impl Terms {
    fn read(body: Result<Option<Json<Self>>, JsonRejection>) -> Result<Self, Problem> {
        let body = body.map_err(|error| Problem::new(Kind::UnreadableBody, error.body_text()))?;
        Ok(body.map(|Json(terms)| terms).unwrap_or_default())
    }

    /// When what begins now ends.
    fn end(&self) -> Result<Timestamp, Problem> {
        let seconds = self.seconds.unwrap_or(USUAL_SECONDS);
        let now = Timestamp::now();
        if !(1..=MOST_SECONDS).contains(&seconds) {
            let message = format!("is {seconds}: it must be from 1 to {MOST_SECONDS}");
            return Err(Problem::fields(vec![FieldError::new("seconds", message)]));
        }
        let end = now.checked_add(SignedDuration::from_secs(seconds as i64));
        end.map_err(|error| Problem::internal(&error))
    }

    fn options(&self) -> Result<ResizeOptions, Problem> {
        let pairs = self.options.iter().map(|(key, value)| {
            let text = match value {
                Value::String(text) => text.clone(),
                other => other.to_string(),
            };
            (key.clone(), text)
        });
        ResizeOptions::from_pairs(pairs.collect::<Vec<_>>()).map_err(Problem::fields)
    }
}

/// `POST /api/{id}/link`: an address of the picture itself that needs no key.
pub(super) async fn link(
    State(state): State<Arc<ApiState>>,
    caller: Caller,
    path: Result<Path<String>, PathRejection>,
    terms: Result<Option<Json<Terms>>, JsonRejection>,
) -> Result<Response, Problem> {
    caller.must(Permission::Read)?;
    let (id, terms) = (identifier(path)?, Terms::read(terms)?);
    find(&state, &caller.tenant, id).await?;
    let end = terms.end()?;
    let signature = sign_link(&state, &caller.tenant, id, end.as_second())?;
    let (tenant, seconds) = (&caller.tenant, end.as_second());
    let mut url = format!("/api/{id}/picture?expires={seconds}&signature={signature}");
    if !tenant.is_default() {
        url.push_str(&format!("&tenant={tenant}"));
    }
    let answer = json!({"identifier": id, "url": url, "expires_at": end});
    Ok((StatusCode::CREATED, [(header::LOCATION, url)], Json(answer)).into_response())
}

fn sign_link(
    state: &ApiState,
    tenant: &Tenant,
    id: OperationId,
    end: i64,
) -> Result<String, Problem> {
    let parts = link_parts(tenant, id, end);
    let parts: Vec<&[u8]> = parts.iter().map(String::as_bytes).collect();
    let signature = state.access.secrets.sign(Purpose::Link, &parts);
    let signature = signature.ok_or_else(no_secret)?;
    Ok(URL_SAFE_NO_PAD.encode(signature))
}

fn link_parts(tenant: &Tenant, id: OperationId, end: i64) -> [String; 3] {
    [tenant.to_string(), id.to_string(), end.to_string()]
}

fn no_secret() -> Problem {
    Problem::new(
        Kind::NoSecret,
        "links and tickets need a secret that signs them: the operator sets access.secrets",
    )
}

/// The query of a link.
#[derive(Debug, Deserialize)]
pub(super) struct LinkQuery {
    expires: Option<i64>,
    signature: Option<String>,
    tenant: Option<String>,
    /// The name under which a browser saves the picture instead of showing it.
    download: Option<String>,
}

/// `GET /api/{id}/picture`: the picture itself, for whoever has the link.
pub(super) async fn picture(
    State(state): State<Arc<ApiState>>,
    path: Result<Path<String>, PathRejection>,
    Query(query): Query<LinkQuery>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let id = identifier(path)?;
    let broken = || Problem::new(Kind::BrokenLink, "the link is not complete or was changed");
    let tenant = match query.tenant {
        Some(tenant) => tenant.parse().map_err(|_| broken())?,
        None => Tenant::default(),
    };
    let (Some(expires), Some(signature)) = (query.expires, query.signature) else {
        return Err(broken());
    };
    let signature = URL_SAFE_NO_PAD.decode(signature).map_err(|_| broken())?;
    let parts = link_parts(&tenant, id, expires);
    let parts: Vec<&[u8]> = parts.iter().map(String::as_bytes).collect();
    if !state
        .access
        .secrets
        .verify(Purpose::Link, &parts, &signature)
    {
        return Err(broken());
    }
    let left = expires - Timestamp::now().as_second();
    if left <= 0 {
        return Err(Problem::new(
            Kind::LinkEnded,
            "the link has ended; ask for a new one",
        ));
    }
    let mut response = send_picture(&state, &tenant, id, &headers).await?;
    let is_picture = matches!(response.status(), StatusCode::OK | StatusCode::NOT_MODIFIED);
    let answer = response.headers_mut();
    // What is not ready yet must not be kept.
    if let Ok(value) = HeaderValue::from_str(&format!("public, max-age={left}, immutable"))
        && is_picture
    {
        answer.insert(header::CACHE_CONTROL, value);
    }
    answer.insert(RESOURCE_POLICY, HeaderValue::from_static("cross-origin"));
    if let Some(name) = query.download {
        answer.insert(header::CONTENT_DISPOSITION, attachment(&name));
    }
    Ok(response)
}

/// `Content-Disposition` (RFC 6266) with a name in the form of RFC 8187.
fn attachment(name: &str) -> HeaderValue {
    let mut text = "attachment".to_owned();
    let name: String = name
        .chars()
        .filter(|c| !c.is_control() && !matches!(c, '/' | '\\'))
        .take(MOST_NAME)
        .collect();
    if !name.is_empty() {
        text.push_str("; filename*=UTF-8''");
        text.push_str(&percent_encoded(&name));
    }
    HeaderValue::from_str(&text).unwrap_or(HeaderValue::from_static("attachment"))
}

fn percent_encoded(text: &str) -> String {
    use std::fmt::Write as _;

    let mut encoded = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}

/// What a ticket allows.
#[derive(Debug, Serialize, Deserialize)]
struct Ticket {
    id: OperationId,
    tenant: String,
    options: Vec<(String, String)>,
    expires: i64,
}

/// `POST /api/tickets`: an address to which a browser can post one picture without a key.
pub(super) async fn ticket(
    State(state): State<Arc<ApiState>>,
    caller: Caller,
    terms: Result<Option<Json<Terms>>, JsonRejection>,
) -> Result<Response, Problem> {
    caller.must(Permission::Post)?;
    let terms = Terms::read(terms)?;
    let (end, options) = (terms.end()?, terms.options()?);
    let pairs = options.pairs().into_iter();
    let ticket = Ticket {
        id: OperationId::generate(),
        tenant: caller.tenant.to_string(),
        options: pairs.map(|(key, value)| (key.to_owned(), value)).collect(),
        expires: end.as_second(),
    };
    let text = serde_json::to_vec(&ticket).map_err(|error| Problem::internal(&error))?;
    let signature = state.access.secrets.sign(Purpose::Ticket, &[&text]);
    let signature = signature.ok_or_else(no_secret)?;
    let text = format!(
        "{}.{}",
        URL_SAFE_NO_PAD.encode(text),
        URL_SAFE_NO_PAD.encode(signature)
    );
    let url = format!("/api/?ticket={text}");
    let answer = json!({"identifier": ticket.id, "url": url, "expires_at": end});
    Ok((StatusCode::CREATED, Json(answer)).into_response())
}

/// A request with a ticket.
pub(super) struct Ticketed {
    pub(super) id: OperationId,
    pub(super) tenant: Tenant,
    pub(super) options: ResizeOptions,
}

impl Ticketed {
    /// Reads the ticket in a request's query; `None` if there is none.
    pub(super) fn of(state: &ApiState, uri: &Uri) -> Result<Option<Self>, Problem> {
        let query = uri.query().unwrap_or_default();
        let Some(text) = query.strip_prefix("ticket=") else {
            return Ok(None);
        };
        let broken = || {
            Problem::new(
                Kind::BrokenLink,
                "the ticket is not complete or was changed",
            )
        };
        if text.len() > MOST_TICKET {
            return Err(broken());
        }
        let (body, signature) = text.split_once('.').ok_or_else(broken)?;
        let body = URL_SAFE_NO_PAD.decode(body).map_err(|_| broken())?;
        let signature = URL_SAFE_NO_PAD.decode(signature).map_err(|_| broken())?;
        let secrets = &state.access.secrets;
        if !secrets.verify(Purpose::Ticket, &[&body], &signature) {
            return Err(broken());
        }
        let ticket: Ticket = serde_json::from_slice(&body).map_err(|_| broken())?;
        if ticket.expires <= Timestamp::now().as_second() {
            let detail = "the ticket has ended; ask for a new one";
            return Err(Problem::new(Kind::LinkEnded, detail));
        }
        Ok(Some(Self {
            id: ticket.id,
            tenant: ticket.tenant.parse().map_err(|_| broken())?,
            options: ResizeOptions::from_pairs(ticket.options).map_err(|_| broken())?,
        }))
    }

    /// The address of the request as if its options were in the query.
    pub(super) fn uri(&self) -> Uri {
        let pairs = self.options.pairs().into_iter();
        let fields: Vec<_> = pairs
            .map(|(key, value)| format!("{key}={}", percent_encoded(&value)))
            .collect();
        let path = format!("/api/?{}", fields.join("&"));
        path.parse().unwrap_or_default()
    }

    /// Refuses a request that asks for something else.
    pub(super) fn check(&self, request: &ResizeOptions) -> Result<(), Problem> {
        if *request == self.options {
            return Ok(());
        }
        let detail = "the options of a ticket are fixed: send nothing but the picture";
        Err(Problem::new(Kind::InvalidFields, detail))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_name_is_only_a_name() {
        for (name, expected) in [
            ("photo.jpg", "attachment; filename*=UTF-8''photo.jpg"),
            ("a b\"c.png", "attachment; filename*=UTF-8''a%20b%22c.png"),
            ("../\r\netc", "attachment; filename*=UTF-8''..etc"),
            ("ä", "attachment; filename*=UTF-8''%C3%A4"),
            ("", "attachment"),
        ] {
            assert_eq!(attachment(name).to_str().unwrap(), expected);
        }
    }
}
