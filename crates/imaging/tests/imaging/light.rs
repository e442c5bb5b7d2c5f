//! Pictures are averaged in linear light, whatever the profile and the format.

use super::pictures::{decode, make, png};

/// The mean linear light of decoded pixels, from 0 to 1.
fn light(picture: &[u8]) -> f64 {
    let ((width, height), pixels) = decode(picture);
    let channels = pixels.len() / (width * height) as usize;
    let colors = channels - usize::from(channels.is_multiple_of(2));
    let decoded = pixels
        .chunks_exact(channels)
        .flat_map(|pixel| &pixel[..colors]);
    let linear = decoded.map(|&value| {
        let value = f64::from(value) / 255.0;
        match value {
            ..=0.040_45 => value / 12.92,
            _ => ((value + 0.055) / 1.055).powf(2.4),
        }
    });
    let (sum, count) = linear.fold((0.0, 0.0), |(sum, count), v| (sum + v, count + 1.0));
    sum / count
}

/// White lines of one pixel on black, in both directions.
fn lines(color: png::ColorType) -> Vec<u8> {
    const SIDE: u32 = 480;
    let pixels = (0..SIDE * SIDE).flat_map(|at| {
        let is_line = (at % SIDE).is_multiple_of(12) || (at / SIDE).is_multiple_of(10);
        let value = if is_line { 255 } else { 0 };
        match color {
            png::ColorType::Grayscale => vec![value],
            png::ColorType::Rgba => vec![value, value, value, 255],
            _ => vec![value; 3],
        }
    });
    png(SIDE, SIDE, color, &pixels.collect::<Vec<_>>())
}

#[test]
fn thin_bright_lines_keep_their_light() {
    use png::ColorType::{Grayscale, Rgb, Rgba};
    for color in [Grayscale, Rgb, Rgba] {
        let source = lines(color);
        let before = light(&source);
        for options in [
            "width=120",
            "width=97 height=61",
            "width=200 filter=mitchell",
            "width=60 filter=box",
            "width=30 filter=bilinear",
            "width=120 profile=fine",
        ] {
            let after = light(&make(&source, options).bytes);
            let change = (after / before - 1.0).abs();
            assert!(
                change < 0.01,
                "{color:?} {options}: {before} became {after}"
            );
        }
    }
}

/// The planes of JPEG and of WebP, whose luma has other levels.
#[test]
fn planes_keep_their_light() {
    let source = lines(png::ColorType::Rgb);
    for format in ["jpeg", "webp"] {
        let source = make(&source, &format!("width=480 quality=100 format={format}")).bytes;
        let before = light(&make(&source, "width=480 format=png").bytes);
        for width in [300, 160, 137] {
            let options = format!("width={width} quality=100");
            let result = make(&source, &options).bytes;
            let after = light(&make(&result, &format!("width={width} format=png")).bytes);
            let change = (after / before - 1.0).abs();
            assert!(change < 0.02, "{format} {width}: {before} became {after}");
        }
    }
}
