//! Sends real pictures, good and broken ones, through the whole service. Results are checked with
//! an independent decoder: Pillow.

use std::path::Path;
use std::process::Command;

use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::support::{Picture, TestServer, encode, files, pictures, request, skipped};

/// Prints for each file: format, width and height, and the mean colour of each quarter, which shows
/// whether the orientation is right.
const READER: &str = "
import sys
from PIL import Image, ImageStat
for path in sys.argv[1:]:
    image = Image.open(path)
    image.load()
    width, height = image.size
    colours = []
    for x, y in ((0, 0), (1, 0), (0, 1), (1, 1)):
        box = (x * width // 2, y * height // 2, (x + 1) * width // 2, (y + 1) * height // 2)
        colours += ImageStat.Stat(image.convert('RGB').crop(box)).mean
    print(image.format.lower(), width, height, *(round(c) for c in colours))
";

/// A picture as an independent decoder sees it.
#[derive(Debug)]
struct Seen {
    format: String,
    size: (u64, u64),
    colours: Vec<i32>,
}

fn has_pillow() -> bool {
    let python = Command::new("python3").args(["-c", "import PIL"]).output();
    let there = python.is_ok_and(|output| output.status.success());
    if !there {
        skipped("Pillow is not installed for python3");
    }
    there
}

fn see(pictures: &[Vec<u8>]) -> Vec<Seen> {
    let folder = tempfile::tempdir().unwrap();
    let mut python = Command::new("python3");
    python.args(["-c", READER]);
    for (index, bytes) in pictures.iter().enumerate() {
        let path = folder.path().join(index.to_string());
        std::fs::write(&path, bytes).unwrap();
        python.arg(path);
    }
    let output = python.output().unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let text = String::from_utf8(output.stdout).unwrap();
    let seen: Vec<_> = text.lines().map(parse).collect();
    assert_eq!(seen.len(), pictures.len());
    seen
}

fn parse(line: &str) -> Seen {
    let mut words = line.split(' ');
    let format = words.next().unwrap().to_owned();
    let mut numbers = words.map(|word| word.parse::<i32>().unwrap());
    let width = numbers.next().unwrap() as u64;
    let height = numbers.next().unwrap() as u64;
    Seen {
        format,
        size: (width, height),
        colours: numbers.collect(),
    }
}

fn name(path: &Path) -> String {
    path.file_name().unwrap().to_string_lossy().into_owned()
}

/// The size in a photograph's name, such as `photo-01-2048x1332.webp`.
fn size_in_name(name: &str) -> Option<(u64, u64)> {
    let (_, size) = name.rsplit_once('.')?.0.rsplit_once('-')?;
    let (width, height) = size.split_once('x')?;
    Some((width.parse().ok()?, height.parse().ok()?))
}

#[tokio::test]
async fn every_photograph_comes_back_as_asked() {
    let Some(folder) = pictures("photos") else {
        return;
    };
    if !has_pillow() {
        return;
    }
    let server = TestServer::start().await;
    let mut results = Vec::new();
    let mut wanted = Vec::new();
    for path in files(&folder) {
        let (name, source) = (name(&path), std::fs::read(&path).unwrap());
        let own = path
            .extension()
            .unwrap()
            .to_str()
            .unwrap()
            .replace("jpg", "jpeg");
        let other = if own == "webp" { "jpeg" } else { "webp" };
        let filled = server
            .resize(&source, json!({"width": 320, "height": 200}))
            .await;
        results.push(filled.bytes);
        wanted.push((name.clone(), own.clone(), (320, 200)));

        let by_width = server.resize(&source, json!({"width": 512})).await;
        if let Some((width, height)) = size_in_name(&name) {
            let expected = (512.0 * height as f64 / width as f64).round() as u64;
            assert_eq!(by_width.height, expected, "{name}");
        }
        let size = (by_width.width, by_width.height);
        results.push(by_width.bytes);
        wanted.push((name.clone(), own, size));

        let options = json!({"width": 300, "height": 300, "format": other});
        let converted = server.resize(&source, options).await;
        assert_eq!(converted.content_type, format!("image/{other}"));
        results.push(converted.bytes);
        wanted.push((name, other.to_owned(), (300, 300)));
    }
    for (seen, (name, format, size)) in see(&results).iter().zip(wanted) {
        assert_eq!((&seen.format, seen.size), (&format, size), "{name}");
    }
    server.stop().await;
}

#[tokio::test]
async fn all_eight_orientations_come_out_upright_and_alike() {
    let Some(folder) = pictures("orientation") else {
        return;
    };
    if !has_pillow() {
        return;
    }
    let server = TestServer::start().await;
    let mut results = Vec::new();
    let mut names = Vec::new();
    for path in files(&folder) {
        if path.extension().is_some_and(|extension| extension == "jpg") {
            let source = std::fs::read(&path).unwrap();
            results.push(server.resize(&source, json!({"width": 300})).await.bytes);
            names.push(name(&path));
        }
    }
    assert!(
        results.len() >= 8,
        "eight orientations, not {}",
        results.len()
    );
    let seen = see(&results);
    for (picture, name) in seen.iter().zip(&names) {
        assert_eq!(picture.size, seen[0].size, "{name}");
        let pairs = picture.colours.iter().zip(&seen[0].colours);
        let difference = pairs.map(|(one, other)| (one - other).abs()).max();
        assert!(
            difference <= Some(4),
            "{name} differs: {picture:?} and {:?}",
            seen[0]
        );
    }
    server.stop().await;
}

#[tokio::test]
async fn no_file_makes_the_service_stumble() {
    let (Some(formats), Some(pngsuite)) = (pictures("formats"), pictures("pngsuite")) else {
        return;
    };
    let server = TestServer::start().await;
    let mut accepted = Vec::new();
    let mut refused = 0;
    for path in files(&formats).into_iter().chain(files(&pngsuite)) {
        let name = name(&path);
        let body = json!({"image": encode(&std::fs::read(&path).unwrap()), "width": 48, "height": 32, "format": "png"});
        let response = server.post(&body).await;
        let status = response.status();
        let answer: Value = response.json().await.unwrap();
        if status == StatusCode::CREATED {
            accepted.push((name, answer["identifier"].as_str().unwrap().to_owned()));
        } else {
            assert!(status.is_client_error(), "{name}: {status} {answer}");
            assert!(!answer["detail"].as_str().unwrap().is_empty(), "{name}");
            refused += 1;
        }
    }
    let mut done = 0;
    let mut failed = 0;
    for (name, id) in accepted {
        let (status, answer) = server.wait(&id).await;
        if status == StatusCode::OK {
            let picture = Picture::of(&answer);
            assert_eq!((picture.width, picture.height), (48, 32), "{name}");
            done += 1;
        } else {
            assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{name}: {answer}");
            assert!(!answer["detail"].as_str().unwrap().is_empty(), "{name}");
            failed += 1;
        }
    }
    eprintln!("{done} done, {failed} failed with a reason, {refused} refused");
    assert!(done > refused + failed, "most of them are good pictures");
    assert_eq!(server.get("/readyz").await.status(), StatusCode::OK);
    let body = request(&crate::support::png(4, 4, 1), json!({"width": 2}));
    assert_eq!(server.post(&body).await.status(), StatusCode::CREATED);
    server.stop().await;
}
