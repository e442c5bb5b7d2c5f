//! The body of a result in JSON. Its base64 is made while it is sent, so the whole text is never in
//! memory.

use std::pin::Pin;
use std::task::{Context, Poll};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};

/// The bytes of a picture that are encoded at once: a multiple of three.
const BLOCK: usize = 48 << 10;

/// A text, the base64 of a picture, and another text.
#[derive(Debug)]
pub(super) struct Base64Body {
    before: Bytes,
    picture: Bytes,
    after: Bytes,
}

impl Base64Body {
    pub(super) fn new(before: impl Into<Bytes>, picture: Bytes, after: impl Into<Bytes>) -> Self {
        Self {
            before: before.into(),
            picture,
            after: after.into(),
        }
    }

    /// Takes the next part to be sent.
    fn next(&mut self) -> Option<Bytes> {
        if !self.before.is_empty() {
            return Some(std::mem::take(&mut self.before));
        }
        if !self.picture.is_empty() {
            let block = self.picture.split_to(self.picture.len().min(BLOCK));
            return Some(STANDARD.encode(block).into());
        }
        if !self.after.is_empty() {
            return Some(std::mem::take(&mut self.after));
        }
        None
    }
}

impl Body for Base64Body {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        Poll::Ready(self.next().map(|part| Ok(Frame::data(part))))
    }

    fn is_end_stream(&self) -> bool {
        self.before.is_empty() && self.picture.is_empty() && self.after.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        let text = self.picture.len().div_ceil(3) * 4;
        SizeHint::with_exact((self.before.len() + text + self.after.len()) as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parts_make_the_whole_text() {
        for length in [0, 1, BLOCK - 1, BLOCK, BLOCK + 1, 3 * BLOCK + 5] {
            let picture: Vec<u8> = (0..length).map(|n| (n % 251) as u8).collect();
            let mut body = Base64Body::new("<", picture.clone().into(), ">");
            let announced = body.size_hint().exact().unwrap();
            let parts: Vec<_> = std::iter::from_fn(|| body.next()).collect();
            let text = parts.concat();
            assert!(body.is_end_stream());
            assert_eq!(text.len() as u64, announced);
            assert_eq!(text, format!("<{}>", STANDARD.encode(picture)).into_bytes());
        }
    }
}
