//! How every role resizes one picture: it reads the request from its event, waits for memory and a
//! core, and resizes on a thread for blocking work.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinError;

use crate::event::{Event, EventBody, PicturePayload, Record};
use crate::event_log::EventPosition;
use crate::imaging::{self, ENGINE_VERSION, ImagingError, Limits, Plan};
use crate::operation::{Operation, PictureFacts, ResizeOptions};
use crate::picture_store::FinishedPicture;

const MIB: u64 = 1 << 20;
/// The number of operations that wait with their pictures loaded, for each one in progress.
const WAITING_PER_CORE: usize = 1;
/// The failure of an operation whose picture is no longer in the table.
pub const PICTURE_IS_GONE: &str = "its picture was kept in the table and is not there any more";

/// The failure of an operation that crashed its worker too many times.
pub fn too_many_attempts(max_attempts: u32) -> String {
    format!("the picture ended the program that worked on it {max_attempts} times")
}

/// A request to resize, read from its event.
#[derive(Clone, Debug)]
pub struct RequestedOperation {
    /// The operation when it was accepted, with its position in the log and its expiry time.
    pub operation: Operation,
    pub picture: PicturePayload,
    pub trace_parent: Option<String>,
}

impl RequestedOperation {
    /// Reads the request from the record at `position`. `keep` is how long pictures are kept;
    /// `None` means for ever.
    ///
    /// # Errors
    ///
    /// Why the record is not a request, as a message for users.
    pub fn from_record(
        record: &Record,
        position: EventPosition,
        keep: Option<Duration>,
    ) -> Result<Self, String> {
        let event = Event::from_record(record).map_err(|error| error.to_string())?;
        let EventBody::Requested {
            request,
            source,
            picture,
        } = event.body
        else {
            return Err("the event is not a request".to_owned());
        };
        let mut operation = Operation::queued(event.operation, request, source, event.time);
        operation.position = Some(position);
        operation.expires_at = keep.and_then(|keep| event.time.checked_add(keep).ok());
        Ok(Self {
            operation,
            picture,
            trace_parent: event.trace_parent,
        })
    }
}

/// Resizes pictures: as many at once as there are cores, and only as many as fit into memory by
/// their estimates.
#[derive(Debug)]
pub struct Processor {
    limits: Limits,
    max_running: usize,
    cores: Arc<Semaphore>,
    memory_mib: Arc<Semaphore>,
    max_memory_mib: u32,
}

/// Reserves memory and a core for a picture as long as this value lives.
#[derive(Debug)]
pub struct Admission {
    memory: OwnedSemaphorePermit,
    core: OwnedSemaphorePermit,
}

/// The plan of a picture's resize, with its reserved memory and core.
#[derive(Debug)]
pub struct AdmittedPlan {
    plan: Result<Plan, ImagingError>,
    admission: Admission,
}

/// A resized picture.
#[derive(Debug)]
pub struct ProcessedPicture {
    pub picture: FinishedPicture,
    /// The time of decoding, resampling and encoding together.
    pub elapsed: Duration,
    /// Held until the picture is stored.
    _memory: OwnedSemaphorePermit,
}

impl Processor {
    /// `concurrency` is how many pictures are resized at once; 0 means one for each core.
    pub fn new(limits: Limits, concurrency: usize, memory_mib: u64) -> Self {
        let max_running = match concurrency {
            0 => std::thread::available_parallelism().map_or(1, usize::from),
            wanted => wanted,
        };
        let max_memory_mib =
            u32::try_from(memory_mib).map_or(u32::MAX >> 3, |mib| mib.min(u32::MAX >> 3));
        Self {
            limits,
            max_running,
            cores: Arc::new(Semaphore::new(max_running)),
            memory_mib: Arc::new(Semaphore::new(max_memory_mib as usize)),
            max_memory_mib,
        }
    }

    /// The limits of pictures.
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// How many operations to hold at once: those in progress, and those that wait with their
    /// pictures loaded.
    pub fn max_jobs(&self) -> usize {
        self.max_running * (1 + WAITING_PER_CORE)
    }

    /// Plans the resize of a picture, and waits for its estimated memory and a core. A picture that
    /// cannot be planned fails at once, so it needs little memory.
    pub async fn admit(&self, picture: &[u8], request: &ResizeOptions) -> AdmittedPlan {
        let plan = imaging::inspect(picture, &self.limits)
            .and_then(|source| source.plan(request, &self.limits));
        let bytes = plan.as_ref().map_or(MIB, Plan::memory_bytes);
        AdmittedPlan {
            plan,
            admission: self.admit_bytes(bytes).await,
        }
    }

    /// Waits for a core and for this much memory. More memory than there is waits for all of it.
    pub async fn admit_bytes(&self, bytes: u64) -> Admission {
        let mib = u32::try_from(bytes.div_ceil(MIB)).unwrap_or(u32::MAX);
        let mib = mib.min(self.max_memory_mib);
        Admission {
            memory: permits(&self.memory_mib, mib).await,
            core: permits(&self.cores, 1).await,
        }
    }

    /// Resizes a planned picture on a thread for blocking work. A panic in a codec only fails this
    /// picture.
    ///
    /// # Errors
    ///
    /// Why there is no result, as a message for the client.
    pub async fn resize(
        &self,
        picture: Bytes,
        admitted: AdmittedPlan,
    ) -> Result<ProcessedPicture, String> {
        let AdmittedPlan { plan, admission } = admitted;
        let plan = plan.map_err(|error| error.to_string())?;
        let limits = self.limits.clone();
        let made = admission.run(move || {
            let started = Instant::now();
            let resized = plan.resize(&picture)?;
            let picture = FinishedPicture {
                facts: PictureFacts::of(&resized),
                fingerprint: imaging::fingerprint(&resized.bytes, &limits),
                bytes: resized.bytes.into(),
                engine: ENGINE_VERSION,
            };
            Ok::<_, ImagingError>((picture, started.elapsed()))
        });
        match made.await {
            Ok((Ok((picture, elapsed)), memory)) => Ok(ProcessedPicture {
                picture,
                elapsed,
                _memory: memory,
            }),
            Ok((Err(error), _)) => Err(error.to_string()),
            Err(_) => Err("the picture cannot be decoded: its codec gave up".to_owned()),
        }
    }
}

impl Admission {
    /// Runs `work` on a thread for blocking work. The thread holds the permits, so that they are
    /// not released before the memory, even if nobody waits for the result any more. The core is
    /// released when the work is done; the memory permit is returned with the result.
    ///
    /// # Errors
    ///
    /// `work` panicked.
    pub async fn run<T: Send + 'static>(
        self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<(T, OwnedSemaphorePermit), JoinError> {
        let Self { memory, core } = self;
        tokio::task::spawn_blocking(move || {
            let result = work();
            drop(core);
            (result, memory)
        })
        .await
    }
}

async fn permits(semaphore: &Arc<Semaphore>, count: u32) -> OwnedSemaphorePermit {
    Arc::clone(semaphore)
        .acquire_many_owned(count)
        .await
        .expect("these semaphores are never closed")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn processor() -> Processor {
        Processor::new(Limits::default(), 1, 4)
    }

    #[tokio::test]
    async fn more_memory_than_there_is_waits_for_all_of_it() {
        let processor = processor();
        let admission = processor.admit_bytes(100 * MIB).await;
        assert_eq!(admission.memory.num_permits(), 4);
    }

    #[tokio::test]
    async fn permits_stay_with_the_thread_until_the_work_is_done() {
        let processor = processor();
        let admission = processor.admit_bytes(MIB).await;
        let (release, wait) = std::sync::mpsc::channel::<()>();
        let running = admission.run(move || wait.recv());
        assert!(
            tokio::time::timeout(Duration::from_millis(1), running)
                .await
                .is_err(),
            "nobody waits for it any more"
        );
        assert_eq!(processor.cores.available_permits(), 0);
        assert_eq!(processor.memory_mib.available_permits(), 3);
        release.send(()).unwrap();
        let all = processor.admit_bytes(4 * MIB).await;
        assert_eq!(all.memory.num_permits(), 4);
    }
}
