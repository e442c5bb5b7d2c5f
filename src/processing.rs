//! The one way to touch a stranger's picture: the work is planned and done in a pixel process, a
//! confined child of this process, so that a picture can hurt only itself.
//!
//! [`Processor`] admits pictures by cores and memory, leases a [pixel process](PixelProcesses) for
//! each, and judges what it answers, or how it died.

use std::any::Any;
use std::io;
use std::slice;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::imaging::{self, ENGINE_VERSION, Format, Limits};
use crate::operation::{Fingerprint, PictureFacts, ResizeOptions};
use crate::picture_store::FinishedPicture;
use crate::settings::Settings;

#[cfg(not(unix))]
compile_error!("picresize runs on Unix; on Windows, use the container image");

mod admission;
mod allocator;
mod attempts;
mod child;
mod child_process;
mod death;
mod error;
mod pixel_process;
mod pool;
mod protocol;
mod request;
mod resources;
mod shared_file;

pub use admission::Memory;
pub use allocator::return_freed_pictures;
pub use attempts::Attempts;
pub use child::run as run_pixel_process;
pub use death::{Cause, Death};
pub use error::{ProcessingError, Retry};
pub use pixel_process::{COMMAND, HEIC_FLAG};
pub use pool::PixelProcesses;
pub use request::RequestedOperation;

use admission::{Admission, Cores};
use pixel_process::{Kind, StepLimits};
use pool::Lease;
use protocol::{Outcome, Planned, Request, TaskForm, clip, clipped, options_form};

const MIB: u64 = 1 << 20;
/// The number of operations that wait with their pictures loaded, for each one in progress.
const WAITING_PER_CORE: usize = 1;
/// What reading a header may take: memory in addition to the picture, and processor time.
const HEADER_BYTES: u64 = 64 * MIB;
const HEADER_SECONDS: u32 = 3;
/// The failure of an operation whose picture is no longer in the table.
pub const PICTURE_IS_GONE: &str = "its picture was kept in the table and is not there any more";

/// How pictures are processed.
#[derive(Clone, Debug)]
pub struct ProcessorOptions {
    /// The limits of pictures.
    pub limits: Limits,
    /// How many pictures are processed at once; 0 means one for each core.
    pub concurrency: usize,
    /// The memory for sources and pixels.
    pub memory_mib: u64,
    /// How many pixel processes a picture may end before it fails.
    pub max_attempts: u32,
}

impl ProcessorOptions {
    /// The options that the settings give workers and replays.
    pub fn of(settings: &Settings) -> Self {
        Self {
            limits: settings.imaging_limits(),
            concurrency: settings.worker.concurrency,
            memory_mib: settings.worker.memory_mib,
            max_attempts: settings.worker.max_attempts,
        }
    }
}

/// Processes pictures: as many at once as there are cores, and only as many as fit into memory by
/// their estimates.
#[derive(Debug)]
pub struct Processor {
    processes: PixelProcesses,
    options: ProcessorOptions,
    admission: Admission,
    /// Headers are read beside the pictures in progress, because clients wait for that.
    headers: Cores,
}

/// The right to work on one picture: a core, memory and a pixel process.
#[derive(Debug)]
pub struct Admitted {
    lease: Lease,
}

/// A resized picture.
#[derive(Debug)]
pub struct ProcessedPicture {
    pub picture: FinishedPicture,
    /// The time of decoding, resampling and encoding together.
    pub elapsed: Duration,
    /// Held until the picture is stored.
    _memory: Option<Memory>,
}

/// What the header of a picture says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PictureHeader {
    pub format: Format,
    /// Pixels across, as a viewer sees them.
    pub width: u32,
    /// Pixels down, as a viewer sees them.
    pub height: u32,
    /// The memory that the task needs in addition to the picture, in bytes.
    pub memory_bytes: u64,
}

impl Processor {
    pub fn new(processes: PixelProcesses, options: ProcessorOptions) -> Self {
        Self {
            processes,
            admission: Admission::new(options.concurrency, options.memory_mib),
            headers: Cores::new(0),
            options,
        }
    }

    /// How many operations to hold at once: those in progress, and those that wait with their
    /// pictures loaded.
    pub fn max_jobs(&self) -> usize {
        self.admission.cores.count() * (1 + WAITING_PER_CORE)
    }

    /// Waits for memory for a source of at most this many bytes, and its copy.
    pub async fn source_memory(&self, bytes: u64) -> Memory {
        self.admission.source(bytes).await
    }

    #[cfg(test)]
    pub(crate) fn free_source_mib(&self) -> usize {
        self.admission.free_source_mib()
    }

    /// Reads a picture's header and checks whether it can be resized with these options.
    ///
    /// # Errors
    ///
    /// Why not.
    pub async fn check(
        &self,
        picture: &Bytes,
        options: &ResizeOptions,
    ) -> Result<PictureHeader, ProcessingError> {
        let task = TaskForm::Resize(options_form(options));
        self.read_header(picture, &task).await
    }

    /// Reads a picture's header. The task is the perceptual hash.
    ///
    /// # Errors
    ///
    /// It cannot be read.
    pub async fn header(&self, picture: &Bytes) -> Result<PictureHeader, ProcessingError> {
        self.read_header(picture, &TaskForm::Fingerprint).await
    }

    async fn read_header(
        &self,
        picture: &Bytes,
        task: &TaskForm,
    ) -> Result<PictureHeader, ProcessingError> {
        let pictures = slice::from_ref(picture);
        let mut attempts = self.attempts();
        loop {
            let planned = self.plan(&self.headers, pictures, task, attempts.retry());
            let header = planned.await.map(|(_, planned)| planned.into());
            if let Some(header) = attempts.settle(header) {
                return header;
            }
        }
    }

    /// Resizes a picture, as soon as there is a core and enough memory.
    ///
    /// # Errors
    ///
    /// Why there is no result.
    pub async fn resize(
        &self,
        picture: &Bytes,
        options: &ResizeOptions,
    ) -> Result<ProcessedPicture, ProcessingError> {
        let mut attempts = self.attempts();
        loop {
            let made = match self.admit(picture, attempts.retry()).await {
                Ok(admitted) => self.attempt(admitted, picture, options).await,
                Err(error) => Err(error),
            };
            if let Some(made) = attempts.settle(made) {
                return made;
            }
        }
    }

    /// Waits for a core and the memory that most pictures need. A retry gets a pixel process that has
    /// had no picture before.
    ///
    /// # Errors
    ///
    /// No pixel process can be started, or this is no picture.
    pub async fn admit(
        &self,
        picture: &Bytes,
        retry: Option<Retry>,
    ) -> Result<Admitted, ProcessingError> {
        let mut lease = self.lease(&self.admission.cores, picture, retry).await?;
        let granted = self.admission.usual_bytes();
        lease.hold(self.admission.pixels(granted).await);
        Ok(Admitted { lease })
    }

    /// One attempt at resizing a picture that was admitted.
    ///
    /// # Errors
    ///
    /// Why there is no result.
    pub async fn attempt(
        &self,
        Admitted { mut lease }: Admitted,
        picture: &Bytes,
        options: &ResizeOptions,
    ) -> Result<ProcessedPicture, ProcessingError> {
        let task = TaskForm::Resize(options_form(options));
        let pictures = slice::from_ref(picture);
        let granted = self.admission.usual_bytes();
        let outcome = match self.ask(&mut lease, pictures, &task, Some(granted)).await? {
            // It needs more memory than most pictures.
            Outcome::Planned(planned) => {
                let memory_bytes = self.admitted(&planned)?;
                // Given back first: whoever waits for memory holds none.
                drop(lease.release::<Memory>());
                lease.hold(self.admission.pixels(memory_bytes).await);
                self.proceed(&mut lease, memory_bytes).await?
            }
            outcome => outcome,
        };
        let Outcome::Resized {
            width,
            height,
            format,
            bytes,
            fingerprint,
            microseconds,
        } = outcome
        else {
            return Err(refusal(outcome));
        };
        if bytes as u64 > self.options.limits.max_result_bytes {
            return Err(nonsense());
        }
        let result = lease.process().result(bytes).await;
        let (bytes, digest) = result.map_err(|_| nonsense())?;
        let facts = PictureFacts {
            format,
            width,
            height,
            bytes: bytes.len() as u64,
            digest,
        };
        let mut memory: Option<Memory> = lease.release();
        if let Some(memory) = &mut memory {
            memory.shrink(facts.bytes);
        }
        Ok(ProcessedPicture {
            _memory: memory,
            picture: FinishedPicture {
                facts,
                fingerprint: fingerprint.map(Fingerprint),
                bytes,
                engine: ENGINE_VERSION,
            },
            elapsed: Duration::from_micros(microseconds),
        })
    }

    /// The perceptual hash of a picture; `None` if it has none. `memory` is what was reserved for
    /// it, and is held until the memory is free again, even if nobody waits any more.
    ///
    /// # Errors
    ///
    /// The picture cannot be read.
    pub async fn fingerprint(
        &self,
        picture: &Bytes,
        memory: impl Any + Send + Sync,
    ) -> Result<Option<Fingerprint>, ProcessingError> {
        let memory: Arc<dyn Any + Send + Sync> = Arc::new(memory);
        let mut attempts = self.attempts();
        loop {
            let hash = self.hash(picture, &memory, attempts.retry()).await;
            if let Some(hash) = attempts.settle(hash) {
                return hash;
            }
        }
    }

    async fn hash(
        &self,
        picture: &Bytes,
        memory: &Arc<dyn Any + Send + Sync>,
        retry: Option<Retry>,
    ) -> Result<Option<Fingerprint>, ProcessingError> {
        let (cores, task) = (&self.admission.cores, &TaskForm::Fingerprint);
        let planned = self.plan(cores, slice::from_ref(picture), task, retry);
        let (mut lease, planned) = planned.await?;
        lease.hold(Arc::clone(memory));
        match self.proceed(&mut lease, planned.memory_bytes).await? {
            Outcome::Fingerprinted(hash) => Ok(hash.map(Fingerprint)),
            other => Err(refusal(other)),
        }
    }

    /// The SSIMULACRA2 scores of two results of a picture, each against a reference that is made
    /// with its options. A score that cannot be computed is `None`.
    ///
    /// # Errors
    ///
    /// The picture cannot be read.
    pub async fn scores(
        &self,
        picture: &Bytes,
        references: [&ResizeOptions; 2],
        results: [Bytes; 2],
    ) -> Result<[Option<f64>; 2], ProcessingError> {
        let [before, after] = results;
        let pictures = [picture.clone(), before, after];
        let task = TaskForm::Score(references.map(options_form));
        let planned = self.plan(&self.admission.cores, &pictures, &task, None);
        let (mut lease, planned) = planned.await?;
        lease.hold(self.admission.pixels(planned.memory_bytes).await);
        match self.proceed(&mut lease, planned.memory_bytes).await? {
            Outcome::Scored(scores) => Ok(scores),
            other => Err(refusal(other)),
        }
    }

    /// Waits for a core, leases a pixel process and plans a task there.
    async fn plan(
        &self,
        cores: &Cores,
        pictures: &[Bytes],
        task: &TaskForm,
        retry: Option<Retry>,
    ) -> Result<(Lease, Planned), ProcessingError> {
        let mut lease = self.lease(cores, &pictures[0], retry).await?;
        match self.ask(&mut lease, pictures, task, None).await? {
            Outcome::Planned(planned) => {
                self.admitted(&planned)?;
                Ok((lease, planned))
            }
            other => Err(refusal(other)),
        }
    }

    /// Waits for a core and leases a pixel process for a picture.
    async fn lease(
        &self,
        cores: &Cores,
        picture: &[u8],
        retry: Option<Retry>,
    ) -> Result<Lease, ProcessingError> {
        let kind = match imaging::sniff(picture)? {
            Format::Heic => Kind::WithHeic,
            _ => Kind::Usual,
        };
        let core = cores.take(retry == Some(Retry::Alone)).await;
        let lease = if retry.is_some() {
            self.processes.lease_fresh(kind).await
        } else {
            self.processes.lease(kind).await
        };
        let mut lease = lease.map_err(ProcessingError::NoProcess)?;
        lease.hold(core);
        Ok(lease)
    }

    /// Asks a pixel process to plan a task. If memory was `granted`, it also carries out a plan that
    /// needs no more than that.
    async fn ask(
        &self,
        lease: &mut Lease,
        pictures: &[Bytes],
        task: &TaskForm,
        granted: Option<u64>,
    ) -> Result<Outcome, ProcessingError> {
        let limits = &self.options.limits;
        let request = Request::Plan {
            task: task.clone(),
            lengths: pictures.iter().map(Bytes::len).collect(),
            limits: limits.clone(),
            granted,
        };
        let step = match granted {
            Some(granted) => StepLimits {
                memory_bytes: granted.max(HEADER_BYTES),
                seconds: limits.max_seconds,
                file_bytes: limits.max_result_bytes,
            },
            None => StepLimits {
                memory_bytes: HEADER_BYTES,
                seconds: HEADER_SECONDS.min(limits.max_seconds),
                file_bytes: limits.max_result_bytes,
            },
        };
        let process = lease.process();
        process.plan(pictures, &request, step).await.map_err(fatal)
    }

    /// The memory of a plan, if it may take so much.
    fn admitted(&self, planned: &Planned) -> Result<u64, ProcessingError> {
        let memory_bytes = planned.memory_bytes;
        // The process has checked this; one that says otherwise is broken.
        if memory_bytes <= self.options.limits.max_memory_bytes {
            Ok(memory_bytes)
        } else {
            Err(nonsense())
        }
    }

    async fn proceed(
        &self,
        lease: &mut Lease,
        memory_bytes: u64,
    ) -> Result<Outcome, ProcessingError> {
        let limits = &self.options.limits;
        let step = StepLimits {
            memory_bytes,
            seconds: limits.max_seconds,
            file_bytes: limits.max_result_bytes,
        };
        lease.process().proceed(step).await.map_err(fatal)
    }

    /// The attempts at a picture, before the first one.
    pub fn attempts(&self) -> Attempts {
        Attempts::new(self.options.max_attempts)
    }
}

impl From<Planned> for PictureHeader {
    fn from(planned: Planned) -> Self {
        Self {
            format: planned.format,
            width: planned.width,
            height: planned.height,
            memory_bytes: planned.memory_bytes,
        }
    }
}

/// The error that an outcome stands for.
fn refusal(outcome: Outcome) -> ProcessingError {
    match outcome {
        Outcome::Refused(error) => ProcessingError::Picture(clipped(error)),
        Outcome::Panicked(message) => {
            let message = clip(&message);
            tracing::warn!(message, "a codec panicked");
            ProcessingError::Panicked(message)
        }
        Outcome::Unusable(message) => ProcessingError::NoProcess(io::Error::other(clip(&message))),
        _ => nonsense(),
    }
}

fn fatal(death: Death) -> ProcessingError {
    let Death { cause, said } = &death;
    tracing::warn!(%cause, said, "a picture ended its pixel process");
    ProcessingError::Fatal { death, attempts: 1 }
}

/// A pixel process that gives wrong answers is no better than a dead one.
fn nonsense() -> ProcessingError {
    fatal(Death {
        cause: Cause::Nonsense,
        said: String::new(),
    })
}
