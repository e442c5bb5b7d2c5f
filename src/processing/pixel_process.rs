//! A pixel process as its parent sees it: starts it, gives it pictures, limits it, and ends it.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, PipeReader, Read};
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;
use std::os::unix::net::UnixStream as StdUnixStream;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use tokio::io::{AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;

use super::child_process::{ChildProcess, Permits};
use super::death::{Cause, Death};
use super::protocol::{Outcome, Protection, Request, clip, frame, message_length};
use super::resources::{self, ResourceLimits, Sizes};
use super::shared_file;
use crate::operation::Digest;

/// The hidden command that makes an executable a pixel process.
pub const COMMAND: &str = "pixels";
/// The flag with which it also reads HEIC.
pub const HEIC_FLAG: &str = "heic";

const MIB: u64 = 1 << 20;
/// How long a pixel process may take to start.
const START_TIMEOUT: Duration = Duration::from_secs(20);
/// How often to look whether a process still computes.
const LOOK_INTERVAL: Duration = Duration::from_secs(5);
/// A process that computed nothing for so many looks will not answer any more.
const MAX_IDLE_LOOKS: u32 = 3;
/// How often to look whether a process that closed its connection has ended, a millisecond apart.
const MAX_EXIT_POLLS: u32 = 5_000;
/// The limits of a process that has no picture yet.
const START_LIMITS: StepLimits = StepLimits {
    memory_bytes: 0,
    seconds: 1,
    file_bytes: 0,
};
/// Copying fewer bytes than this to or from the shared file does not hold up other tasks.
const COPIED_AT_ONCE: usize = MIB as usize;
/// The shared file is emptied if a picture left more than this in it.
const KEPT_FILE_BYTES: usize = 4 * MIB as usize;
/// The address space that any work may take in addition to its estimate: the stack, and what the
/// allocator reserves ahead.
const SPARE_ADDRESSES: u64 = 192 * MIB;
/// Address space is limited in such steps, so that the limit of small pictures rarely changes.
const ADDRESS_STEP: u64 = 64 * MIB;
/// Processor time is limited ahead by at most this much, for the same reason.
const SPARE_SECONDS: u64 = 2;
/// The memory of a process is measured after each picture that may take more than this, and after
/// every so many others.
const UNMEASURED_BYTES: u64 = 64 * MIB;
const MEASURED_EVERY: u32 = 16;
/// A process that keeps this much more memory than it had at its start is replaced.
const MAX_GROWTH: u64 = 48 * MIB;
/// A process is replaced after this many pictures, in case it loses memory or a picture has changed
/// it.
const MAX_PICTURES: u32 = 1_000;
/// How much of a process's standard error is read at once.
const MAX_DIAGNOSTICS: u64 = 64 << 10;

/// What a pixel process is started with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Reads all formats but HEIC.
    Usual,
    /// Has loaded the library for HEIC as well.
    WithHeic,
}

/// The limits of one step.
#[derive(Clone, Copy, Debug)]
pub(super) struct StepLimits {
    /// Memory in addition to the pictures, in bytes.
    pub(super) memory_bytes: u64,
    /// Processor time.
    pub(super) seconds: u32,
    /// The size of a result.
    pub(super) file_bytes: u64,
}

/// A running pixel process.
#[derive(Debug)]
pub(super) struct PixelProcess {
    pub(super) kind: Kind,
    child: ChildProcess,
    connection: BufReader<UnixStream>,
    shared: Arc<File>,
    /// Its standard error.
    diagnostics: PipeReader,
    /// Its memory when it last waited for a picture.
    sizes: Sizes,
    private_at_start: u64,
    pictures: u32,
    /// Whether work began and its answer has not arrived.
    is_busy: bool,
    /// The bytes of its pictures in the shared file.
    file_bytes: usize,
    /// The limits that it has now.
    limits: Option<ResourceLimits>,
    /// Whether its last picture may have changed its memory.
    is_measured: bool,
}

/// A pixel process that has been started, and may not be ready yet.
pub(super) struct Started {
    kind: Kind,
    child: ChildProcess,
    connection: StdUnixStream,
    shared: File,
    diagnostics: PipeReader,
}

/// Starts a pixel process. The kernel ends it together with the calling thread.
pub(super) fn start(
    program: &Path,
    variables: &[(String, OsString)],
    kind: Kind,
) -> io::Result<Started> {
    let (connection, its_connection) = StdUnixStream::pair()?;
    connection.set_nonblocking(true)?;
    let shared = shared_file::create()?;
    let (diagnostics, its_diagnostics) = io::pipe()?;
    // A full pipe must not stop the process, and an empty one must not stop this one.
    for end in [
        &OwnedFd::from(its_diagnostics.try_clone()?),
        &OwnedFd::from(diagnostics.try_clone()?),
    ] {
        fcntl_setfl(end, fcntl_getfl(end)? | OFlags::NONBLOCK)?;
    }
    let mut command = Command::new(program);
    command
        .arg0("picresize")
        .arg(COMMAND)
        .args((kind == Kind::WithHeic).then(|| format!("--{HEIC_FLAG}")))
        .current_dir("/")
        .env_clear()
        .envs(variables.iter().map(|(name, value)| (name, value)))
        // A signal from the keyboard is meant for the service.
        .process_group(0)
        .stdin(Stdio::from(OwnedFd::from(its_connection)))
        .stdout(Stdio::from(shared.try_clone()?))
        .stderr(its_diagnostics);
    Ok(Started {
        kind,
        child: ChildProcess::new(command.spawn()?),
        connection,
        shared,
        diagnostics,
    })
}

impl Started {
    /// Waits until the process is ready. Returns it, and what protects the system from it.
    pub(super) async fn ready(self) -> io::Result<(PixelProcess, Protection)> {
        let mut process = PixelProcess {
            kind: self.kind,
            child: self.child,
            connection: BufReader::new(UnixStream::from_std(self.connection)?),
            shared: Arc::new(self.shared),
            diagnostics: self.diagnostics,
            sizes: Sizes::default(),
            private_at_start: 0,
            pictures: 0,
            is_busy: true,
            file_bytes: 0,
            limits: None,
            is_measured: false,
        };
        let answer = tokio::time::timeout(START_TIMEOUT, process.receive()).await;
        let outcome = match answer {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(error)) => return Err(process.not_started(&error.to_string())),
            Err(_) => return Err(process.not_started("it did not answer")),
        };
        let Outcome::Started(mut protection) = outcome else {
            return Err(process.not_started("it did not greet"));
        };
        process.is_busy = false;
        process.measure();
        process.private_at_start = process.sizes.private;
        if let Err(error) = process.limit(START_LIMITS, None) {
            let missing = format!("limits of memory and processor time ({error})");
            protection.missing.push(missing);
        }
        Ok((process, protection))
    }
}

impl PixelProcess {
    /// Writes the pictures into the shared file and asks for a plan.
    pub(super) async fn plan(
        &mut self,
        pictures: &[Bytes],
        request: &Request,
        limits: StepLimits,
    ) -> Result<Outcome, Death> {
        // From here on: if nobody waits any more, a thread may still write into the shared file.
        self.is_busy = true;
        self.pictures += 1;
        self.file_bytes = pictures.iter().map(Bytes::len).sum();
        if let Err(error) = self.write(pictures).await {
            return Ok(Outcome::Unusable(format!(
                "the shared file cannot be written: {error}"
            )));
        }
        self.step(request, limits).await
    }

    /// Asks to carry out the plan.
    pub(super) async fn proceed(&mut self, limits: StepLimits) -> Result<Outcome, Death> {
        self.step(&Request::Proceed, limits).await
    }

    async fn step(&mut self, request: &Request, limits: StepLimits) -> Result<Outcome, Death> {
        self.is_busy = true;
        self.is_measured &= limits.memory_bytes <= UNMEASURED_BYTES;
        let used = resources::processor_time(self.child.id());
        // A limit that the system refuses was reported at the start.
        let _ = self.limit(limits, used);
        let asked = self.connection.write_all(&frame(request)).await;
        let answer = match asked {
            Ok(()) => self.await_answer(limits, used).await?,
            Err(error) => Err(error),
        };
        match answer {
            Ok(outcome) => {
                self.is_busy = false;
                Ok(outcome)
            }
            Err(error) if error.kind() == io::ErrorKind::InvalidData => Err(Death {
                cause: Cause::Nonsense,
                said: clip(&error.to_string()),
            }),
            Err(_) => Err(self.died(limits).await),
        }
    }

    /// The next answer. The kernel ends a process that computes for too long; this is for a process
    /// that does not compute, or has escaped that limit.
    /// `begun` is the processor time that it had used before.
    async fn await_answer(
        &mut self,
        limits: StepLimits,
        begun: Option<Duration>,
    ) -> Result<io::Result<Outcome>, Death> {
        let death = |cause| Death {
            cause,
            said: String::new(),
        };
        let pid = self.child.id();
        let (mut computed, mut idle, mut waited) = (begun, 0, Duration::ZERO);
        let receiving = self.receive();
        tokio::pin!(receiving);
        loop {
            let started = Instant::now();
            if let Ok(answer) = tokio::time::timeout(LOOK_INTERVAL, &mut receiving).await {
                return Ok(answer);
            }
            // After a longer time, this process stood still too.
            if started.elapsed() > LOOK_INTERVAL * 2 {
                continue;
            }
            waited += LOOK_INTERVAL;
            let now = resources::processor_time(pid);
            idle = if now.is_some() && now == computed {
                idle + 1
            } else {
                0
            };
            computed = now;
            let seconds = Duration::from_secs(limits.seconds.into());
            let used = now.zip(begun).map(|(now, begun)| now.saturating_sub(begun));
            // Under load, a process waits for a core for much longer than it computes.
            let is_too_long = match used {
                Some(used) => {
                    used > seconds + LOOK_INTERVAL || waited > seconds * 16 + LOOK_INTERVAL
                }
                None => waited > seconds,
            };
            if is_too_long {
                return Err(death(Cause::ProcessorTime(limits.seconds)));
            }
            if idle >= MAX_IDLE_LOOKS {
                return Err(death(Cause::Standstill(LOOK_INTERVAL * idle)));
            }
        }
    }

    async fn receive(&mut self) -> io::Result<Outcome> {
        let mut head = [0; 4];
        self.connection.read_exact(&mut head).await?;
        let length = message_length(head).ok_or(io::ErrorKind::InvalidData)?;
        let mut message = vec![0; length];
        self.connection.read_exact(&mut message).await?;
        serde_json::from_slice(&message)
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
    }

    /// Limits the process for the next step. `used` is the processor time that it has used.
    fn limit(&mut self, limits: StepLimits, used: Option<Duration>) -> io::Result<()> {
        let StepLimits {
            memory_bytes,
            seconds,
            file_bytes,
        } = limits;
        let addresses = (self.sizes.address_space)
            .saturating_add(self.file_bytes as u64)
            .saturating_add(memory_bytes)
            .saturating_add(memory_bytes / 4)
            .saturating_add(SPARE_ADDRESSES)
            .next_multiple_of(ADDRESS_STEP);
        // Whole seconds, rounded up.
        let least = used.unwrap_or_default().as_secs() + 1 + u64::from(seconds);
        let time_seconds = match self.limits {
            Some(now) if (least..=least + SPARE_SECONDS).contains(&now.time_seconds) => {
                now.time_seconds
            }
            _ => least + SPARE_SECONDS,
        };
        let wanted = ResourceLimits {
            addresses,
            time_seconds,
            file_bytes,
        };
        if self.limits != Some(wanted) {
            let now = self.limits.take();
            resources::limit(self.child.id(), wanted, now)?;
            self.limits = Some(wanted);
        }
        Ok(())
    }

    fn measure(&mut self) {
        self.sizes = resources::sizes(self.child.id()).unwrap_or_default();
        self.is_measured = true;
    }

    /// Whether it has ended while it waited.
    pub(super) fn has_ended(&mut self) -> bool {
        !matches!(self.child.try_wait(), Ok(None))
    }

    /// Copies pictures into the shared file, one after the other.
    async fn write(&self, pictures: &[Bytes]) -> io::Result<()> {
        let write = |shared: &File, pictures: &[Bytes]| {
            let mut at = 0;
            for picture in pictures {
                shared.write_all_at(picture, at)?;
                at += picture.len() as u64;
            }
            Ok(())
        };
        if self.file_bytes <= COPIED_AT_ONCE {
            return write(&self.shared, pictures);
        }
        let (shared, pictures) = (Arc::clone(&self.shared), pictures.to_vec());
        let task = tokio::task::spawn_blocking(move || write(&shared, &pictures));
        task.await.map_err(io::Error::other)?
    }

    /// The result, which is the first `length` bytes of the shared file, and its digest.
    pub(super) async fn result(&mut self, length: usize) -> io::Result<(Bytes, Digest)> {
        self.file_bytes = self.file_bytes.max(length);
        let read = move |shared: &File| {
            let mut bytes = vec![0; length];
            shared.read_exact_at(&mut bytes, 0)?;
            let digest = Digest::of(&bytes);
            Ok((Bytes::from(bytes), digest))
        };
        if length <= COPIED_AT_ONCE {
            return read(&self.shared);
        }
        let shared = Arc::clone(&self.shared);
        let task = tokio::task::spawn_blocking(move || read(&shared));
        task.await.map_err(io::Error::other)?
    }

    /// Whether it can take another picture. Frees the memory of the last one.
    pub(super) fn is_reusable(&mut self) -> bool {
        if self.is_busy || self.pictures >= MAX_PICTURES {
            return false;
        }
        // Small pictures are measured now and then.
        if !self.is_measured || self.pictures.is_multiple_of(MEASURED_EVERY) {
            self.measure();
        }
        if self.sizes.private > self.private_at_start + MAX_GROWTH {
            return false;
        }
        self.drain_diagnostics();
        self.file_bytes <= KEPT_FILE_BYTES || self.shared.set_len(0).is_ok()
    }

    /// Ends the process. The permits are given back once its memory is free.
    pub(super) fn end(self, permits: Permits) {
        self.child.end(permits);
    }

    /// How the process ended by itself.
    async fn died(&mut self, limits: StepLimits) -> Death {
        // Its connection is closed, so it ends about now.
        let mut polls = 0;
        let status = loop {
            match self.child.try_wait() {
                Ok(Some(status)) => break status,
                Ok(None) if polls < MAX_EXIT_POLLS => polls += 1,
                _ => {
                    return Death {
                        cause: Cause::Nonsense,
                        said: "it closed its connection".to_owned(),
                    };
                }
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        };
        let said = self.drain_diagnostics();
        let xcpu = rustix::process::Signal::XCPU.as_raw();
        let cause = match status.signal() {
            Some(signal) if signal == xcpu => Cause::ProcessorTime(limits.seconds),
            // The standard library's words; a codec in C returns an error instead.
            Some(_) if said.starts_with("memory allocation of ") => {
                Cause::Memory(limits.memory_bytes)
            }
            Some(signal) => Cause::Signal(signal),
            None => Cause::Exit(status.code().unwrap_or_default()),
        };
        Death { cause, said }
    }

    fn not_started(&mut self, why: &str) -> io::Error {
        let said = self.drain_diagnostics();
        io::Error::other(format!(
            "a pixel process could not be started: {why}; {said}"
        ))
    }

    /// The last line of its standard error.
    fn drain_diagnostics(&mut self) -> String {
        let mut text = Vec::new();
        // Ends when the pipe is empty, with an error if the process still lives.
        let _ = (&self.diagnostics)
            .take(MAX_DIAGNOSTICS)
            .read_to_end(&mut text);
        let text = String::from_utf8_lossy(&text);
        let last = text
            .lines()
            .rfind(|line| !line.trim().is_empty() && !line.starts_with("note: "));
        clip(last.unwrap_or_default())
    }
}

/// This executable. On Linux it stays the same even if the file is replaced by an upgrade.
pub(super) fn this_program() -> io::Result<PathBuf> {
    if cfg!(target_os = "linux") {
        Ok(PathBuf::from("/proc/self/exe"))
    } else {
        std::env::current_exe()
    }
}
