//! Limits and measures the resources of another process. What it says about itself does not count.

use std::time::Duration;
use std::{fs, io};

/// Limits what a process may take in addition to what it has: address space and processor time. No
/// file that it writes may be larger than `file_bytes`.
pub(super) fn limit(pid: u32, memory_bytes: u64, seconds: u32, file_bytes: u64) -> io::Result<()> {
    #[cfg(target_os = "linux")]
    {
        use rustix::process::{Pid, Resource, Rlimit, getrlimit, prlimit};

        let process = i32::try_from(pid).ok().and_then(Pid::from_raw);
        let process = process.ok_or(io::ErrorKind::NotFound)?;
        let addresses = sizes(pid).ok_or(io::ErrorKind::NotFound)?.address_space;
        let used = processor_time(pid).ok_or(io::ErrorKind::NotFound)?;
        for (resource, most) in [
            (Resource::As, addresses.saturating_add(memory_bytes)),
            (Resource::Cpu, used.as_secs() + 1 + u64::from(seconds)),
            (Resource::Fsize, file_bytes),
        ] {
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
        let _ = (pid, memory_bytes, seconds, file_bytes);
        Err(io::Error::other("this system cannot limit another process"))
    }
}

/// The processor time of a process, if the system tells.
pub(super) fn processor_time(pid: u32) -> Option<Duration> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name may contain spaces and parentheses. After it, the fields begin with the third.
    let times = stat.rsplit(") ").next()?.split(' ').skip(11).take(2);
    let ticks: u64 = times.filter_map(|ticks| ticks.parse::<u64>().ok()).sum();
    Some(Duration::from_millis(
        ticks * 1000 / rustix::param::clock_ticks_per_second(),
    ))
}

/// The memory of a process that no file and no other process shares, if the system tells.
pub(super) fn private_bytes(pid: u32) -> Option<u64> {
    sizes(pid).map(|sizes| sizes.private)
}

struct Sizes {
    address_space: u64,
    private: u64,
}

fn sizes(pid: u32) -> Option<Sizes> {
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
