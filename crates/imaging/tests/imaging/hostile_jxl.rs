//! JPEG XL files of many frames, and with boxes and profiles that grow when they are decompressed.

use std::thread;

use super::made::boxed_jxl;
use super::support::request;
use picresize_imaging::{Limits, inspect, resize};

/// Writes bits, the lowest first (ISO/IEC 18181-1, annex B).
#[derive(Default)]
struct Bits {
    bytes: Vec<u8>,
    used: u32,
}

impl Bits {
    /// Writes pairs of a number and its length in bits.
    fn put(&mut self, numbers: &[(u64, u32)]) -> &mut Self {
        for &(number, length) in numbers {
            for bit in 0..length {
                if self.used == 0 {
                    self.bytes.push(0);
                }
                let last = self.bytes.last_mut().unwrap();
                *last |= (number >> bit & 1) as u8 * (1 << self.used);
                self.used = (self.used + 1) % 8;
            }
        }
        self
    }

    fn align(&mut self) {
        self.used = 0;
    }
}

/// The header of a picture of 64 × 64 pixels in 8 bits that is not stored as XYB, up to its colours.
fn start(bits: &mut Bits) {
    bits.put(&[(0xff, 8), (0x0a, 8)]);
    // Size: in eighths, 64 high, as wide as high.
    bits.put(&[(1, 1), (7, 5), (1, 3)]);
    // Neither default nor extra fields; 8 bits; narrow; no extra channels; no XYB.
    bits.put(&[(0, 1), (0, 1), (0, 1), (0, 2), (1, 1), (0, 2), (0, 1)]);
}

/// A picture of frames of 8 × 8 pixels, each of which is drawn over the one before.
fn frames(count: usize) -> Vec<u8> {
    // Colours are sRGB.
    frames_in(&[(1, 1)], count)
}

fn frames_in(colors: &[(u64, u32)], count: usize) -> Vec<u8> {
    let mut bits = Bits::default();
    start(&mut bits);
    // No extensions; default transforms.
    bits.put(colors).put(&[(0, 2), (1, 1)]);
    bits.align();
    for number in 1..=count {
        let is_last = number == count;
        // A regular frame of integers, without flags; no YCbCr; no upsampling; the size of groups;
        // one pass.
        bits.put(&[
            (0, 1),
            (0, 2),
            (1, 1),
            (0, 2),
            (0, 1),
            (0, 2),
            (1, 2),
            (0, 2),
        ]);
        // Its place and its size.
        bits.put(&[(1, 1), (0, 10), (0, 10), (8 << 2, 10), (8 << 2, 10)]);
        // It replaces what is in slot 0, and is kept there unless it is the last.
        bits.put(&[(0, 2), (0, 2), (u64::from(is_last), 1)]);
        if !is_last {
            bits.put(&[(0, 2)]);
        }
        // No name; no filters; no extensions.
        bits.put(&[(0, 2), (0, 1), (0, 1), (0, 2), (0, 2), (0, 2)]);
        // The length of its data, in order.
        bits.put(&[(0, 1)]);
        bits.align();
        bits.put(&[(0, 2), (DATA_BYTES, 10)]);
        bits.align();
        data(&mut bits);
        bits.align();
    }
    bits.bytes
}

const DATA_BYTES: u64 = 5;

/// The data of a frame whose samples are all 0.
fn data(bits: &mut Bits) {
    let before = bits.bytes.len();
    // Default quantisation; no tree for all groups; an own tree, default prediction, no transforms.
    bits.put(&[(1, 1), (0, 1), (0, 1), (1, 1), (0, 2)]);
    // A tree of one leaf: no repetitions; one distribution for all; prefix codes of one symbol.
    bits.put(&[(0, 1), (1, 1), (0, 2), (1, 1), (0, 4), (0, 1)]);
    // The samples, all of them that one symbol.
    bits.put(&[(0, 1), (1, 1), (0, 4), (0, 1)]);
    while bits.bytes.len() < before + DATA_BYTES as usize {
        bits.put(&[(0, 1)]);
    }
}

/// Works on a stack of a megabyte, half of what threads usually have.
fn on_a_small_stack(work: impl FnOnce() + Send + 'static) {
    let thread = thread::Builder::new().stack_size(1 << 20).spawn(work);
    thread.unwrap().join().unwrap();
}

#[test]
fn a_picture_of_a_few_frames_is_read() {
    for count in [1, 2, 8, 9, 100, 500] {
        on_a_small_stack(move || {
            let file = frames(count);
            let resized = resize(&file, &request("width=32"), &Limits::default());
            let resized = resized.unwrap_or_else(|error| panic!("{count} frames: {error}"));
            assert_eq!((resized.width, resized.height), (32, 32));
        });
    }
}

#[test]
fn many_frames_are_refused_by_the_header() {
    for count in [501, 1000, 50_000] {
        on_a_small_stack(move || {
            let refusal = inspect(&frames(count), &Limits::default()).unwrap_err();
            let refusal = refusal.to_string();
            let expected = "it is composed of more than 500 frames, which is the limit";
            assert!(refusal.contains(expected), "{refusal}");
        });
    }
}

/// The limit is the caller's.
#[test]
fn the_limit_of_frames_is_respected() {
    let limits = Limits {
        max_frames: 3,
        ..Limits::default()
    };
    assert!(inspect(&frames(3), &limits).is_ok());
    assert!(inspect(&frames(4), &limits).is_err());
}

/// A frame that is cut short is found by the header check, and the picture is refused later.
#[test]
fn frames_cut_short_are_refused() {
    let file = frames(5);
    for length in [file.len() - 1, file.len() / 2] {
        let result = resize(&file[..length], &request("width=32"), &Limits::default());
        let refusal = result.unwrap_err().to_string();
        assert!(refusal.contains("it is cut short"), "{refusal}");
    }
}

#[test]
fn a_huge_colour_profile_is_refused() {
    let mut bits = Bits::default();
    start(&mut bits);
    // The colours are in a profile, of RGB; no extensions; default transforms.
    bits.put(&[(0, 1), (1, 1), (0, 2), (0, 2), (1, 1)]);
    // It has 2^28 bytes.
    bits.put(&[
        (3, 2),
        (0, 12),
        (1, 1),
        (0, 8),
        (1, 1),
        (0, 8),
        (1, 1),
        (1, 8),
        (0, 1),
    ]);
    bits.put(&[(0, 64)]);
    let refusal = inspect(&bits.bytes, &Limits::default()).unwrap_err();
    let refusal = refusal.to_string();
    let expected = "its colour profile has 268435456 bytes; the limit is 1048576";
    assert!(refusal.contains(expected), "{refusal}");
}

/// The decoder would panic when it makes a profile of them.
#[test]
fn unknown_colors_are_refused() {
    // In words and not as a profile: the colour space; D65; the primaries of sRGB; no gamma; the
    // transfer function; the intent.
    let colors = |space: &[(u64, u32)], transfer: u64| {
        let before = [&[(0, 1), (0, 1)], space, &[(1, 2), (1, 2), (0, 1)]].concat();
        [before, vec![(2, 2), (transfer - 2, 4), (1, 2)]].concat()
    };
    let (rgb, unknown) = (&[(0, 2)][..], &[(2, 2), (1, 4)][..]);
    let good = frames_in(&colors(rgb, 13), 1);
    assert!(resize(&good, &request("width=32"), &Limits::default()).is_ok());
    let xyb = vec![(0, 1), (0, 1), (2, 2), (0, 4), (1, 2)];
    for colors in [colors(rgb, 2), colors(unknown, 13), xyb] {
        let refusal = inspect(&frames_in(&colors, 1), &Limits::default()).unwrap_err();
        let refusal = refusal.to_string();
        assert!(
            refusal.contains("colours are of an unknown kind"),
            "{refusal}"
        );
    }
}

/// A box of compressed metadata is not even looked at.
#[test]
fn boxes_beside_the_codestream_are_not_read() {
    let mut file = boxed_jxl(&frames(1), 400);
    let filling = file.windows(4).position(|name| name == b"xml ").unwrap();
    file[filling..filling + 8].copy_from_slice(b"brobxml ");
    let resized = resize(&file, &request("width=32"), &Limits::default()).unwrap();
    assert_eq!(resized.width, 32);
}
