//! `GET /`: serves the web page and its files, which are compiled into the program.

use axum::extract::Path;
use axum::http::{Uri, header};
use axum::response::{IntoResponse, Response};

use super::problem::no_such_path;

/// The page loads nothing from other hosts, and runs no inline scripts.
const CONTENT_SECURITY_POLICY: &str = "default-src 'self'; img-src 'self' blob: data:; \
     base-uri 'none'; form-action 'self'; frame-ancestors 'none'";

const PAGE: &str = include_str!("../../assets/index.html");

/// The page's other files, by name.
macro_rules! assets {
    ($($name:literal),+ $(,)?) => {
        &[$(($name, include_bytes!(concat!("../../assets/", $name)))),+]
    };
}

const FILES: &[(&str, &[u8])] = assets![
    "bench.js",
    "client.js",
    "favicon.svg",
    "key.js",
    "measure.js",
    "page.css",
    "page.js",
    "recent.js",
    "result.js",
];

/// `GET /` and `GET /result?id=`
pub(super) async fn page() -> Response {
    (
        [
            (header::CONTENT_TYPE, "text/html; charset=utf-8"),
            (header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY),
            (header::REFERRER_POLICY, "no-referrer"),
            (header::CACHE_CONTROL, "no-cache"),
        ],
        PAGE,
    )
        .into_response()
}

/// `GET /assets/{name}`
pub(super) async fn asset(Path(name): Path<String>, uri: Uri) -> Response {
    match FILES.iter().find(|(file, _)| *file == name) {
        Some((_, content)) => (
            [
                (header::CONTENT_TYPE, content_type(&name)),
                // It holds for workers, too.
                (header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY),
                (header::CACHE_CONTROL, "no-cache"),
            ],
            *content,
        )
            .into_response(),
        None => no_such_path(uri).await.into_response(),
    }
}

fn content_type(name: &str) -> &'static str {
    match name.rsplit('.').next() {
        Some("css") => "text/css; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("svg") => "image/svg+xml",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_has_a_content_type() {
        for (name, _) in FILES {
            assert_ne!(content_type(name), "application/octet-stream", "{name}");
        }
    }
}
