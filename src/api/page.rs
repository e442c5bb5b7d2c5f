//! The page and its files, compiled into the program.

use axum::extract::Path;
use axum::http::{Uri, header};
use axum::response::{IntoResponse, Response};

use super::no_such_path;

/// The page loads nothing from elsewhere, and runs nothing that is not a file of its own.
const CONTENT_SECURITY_POLICY: &str = "default-src 'self'; img-src 'self' blob: data:; \
     base-uri 'none'; form-action 'self'; frame-ancestors 'none'";

const PAGE: &str = include_str!("../../assets/index.html");

/// Name, content type and content of each file.
const FILES: [(&str, &str, &[u8]); 3] = [
    (
        "page.css",
        "text/css; charset=utf-8",
        include_bytes!("../../assets/page.css"),
    ),
    (
        "page.js",
        "text/javascript; charset=utf-8",
        include_bytes!("../../assets/page.js"),
    ),
    (
        "favicon.svg",
        "image/svg+xml",
        include_bytes!("../../assets/favicon.svg"),
    ),
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
    match FILES.iter().find(|(file, ..)| *file == name) {
        Some((_, content_type, content)) => (
            [
                (header::CONTENT_TYPE, *content_type),
                (header::CACHE_CONTROL, "no-cache"),
            ],
            *content,
        )
            .into_response(),
        None => no_such_path(uri).await.into_response(),
    }
}
