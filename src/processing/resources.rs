//! Limits and measures the resources of another process. What it says about itself does not count.

use std::time::Duration;
use std::{fs, io};

/// What a process may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ResourceLimits {
    /// Its address space.
    pub(super) addresses: u64,
    /// Its processor time since its start.
    pub(super) time_seconds: u64,
    /// The size of a file that it writes.
    pub(super) file_bytes: u64,
}

/// Limits what a process may take. `now` are the limits that it has.
pub(super) fn limit(
    pid: u32,
    limits: ResourceLimits,
    now: Option<ResourceLimits>,
) -> io::Result<()> {
    #[cfg(target_os = "linux")]
    {
        use rustix::process::{Pid, Resource, Rlimit, getrlimit, prlimit};

        let process = i32::try_from(pid).ok().and_then(Pid::from_raw);
        let process = process.ok_or(io::ErrorKind::NotFound)?;
        let now = now.as_ref();
        for (resource, most, now) in [
            (Resource::As, limits.addresses, now.map(|now| now.addresses)),
            (
                Resource::Cpu,
                limits.time_seconds,
                now.map(|now| now.time_seconds),
            ),
            (
                Resource::Fsize,
                limits.file_bytes,
                now.map(|now| now.file_bytes),
            ),
        ] {
            if now == Some(most) {
                continue;
            }
            // The process has inherited this limit, which nobody may raise.
            let highest = getrlimit(resource).maximum;
            let limit = Rlimit {
                current: Some(highest.map_or(most, |highest| most.min(highest))),
                maximum: highest,
            };
            prlimit(Some(process), resource, limit)?;
        }
        Ok(())
    }
    #[cfg(not(target_os = "linux"))]
    {
        let _ = (pid, limits, now);
        Err(io::Error::other("this system cannot limit another process"))
    }
}

/// The processor time of a process, if the system tells.
#[cfg(target_os = "linux")]
pub(super) fn processor_time(pid: u32) -> Option<Duration> {
    let pid = libc::pid_t::try_from(pid).ok()?;
    let mut clock = 0;
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: both functions only write to the variable that they are given. Reading the process's
    // file in `/proc` would take much longer.
    #[allow(unsafe_code)]
    let is_read = unsafe {
        libc::clock_getcpuclockid(pid, &raw mut clock) == 0
            && libc::clock_gettime(clock, &raw mut time) == 0
    };
    let seconds = u64::try_from(time.tv_sec).ok()?;
    is_read.then(|| Duration::new(seconds, time.tv_nsec as u32))
}

/// The processor time of a process, if the system tells.
#[cfg(not(target_os = "linux"))]
pub(super) fn processor_time(_pid: u32) -> Option<Duration> {
    None
}

/// The memory of a process, in bytes.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Sizes {
    pub(super) address_space: u64,
    /// What no file and no other process shares.
    pub(super) private: u64,
}

/// The memory of a process, if the system tells.
pub(super) fn sizes(pid: u32) -> Option<Sizes> {
    let statm = fs::read_to_string(format!("/proc/{pid}/statm")).ok()?;
    let mut pages = statm
        .split(' ')
        .map_while(|pages| pages.parse::<u64>().ok());
    let (all, resident, shared) = (pages.next()?, pages.next()?, pages.next()?);
    let page = rustix::param::page_size() as u64;
    Some(Sizes {
        address_space: all * page,
        private: resident.saturating_sub(shared) * page,
    })
}
