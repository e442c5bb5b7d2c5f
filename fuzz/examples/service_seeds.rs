//! Writes the seeds of every target into `corpus/`. Existing files stay. `scripts/fuzz` runs it.

// The instrumentation calls the fuzzer's runtime.
use libfuzzer_sys as _;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use base64::Engine as _;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};

fn main() -> Result<()> {
    json()?;
    forms()?;
    queries()?;
    texts()?;
    events()?;
    settings()
}

fn json() -> Result<()> {
    let seeds = [
        r#"{"image":"iVBORw0KGgo=","width":320,"height":200}"#,
        r#"{"image":"data:image/png;base64,iVBORw0KGgo=","width":"320","fit":"cover"}"#,
        r#"{"image":"-_8A","height":20,"enlarge":false,"quality":80,"background":"\u0023fff"}"#,
        r#" { "im\u0061ge" : "+\/8\nA" , "width" : 1e2 , "format" : null } "#,
        r#"{"image":"AAAA","limit":5,"distance":3,"from":"similar:20"}"#,
        r#"{"image":"AAAA","width":[1,{"a":[]}],"x":{},"x":"again"}"#,
        r#"[{"image":"AAAA"}]"#,
    ];
    for (number, seed) in seeds.iter().enumerate() {
        write("request_json", &number.to_string(), seed.as_bytes())?;
    }
    let long = BASE64_STANDARD.encode([7; 5000]);
    let long = format!("{{\"image\":\"{long}\",\"width\":20}}");
    write("request_json", "long", long.as_bytes())
}

fn forms() -> Result<()> {
    let part = |header: &str, content: &str| {
        format!("--X\r\nContent-Disposition: form-data; {header}\r\n\r\n{content}\r\n")
    };
    let image = part("name=\"image\"; filename=\"a.png\"", "picture\r\n--Y\r\n");
    let fields = part("name=width", "320") + &part("name=\"f\\\"it\"", "cover");
    for (name, boundary, form) in [
        ("plain", "boundary=X", format!("{image}{fields}--X--\r\n")),
        (
            "preamble",
            "boundary=\"X\"",
            format!("before\r\n{fields}{image}--X--"),
        ),
        (
            "twice",
            " charset=utf-8; Boundary=X",
            format!("{image}{image}--X--"),
        ),
        ("cut", "boundary=X", format!("{fields}{image}")),
    ] {
        let seed = format!("{boundary}\n{form}");
        write("request_form", name, seed.as_bytes())?;
    }
    Ok(())
}

fn queries() -> Result<()> {
    for (name, query) in [
        ("plain", "width=320&height=200&fit=cover&position=top-left"),
        (
            "escaped",
            "background=%23fff&width=+320&f%6Frmat=webp&quality=8%30",
        ),
        (
            "every",
            "width=1&enlarge=false&format=jpeg&max_bytes=9000&filter=bilinear&profile=fine",
        ),
        (
            "rest",
            "height=9&progressive=true&lossless=true&palette=16&sharpen=20&color=keep&metadata=copyright",
        ),
        ("look-up", "limit=5&distance=3&from=exact:20"),
        ("wrong", "width=1&width=2&&=&colour=%ff&quality=101"),
    ] {
        write("request_query", name, query.as_bytes())?;
    }
    Ok(())
}

fn texts() -> Result<()> {
    let bytes: Vec<u8> = (0..7000_u32).map(|n| (n * 7 % 251) as u8).collect();
    // The block that is decoded at once has 4,096 letters: 3,072 bytes.
    for length in [0, 1, 2, 3, 3070, 3071, 3072, 3073, 3074, 7000] {
        let standard = BASE64_STANDARD.encode(&bytes[..length]);
        let url_safe = BASE64_URL_SAFE_NO_PAD.encode(&bytes[..length]);
        for (name, text) in [
            ("standard", standard.clone()),
            ("url-safe", url_safe),
            ("data-url", format!("data:image/png;base64,{standard}")),
            ("lines", standard.replace('A', "A\\r\\n")),
            (
                "escaped",
                standard.replace('/', "\\/").replace('A', "\\u0041"),
            ),
        ] {
            write("base64_text", &format!("{name}-{length}"), text.as_bytes())?;
        }
    }
    Ok(())
}

/// The frozen examples of the event format.
fn events() -> Result<()> {
    for entry in fs::read_dir(project().join("tests/golden/events"))? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        write("events", &name, &fs::read(&path)?)?;
    }
    Ok(())
}

/// The sections of the example file, and variables.
fn settings() -> Result<()> {
    let example = fs::read_to_string(project().join("picresize.example.toml"))?;
    let lines = example
        .lines()
        .filter(|line| !line.starts_with('#') && !line.is_empty());
    let example = lines.collect::<Vec<_>>().join("\n");
    write("settings", "example", example.as_bytes())?;
    for (number, section) in example.split("\n[").enumerate() {
        let section = format!("[{}", section.trim_start_matches('['));
        write("settings", &number.to_string(), section.as_bytes())?;
    }
    let variables = "[engine]\nlog = \"kafka\"\n---\nPICRESIZE__STORAGE__TABLE=mysql\n\
                     PICRESIZE__KAFKA__PROPERTIES__SASL_PASSWORD=0x10\n\
                     PICRESIZE__LIMITS__MAX_SIDE=1e3\nPICRESIZE__SERVER__LISTEN=127.0.0.1:7\n";
    write("settings", "variables", variables.as_bytes())
}

fn project() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn write(target: &str, name: &str, bytes: &[u8]) -> Result<()> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("corpus")
        .join(target);
    fs::create_dir_all(&folder)?;
    let path = folder.join(format!("seed-{name}"));
    fs::write(&path, bytes).with_context(|| path.display().to_string())
}
