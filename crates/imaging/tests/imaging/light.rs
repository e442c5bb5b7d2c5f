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

/// Lines of one pixel in both directions.
fn lines(color: png::ColorType, dark: u8, bright: u8) -> Vec<u8> {
    const SIDE: u32 = 480;
    let pixels = (0..SIDE * SIDE).flat_map(|at| {
        let is_line = (at % SIDE).is_multiple_of(12) || (at / SIDE).is_multiple_of(10);
        let value = if is_line { bright } else { dark };
        match color {
            png::ColorType::Grayscale => vec![value],
            png::ColorType::Rgba => vec![value, value, value, 255],
            _ => vec![value; 3],
        }
    });
    png(SIDE, SIDE, color, &pixels.collect::<Vec<_>>())
}

fn check(source: &[u8], options: &str, most: f64) {
    let before = light(source);
    let after = light(&make(source, options).bytes);
    let change = (after / before - 1.0).abs();
    assert!(change < most, "{options}: {before} became {after}");
}

#[test]
fn thin_bright_lines_keep_their_light() {
    use png::ColorType::{Grayscale, Rgb, Rgba};
    for color in [Grayscale, Rgb, Rgba] {
        let white_on_black = lines(color, 0, 255);
        for filter in ["box", "bilinear"] {
            for more in ["width=120", "width=97 height=61", "width=30 profile=fine"] {
                check(&white_on_black, &format!("{more} filter={filter}"), 0.01);
            }
        }
        // The longer kernels would be darker than black beside white lines.
        let bright_on_dark = lines(color, 90, 200);
        for filter in ["lanczos3", "catmullrom", "mitchell"] {
            for more in ["width=120", "width=97 height=61", "width=200 profile=fine"] {
                check(&bright_on_dark, &format!("{more} filter={filter}"), 0.01);
            }
        }
    }
}

/// The planes of JPEG and of WebP, whose luma has other levels.
#[test]
fn planes_keep_their_light() {
    let source = lines(png::ColorType::Rgb, 90, 200);
    for format in ["jpeg", "webp"] {
        let source = make(&source, &format!("width=480 quality=100 format={format}")).bytes;
        let before = light(&make(&source, "width=480 format=png").bytes);
        for width in [300, 160, 137] {
            let result = make(&source, &format!("width={width} quality=100")).bytes;
            let after = light(&make(&result, &format!("width={width} format=png")).bytes);
            let change = (after / before - 1.0).abs();
            assert!(change < 0.01, "{format} {width}: {before} became {after}");
        }
    }
}
