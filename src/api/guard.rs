//! Keeps web pages of other sites from using the service behind the back of their visitors, and sets
//! the headers that browsers need for that.
//!
//! A page of another site can send a browser here in two ways. It can send a request to this address:
//! then `Sec-Fetch-Site` and `Origin` say where it comes from (Fetch Metadata, W3C). Or its own name can
//! be made to point here (DNS rebinding): then `Host` is that name.

use std::net::IpAddr;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::fields::clip;
use super::problem::{Kind, Problem};

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
const PERMISSIONS_POLICY: HeaderName = HeaderName::from_static("permissions-policy");
const OPENER_POLICY: HeaderName = HeaderName::from_static("cross-origin-opener-policy");
pub(super) const RESOURCE_POLICY: HeaderName =
    HeaderName::from_static("cross-origin-resource-policy");
/// What pages of other sites may send.
const ALLOWED_METHODS: &str = "GET, HEAD, POST, DELETE";
const ALLOWED_HEADERS: &str =
    "Authorization, Content-Type, Accept, Idempotency-Key, If-None-Match, Prefer, Traceparent";
/// What their scripts may read besides the usual headers.
const EXPOSED_HEADERS: &str = "Location, Identifier, ETag, Retry-After, RateLimit, RateLimit-Policy, \
                               Preference-Applied, WWW-Authenticate";
/// How long a browser may keep the answer to a preflight.
const PREFLIGHT_SECONDS: &str = "600";
/// Headers of every answer that does not set its own. Nothing in an answer can run, load or be framed.
const DEFAULTS: [(HeaderName, &str); 6] = [
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (
        header::CONTENT_SECURITY_POLICY,
        "default-src 'none'; frame-ancestors 'none'; sandbox",
    ),
    (header::REFERRER_POLICY, "no-referrer"),
    (
        PERMISSIONS_POLICY,
        "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    ),
    (OPENER_POLICY, "same-origin"),
    (RESOURCE_POLICY, "same-origin"),
];

/// Which sites may use the service from a browser.
#[derive(Clone, Debug)]
pub(super) struct Guard {
    /// The names that `Host` may have besides those of this machine; `None` for any.
    hosts: Option<Vec<String>>,
    /// The other sites whose pages may use the service.
    origins: Vec<String>,
}

impl Guard {
    /// Both are lists with commas between. Without names, `is_local` says whether only the names of
    /// this machine are right.
    pub(super) fn new(hosts: &str, origins: &str, is_local: bool) -> Self {
        let hosts = list(hosts);
        Self {
            hosts: (is_local || !hosts.is_empty()).then_some(hosts),
            origins: list(origins),
        }
    }

    fn allows_host(&self, headers: &HeaderMap) -> Result<(), Problem> {
        let (Some(hosts), Some(host)) = (&self.hosts, headers.get(header::HOST)) else {
            return Ok(());
        };
        let host = String::from_utf8_lossy(host.as_bytes()).to_ascii_lowercase();
        let name = name_of(&host);
        // Nobody can make an address point somewhere else, or own a name without a dot.
        let is_address = name.trim_matches(['[', ']']).parse::<IpAddr>().is_ok();
        let is_local = !name.contains('.') || name.ends_with(".localhost");
        if is_address || is_local || hosts.iter().any(|known| known == name) {
            return Ok(());
        }
        Err(Problem::new(
            Kind::WrongHost,
            format!(
                "this service does not answer to the name {:?}; access.allowed_hosts lists its names",
                clip(name)
            ),
        ))
    }

    /// Whether the request comes from a page of another site that may use the service. An error if it
    /// may not, and the request could change something.
    fn allows_origin(&self, method: &Method, headers: &HeaderMap) -> Result<bool, Problem> {
        let origin = headers.get(header::ORIGIN);
        let origin = origin.map(|origin| String::from_utf8_lossy(origin.as_bytes()));
        let site = headers.get(SEC_FETCH_SITE).map(HeaderValue::as_bytes);
        let is_own = match (&origin, site) {
            (_, Some(b"same-origin" | b"none")) => true,
            (Some(origin), None) => is_same(origin, headers),
            (None, None) => true,
            _ => false,
        };
        if is_own {
            return Ok(false);
        }
        let origin = origin.unwrap_or_default().to_ascii_lowercase();
        if self
            .origins
            .iter()
            .any(|known| *known == origin || known == "*")
        {
            return Ok(true);
        }
        if method.is_safe() && *method != Method::OPTIONS {
            // Its page cannot read the answer.
            return Ok(false);
        }
        Err(Problem::new(
            Kind::ForeignOrigin,
            format!(
                "pages of {} may not use this service; access.allowed_origins lists those that may",
                if origin.is_empty() {
                    "other sites".to_owned()
                } else {
                    format!("{:?}", clip(&origin))
                }
            ),
        ))
    }
}

fn list(text: &str) -> Vec<String> {
    let words = text
        .split(',')
        .map(|word| word.trim().trim_end_matches('/'));
    let words = words.filter(|word| !word.is_empty());
    words.map(str::to_ascii_lowercase).collect()
}

/// The name of a host, without its port.
fn name_of(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    }
}

/// Whether an origin is that of the service itself. A proxy may have changed the scheme.
fn is_same(origin: &str, headers: &HeaderMap) -> bool {
    let Some(host) = headers
        .get(header::HOST)
        .and_then(|host| host.to_str().ok())
    else {
        return false;
    };
    let authority = origin
        .split_once("://")
        .map_or("", |(_, authority)| authority);
    authority.eq_ignore_ascii_case(host)
}

/// Refuses requests of pages that may not use the service, and adds the headers for browsers.
pub(super) async fn check(
    State(guard): State<Arc<Guard>>,
    request: Request,
    next: Next,
) -> Response {
    let (method, headers) = (request.method().clone(), request.headers());
    let origin = headers.get(header::ORIGIN).cloned();
    let is_preflight = method == Method::OPTIONS
        && origin.is_some()
        && headers.contains_key(header::ACCESS_CONTROL_REQUEST_METHOD);
    // Those who watch over a service may know it by any name.
    let is_health = matches!(request.uri().path(), "/healthz" | "/readyz");
    let allowed = match is_health {
        true => Ok(()),
        false => guard.allows_host(headers),
    };
    let allowed = allowed.and_then(|()| guard.allows_origin(&method, headers));
    let mut response = match &allowed {
        Ok(true) if is_preflight => preflight(),
        Ok(_) => next.run(request).await,
        Err(_) => Response::new(Body::empty()),
    };
    let is_allowed_origin = match allowed {
        Ok(is_allowed_origin) => is_allowed_origin,
        Err(problem) => {
            response = problem.and_close().into_response();
            false
        }
    };
    let headers = response.headers_mut();
    if !guard.origins.is_empty() {
        headers.append(header::VARY, HeaderValue::from_static("Origin"));
    }
    if let Some(origin) = origin.filter(|_| is_allowed_origin) {
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        headers.insert(
            header::ACCESS_CONTROL_EXPOSE_HEADERS,
            HeaderValue::from_static(EXPOSED_HEADERS),
        );
        headers.insert(RESOURCE_POLICY, HeaderValue::from_static("cross-origin"));
    }
    for (name, value) in DEFAULTS {
        headers
            .entry(name)
            .or_insert(HeaderValue::from_static(value));
    }
    response
}

/// The answer to a browser that asks before it sends a request of another site.
fn preflight() -> Response {
    (
        StatusCode::NO_CONTENT,
        [
            (header::ACCESS_CONTROL_ALLOW_METHODS, ALLOWED_METHODS),
            (header::ACCESS_CONTROL_ALLOW_HEADERS, ALLOWED_HEADERS),
            (header::ACCESS_CONTROL_MAX_AGE, PREFLIGHT_SECONDS),
        ],
    )
        .into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&str, &str)]) -> HeaderMap {
        let pairs = pairs.iter().map(|(name, value)| {
            let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
            (name, HeaderValue::from_str(value).unwrap())
        });
        pairs.collect()
    }

    #[test]
    fn only_names_of_the_service_are_answered() {
        let local = Guard::new("pictures.example", "", true);
        for host in [
            "localhost:8000",
            "LOCALHOST",
            "127.0.0.1:8000",
            "[::1]:8000",
            "192.168.1.7",
            "app.localhost",
            "api:8000",
            "pictures.example:443",
        ] {
            assert!(
                local.allows_host(&headers(&[("host", host)])).is_ok(),
                "{host}"
            );
        }
        for host in [
            "evil.example",
            "127.0.0.1.evil.example:8000",
            "localhost.evil.example",
        ] {
            assert!(
                local.allows_host(&headers(&[("host", host)])).is_err(),
                "{host}"
            );
        }
        let anywhere = Guard::new("", "", false);
        assert!(
            anywhere
                .allows_host(&headers(&[("host", "evil.example")]))
                .is_ok()
        );
        let named = Guard::new("pictures.example", "", false);
        assert!(
            named
                .allows_host(&headers(&[("host", "evil.example")]))
                .is_err()
        );
    }

    #[test]
    fn pages_of_other_sites_change_nothing() {
        let guard = Guard::new("", "https://shop.example/, http://127.0.0.1:3000", true);
        let host = ("host", "127.0.0.1:8000");
        let own = [
            vec![host],
            vec![host, ("origin", "http://127.0.0.1:8000")],
            vec![
                host,
                ("origin", "http://127.0.0.1:8000"),
                ("sec-fetch-site", "same-origin"),
            ],
            vec![host, ("sec-fetch-site", "none")],
        ];
        for request in own {
            assert!(
                !guard
                    .allows_origin(&Method::POST, &headers(&request))
                    .unwrap()
            );
        }
        let allowed = [
            vec![
                host,
                ("origin", "https://shop.example"),
                ("sec-fetch-site", "cross-site"),
            ],
            vec![
                host,
                ("origin", "http://127.0.0.1:3000"),
                ("sec-fetch-site", "same-site"),
            ],
        ];
        for request in allowed {
            assert!(
                guard
                    .allows_origin(&Method::POST, &headers(&request))
                    .unwrap()
            );
        }
        let foreign = [
            vec![
                host,
                ("origin", "https://evil.example"),
                ("sec-fetch-site", "cross-site"),
            ],
            vec![
                host,
                ("origin", "http://127.0.0.1:9000"),
                ("sec-fetch-site", "same-site"),
            ],
            vec![host, ("origin", "http://localhost:8000")],
            vec![host, ("origin", "null"), ("sec-fetch-site", "cross-site")],
            vec![host, ("origin", "null")],
            vec![host, ("sec-fetch-site", "cross-site")],
            vec![("origin", "http://127.0.0.1:8000")],
        ];
        for request in foreign {
            for method in [Method::POST, Method::DELETE, Method::PUT, Method::OPTIONS] {
                let allowed = guard.allows_origin(&method, &headers(&request));
                assert!(allowed.is_err(), "{method} {request:?}");
            }
            assert!(
                !guard
                    .allows_origin(&Method::GET, &headers(&request))
                    .unwrap()
            );
        }
    }
}
