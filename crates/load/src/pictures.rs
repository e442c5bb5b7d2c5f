//! The pictures of a run and what is asked for each: made in code, or from a folder.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result, bail, ensure};
use clap::Args;
use picresize_imaging::{self as imaging, Limits, ResizeOptions};

use crate::made::Made;
use crate::stamp::Stamped;

#[derive(Clone, Debug, Args)]
pub(crate) struct Choice {
    /// Which pictures to make
    #[arg(long, value_enum, default_value = "tiny", conflicts_with = "pictures")]
    pub(crate) made: Made,
    /// Width and height of made pictures, such as 1632x1224
    #[arg(long, value_name = "WxH", value_parser = size, conflicts_with = "pictures")]
    pub(crate) made_size: Option<(u32, u32)>,
    /// How many different pictures to make
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) variety: u32,
    /// Take the pictures of this folder instead
    #[arg(long, value_name = "FOLDER")]
    pub(crate) pictures: Option<PathBuf>,
    /// Only files of the folder with this extension
    #[arg(long, value_name = "EXTENSION", requires = "pictures")]
    pub(crate) only: Option<String>,
    /// An option of the resize, such as width=320; may be given several times. The default depends
    /// on --made; for a folder it is width=512, height=512, fit=inside
    #[arg(long = "option", value_name = "KEY=VALUE", value_parser = pair)]
    pub(crate) options: Vec<(String, String)>,
}

/// One picture, and what its result must be.
pub(crate) struct Picture {
    pub(crate) name: String,
    pub(crate) plain: Vec<u8>,
    pub(crate) stamped: Stamped,
    pub(crate) content_type: &'static str,
    pub(crate) result_size: (u32, u32),
}

/// The pictures of a run with the request's options.
pub(crate) struct Pictures {
    pub(crate) all: Vec<Picture>,
    pub(crate) pairs: Vec<(String, String)>,
    pub(crate) options: ResizeOptions,
}

impl Choice {
    pub(crate) fn read(&self) -> Result<Pictures> {
        let pairs = match (&self.options[..], &self.pictures) {
            ([], Some(_)) => Made::Photo.request(),
            ([], None) => self.made.request(),
            (given, _) => given.to_vec(),
        };
        let options = ResizeOptions::from_pairs(pairs.iter().map(|(key, value)| (key, value)))
            .map_err(|errors| {
                let errors = errors
                    .iter()
                    .map(|error| format!("{}: {}", error.field, error.message));
                anyhow::anyhow!("--option {}", Vec::from_iter(errors).join("; "))
            })?;
        let mut all = Vec::new();
        for (name, plain) in self.files()? {
            all.push(Picture::new(name, plain, &options)?);
        }
        Ok(Pictures {
            all,
            pairs,
            options,
        })
    }

    fn files(&self) -> Result<Vec<(String, Vec<u8>)>> {
        let Some(folder) = &self.pictures else {
            let made = (0..self.variety).map(|number| self.made.picture(self.made_size, number));
            return made.collect();
        };
        let mut files = Vec::new();
        let entries = fs::read_dir(folder).with_context(|| folder.display().to_string())?;
        for entry in entries {
            let path = entry?.path();
            let extension = path.extension().and_then(|it| it.to_str());
            if path.is_file() && (self.only.is_none() || self.only.as_deref() == extension) {
                let bytes = fs::read(&path).with_context(|| path.display().to_string())?;
                let name = path.file_name().unwrap_or_default();
                if imaging::sniff(&bytes).is_ok() {
                    files.push((name.to_string_lossy().into_owned(), bytes));
                }
            }
        }
        ensure!(!files.is_empty(), "{} has no picture", folder.display());
        files.sort();
        Ok(files)
    }
}

impl Picture {
    fn new(name: String, plain: Vec<u8>, options: &ResizeOptions) -> Result<Self> {
        let limits = Limits::default();
        let result = imaging::resize(&plain, options, &limits).with_context(|| name.clone())?;
        Ok(Self {
            content_type: imaging::sniff(&plain)?.content_type(),
            result_size: (result.width, result.height),
            stamped: Stamped::new(plain.clone()),
            name,
            plain,
        })
    }
}

fn size(text: &str) -> Result<(u32, u32)> {
    let Some((width, height)) = text.split_once('x') else {
        bail!("'{text}' is not a width and a height with an x between");
    };
    Ok((width.parse()?, height.parse()?))
}

fn pair(text: &str) -> Result<(String, String)> {
    let pair = text.split_once('=').context("give KEY=VALUE")?;
    Ok((pair.0.to_owned(), pair.1.to_owned()))
}
