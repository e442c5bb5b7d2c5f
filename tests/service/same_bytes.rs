//! Tests that the same picture and options give the same bytes in the library, in the worker of
//! `serve`, and in `picresize resize`.

use std::fs;

use picresize::imaging::{Limits, resize};
use picresize::operation::ResizeOptions;
use reqwest::{Client, StatusCode};
use serde_json::{Map, Value};
use tempfile::tempdir;

use crate::process::{Process, program, run, text};
use crate::support::{Picture, png, post, request, wait};

/// Sources are PNG, or made from one by the library.
const CASES: &[(&str, &str)] = &[
    ("png", "width=90"),
    ("png", "width=80 height=80 fit=contain background=#336699"),
    ("png", "width=61 filter=mitchell sharpen=30 palette=40"),
    ("png", "width=90 format=jpeg quality=71 progressive=true"),
    ("png", "width=90 format=webp max_bytes=2000"),
    ("png", "width=90 format=webp lossless=true"),
    ("png", "width=64 format=avif"),
    ("png", "width=64 format=gif"),
    ("jpeg", "width=50 height=70 fit=cover position=smart"),
    ("jpeg", "height=33 profile=fine"),
    ("webp", "width=300 height=300 fit=inside"),
    ("gif", "width=50 format=webp"),
    ("avif", "width=50 format=png"),
];

fn pairs(options: &str) -> impl Iterator<Item = (&str, &str)> {
    options
        .split_whitespace()
        .map(|word| word.split_once('=').unwrap())
}

fn by_library(source: &[u8], options: &str) -> Vec<u8> {
    let request = ResizeOptions::from_pairs(pairs(options)).unwrap();
    resize(source, &request, &Limits::default()).unwrap().bytes
}

fn source(format: &str) -> Vec<u8> {
    let drawn = png(211, 157, 5);
    match format {
        "png" => drawn,
        format => by_library(&drawn, &format!("width=211 format={format}")),
    }
}

async fn by_worker(client: &Client, url: &str, source: &[u8], options: &str) -> Vec<u8> {
    let options: Map<_, _> = pairs(options)
        .map(|(key, value)| (key.to_owned(), Value::from(value)))
        .collect();
    let response = post(client, url, &request(source, options.into())).await;
    let answer: Value = response.json().await.unwrap();
    let id = answer["identifier"].as_str();
    let id = id.unwrap_or_else(|| panic!("{answer}"));
    let (status, answer) = wait(client, url, id).await;
    assert_eq!(status, StatusCode::OK, "{answer}");
    Picture::of(&answer).bytes
}

fn by_command(source: &[u8], options: &str) -> Vec<u8> {
    let folder = tempdir().unwrap();
    let from = folder.path().join("picture");
    fs::write(&from, source).unwrap();
    let to = folder.path().join("out");
    let mut command = program();
    command.arg("resize").arg(&from).arg("--out-dir").arg(&to);
    for (key, value) in pairs(options) {
        command.arg(format!("--{}={value}", key.replace('_', "-")));
    }
    let output = run(command);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let result = fs::read_dir(&to).unwrap().next().unwrap().unwrap();
    fs::read(result.path()).unwrap()
}

#[tokio::test]
async fn library_worker_and_command_make_the_same_bytes() {
    let folder = tempdir().unwrap();
    let server = Process::serve("127.0.0.1:0", folder.path());
    let client = Client::new();
    for (format, options) in CASES {
        let source = source(format);
        let expected = by_library(&source, options);
        let worker = by_worker(&client, &server.url, &source, options).await;
        assert!(worker == expected, "the worker: {format} {options}");
        let command = by_command(&source, options);
        assert!(command == expected, "the command: {format} {options}");
    }
}
