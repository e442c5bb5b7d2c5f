//! The messages between this process and a pixel process. Each is its length in four bytes, then
//! JSON. Pictures are not part of them: they are in the file that both processes share.

use serde::{Deserialize, Serialize};

use crate::imaging::{ImagingError, Limits};
use crate::operation::{FieldError, Format, ResizeOptions, format_name};

/// Debug builds only: the environment variable with which tests allow pictures to ask for faults.
#[cfg(debug_assertions)]
pub(super) const FAULTS_VARIABLE: &str = "PICRESIZE_TEST_FAULTS";
/// The longest sentence that is believed, in characters.
const MAX_SENTENCE: usize = 600;
/// The longest message. All are far shorter: a picture's error message is a sentence.
pub(super) const MAX_MESSAGE_BYTES: usize = 1 << 20;

/// What a pixel process is asked.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Request {
    /// Read the header of the first picture in the shared file, and plan the task.
    Plan {
        task: TaskForm,
        /// The lengths of the pictures in the shared file, which follow each other.
        lengths: Vec<usize>,
        #[serde(with = "LimitsForm")]
        limits: Limits,
        /// Carry out the plan at once if it needs no more memory than this.
        granted: Option<u64>,
    },
    /// Carry out the plan.
    Proceed,
}

/// A task, with its options in their text form.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) enum TaskForm {
    Resize(Vec<(String, String)>),
    Fingerprint,
    /// The options of the two references.
    Score([Vec<(String, String)>; 2]),
}

/// What a pixel process answers.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Outcome {
    /// The process has started, and waits for requests.
    Started(Protection),
    Planned(Planned),
    /// The result is in the shared file.
    Resized {
        width: u32,
        height: u32,
        #[serde(with = "format_name")]
        format: Format,
        bytes: usize,
        fingerprint: Option<u64>,
        microseconds: u64,
    },
    Fingerprinted(Option<u64>),
    Scored([Option<f64>; 2]),
    Refused(#[serde(with = "Refusal")] ImagingError),
    /// A codec panicked. Holds its message.
    Panicked(String),
    /// The process cannot work, which has nothing to do with the picture.
    Unusable(String),
}

/// What the header says, and what the task needs.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Planned {
    #[serde(with = "format_name")]
    pub(super) format: Format,
    pub(super) width: u32,
    pub(super) height: u32,
    /// The memory that the task needs in addition to the source, in bytes.
    pub(super) memory_bytes: u64,
}

/// What protects the system from a pixel process.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Protection {
    /// What is missing, as phrases for the log.
    pub(super) missing: Vec<String>,
}

/// Tells serde what [`Limits`] consist of, because the imaging library does not depend on it.
#[derive(Serialize, Deserialize)]
#[serde(remote = "Limits")]
struct LimitsForm {
    max_side: u32,
    max_source_pixels: u64,
    max_result_pixels: u64,
    max_frames: u32,
    max_memory_bytes: u64,
    max_result_bytes: u64,
    max_metadata_bytes: u64,
    max_seconds: u32,
}

/// The same for [`ImagingError`].
#[derive(Serialize, Deserialize)]
#[serde(remote = "ImagingError")]
enum Refusal {
    NotAPicture(String),
    Header {
        #[serde(with = "format_name")]
        format: Format,
        reason: String,
    },
    TooLarge(String),
    Option(#[serde(with = "WrongField")] FieldError),
    Body {
        #[serde(with = "format_name")]
        format: Format,
        reason: String,
    },
    Encode {
        #[serde(with = "format_name")]
        format: Format,
        reason: String,
    },
}

/// The same for [`FieldError`].
#[derive(Serialize, Deserialize)]
#[serde(remote = "FieldError")]
struct WrongField {
    field: String,
    message: String,
}

/// An error of a pixel process, with clipped texts: they are stored, and a process that a picture has
/// taken over could send anything.
pub(super) fn clipped(mut error: ImagingError) -> ImagingError {
    let texts: &mut [&mut String] = match &mut error {
        ImagingError::NotAPicture(text) | ImagingError::TooLarge(text) => &mut [text],
        ImagingError::Option(FieldError { field, message }) => &mut [field, message],
        ImagingError::Header { reason, .. }
        | ImagingError::Body { reason, .. }
        | ImagingError::Encode { reason, .. } => &mut [reason],
    };
    for text in texts {
        **text = clip(text);
    }
    error
}

/// A sentence of a pixel process, without control characters and no longer than any sentence is.
pub(super) fn clip(text: &str) -> String {
    let letters = text.chars().filter(|letter| !letter.is_control());
    letters.take(MAX_SENTENCE).collect()
}

/// The text form of options, as in events.
pub(super) fn options_form(options: &ResizeOptions) -> Vec<(String, String)> {
    let pairs = options.pairs().into_iter();
    pairs.map(|(key, value)| (key.to_owned(), value)).collect()
}

/// A message with its length in front.
pub(super) fn frame(message: &impl Serialize) -> Vec<u8> {
    let mut framed = vec![0; 4];
    serde_json::to_writer(&mut framed, message).expect("messages are plain data");
    let length = (framed.len() - 4) as u32;
    framed[..4].copy_from_slice(&length.to_le_bytes());
    framed
}

/// The length of the message that follows; `None` if it is longer than any message.
pub(super) fn message_length(head: [u8; 4]) -> Option<usize> {
    let length = u32::from_le_bytes(head) as usize;
    (length <= MAX_MESSAGE_BYTES).then_some(length)
}
