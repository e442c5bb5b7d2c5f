//! A pixel process as its parent sees it: starts it, gives it pictures, limits it, and ends it.

use std::ffi::OsString;
use std::fmt;
use std::fs::File;
use std::io::{self, PipeReader, Read};
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;
use std::os::unix::net::UnixStream as StdUnixStream;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

use super::protocol::{Answer, Outcome, Protection, Request, Usage, frame, message_length};
use super::shared_file;

/// The hidden command that makes an executable a pixel process.
pub const COMMAND: &str = "pixels";
/// The argument with which it also reads HEIC.
pub const WITH_HEIC: &str = "--heic";

const MIB: u64 = 1 << 20;
/// How long a pixel process may take to start.
const START_TIMEOUT: Duration = Duration::from_secs(20);
/// A process that computes nothing for this long will not answer any more. One that computes too
/// long is ended by the kernel.
const STANDSTILL: Duration = Duration::from_secs(15);
/// How often to look whether a process that closed its connection has ended, a millisecond apart.
const MAX_EXIT_POLLS: u32 = 5_000;
/// Copying fewer bytes than this to or from the shared file does not hold up other tasks.
const COPIED_AT_ONCE: usize = MIB as usize;
/// The shared file is emptied if a picture left more than this in it.
const KEPT_FILE_BYTES: usize = MIB as usize;
/// The address space that any work may take in addition to its estimate: the stack, and what the
/// allocator reserves ahead.
const SPARE_ADDRESSES: u64 = 192 * MIB;
/// A process that keeps this much more memory than it had at its start is replaced.
const MAX_GROWTH: u64 = 48 * MIB;
/// A process is replaced after this many pictures, in case it loses memory or its state was
/// damaged.
const MAX_PICTURES: u32 = 10_000;

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

/// How a pixel process ended while it had work.
#[derive(Clone, Debug)]
pub struct Death {
    pub cause: Cause,
    /// What it wrote to its standard error at last.
    pub said: String,
}

/// Why a pixel process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// It used this many seconds of processor time.
    ProcessorTime(u32),
    /// It had not finished after this time, although it hardly used the processor.
    Standstill(Duration),
    /// It wanted more memory than this, which is its estimate and a reserve.
    Memory(u64),
    Signal(i32),
    Exit(i32),
    /// Its answer could not be understood.
    Nonsense,
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ProcessorTime(seconds) => write!(f, "it used {seconds} s of processor time"),
            Self::Standstill(time) => write!(f, "it stood still for {} s", time.as_secs()),
            Self::Memory(_) => write!(f, "it used up its memory"),
            Self::Signal(signal) => write!(f, "it ended with signal {signal}"),
            Self::Exit(code) => write!(f, "it ended with exit code {code}"),
            Self::Nonsense => write!(f, "its answer could not be understood"),
        }
    }
}

/// A running pixel process.
#[derive(Debug)]
pub(super) struct PixelProcess {
    pub(super) kind: Kind,
    child: Child,
    connection: UnixStream,
    shared: Arc<File>,
    /// Its standard error.
    diagnostics: PipeReader,
    usage: Usage,
    private_at_start: u64,
    pictures: u32,
    /// Whether a step began and its answer has not arrived.
    is_busy: bool,
    /// The bytes of its pictures in the shared file.
    file_bytes: usize,
}

/// A pixel process that has been started, and may not be ready yet.
pub(super) struct Started {
    kind: Kind,
    child: Child,
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
        .args((kind == Kind::WithHeic).then_some(WITH_HEIC))
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
        child: command.spawn()?,
        connection,
        shared,
        diagnostics,
    })
}

impl Started {
    /// Ends a process that nobody waits for.
    pub(super) fn abandon(mut self) -> io::Result<ExitStatus> {
        self.child.kill()?;
        self.child.wait()
    }

    /// Waits until the process is ready. Returns it, and what protects the system from it.
    pub(super) async fn ready(self) -> io::Result<(PixelProcess, Protection)> {
        let mut process = PixelProcess {
            kind: self.kind,
            child: self.child,
            connection: UnixStream::from_std(self.connection)?,
            shared: Arc::new(self.shared),
            diagnostics: self.diagnostics,
            usage: Usage::default(),
            private_at_start: 0,
            pictures: 0,
            is_busy: true,
            file_bytes: 0,
        };
        let answer = tokio::time::timeout(START_TIMEOUT, process.receive()).await;
        let outcome = match answer {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(error)) => return Err(process.not_started(&error.to_string())),
            Err(_) => return Err(process.not_started("it did not answer")),
        };
        let Outcome::Started(protection) = outcome else {
            return Err(process.not_started("it did not greet"));
        };
        process.is_busy = false;
        process.private_at_start = process.usage.private;
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
        self.pictures += 1;
        self.file_bytes = pictures.iter().map(Bytes::len).sum();
        if self.write(pictures).await.is_err() {
            return Err(self.died(limits).await);
        }
        self.step(request, limits).await
    }

    /// Asks to carry out the plan.
    pub(super) async fn proceed(&mut self, limits: StepLimits) -> Result<Outcome, Death> {
        self.step(&Request::Proceed, limits).await
    }

    async fn step(&mut self, request: &Request, limits: StepLimits) -> Result<Outcome, Death> {
        self.is_busy = true;
        self.limit(limits);
        let asked = self.connection.write_all(&frame(request)).await;
        let answer = match asked {
            Ok(()) => self.await_answer(limits).await,
            Err(error) => Some(Err(error)),
        };
        match answer {
            Some(Ok(outcome)) => {
                self.is_busy = false;
                Ok(outcome)
            }
            Some(Err(error)) if error.kind() == io::ErrorKind::InvalidData => Err(Death {
                cause: Cause::Nonsense,
                said: error.to_string(),
            }),
            Some(Err(_)) => Err(self.died(limits).await),
            None => Err(Death {
                cause: Cause::Standstill(STANDSTILL),
                said: String::new(),
            }),
        }
    }

    /// The next answer; `None` if the process does not compute any more and has not answered.
    async fn await_answer(&mut self, limits: StepLimits) -> Option<io::Result<Outcome>> {
        let pid = self.child.id();
        let mut computed = processor_time(pid);
        let mut waited = Duration::ZERO;
        let receiving = self.receive();
        tokio::pin!(receiving);
        loop {
            if let Ok(answer) = tokio::time::timeout(STANDSTILL, &mut receiving).await {
                return Some(answer);
            }
            waited += STANDSTILL;
            let now = processor_time(pid);
            let is_over = match now {
                Some(_) => now == computed,
                // Only the clock is left, on systems that do not tell.
                None => waited >= Duration::from_secs(limits.seconds.into()),
            };
            if is_over {
                return None;
            }
            computed = now;
        }
    }

    async fn receive(&mut self) -> io::Result<Outcome> {
        let mut head = [0; 4];
        self.connection.read_exact(&mut head).await?;
        let length = message_length(head).ok_or(io::ErrorKind::InvalidData)?;
        let mut message = vec![0; length];
        self.connection.read_exact(&mut message).await?;
        let answer: Answer = serde_json::from_slice(&message)
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
        self.usage = answer.usage;
        Ok(answer.outcome)
    }

    /// Limits the process for the next step. A limit that the system refuses is left out: the
    /// parent still limits the time.
    fn limit(&self, limits: StepLimits) {
        #[cfg(target_os = "linux")]
        {
            use rustix::process::{Pid, Resource, Rlimit, prlimit};

            let Some(pid) = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw) else {
                return;
            };
            let addresses = self.usage.address_space
                + self.file_bytes as u64
                + limits.memory_bytes
                + limits.memory_bytes / 4
                + SPARE_ADDRESSES;
            for (resource, most) in [
                (Resource::As, addresses),
                (
                    Resource::Cpu,
                    self.usage.cpu_seconds + u64::from(limits.seconds),
                ),
                (Resource::Fsize, limits.file_bytes),
            ] {
                let limit = Rlimit {
                    current: Some(most),
                    maximum: None,
                };
                let _ = prlimit(Some(pid), resource, limit);
            }
        }
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

    /// The result, which is the first `length` bytes of the shared file.
    pub(super) async fn result(&mut self, length: usize) -> io::Result<Bytes> {
        self.file_bytes = self.file_bytes.max(length);
        let read = move |shared: &File| {
            let mut bytes = vec![0; length];
            shared.read_exact_at(&mut bytes, 0)?;
            Ok(Bytes::from(bytes))
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
        if self.is_busy
            || self.pictures >= MAX_PICTURES
            || self.usage.private > self.private_at_start + MAX_GROWTH
        {
            return false;
        }
        self.drain_diagnostics();
        self.file_bytes <= KEPT_FILE_BYTES || self.shared.set_len(0).is_ok()
    }

    /// Ends the process, and waits until its memory is free.
    pub(super) fn end(mut self) -> io::Result<ExitStatus> {
        self.child.kill()?;
        self.child.wait()
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
        let _ = self.diagnostics.read_to_end(&mut text);
        let text = String::from_utf8_lossy(&text);
        let last = text
            .lines()
            .rfind(|line| !line.trim().is_empty() && !line.starts_with("note: "));
        last.unwrap_or_default().chars().take(300).collect()
    }
}

/// The processor time of a process, in a unit of the system, if the system tells.
fn processor_time(pid: u32) -> Option<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name may contain spaces and parentheses. After it, the fields begin with the third.
    let times = stat.rsplit(") ").next()?.split(' ').skip(11).take(2);
    Some(times.filter_map(|ticks| ticks.parse::<u64>().ok()).sum())
}

/// This executable. On Linux it stays the same even if the file is replaced by an upgrade.
pub(super) fn this_program() -> io::Result<PathBuf> {
    if cfg!(target_os = "linux") {
        Ok(PathBuf::from("/proc/self/exe"))
    } else {
        std::env::current_exe()
    }
}
