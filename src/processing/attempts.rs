//! Decides whether a picture is tried again.

use super::error::{ProcessingError, Retry};

/// The attempts at one picture.
#[derive(Debug)]
pub struct Attempts {
    made: u32,
    most: u32,
    retry: Option<Retry>,
}

impl Attempts {
    pub(super) fn new(most: u32) -> Self {
        Self {
            made: 0,
            most,
            retry: None,
        }
    }

    /// How the next attempt differs from the first one.
    pub fn retry(&self) -> Option<Retry> {
        self.retry
    }

    /// Counts an attempt. Returns its outcome if that is final, and `None` if there should be another
    /// attempt.
    pub fn settle<T>(
        &mut self,
        outcome: Result<T, ProcessingError>,
    ) -> Option<Result<T, ProcessingError>> {
        self.made += 1;
        self.retry = match &outcome {
            Err(error) if self.made < self.most => error.retry(),
            _ => None,
        };
        let is_final = self.retry.is_none();
        is_final.then(|| outcome.map_err(|error| error.after(self.made)))
    }
}
