//! High dynamic range and wide colours become the sRGB that they mean, from every container: code
//! points in PNG, AVIF and HEIC, and ICC profiles.

use std::borrow::Cow;
use std::fs;

use moxcms::{
    CicpColorPrimaries, CicpProfile, ColorProfile, MatrixCoefficients, TransferCharacteristics,
};
use png::{BitDepth, ColorType};

use super::heif_file::{Item, auxiliary, file, ispe};
use super::made::avif;
use super::pictures::{make, pixel, pixels};
use super::{heif, libheif, libjxl};

/// Luminances of gray patches in cd/m², and their sRGB values with a reference white of 203 cd/m².
const PATCHES: [(f64, u8); 6] = [
    (5.0, 43),
    (26.0, 100),
    (50.0, 136),
    (100.0, 186),
    (203.0, 254),
    (1000.0, 255),
];

/// PQ (BT.2100, table 4, inverse EOTF).
fn pq(nits: f64) -> f64 {
    let power = (nits / 10_000.0).powf(2610.0 / 16_384.0);
    ((3424.0 / 4096.0 + 2413.0 / 128.0 * power) / (1.0 + 2392.0 / 128.0 * power))
        .powf(2523.0 / 32.0)
}

/// The value of linear light in sRGB, in 8 bits.
fn srgb(light: f64) -> u8 {
    let encoded = match light <= 0.003_130_8 {
        true => light * 12.92,
        false => 1.055 * light.powf(1.0 / 2.4) - 0.055,
    };
    (encoded.clamp(0.0, 1.0) * 255.0).round() as u8
}

/// The linear light of a value of sRGB.
fn light(value: u8) -> f64 {
    let value = f64::from(value) / 255.0;
    match value <= 0.040_45 {
        true => value / 12.92,
        false => ((value + 0.055) / 1.055).powf(2.4),
    }
}

/// A PNG of patches of 8 × 8 pixels in a row, with 8 or 16 bits per sample, and what describes its
/// colours.
fn patches(
    patches: &[[f64; 3]],
    color: ColorType,
    depth: BitDepth,
    cicp: Option<[u8; 4]>,
    icc: Option<&[u8]>,
) -> Vec<u8> {
    let mut info = png::Info::with_size(8 * patches.len() as u32, 8);
    info.color_type = color;
    info.bit_depth = depth;
    info.icc_profile = icc.map(|icc| Cow::Owned(icc.to_vec()));
    let mut bytes = Vec::new();
    let mut writer = png::Encoder::with_info(&mut bytes, info)
        .unwrap()
        .write_header()
        .unwrap();
    if let Some(cicp) = cicp {
        writer
            .write_chunk(png::chunk::ChunkType(*b"cICP"), &cicp)
            .unwrap();
    }
    let sample = |value: f64| match depth {
        BitDepth::Sixteen => ((value * 65_535.0).round() as u16).to_be_bytes().to_vec(),
        _ => vec![(value * 255.0).round() as u8],
    };
    let row = patches.iter().flat_map(|&[r, g, b]| {
        let values = match color {
            ColorType::Grayscale => vec![g],
            ColorType::GrayscaleAlpha => vec![g, 1.0],
            ColorType::Rgb => vec![r, g, b],
            _ => vec![r, g, b, 1.0],
        };
        let pixel: Vec<u8> = values.into_iter().flat_map(sample).collect();
        pixel.repeat(8)
    });
    let row: Vec<u8> = row.collect();
    writer.write_image_data(&row.repeat(8)).unwrap();
    writer.finish().unwrap();
    bytes
}

/// The colours in the middle of the patches of a picture.
#[track_caller]
fn shown(picture: &[u8], count: u32) -> Vec<[u8; 3]> {
    let found = pixels(picture, &format!("width={} filter=nearest", 8 * count));
    let colors = (0..count).map(|patch| {
        let [r, g, b, _] = pixel(&found, 8 * patch + 4, 4);
        [r, g, b]
    });
    colors.collect()
}

#[track_caller]
fn assert_near(found: &[[u8; 3]], expected: &[[u8; 3]], tolerance: u8, what: &str) {
    let is_near = |(found, expected): (&[u8; 3], &[u8; 3])| {
        let mut pairs = found.iter().zip(expected);
        pairs.all(|(found, expected)| found.abs_diff(*expected) <= tolerance)
    };
    let all = found.len() == expected.len() && found.iter().zip(expected).all(is_near);
    assert!(all, "{what}: {found:?} instead of {expected:?}");
}

fn gray_patches() -> (Vec<[f64; 3]>, Vec<[u8; 3]>) {
    let coded = PATCHES.iter().map(|(nits, _)| [pq(*nits); 3]);
    let expected = PATCHES.iter().map(|(_, value)| [*value; 3]);
    (coded.collect(), expected.collect())
}

const KINDS: [ColorType; 4] = [
    ColorType::Grayscale,
    ColorType::GrayscaleAlpha,
    ColorType::Rgb,
    ColorType::Rgba,
];

#[test]
fn pq_in_png_has_its_white_at_203_nits() {
    let (coded, expected) = gray_patches();
    for color in KINDS {
        for (depth, tolerance) in [(BitDepth::Eight, 2), (BitDepth::Sixteen, 1)] {
            for primaries in [1, 2, 9, 12] {
                let file = patches(&coded, color, depth, Some([primaries, 16, 0, 1]), None);
                let what = format!("{color:?}, {depth:?}, primaries {primaries}");
                assert_near(&shown(&file, 6), &expected, tolerance, &what);
            }
        }
    }
}

#[test]
fn hlg_has_its_white_at_three_quarters() {
    // Scene light for values up to a half is value² / 3; the display shows it at 1000 cd/m² with a
    // system gamma of 1.2 (BT.2100, table 5).
    let value = |coded: f64| srgb((coded * coded / 3.0).powf(1.2) * 1000.0 / 203.0);
    let coded = [[0.25; 3], [0.5; 3], [0.75; 3], [1.0; 3]];
    let expected = [[value(0.25); 3], [value(0.5); 3], [254; 3], [255; 3]];
    for color in KINDS {
        for depth in [BitDepth::Eight, BitDepth::Sixteen] {
            let file = patches(&coded, color, depth, Some([9, 18, 0, 1]), None);
            let what = format!("{color:?}, {depth:?}");
            assert_near(&shown(&file, 4), &expected, 2, &what);
        }
    }
}

/// A colour above white keeps the shares of its red, green and blue.
#[test]
fn bright_colours_keep_their_hue() {
    let flame = [pq(812.0), pq(203.0), pq(50.75)];
    let dim = [pq(101.5), pq(50.75), pq(20.3)];
    let file = patches(
        &[flame, dim],
        ColorType::Rgb,
        BitDepth::Sixteen,
        Some([1, 16, 0, 1]),
        None,
    );
    let expected = [
        [255, srgb(0.25), srgb(0.0625)],
        [srgb(0.5), srgb(0.25), srgb(0.1)],
    ];
    assert_near(&shown(&file, 2), &expected, 1, "flame and dim");
}

/// Rows of the matrix from BT.2020 to BT.709 (ITU-R BT.2407, 2).
const FROM_2020: [[f64; 3]; 3] = [
    [1.6605, -0.5876, -0.0728],
    [-0.1246, 1.1329, -0.0083],
    [-0.0182, -0.1006, 1.1187],
];

fn from_2020(color: [u8; 3]) -> [u8; 3] {
    let linear = color.map(light);
    FROM_2020.map(|row| srgb(row[0] * linear[0] + row[1] * linear[1] + row[2] * linear[2]))
}

#[test]
fn code_points_name_primaries_and_transfer() {
    let color = [200, 100, 50];
    let plain = color;
    for (cicp, expected) in [
        ([12, 13, 0, 1], [215, 93, 31]),
        ([9, 13, 0, 1], from_2020(color)),
        // Half given: the other half is that of sRGB. Television's transfer is shown like sRGB.
        ([9, 2, 0, 1], from_2020(color)),
        ([12, 2, 0, 1], [215, 93, 31]),
        ([12, 1, 0, 1], [215, 93, 31]),
        ([9, 14, 0, 1], from_2020(color)),
        ([2, 13, 0, 1], plain),
        ([1, 2, 0, 1], plain),
        ([2, 2, 0, 1], plain),
        ([1, 6, 0, 1], plain),
        // Reserved.
        ([3, 0, 0, 1], plain),
        ([200, 200, 0, 1], plain),
        // A pure gamma of 2.2, and linear light.
        (
            [1, 4, 0, 1],
            color.map(|value| srgb((f64::from(value) / 255.0).powf(2.2))),
        ),
        (
            [1, 8, 0, 1],
            color.map(|value| srgb(f64::from(value) / 255.0)),
        ),
    ] {
        for depth in [BitDepth::Eight, BitDepth::Sixteen] {
            let values = color.map(|value| f64::from(value) / 255.0);
            let file = patches(&[values], ColorType::Rgb, depth, Some(cicp), None);
            let what = format!("{cicp:?}, {depth:?}");
            assert_near(&shown(&file, 1), &[expected], 1, &what);
        }
    }
}

#[test]
fn the_narrow_range_is_expanded() {
    for (depth, full) in [(BitDepth::Eight, 255.0), (BitDepth::Sixteen, 65_535.0)] {
        let scale = if depth == BitDepth::Eight { 1.0 } else { 256.0 };
        let coded = [16.0, 125.5, 235.0].map(|value| [value * scale / full; 3]);
        let file = patches(&coded, ColorType::Rgb, depth, Some([1, 13, 0, 0]), None);
        let expected = [[0; 3], [128; 3], [255; 3]];
        assert_near(&shown(&file, 3), &expected, 1, &format!("{depth:?}"));
    }
}

#[test]
fn code_points_take_precedence_over_a_profile() {
    let icc = ColorProfile::new_adobe_rgb().encode().unwrap();
    let values = [200, 100, 50].map(|value| f64::from(value) / 255.0);
    let of = |cicp| {
        let file = patches(&[values], ColorType::Rgb, BitDepth::Eight, cicp, Some(&icc));
        shown(&file, 1)
    };
    assert_near(&of(Some([1, 13, 0, 1])), &[[200, 100, 50]], 0, "as sRGB");
    assert_near(&of(None), &[[227, 100, 42]], 1, "as Adobe RGB");
}

/// A profile with the primaries of BT.2020 and this transfer, with or without the code points.
fn profile(transfer: TransferCharacteristics, has_code_points: bool) -> ColorProfile {
    let mut profile = ColorProfile::new_from_cicp(CicpProfile {
        color_primaries: CicpColorPrimaries::Bt2020,
        transfer_characteristics: transfer,
        matrix_coefficients: MatrixCoefficients::Identity,
        full_range: true,
    });
    if !has_code_points {
        profile.cicp = None;
    }
    profile
}

#[test]
fn profiles_of_high_dynamic_range_are_recognised() {
    let (coded, expected) = gray_patches();
    for has_code_points in [true, false] {
        let icc = profile(TransferCharacteristics::Smpte2084, has_code_points);
        let icc = icc.encode().unwrap();
        let file = patches(&coded, ColorType::Rgb, BitDepth::Sixteen, None, Some(&icc));
        let what = format!("PQ, code points: {has_code_points}");
        assert_near(&shown(&file, 6), &expected, 1, &what);
        let icc = profile(TransferCharacteristics::Hlg, has_code_points);
        let icc = icc.encode().unwrap();
        let coded = [[0.75; 3], [1.0; 3]];
        let file = patches(&coded, ColorType::Rgb, BitDepth::Sixteen, None, Some(&icc));
        let what = format!("HLG, code points: {has_code_points}");
        assert_near(&shown(&file, 2), &[[254; 3], [255; 3]], 1, &what);
    }
    let mut gray = ColorProfile::new_gray_with_gamma(1.0);
    gray.gray_trc = profile(TransferCharacteristics::Smpte2084, true).red_trc;
    let icc = gray.encode().unwrap();
    let file = patches(
        &coded,
        ColorType::Grayscale,
        BitDepth::Sixteen,
        None,
        Some(&icc),
    );
    assert_near(&shown(&file, 6), &expected, 1, "gray PQ");
}

/// Other profiles are no high dynamic range.
#[test]
fn ordinary_profiles_are_applied_as_they_are() {
    for gamma in [1.8, 2.2, 2.6] {
        let icc = ColorProfile::new_gray_with_gamma(gamma).encode().unwrap();
        let coded = [[0.25; 3], [0.5; 3], [0.75; 3]];
        let expected = coded.map(|[value, ..]| [srgb(f64::powf(value, gamma.into())); 3]);
        let file = patches(
            &coded,
            ColorType::Grayscale,
            BitDepth::Sixteen,
            None,
            Some(&icc),
        );
        assert_near(&shown(&file, 3), &expected, 1, &format!("gamma {gamma}"));
    }
}

fn nclx(primaries: u8, transfer: u8, matrix: u8) -> Vec<u8> {
    let payload = [b"nclx", &[0, primaries, 0, transfer, 0, matrix, 0x80][..]].concat();
    heif::make_box(b"colr", &payload)
}

/// AV1 data of the patches in PQ, 12 bits, 4:4:4, each of 16 × 16 pixels; its own header says that
/// the colours are BT.2020 and PQ.
const PQ_OF_12_BITS: [u8; 46] = [
    0x12, 0x00, 0x0a, 0x09, 0x58, 0x18, 0xef, 0xfb, 0x1a, 0x12, 0x20, 0x0d, 0x10, 0x32, 0x1f, 0x10,
    0x60, 0x00, 0x00, 0x20, 0xe9, 0x4f, 0x92, 0xc2, 0xd8, 0x97, 0x43, 0x06, 0x28, 0x13, 0xa8, 0x93,
    0xf7, 0x3a, 0x37, 0x2d, 0x3b, 0xca, 0x62, 0xf2, 0xca, 0xeb, 0xe1, 0x72, 0xae, 0x54,
];

#[test]
fn pq_in_avif_of_12_bits_is_mapped() {
    let (_, expected) = gray_patches();
    let item = |properties: &[u8]| Item::new(b"av01", &PQ_OF_12_BITS, properties);
    let by_stream = file(b"avif", &[ispe(96, 16)], &[item(&[1])]);
    assert_near(&shown(&by_stream, 6), &expected, 2, "by the stream");
    for primaries in [1, 2, 9] {
        let boxes = [ispe(96, 16), nclx(primaries, 16, 6)];
        let by_container = file(b"avif", &boxes, &[item(&[1, 2])]);
        assert_near(&shown(&by_container, 6), &expected, 2, "by the container");
    }
    // The container takes precedence.
    let boxes = [ispe(96, 16), nclx(1, 13, 6)];
    let as_srgb = shown(&file(b"avif", &boxes, &[item(&[1, 2])]), 6);
    let coded = PATCHES.iter();
    let coded = coded.map(|(nits, _)| [(pq(*nits) * 255.0).round() as u8; 3]);
    assert_near(&as_srgb, &coded.collect::<Vec<_>>(), 1, "as sRGB");
}

#[test]
fn pq_in_avif_of_8_and_10_bits_is_mapped() {
    let (coded, expected) = gray_patches();
    let row = coded.iter().flat_map(|[value, ..]| {
        let value = (value * 255.0).round() as u8;
        [value; 3 * 8]
    });
    let samples = row.collect::<Vec<_>>().repeat(8);
    for deep in [false, true] {
        let plain = avif(&samples, (48, 8), ColorType::Rgb, deep);
        let mdat = heif::find(&plain, 0, b"mdat");
        let item = Item::new(b"av01", &plain[mdat + 8..], &[1, 2]);
        let made = file(b"avif", &[ispe(48, 8), nclx(9, 16, 6)], &[item]);
        assert_near(&shown(&made, 6), &expected, 4, &format!("deep: {deep}"));
    }
}

/// A monochrome picture, and one with alpha: the alpha channel has no colours.
#[test]
fn alpha_is_not_mapped() {
    let mut alpha = Item::new(b"av01", &PQ_OF_12_BITS, &[1, 2]);
    alpha.references = vec![(*b"auxl", vec![1])];
    let color = Item::new(b"av01", &PQ_OF_12_BITS, &[1]);
    let kind = auxiliary(b"urn:mpeg:mpegB:cicp:systems:auxiliary:alpha");
    let made = file(b"avif", &[ispe(96, 16), kind], &[color, alpha]);
    let found = pixels(&made, "width=48 filter=nearest");
    for (patch, (nits, value)) in PATCHES.iter().enumerate() {
        let [red, _, _, alpha] = pixel(&found, 8 * patch as u32 + 4, 4);
        let stored = (pq(*nits) * 255.0).round() as u8;
        assert!(alpha.abs_diff(stored) <= 1, "{nits}: alpha {alpha}");
        assert!(red.abs_diff(*value) <= 3, "{nits}: red {red}");
    }
}

#[test]
fn a_kept_profile_describes_what_is_kept() {
    let (coded, expected) = gray_patches();
    let cicp = Some([9, 16, 0, 1]);
    for color in [ColorType::Rgb, ColorType::Grayscale] {
        let file = patches(&coded, color, BitDepth::Sixteen, cicp, None);
        let kept = make(&file, "width=48 format=png color=keep").bytes;
        assert_near(&shown(&kept, 6), &expected, 1, &format!("{color:?}"));
    }
}

#[test]
fn pq_in_heic_is_mapped() {
    if !libheif::is_here() {
        return;
    }
    let (coded, expected) = gray_patches();
    let folder = tempfile::tempdir().unwrap();
    let (source, target) = (folder.path().join("a.png"), folder.path().join("a.heic"));
    for bits in [8, 10, 12] {
        let depth = match bits {
            8 => BitDepth::Eight,
            _ => BitDepth::Sixteen,
        };
        let small = patches(&coded, ColorType::Rgb, depth, None, None);
        let large = make(&small, "width=384 filter=nearest format=png").bytes;
        fs::write(&source, large).unwrap();
        let options = format!("-b {bits} -q 98 -p chroma=444");
        libheif::encode(&source, &options, &target);
        let heic = fs::read(&target).unwrap();
        let heic = heif::with_properties(&heic, &[nclx(9, 16, 6)]);
        assert_near(&shown(&heic, 6), &expected, 5, &format!("{bits} bits"));
    }
}

/// JPEG XL, lossy and lossless, with a profile and with its own words for colours.
#[test]
fn jpeg_xl_is_converted_by_its_own_colours() {
    if !libjxl::is_here() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let (source, target) = (folder.path().join("a.png"), folder.path().join("a.jxl"));
    let colors = [
        [200, 100, 50],
        [50, 200, 80],
        [20, 40, 210],
        [128; 3],
        [230, 220, 40],
    ];
    let coded = colors.map(|color| color.map(|value: u8| f64::from(value) / 255.0));
    let wide: Vec<_> = coded.iter().flat_map(|patch| [*patch; 4]).collect();
    let p3 = ColorProfile::new_display_p3().encode().unwrap();
    for icc in [ColorProfile::new_adobe_rgb().encode().unwrap(), p3] {
        let png = patches(&wide, ColorType::Rgb, BitDepth::Eight, None, Some(&icc));
        fs::write(&source, &png).unwrap();
        let expected = shown(&png, 5 * 4);
        for (options, tolerance) in [("--distance=0", 1), ("--distance=0.3", 12)] {
            libjxl::encode(&source, options, &target);
            let found = shown(&fs::read(&target).unwrap(), 5 * 4);
            let middle =
                |of: &[[u8; 3]]| -> Vec<_> { of.iter().copied().skip(1).step_by(4).collect() };
            assert_near(&middle(&found), &middle(&expected), tolerance, options);
        }
    }
    let (coded, expected) = gray_patches();
    let png = patches(&coded, ColorType::Rgb, BitDepth::Sixteen, None, None);
    fs::write(&source, &png).unwrap();
    for distance in ["0", "0.3"] {
        let options = format!("--distance={distance} -x color_space=RGB_D65_202_Rel_PeQ");
        libjxl::encode(&source, &options, &target);
        let found = shown(&fs::read(&target).unwrap(), 6);
        assert_near(&found, &expected, 6, &format!("PQ, distance {distance}"));
    }
}
