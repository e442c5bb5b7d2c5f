//! Confines a pixel process: it keeps its connection, the shared file and its memory, and nothing
//! else.
//!
//! What the kernel cannot do is left out and reported; the process works all the same.

use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::processing::protocol::Protection;

#[cfg(target_os = "linux")]
mod linux;

/// Closes every file but the standard ones: a library of the parent may have left some open. Called
/// before this process opens any itself.
pub(super) fn close_inherited_files() {
    #[cfg(target_os = "linux")]
    linux::close_inherited_files();
}

/// The stack of the main thread. Some codecs call themselves for each nested part of a picture.
const STACK_BYTES: u64 = 64 << 20;

/// Takes the connection and the shared file from the standard input and output.
pub(super) fn take_over() -> io::Result<(UnixStream, File)> {
    let parent = UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
    let shared = File::from(io::stdout().as_fd().try_clone_to_owned()?);
    // Nothing that a library prints may reach the shared file.
    rustix::stdio::dup2_stdout(io::stderr().as_fd())?;
    Ok((parent, shared))
}

/// A stop signal may reach all processes of a service. The service decides when its pixel processes
/// end: they finish the pictures in progress first.
fn ignore_stop_signals() {
    for signal in [libc::SIGINT, libc::SIGTERM, libc::SIGHUP] {
        // SAFETY: no handler is installed.
        #[allow(unsafe_code)]
        unsafe {
            libc::signal(signal, libc::SIG_IGN);
        }
    }
}

/// Gives up everything that decoding does not need. Returns what the system could not take away.
pub(super) fn confine() -> Protection {
    let mut missing = Vec::new();
    #[cfg(debug_assertions)]
    if super::fault::is_unconfined() {
        missing.push("everything, as the test wants it".to_owned());
        return Protection { missing };
    }
    let mut note = |what: &str, outcome: Result<(), String>| {
        if let Err(reason) = outcome {
            missing.push(format!("{what} ({reason})"));
        }
    };
    let text = |error: rustix::io::Errno| error.to_string();
    let limit = |resource, bytes| {
        let limits = Rlimit {
            current: Some(bytes),
            ..getrlimit(resource)
        };
        setrlimit(resource, limits).map_err(text)
    };
    ignore_stop_signals();
    note("a large stack", limit(Resource::Stack, STACK_BYTES));
    // A core dump would contain strangers' pictures.
    let no_dump = setrlimit(
        Resource::Core,
        Rlimit {
            current: Some(0),
            maximum: Some(0),
        },
    );
    note("no core dumps", no_dump.map_err(text));
    #[cfg(target_os = "linux")]
    linux::confine(&mut note);
    #[cfg(not(target_os = "linux"))]
    note(
        "the sandbox",
        Err("this system has neither Landlock nor seccomp".to_owned()),
    );
    Protection { missing }
}
