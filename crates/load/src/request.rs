//! The bytes of the requests, prepared as far as they are the same for all.

use anyhow::{Context, Result, ensure};
use clap::{Args, ValueEnum};

use crate::pictures::{Picture, Pictures};

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Body {
    /// The picture itself, with the options in the query
    Raw,
    /// A JSON object with the picture in base64
    Json,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ResultForm {
    /// The picture itself (Accept: image/*)
    Picture,
    /// A JSON object with the picture in base64
    Json,
}

#[derive(Clone, Debug, Args)]
pub(crate) struct Form {
    /// How pictures are posted
    #[arg(long, value_enum, default_value = "raw")]
    pub(crate) body: Body,
    /// How results are fetched
    #[arg(long, value_enum, default_value = "picture")]
    pub(crate) result: ResultForm,
    /// The path for posts; a result is at PATH and the ID
    #[arg(long, default_value = "/api/")]
    pub(crate) path: String,
    /// For a service that answers with the result itself: the path to GET, with {file} where the
    /// picture's file name goes. Nothing is posted
    #[arg(long, value_name = "PATH", conflicts_with_all = ["body", "path"])]
    pub(crate) get: Option<String>,
    /// Ask for results with `Prefer: wait=SECONDS`: the answer comes as soon as there is one
    #[arg(long, value_name = "SECONDS")]
    pub(crate) wait: Option<u32>,
    /// An API key, sent as a bearer token
    #[arg(long, value_name = "KEY")]
    pub(crate) key: Option<String>,
}

/// What the requests of a run have in common.
pub(crate) struct Requests {
    pub(crate) address: String,
    pub(crate) form: Form,
    /// Header fields of every request, with the empty line that ends them.
    common: String,
    /// The path of a post.
    post_path: String,
    /// JSON before and after the picture.
    json: (String, String),
}

impl Requests {
    pub(crate) fn new(url: &str, form: &Form, pictures: &Pictures) -> Result<Self> {
        let address = url
            .strip_prefix("http://")
            .context("the URL must begin with http://")?;
        let address = address.trim_end_matches('/');
        ensure!(
            !address.contains('/'),
            "give the path with --path, not in the URL"
        );
        let port = if address.contains(':') { "" } else { ":80" };
        let key = form
            .key
            .as_ref()
            .map(|key| format!("authorization: Bearer {key}\r\n"));
        let query = pictures
            .pairs
            .iter()
            .map(|(key, value)| format!("{key}={}", escape(value)));
        let query = Vec::from_iter(query).join("&");
        let fields = pictures
            .pairs
            .iter()
            .map(|(key, value)| match value.parse::<u64>() {
                Ok(number) => format!(",\"{key}\":{number}"),
                Err(_) => format!(",\"{key}\":{}", serde_json::Value::from(value.as_str())),
            });
        Ok(Self {
            address: format!("{address}{port}"),
            common: format!("host: {address}\r\n{}\r\n", key.unwrap_or_default()),
            post_path: match form.body {
                Body::Raw => format!("{}?{query}", form.path),
                Body::Json => form.path.clone(),
            },
            json: (
                "{\"image\":\"".to_owned(),
                format!("\"{}}}", fields.collect::<String>()),
            ),
            form: form.clone(),
        })
    }

    /// The head of a post, and the parts of its body: those before and after the changing one.
    pub(crate) fn post<'a>(&'a self, picture: &'a Picture, number: u64) -> Post<'a> {
        let stamped = &picture.stamped;
        let (content_type, length) = match self.form.body {
            Body::Raw => (picture.content_type, stamped.len()),
            Body::Json => {
                let json = self.json.0.len() + self.json.1.len();
                ("application/json", stamped.len_base64() + json)
            }
        };
        let head = format!(
            "POST {} HTTP/1.1\r\ncontent-type: {content_type}\r\ncontent-length: {length}\r\n{}",
            self.post_path, self.common,
        );
        match self.form.body {
            Body::Raw => {
                let (before, after) = stamped.around();
                Post {
                    head,
                    comment: stamped.comment(number),
                    before: [b"", before],
                    after: [after, b""],
                }
            }
            Body::Json => {
                let (before, after) = stamped.around_base64();
                Post {
                    head,
                    comment: stamped.comment_base64(number).into_bytes(),
                    before: [self.json.0.as_bytes(), before.as_bytes()],
                    after: [after.as_bytes(), self.json.1.as_bytes()],
                }
            }
        }
    }

    pub(crate) fn fetch(&self, path: &str) -> String {
        let accept = match self.form.result {
            ResultForm::Picture => "image/*",
            ResultForm::Json => "application/json",
        };
        let wait = self
            .form
            .wait
            .map(|seconds| format!("prefer: wait={seconds}\r\n"));
        let wait = wait.unwrap_or_default();
        format!(
            "GET {path} HTTP/1.1\r\naccept: {accept}\r\n{wait}{}",
            self.common
        )
    }
}

pub(crate) struct Post<'a> {
    head: String,
    before: [&'a [u8]; 2],
    comment: Vec<u8>,
    after: [&'a [u8]; 2],
}

impl Post<'_> {
    pub(crate) fn parts(&self) -> [&[u8]; 6] {
        let [a, b] = self.before;
        let [c, d] = self.after;
        [self.head.as_bytes(), a, b, &self.comment, c, d]
    }
}

/// Percent-encodes what a query may not contain.
fn escape(value: &str) -> String {
    let keep = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    let encode = |byte: u8| match keep(byte) {
        true => char::from(byte).to_string(),
        false => format!("%{byte:02X}"),
    };
    value.bytes().map(encode).collect()
}
