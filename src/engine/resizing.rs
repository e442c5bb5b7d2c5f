//! How every role makes one picture, and what memory it takes.

use bytes::Bytes;

use crate::imaging::{self, ENGINE_VERSION, ImagingError, Limits};
use crate::operation::{PictureFacts, ResizeRequest};
use crate::picture_store::FinishedPicture;

const MIB: u64 = 1 << 20;

/// The estimated memory of a picture while it is resized. What can't be planned takes little: it
/// fails at once.
pub fn memory_mib(picture: &[u8], request: &ResizeRequest, limits: &Limits) -> u32 {
    let plan = imaging::inspect(picture).and_then(|source| imaging::plan(&source, request, limits));
    let bytes = plan.map_or(MIB, |plan| plan.memory_bytes);
    u32::try_from(bytes.div_ceil(MIB)).unwrap_or(u32::MAX)
}

/// Resizes on a thread where it blocks nobody. A panic in a codec is this picture's failure.
///
/// # Errors
///
/// Why there is no result, in words for the person who sent the picture.
pub async fn resize(
    picture: Bytes,
    request: ResizeRequest,
    limits: Limits,
) -> Result<FinishedPicture, String> {
    let task = tokio::task::spawn_blocking(move || {
        let resized = imaging::resize(&picture, &request, &limits)?;
        Ok(FinishedPicture {
            facts: PictureFacts::of(&resized),
            fingerprint: imaging::fingerprint(&resized.bytes, &limits),
            bytes: resized.bytes.into(),
            engine: ENGINE_VERSION,
        })
    });
    match task.await {
        Ok(made) => made.map_err(|error: ImagingError| error.to_string()),
        Err(_) => Err("the picture cannot be decoded: its codec gave up".to_owned()),
    }
}
