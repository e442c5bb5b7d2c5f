//! `quality=auto` finds the lowest quality that looks as wanted.

use picresize_imaging::{Limits, similarity};

use super::pictures::{make, next_random, png, refusal};

/// Soft shapes, edges and noise, as in a photograph.
fn picture(width: u32, height: u32) -> Vec<u8> {
    let mut state = 1;
    let mut pixels = Vec::new();
    for y in 0..height {
        for x in 0..width {
            state = next_random(state);
            let (u, v) = (x as f32 / 23.0, y as f32 / 31.0);
            let edge = if (x / 37 + y / 29) % 2 == 0 {
                30.0
            } else {
                0.0
            };
            for phase in [0.0, 0.8, 2.1] {
                let wave = (u + phase).sin() * (v - phase).cos();
                pixels.push((100.0 + 60.0 * wave + edge + (state >> 28) as f32) as u8);
            }
        }
    }
    png(width, height, png::ColorType::Rgb, &pixels)
}

#[test]
fn results_have_the_score_that_was_asked_for() {
    let source = picture(300, 220);
    let limits = Limits::default();
    for (format, targets) in [("jpeg", [55, 75, 85]), ("webp", [70, 75, 80])] {
        for size in ["width=300", "width=150"] {
            let reference = make(&source, &format!("{size} format=png")).bytes;
            let mut last = 0;
            for target in targets {
                let options = format!("{size} format={format} quality=auto:{target}");
                let result = make(&source, &options).bytes;
                let score = similarity(&result, &reference, &limits).unwrap();
                let case = format!("{format} {size} auto:{target}: {score}");
                assert!((score - f64::from(target)).abs() <= 1.5, "{case}");
                assert!(result.len() > last, "{case}");
                last = result.len();
                assert_eq!(result, make(&source, &options).bytes, "{case}");
            }
        }
    }
}

#[test]
fn formats_without_quality_ignore_the_score() {
    let source = picture(64, 48);
    for format in ["png", "gif"] {
        let plain = make(&source, &format!("width=32 format={format}")).bytes;
        let auto = make(&source, &format!("width=32 format={format} quality=auto")).bytes;
        assert!(plain == auto, "{format}");
    }
}

#[test]
fn a_score_and_a_number_of_bytes_contradict_each_other() {
    let refusal = refusal(
        &picture(64, 48),
        "width=32 format=jpeg quality=auto max_bytes=900",
    );
    assert!(
        refusal.contains("max_bytes") && refusal.contains("auto"),
        "{refusal}"
    );
}
