//! What results keep of profiles, authors and rights.

use super::pictures::{make, opaque, png};
use super::tiffs::{ORDERS, Tiff, Value};
use picresize_imaging::{Limits, inspect};

fn has(bytes: &[u8], text: &str) -> bool {
    memchr::memmem::find(bytes, text.as_bytes()).is_some()
}

/// The profile of a JPEG.
fn profile_of(jpeg: &[u8]) -> Option<&[u8]> {
    let start = memchr::memmem::find(jpeg, b"ICC_PROFILE\0\x01\x01")?;
    Some(&jpeg[start + 14..])
}

/// A profile of this colour space. Of inks, only the header says so: it does not fit to the pictures
/// and is not applied.
fn profile(space: &[u8; 4]) -> Vec<u8> {
    let profile = match space {
        b"GRAY" => moxcms::ColorProfile::new_gray_with_gamma(1.0),
        _ => moxcms::ColorProfile::new_adobe_rgb(),
    };
    let mut profile = profile.encode().unwrap();
    profile[16..20].copy_from_slice(space);
    profile
}

fn with_segment(jpeg: &[u8], marker: u8, payload: &[u8]) -> Vec<u8> {
    let length = (payload.len() as u16 + 2).to_be_bytes();
    [&jpeg[..2], &[0xff, marker], &length, payload, &jpeg[2..]].concat()
}

fn with_profile(jpeg: &[u8], profile: &[u8]) -> Vec<u8> {
    with_segment(
        jpeg,
        0xe2,
        &[b"ICC_PROFILE\0\x01\x01".as_slice(), profile].concat(),
    )
}

#[test]
fn a_kept_profile_describes_the_result() {
    let colors = make(&opaque(60, 40), "width=60 format=jpeg").bytes;
    let gray = make(
        &png(60, 40, png::ColorType::Grayscale, &[99; 2400]),
        "width=60 format=jpeg",
    )
    .bytes;
    let inks = super::jpegs::KINDS
        .iter()
        .find(|kind| kind.name == "CMYK")
        .unwrap();
    let inks = inks.encode(&[99; 60 * 40 * 3], (60, 40));
    for (name, source, space, format, is_kept) in [
        ("colours", &colors, b"RGB ", "jpeg", true),
        ("colours", &colors, b"RGB ", "png", true),
        ("colours", &colors, b"RGB ", "webp", true),
        ("colours", &colors, b"GRAY", "jpeg", false),
        ("colours", &colors, b"CMYK", "jpeg", false),
        ("colours", &colors, b"CMYK", "webp", false),
        ("gray", &gray, b"GRAY", "jpeg", true),
        ("gray", &gray, b"GRAY", "png", true),
        ("gray", &gray, b"GRAY", "webp", false),
        ("gray", &gray, b"RGB ", "jpeg", false),
        ("gray", &gray, b"RGB ", "png", false),
        ("inks", &inks, b"RGB ", "jpeg", false),
    ] {
        let source = with_profile(source, &profile(space));
        for more in ["", " profile=fine"] {
            let result = make(
                &source,
                &format!("width=30 color=keep format={format}{more}"),
            )
            .bytes;
            let found = match format {
                "jpeg" => profile_of(&result).is_some(),
                "png" => has(&result, "iCCP"),
                _ => has(&result, "ICCP"),
            };
            assert_eq!(found, is_kept, "{name} with {space:?} as {format}{more}");
        }
    }
    // On a canvas, with a background or with a palette, grey becomes colours.
    let source = with_profile(&gray, &profile(b"GRAY"));
    for options in [
        "width=50 height=50 fit=contain format=jpeg",
        "width=50 height=50 fit=contain format=png",
        "width=30 palette=8 format=png",
    ] {
        let result = make(&source, &format!("{options} color=keep")).bytes;
        assert!(
            profile_of(&result).is_none() && !has(&result, "iCCP"),
            "{options}"
        );
    }
}

const XMP: &str = "<x:xmpmeta xmlns:x='adobe:ns:meta/'><rdf:RDF \
    xmlns:rdf='http://www.w3.org/1999/02/22-rdf-syntax-ns#'><rdf:Description rdf:about='' \
    xmlns:dc='http://purl.org/dc/elements/1.1/'><dc:title>Secret title</dc:title>\
    <dc:rights>Rights of Ann</dc:rights></rdf:Description></rdf:RDF></x:xmpmeta>";

fn iptc() -> Vec<u8> {
    let set = |number: u8, text: &str| {
        [&[0x1c, 2, number, 0, text.len() as u8], text.as_bytes()].concat()
    };
    [
        set(5, "Secret object"),
        set(80, "Ann the author"),
        set(116, "Copyright Ann"),
    ]
    .concat()
}

fn photoshop() -> Vec<u8> {
    let records = iptc();
    let mut resource = b"8BIM\x04\x04\0\0".to_vec();
    resource.extend((records.len() as u32).to_be_bytes());
    resource.extend(&records);
    if records.len() % 2 == 1 {
        resource.push(0);
    }
    resource
}

/// A source with all of it, in JPEG and in TIFF of every byte order.
fn sources() -> Vec<(String, Vec<u8>)> {
    let jpeg = make(&opaque(60, 40), "width=60 format=jpeg").bytes;
    let jpeg = with_segment(
        &jpeg,
        0xe1,
        &[b"http://ns.adobe.com/xap/1.0/\0", XMP.as_bytes()].concat(),
    );
    let jpeg = with_segment(
        &jpeg,
        0xed,
        &[b"Photoshop 3.0\0".as_slice(), &photoshop()].concat(),
    );
    let mut exif = b"Exif\0\0MM\0*\0\0\0\x08\0\x02".to_vec();
    exif.extend(b"\x01\x3b\0\x02\0\0\0\x0f\0\0\0\x26\x82\x98\0\x02\0\0\0\x04Ann\0\0\0\0\0");
    exif.extend(b"Ann the artist\0\0");
    let jpeg = with_segment(&jpeg, 0xe1, &exif);
    let mut all = vec![("jpeg".to_owned(), jpeg)];
    for order in ORDERS {
        let tiff = Tiff {
            order,
            size: (4, 4),
            samples: 3,
            bits: 8,
            photometric: 2,
            tile: None,
            rows_per_strip: 4,
            strips: vec![vec![90; 48]],
            fields: vec![
                (270, Value::Text("Secret description")),
                (315, Value::Text("Ann the artist")),
                (33_432, Value::Text("Ann")),
                (700, Value::Bytes(XMP.as_bytes().to_vec())),
                (33_723, Value::Bytes(iptc())),
            ],
        };
        all.push((format!("tiff {order:?}"), tiff.file()));
        // IPTC in Photoshop's resources.
        let mut other = tiff.clone();
        other.fields.pop();
        other.fields.push((34_377, Value::Bytes(photoshop())));
        all.push((format!("tiff with resources {order:?}"), other.file()));
    }
    all
}

#[test]
fn authors_and_rights_are_kept() {
    for (name, source) in sources() {
        for format in ["jpeg", "webp", "png"] {
            let made = |metadata: &str| {
                make(
                    &source,
                    &format!("width=4 format={format} metadata={metadata}"),
                )
                .bytes
            };
            let (rights, all, none) = (made("copyright"), made("keep"), made("strip"));
            for there in ["Ann the artist", "Rights of Ann"] {
                assert!(has(&rights, there), "{name} {format}: {there}");
                assert!(has(&all, there), "{name} {format}: {there}");
                assert!(!has(&none, there), "{name} {format}: {there}");
            }
            assert!(!has(&rights, "Secret"), "{name} {format}");
            assert!(has(&all, "Secret title"), "{name} {format}");
            // JPEG has IPTC as it is; in PNG it is compressed, and WebP has no place for it.
            if format == "jpeg" {
                assert!(
                    has(&rights, "Copyright Ann") && has(&all, "Copyright Ann"),
                    "{name}"
                );
                assert!(has(&all, "Secret object"), "{name}");
                // It is read again.
                let again = make(&rights, "width=3 metadata=copyright").bytes;
                assert!(has(&again, "Ann the author"), "{name}");
            }
            if format == "png" {
                assert!(has(&all, "Raw profile type iptc"), "{name}");
                let again = make(&all, "width=3 format=jpeg metadata=keep").bytes;
                assert!(
                    has(&again, "Ann the author") && has(&again, "Secret object"),
                    "{name}"
                );
            }
        }
    }
}

/// Damaged blocks are left out, and the picture is read.
#[test]
fn damaged_rights_are_no_harm() {
    let jpeg = make(&opaque(60, 40), "width=60 format=jpeg").bytes;
    let whole = photoshop();
    for cut in 0..whole.len() {
        let payload = [b"Photoshop 3.0\0".as_slice(), &whole[..cut]].concat();
        let source = with_segment(&jpeg, 0xed, &payload);
        inspect(&source, &Limits::default()).unwrap();
        make(&source, "width=20 metadata=keep");
    }
}
