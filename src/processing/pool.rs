//! The pixel processes of this process: some are kept waiting, and each is leased to one picture at
//! a time.

use std::any::Any;
use std::env;
use std::ffi::OsString;
use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};
use std::thread;

use tokio::sync::oneshot;

use super::child_process::Permits;
use super::pixel_process::{self, Kind, PixelProcess, Started};
use super::protocol::Protection;

/// The variables that pixel processes inherit: where to find libraries, and in debug builds whether
/// tests ask for faults. The others may hold passwords.
const INHERITED_VARIABLES: &[&str] = &[
    "LD_LIBRARY_PATH",
    "DYLD_LIBRARY_PATH",
    #[cfg(debug_assertions)]
    super::protocol::FAULTS_VARIABLE,
];

/// Starts, keeps and ends the pixel processes. A clone is another handle to the same ones.
#[derive(Clone, Debug)]
pub struct PixelProcesses {
    shared: Arc<Shared>,
}

struct Shared {
    idle: Mutex<Vec<PixelProcess>>,
    cores: usize,
    starter: Starter,
    is_protection_logged: AtomicBool,
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared")
            .field("cores", &self.cores)
            .finish_non_exhaustive()
    }
}

/// A thread that starts processes. It lives as long as the pool, because the kernel ends a pixel
/// process together with the thread that started it.
struct Starter(Mutex<mpsc::Sender<Order>>);

/// An order to start a process of this kind, and where to send it.
type Order = (Kind, oneshot::Sender<io::Result<Started>>);

impl PixelProcesses {
    /// Pixel processes of this executable.
    ///
    /// # Errors
    ///
    /// The executable is not known, or no thread can be started.
    pub fn new() -> io::Result<Self> {
        let inherited = INHERITED_VARIABLES.iter();
        let variables = inherited.filter_map(|&name| Some((name.to_owned(), env::var_os(name)?)));
        Self::of(pixel_process::this_program()?, variables.collect())
    }

    /// Pixel processes of another executable, which must have the same version. They get these
    /// environment variables, and no others.
    ///
    /// # Errors
    ///
    /// No thread can be started.
    pub fn of(program: PathBuf, variables: Vec<(String, OsString)>) -> io::Result<Self> {
        let (orders, inbox) = mpsc::channel::<Order>();
        thread::Builder::new()
            .name("pixel-starter".to_owned())
            .spawn(move || {
                for (kind, reply) in inbox {
                    // If whoever ordered it has gone away, it ends at once.
                    let _ = reply.send(pixel_process::start(&program, &variables, kind));
                }
            })?;
        Ok(Self {
            shared: Arc::new(Shared {
                idle: Mutex::default(),
                cores: thread::available_parallelism().map_or(1, usize::from),
                starter: Starter(Mutex::new(orders)),
                is_protection_logged: AtomicBool::new(false),
            }),
        })
    }

    /// Starts one process for each core, so that the first pictures do not wait for it.
    ///
    /// # Errors
    ///
    /// A process cannot be started.
    pub async fn start_ahead(&self) -> io::Result<()> {
        for _ in 0..self.shared.cores {
            let process = self.start(Kind::Usual).await?;
            self.idle().push(process);
        }
        Ok(())
    }

    /// Starts a process and returns what the system cannot protect it from, as phrases for a person.
    ///
    /// # Errors
    ///
    /// A process cannot be started.
    pub async fn missing_protection(&self) -> io::Result<Vec<String>> {
        let (process, protection) = self.start_quietly(Kind::Usual).await?;
        self.idle().push(process);
        Ok(protection.missing)
    }

    /// A process that waits for work, or a new one.
    pub(super) async fn lease(&self, kind: Kind) -> io::Result<Lease> {
        let process = match self.waiting(kind) {
            Some(process) => process,
            None => self.start(kind).await?,
        };
        Ok(self.lease_of(process))
    }

    /// A process that waits for work.
    fn waiting(&self, kind: Kind) -> Option<PixelProcess> {
        let mut idle = self.idle();
        loop {
            let at = idle.iter().rposition(|process| process.kind == kind)?;
            let mut process = idle.remove(at);
            // The kernel may have ended it when memory ran out.
            if !process.has_ended() {
                return Some(process);
            }
        }
    }

    /// A process that has had no picture before.
    pub(super) async fn lease_fresh(&self, kind: Kind) -> io::Result<Lease> {
        let process = self.start(kind).await?;
        Ok(self.lease_of(process))
    }

    fn lease_of(&self, process: PixelProcess) -> Lease {
        Lease {
            process: Some(process),
            pool: self.clone(),
            permits: Vec::new(),
        }
    }

    async fn start(&self, kind: Kind) -> io::Result<PixelProcess> {
        let (process, protection) = self.start_quietly(kind).await?;
        if !self
            .shared
            .is_protection_logged
            .swap(true, Ordering::Relaxed)
        {
            log(&protection);
        }
        Ok(process)
    }

    async fn start_quietly(&self, kind: Kind) -> io::Result<(PixelProcess, Protection)> {
        let (reply, started) = oneshot::channel();
        self.shared.starter.order((kind, reply))?;
        let started = started.await.map_err(|_| starter_is_gone())??;
        started.ready().await
    }

    fn idle(&self) -> MutexGuard<'_, Vec<PixelProcess>> {
        self.shared
            .idle
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps a process for the next picture, or ends it.
    fn take_back(&self, mut process: PixelProcess, permits: Permits) {
        if !process.is_reusable() {
            return process.end(permits);
        }
        let surplus = {
            let mut idle = self.idle();
            idle.push(process);
            // While some resize, as many others read headers.
            (idle.len() > self.shared.cores * 2).then(|| idle.remove(0))
        };
        if let Some(surplus) = surplus {
            surplus.end(permits);
        }
    }
}

impl Starter {
    fn order(&self, order: Order) -> io::Result<()> {
        let orders = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        orders.send(order).map_err(|_| starter_is_gone())
    }
}

fn starter_is_gone() -> io::Error {
    io::Error::other("the thread that starts pixel processes has ended")
}

fn log(protection: &Protection) {
    if protection.missing.is_empty() {
        tracing::debug!("pixel processes are confined");
    } else {
        let missing = protection.missing.join(", ");
        tracing::warn!(missing, "pixel processes run with less protection");
    }
}

/// The right to use one pixel process. A lease that is dropped while its process works ends the
/// process.
#[derive(Debug)]
pub(super) struct Lease {
    process: Option<PixelProcess>,
    pool: PixelProcesses,
    permits: Permits,
}

impl Lease {
    pub(super) fn process(&mut self) -> &mut PixelProcess {
        self.process.as_mut().expect("only dropping takes it")
    }

    /// Takes back a permit, after the process has given the memory it stands for back.
    pub(super) fn release<T: Any>(&mut self) -> Option<T> {
        let at = self.permits.iter().position(|permit| permit.is::<T>())?;
        let permit = self.permits.swap_remove(at).downcast().ok()?;
        Some(*permit)
    }

    /// Holds a permit as long as the process has the memory it stands for.
    pub(super) fn hold(&mut self, permit: impl Any + Send + Sync) {
        self.permits.push(Box::new(permit));
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if let Some(process) = self.process.take() {
            self.pool
                .take_back(process, std::mem::take(&mut self.permits));
        }
    }
}
