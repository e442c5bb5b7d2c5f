//! Perceptual hashes of real photographs: copies stay near, other pictures far away.

use std::io::Cursor;
use std::path::Path;

use super::support::{corpus, request};
use picresize_imaging::Fingerprint;
use picresize_imaging::{Limits, fingerprint, resize};

/// Photographs that all show different scenes.
const PHOTOGRAPHS: [&str; 17] = [
    "photos/mosaic-4096x2664.jpg",
    "photos/mosaic-6144x3996.jpg",
    "photos/photo-01-2048x1358.jpg",
    "photos/photo-02-1365x2048.webp",
    "photos/photo-02-1638x2048.png",
    "photos/photo-02-2048x1365.jpg",
    "photos/photo-03-2048x1332.jpg",
    "photos/photo-04-2048x1365.jpg",
    "photos/photo-05-2048x1367.jpg",
    "photos/photo-06-1507x2048.jpg",
    "photos/photo-07-1365x2048.jpg",
    "photos/photo-08-1638x2048.jpg",
    "orientation/Landscape_1.jpg",
    "formats/test-images/jpg/iptc.jpg",
    "formats/test-images/jpg/portrait_2.jpg",
    "formats/test-images/jpg/progressive/3.jpg",
    "formats/test-images/jpg/progressive/cat.jpg",
];

/// Files with the same photograph, in different formats and colours.
const SAME: [[&str; 2]; 5] = [
    [
        "photos/photo-01-2048x1332.webp",
        "photos/photo-03-2048x1332.jpg",
    ],
    [
        "photos/photo-01-2048x1365.png",
        "photos/photo-02-2048x1365.jpg",
    ],
    ["photos/photo-01-2048x1358.jpg", "photos/photo-gray.jpg"],
    ["photos/photo-01-2048x1358.jpg", "photos/photo-444-q95.jpg"],
    [
        "photos/mosaic-4096x2664.jpg",
        "photos/mosaic-progressive-4096x2664.jpg",
    ],
];

fn read(folder: &Path, name: &str) -> Vec<u8> {
    std::fs::read(folder.join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

fn resized(picture: &[u8], options: &str) -> Vec<u8> {
    let made = resize(picture, &request(options), &Limits::default());
    made.unwrap().bytes
}

fn hash(picture: &[u8]) -> Fingerprint {
    fingerprint(picture, &Limits::default()).expect("a photograph has a hash")
}

/// Width, height and pixels of a PNG, as Rgb.
fn decode(png: &[u8]) -> (u32, u32, Vec<u8>) {
    let mut reader = png::Decoder::new(Cursor::new(png)).read_info().unwrap();
    let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
    let info = reader.next_frame(&mut pixels).unwrap();
    if info.color_type == png::ColorType::Grayscale {
        pixels = pixels.iter().flat_map(|&y| [y, y, y]).collect();
    }
    (info.width, info.height, pixels)
}

fn encode(width: u32, height: u32, pixels: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, width, height);
    encoder.set_color(png::ColorType::Rgb);
    let mut writer = encoder.write_header().unwrap();
    writer.write_image_data(pixels).unwrap();
    writer.finish().unwrap();
    bytes
}

/// Common edits of a result.
fn copies(result: &[u8]) -> Vec<(&'static str, Vec<u8>)> {
    let png = resized(result, "width=10000 enlarge=false format=png");
    let (width, height, mut brighter) = decode(&png);
    for value in &mut brighter {
        *value = (f32::from(*value) * 1.08).min(255.0) as u8;
    }
    let brighter = encode(width, height, &brighter);
    let smaller = format!("width={} format=png", (width * 4).div_ceil(5));
    vec![
        (
            "JPEG 60",
            resized(&png, "width=10000 enlarge=false format=jpeg quality=60"),
        ),
        (
            "WebP 60",
            resized(&png, "width=10000 enlarge=false format=webp quality=60"),
        ),
        ("80 %", resized(&png, &smaller)),
        (
            "80 %, JPEG 60",
            resized(&png, &smaller.replace("png", "jpeg quality=60")),
        ),
        (
            "half",
            resized(&png, &format!("width={} format=webp", width.div_ceil(2))),
        ),
        (
            "+8 %, JPEG 60",
            resized(
                &brighter,
                "width=10000 enlarge=false format=jpeg quality=60",
            ),
        ),
        ("+8 %", brighter),
        ("PNG", png),
    ]
}

#[test]
fn copies_of_a_result_stay_near() {
    let Some(folder) = corpus() else { return };
    let mut worst = Vec::new();
    for name in PHOTOGRAPHS {
        let source = read(&folder, name);
        for options in [
            "width=64 fit=inside format=jpeg",
            "width=128 height=128 fit=inside format=webp",
            "width=320 height=200 format=jpeg",
            "width=512 height=512 fit=inside format=jpeg quality=60",
            "width=96 format=avif",
        ] {
            let result = resized(&source, options);
            let own = hash(&result);
            let mut near = |what: &str, other: &[u8]| {
                let distance = own.distance(hash(other));
                worst.push((distance, format!("{name}, {options}, {what}")));
            };
            near("its source", &source);
            for (what, copy) in copies(&result) {
                near(what, &copy);
            }
        }
    }
    worst.sort_unstable();
    let (most, which) = worst.last().unwrap();
    let sum: u32 = worst.iter().map(|(distance, _)| distance).sum();
    let mean = f64::from(sum) / worst.len() as f64;
    println!(
        "{} copies: {mean:.2} bits on average, {most} at most: {which}",
        worst.len()
    );
    assert!(
        *most <= Fingerprint::ALIKE_BITS,
        "{:?}",
        &worst[worst.len() - 20..]
    );
}

#[test]
fn the_same_photograph_in_another_format_stays_near() {
    let Some(folder) = corpus() else { return };
    for [one, other] in SAME {
        let distance = hash(&read(&folder, one)).distance(hash(&read(&folder, other)));
        assert!(distance <= 2, "{one} and {other}: {distance}");
    }
    let landscape = |turn| hash(&read(&folder, &format!("orientation/Landscape_{turn}.jpg")));
    for turn in 2..=8 {
        let distance = landscape(1).distance(landscape(turn));
        assert!(
            distance <= Fingerprint::ALIKE_BITS,
            "orientation {turn}: {distance}"
        );
    }
}

#[test]
fn other_photographs_are_far_away() {
    let Some(folder) = corpus() else { return };
    let whole: Vec<_> = PHOTOGRAPHS
        .iter()
        .map(|name| ((*name).to_owned(), hash(&read(&folder, name))))
        .collect();
    report("photographs", &whole);
    // Parts of them, each a picture of its own. The mosaics have what others have.
    let mut parts = Vec::new();
    for name in &PHOTOGRAPHS[2..] {
        let (width, height, pixels) =
            decode(&resized(&read(&folder, name), "width=1024 format=png"));
        let (across, down) = (width / 6, height / 6);
        for part in 0..36 {
            let (left, top) = (part % 6 * across, part / 6 * down);
            let rows = (top..top + down).flat_map(|y| {
                let start = (y * width + left) as usize * 3;
                &pixels[start..start + across as usize * 3]
            });
            let rows: Vec<u8> = rows.copied().collect();
            let picture = encode(across, down, &rows);
            if let Some(hash) = fingerprint(&picture, &Limits::default()) {
                parts.push((format!("{name} part {part}"), hash));
            }
        }
    }
    report("parts", &parts);
}

/// Prints the distance of the nearest pair. No pair may be near enough to be found.
fn report(what: &str, hashes: &[(String, Fingerprint)]) {
    let mut pairs = Vec::new();
    for (at, (one, hash)) in hashes.iter().enumerate() {
        for (other, other_hash) in &hashes[..at] {
            pairs.push((hash.distance(*other_hash), one, other));
        }
    }
    pairs.sort_unstable();
    println!(
        "{} {what}, {} pairs, nearest {:?}",
        hashes.len(),
        pairs.len(),
        pairs[0]
    );
    let found = pairs
        .iter()
        .take_while(|pair| pair.0 <= Fingerprint::ALIKE_BITS);
    assert_eq!(found.count(), 0, "{what}: {:?}", &pairs[..5]);
}
