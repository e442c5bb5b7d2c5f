//! The pictures of the load, and the results that they must have: what `picresize resize` makes of
//! them, computed once for each kind.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use super::plan::{Random, program};

/// What is asked for, as a query, as flags, and as the format of the result's file.
const REQUESTS: &[(&[(&str, &str)], &str)] = &[
    (&[("width", "80"), ("format", "jpeg")], "jpg"),
    (
        &[("width", "100"), ("height", "60"), ("format", "webp")],
        "webp",
    ),
    (
        &[("width", "64"), ("fit", "inside"), ("format", "png")],
        "png",
    ),
    (
        &[
            ("width", "120"),
            ("height", "120"),
            ("fit", "cover"),
            ("format", "jpeg"),
        ],
        "jpg",
    ),
];

/// How long a slow picture takes: longer than the grace period of a stop.
const SLOW: Duration = Duration::from_millis(2500);
/// Slow pictures: the size of the source, and what is asked for.
const SLOW_SIZES: &[(u32, &[(&str, &str)])] = &[
    (600, &[("width", "600"), ("format", "avif")]),
    (900, &[("width", "900"), ("format", "avif")]),
    (1300, &[("width", "1300"), ("format", "avif")]),
    (2000, &[("width", "2000"), ("format", "avif")]),
];

/// A picture with a request, and what must come of it.
#[derive(Debug)]
pub(crate) struct Kind {
    bytes: Vec<u8>,
    pub(crate) options: &'static [(&'static str, &'static str)],
    /// `None`: the picture is damaged, and its operation must fail.
    pub(crate) expected: Option<Vec<u8>>,
}

#[derive(Debug)]
pub(crate) struct Pictures {
    kinds: Vec<Kind>,
    damaged: Kind,
    slow: Kind,
}

impl Pictures {
    pub(crate) fn new(folder: &Path) -> Self {
        let make = |bytes: Vec<u8>, (options, ending): (&'static [(_, _)], &str)| {
            let expected = resize(folder, &bytes, options, ending);
            Kind {
                bytes,
                options,
                expected,
            }
        };
        let mut kinds = Vec::new();
        for (seed, request) in REQUESTS.iter().enumerate() {
            kinds.push(make(png(160, 120, seed as u64), *request));
        }
        let photo = resize(folder, &png(640, 480, 9), &[("width", "400")], "jpg");
        kinds.push(make(photo.unwrap(), REQUESTS[0]));
        assert!(kinds.iter().all(|kind| kind.expected.is_some()));

        let mut bytes = png(160, 120, 7);
        let middle = bytes.len() / 2;
        bytes[middle] ^= 0xff;
        let damaged = make(bytes, REQUESTS[0]);
        assert!(
            damaged.expected.is_none(),
            "the damaged picture has a result"
        );
        let slow = SLOW_SIZES.iter().map(|(side, options)| {
            let began = Instant::now();
            let slow = make(png(*side, *side, 8), (*options, "avif"));
            assert!(slow.expected.is_some());
            (slow, began.elapsed())
        });
        // The first that takes long enough on this machine, or the largest.
        let mut slowest = None;
        for (slow, took) in slow {
            slowest = Some(slow);
            if took > SLOW {
                break;
            }
        }
        let slow = slowest.unwrap();
        Self {
            kinds,
            damaged,
            slow,
        }
    }

    /// The picture of an operation. One of 50 is damaged.
    pub(crate) fn kind(&self, number: u64, is_slow: bool) -> &Kind {
        match number {
            _ if is_slow => &self.slow,
            _ if number % 50 == 17 => &self.damaged,
            _ => &self.kinds[(number % self.kinds.len() as u64) as usize],
        }
    }
}

impl Kind {
    /// The picture with a number behind its end, where decoders do not look: the bytes are new, and
    /// the result is the same.
    pub(crate) fn unique(&self, number: u64, seed: u64) -> Vec<u8> {
        let mut bytes = self.bytes.clone();
        bytes.extend_from_slice(format!("operation {seed:016x} {number:016x}").as_bytes());
        bytes
    }
}

/// What the command makes of a picture; `None` if it fails.
fn resize(folder: &Path, bytes: &[u8], options: &[(&str, &str)], ending: &str) -> Option<Vec<u8>> {
    let from = folder.join("source");
    let to = folder.join(format!("result.{ending}"));
    std::fs::write(&from, bytes).unwrap();
    let _ = std::fs::remove_file(&to);
    let mut command = Command::new(program());
    command.arg("resize").arg(&from).arg(&to);
    for (key, value) in options {
        command
            .arg(format!("--{}", key.replace('_', "-")))
            .arg(value);
    }
    let output = command.output().unwrap();
    match output.status.code() {
        Some(0) => Some(std::fs::read(&to).unwrap()),
        Some(1) => None,
        _ => panic!("{}", String::from_utf8_lossy(&output.stderr)),
    }
}

/// A PNG of soft colours with some noise, different for every seed.
fn png(width: u32, height: u32, seed: u64) -> Vec<u8> {
    let mut random = Random::new(seed);
    let mut pixels = Vec::new();
    for y in 0..height {
        for x in 0..width {
            let noise = (random.next() % 16) as u32;
            pixels.push(((x * 239 / width) + noise) as u8);
            pixels.push(((y * 239 / height) + noise) as u8);
            pixels.push((((x + y) / 2 % 239) + noise) as u8);
        }
    }
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, width, height);
    encoder.set_color(png::ColorType::Rgb);
    let mut writer = encoder.write_header().unwrap();
    writer.write_image_data(&pixels).unwrap();
    writer.finish().unwrap();
    bytes
}
