//! Tests that each mistake in a request gets its own clear error.

use std::collections::HashMap;

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::support::{TestServer, encode, png};

/// A request, and the expected answer.
struct Case {
    name: &'static str,
    method: Method,
    path: String,
    content_type: &'static str,
    body: Vec<u8>,
    status: u16,
    kind: &'static str,
    /// Words that the error must contain: the value and the limit.
    words: &'static [&'static str],
    fields: &'static [&'static str],
}

impl Case {
    /// A POST of JSON that is refused because of invalid fields.
    fn json(
        name: &'static str,
        body: &Value,
        status: u16,
        kind: &'static str,
        words: &'static [&'static str],
        fields: &'static [&'static str],
    ) -> Self {
        Self {
            name,
            method: Method::POST,
            path: "/api/".to_owned(),
            content_type: "application/json",
            body: body.to_string().into_bytes(),
            status,
            kind,
            words,
            fields,
        }
    }

    fn get(
        name: &'static str,
        path: &str,
        status: u16,
        kind: &'static str,
        words: &'static [&'static str],
    ) -> Self {
        Self {
            method: Method::GET,
            path: path.to_owned(),
            body: Vec::new(),
            ..Self::json(name, &Value::Null, status, kind, words, &[])
        }
    }
}

/// A PNG header that promises this many pixels.
fn bomb(width: u32, height: u32) -> Vec<u8> {
    let mut bytes = png(8, 8, 1);
    bytes[16..20].copy_from_slice(&width.to_be_bytes());
    bytes[20..24].copy_from_slice(&height.to_be_bytes());
    let sum = crc32fast::hash(&bytes[12..29]);
    bytes[29..33].copy_from_slice(&sum.to_be_bytes());
    bytes
}

fn cases() -> Vec<Case> {
    let picture = png(40, 30, 1);
    let image = encode(&picture);
    let sized = |width: Value| json!({"image": image, "width": width, "height": 10});
    let of = |bytes: &[u8]| json!({"image": encode(bytes), "width": 10});
    let fields = "invalid-fields";
    vec![
        Case {
            body: Vec::new(),
            ..Case::json(
                "no body",
                &Value::Null,
                400,
                "missing-body",
                &["base64"],
                &[],
            )
        },
        Case {
            body: b"{\"image\": ".to_vec(),
            ..Case::json(
                "broken JSON",
                &Value::Null,
                400,
                "unreadable-body",
                &["line 1"],
                &[],
            )
        },
        Case::json(
            "no object",
            &json!([1]),
            400,
            "unreadable-body",
            &["object"],
            &[],
        ),
        Case::json(
            "no image",
            &json!({"width": 10}),
            422,
            fields,
            &["missing"],
            &["image"],
        ),
        Case::json(
            "an empty image",
            &json!({"image": "", "width": 10}),
            422,
            fields,
            &["empty"],
            &["image"],
        ),
        Case::json(
            "an image that is a number",
            &json!({"image": 5, "width": 10}),
            422,
            fields,
            &["base64"],
            &["image"],
        ),
        Case::json(
            "base64 with a foreign letter",
            &json!({"image": "AAAA§AAA", "width": 10}),
            422,
            fields,
            &["'§'", "position 4"],
            &["image"],
        ),
        Case::json(
            "a text file",
            &of(b"Dear reader, this is no picture at all.\n"),
            422,
            "not-a-picture",
            &[],
            &["image"],
        ),
        Case::json(
            "an SVG",
            &of(b"<svg xmlns=\"http://www.w3.org/2000/svg\"/>"),
            422,
            "not-a-picture",
            &["SVG"],
            &["image"],
        ),
        Case::json(
            "a header cut short",
            &of(&picture[..20]),
            422,
            "broken-picture",
            &["png", "header"],
            &["image"],
        ),
        Case::json(
            "width 0",
            &sized(json!(0)),
            422,
            fields,
            &["0 is too small", "1"],
            &["width"],
        ),
        Case::json(
            "width -5",
            &sized(json!(-5)),
            422,
            fields,
            &["-5 is too small", "1"],
            &["width"],
        ),
        Case::json(
            "width 1.5",
            &sized(json!(1.5)),
            422,
            fields,
            &["1.5", "whole number"],
            &["width"],
        ),
        Case::json(
            "width \"abc\"",
            &sized(json!("abc")),
            422,
            fields,
            &["\"abc\"", "whole number"],
            &["width"],
        ),
        Case::json(
            "width 100001",
            &sized(json!(100_001)),
            422,
            fields,
            &["100001", "20000"],
            &["width"],
        ),
        Case::json(
            "width is a list",
            &sized(json!([5])),
            422,
            fields,
            &["single value"],
            &["width"],
        ),
        Case::json(
            "both sizes missing",
            &json!({"image": image}),
            422,
            fields,
            &["width", "height"],
            &["width", "height"],
        ),
        Case::json(
            "an unknown option",
            &json!({"image": image, "width": 10, "colour": "red"}),
            422,
            fields,
            &["not an option", "quality"],
            &["colour"],
        ),
        Case::json(
            "an unknown fit",
            &json!({"image": image, "width": 10, "fit": "squash"}),
            422,
            fields,
            &["squash", "cover"],
            &["fit"],
        ),
        Case::json(
            "an unknown format",
            &json!({"image": image, "width": 10, "format": "bmp"}),
            422,
            fields,
            &["bmp", "webp"],
            &["format"],
        ),
        Case::json(
            "quality 101",
            &json!({"image": image, "width": 10, "quality": 101}),
            422,
            fields,
            &["101", "100"],
            &["quality"],
        ),
        Case::json(
            "a score that no lossy result has",
            &json!({"image": image, "width": 10, "quality": "auto:96"}),
            422,
            fields,
            &["96", "95"],
            &["quality"],
        ),
        Case::json(
            "effort 10",
            &json!({"image": image, "width": 10, "effort": 10}),
            422,
            fields,
            &["10", "9"],
            &["effort"],
        ),
        Case {
            body: vec![b'x'; 300_000],
            ..Case::json(
                "a body over the limit",
                &Value::Null,
                413,
                "body-too-large",
                &["198872"],
                &[],
            )
        },
        Case {
            content_type: "image/png",
            path: "/api/?width=10".to_owned(),
            body: vec![b'x'; 150_000],
            ..Case::json(
                "a picture over the limit",
                &Value::Null,
                413,
                "body-too-large",
                &["150000", "100000"],
                &[],
            )
        },
        Case::json(
            "more pixels than the limit",
            &of(&bomb(20_000, 10_000)),
            422,
            "picture-too-large",
            &["20000", "10000", "100000000"],
            &["image"],
        ),
        Case {
            content_type: "text/plain",
            ..Case::json(
                "a wrong content type",
                &of(&picture),
                415,
                "unsupported-content-type",
                &["text/plain", "application/json"],
                &[],
            )
        },
        Case {
            content_type: "multipart/form-data",
            ..Case::json(
                "a form without a boundary",
                &of(&picture),
                400,
                "unreadable-body",
                &["form"],
                &[],
            )
        },
        Case::get(
            "an unknown id",
            "/api/01939a5e-6f0e-7d31-8d43-2f6c1f0f7b11",
            404,
            "unknown-operation",
            &["01939a5e"],
        ),
        Case::get(
            "the status of an unknown id",
            "/api/01939a5f-6f0e-7d31-8d43-2f6c1f0f7b11/status",
            404,
            "unknown-operation",
            &["01939a5f"],
        ),
        Case::get(
            "a malformed id",
            "/api/12345",
            400,
            "malformed-identifier",
            &["12345", "UUID"],
        ),
        Case::get(
            "an id that is no text",
            "/api/%ff",
            400,
            "malformed-identifier",
            &[],
        ),
        Case::get(
            "an unknown path",
            "/images",
            404,
            "no-such-path",
            &["/images", "/api/"],
        ),
        Case::get(
            "a wrong method",
            "/api/",
            405,
            "method-not-allowed",
            &["GET"],
        ),
        Case {
            method: Method::PUT,
            ..Case::get(
                "another wrong method",
                "/api/01939a5e-6f0e-7d31-8d43-2f6c1f0f7b11",
                405,
                "method-not-allowed",
                &["PUT"],
            )
        },
    ]
}

#[tokio::test]
async fn each_mistake_gets_its_own_clear_error() {
    let server = TestServer::start_with(|settings| {
        settings.limits.max_picture_bytes = 100_000;
        settings.server.upload_memory_mib = 8;
    })
    .await;
    let mut seen = HashMap::new();
    for case in cases() {
        let name = case.name;
        let url = format!("{}{}", server.url, case.path);
        let request = server
            .client
            .request(case.method, url)
            .header("content-type", case.content_type)
            .body(case.body);
        let response = request.send().await.unwrap();
        let content_type = response.headers()["content-type"].clone();
        let (status, allow) = (response.status(), response.headers().contains_key("allow"));
        let problem: Value = response.json().await.unwrap();
        assert_eq!(status.as_u16(), case.status, "{name}: {problem}");
        assert_eq!(content_type, "application/problem+json", "{name}");
        assert_eq!(problem["status"], case.status, "{name}");
        assert_eq!(
            problem["type"],
            format!("urn:picresize:problem:{}", case.kind),
            "{name}: {problem}"
        );
        assert!(!problem["title"].as_str().unwrap().is_empty());
        let detail = problem["detail"].as_str().unwrap();
        for word in case.words {
            assert!(
                detail.contains(word),
                "{name}: {word:?} is not in {detail:?}"
            );
        }
        let no_errors = Vec::new();
        let errors = problem["errors"].as_array().unwrap_or(&no_errors);
        let fields: Vec<_> = errors
            .iter()
            .map(|error| error["field"].as_str().unwrap())
            .collect();
        assert_eq!(fields, case.fields, "{name}");
        assert_eq!(
            allow,
            status == StatusCode::METHOD_NOT_ALLOWED,
            "{name}: Allow"
        );
        if let Some(other) = seen.insert(problem["detail"].to_string(), name) {
            panic!("{name} and {other} get the same error: {detail}");
        }
    }
    assert_eq!(server.get("/readyz").await.status(), StatusCode::OK);
    server.stop().await;
}

#[tokio::test]
async fn several_mistakes_are_told_at_once() {
    let server = TestServer::start().await;
    let response = server
        .post(&json!({"image": "?", "width": 0, "fit": "squash"}))
        .await;
    let problem: Value = response.json().await.unwrap();
    let errors = problem["errors"].as_array().unwrap();
    let mut fields: Vec<_> = errors
        .iter()
        .map(|error| error["field"].as_str().unwrap())
        .collect();
    fields.sort_unstable();
    assert_eq!(fields, ["fit", "image", "width"]);
    server.stop().await;
}
