//! Resizes a picture to a width: `cargo run --example thumbnail -- IN OUT WIDTH`. The format of the
//! result is that of the name `OUT`, or the source's own.

use std::error::Error;
use std::path::Path;

use picresize_imaging::{Format, Limits, ResizeOptions, resize};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [input, output, width] = arguments.as_slice() else {
        return Err("usage: thumbnail IN OUT WIDTH".into());
    };
    let extension = Path::new(output).extension().and_then(|name| name.to_str());
    let options = ResizeOptions {
        width: Some(width.parse()?),
        format: extension.and_then(Format::from_name),
        ..ResizeOptions::default()
    };
    let resized = resize(&std::fs::read(input)?, &options, &Limits::default())?;
    std::fs::write(output, &resized.bytes)?;
    println!("{} × {}, {}", resized.width, resized.height, resized.format);
    Ok(())
}
