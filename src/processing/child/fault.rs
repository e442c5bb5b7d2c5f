//! Faults on request, for tests: a picture that ends with `picresize-fault:NAME` makes its process
//! do what a hostile picture would. Only debug builds have this, and only if the environment
//! variable `PICRESIZE_TEST_FAULTS` is set for the service.

use std::net::TcpStream;
use std::process::Command;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::process::{Pid, Signal, kill_process};

use crate::processing::protocol::FAULTS_VARIABLE;

/// The value of the variable with which the process stays unconfined.
const UNCONFINED: &str = "unconfined";

/// Whether the test wants to see what happens without protection.
pub(super) fn is_unconfined() -> bool {
    switch() == Some(UNCONFINED)
}

/// Misbehaves at the header, if the picture says so.
pub(super) fn at_header(picture: &[u8]) {
    if let Some(name) = name(picture).and_then(|name| name.strip_prefix("header-")) {
        misbehave(name);
    }
}

/// Misbehaves at the pixels, if the picture says so.
pub(super) fn at_pixels(picture: &[u8]) {
    static IS_USED: AtomicBool = AtomicBool::new(false);
    let is_used = IS_USED.swap(true, Ordering::Relaxed);
    match name(picture) {
        // Only a fresh process survives this one.
        Some("abort-if-used") if is_used => std::process::abort(),
        Some(name) => misbehave(name),
        None => {}
    }
}

fn switch() -> Option<&'static str> {
    static SWITCH: OnceLock<Option<String>> = OnceLock::new();
    SWITCH
        .get_or_init(|| std::env::var(FAULTS_VARIABLE).ok())
        .as_deref()
}

fn name(picture: &[u8]) -> Option<&str> {
    const MARK: &[u8] = b"picresize-fault:";
    switch()?;
    let tail = &picture[picture.len().saturating_sub(64)..];
    let at = tail.windows(MARK.len()).position(|part| part == MARK)?;
    std::str::from_utf8(&tail[at + MARK.len()..]).ok()
}

fn misbehave(name: &str) {
    match name {
        "abort" => std::process::abort(),
        "panic" => panic!("the test asked for a panic"),
        "exit" => std::process::exit(0),
        "overflow" => println!("{}", deep(0)),
        "spin" => loop {
            std::hint::spin_loop();
        },
        "sleep" => loop {
            std::thread::park();
        },
        "allocate" => {
            let mut all = Vec::new();
            loop {
                all.push(vec![1_u8; 1 << 24]);
            }
        }
        "probe" => panic!("possible: {}", probe()),
        _ => {}
    }
}

#[expect(unconditional_recursion, reason = "this is the fault")]
fn deep(level: u64) -> u64 {
    std::hint::black_box(deep(std::hint::black_box(level) + 1)) + 1
}

/// What this process can do that a pixel process must not.
fn probe() -> String {
    let parent = i32::try_from(std::os::unix::process::parent_id()).ok();
    let parent = parent.and_then(Pid::from_raw).unwrap_or(Pid::INIT);
    let attempts: [(&str, bool); 7] = [
        ("open", std::fs::File::open("/etc/passwd").is_ok()),
        (
            "create",
            std::fs::File::create(std::env::temp_dir().join("picresize-probe")).is_ok(),
        ),
        // Nobody listens there; being refused by the network is being let out.
        ("connect", {
            let outcome = TcpStream::connect("127.0.0.1:1");
            outcome.map_err(|error| error.kind()).err()
                == Some(std::io::ErrorKind::ConnectionRefused)
        }),
        ("exec", Command::new("/bin/true").status().is_ok()),
        ("fork", is_forking()),
        ("trace", is_tracing(parent)),
        // The signal does nothing to a process that ignores it by default.
        ("signal", kill_process(parent, Signal::CONT).is_ok()),
    ];
    let possible = attempts.into_iter().filter(|(_, is_possible)| *is_possible);
    let possible: Vec<_> = possible.map(|(name, _)| name).collect();
    if possible.is_empty() {
        "nothing".to_owned()
    } else {
        possible.join(", ")
    }
}

fn is_forking() -> bool {
    // SAFETY: the child of the fork only ends itself.
    #[allow(unsafe_code)]
    unsafe {
        match libc::fork() {
            0 => libc::_exit(0),
            child => child > 0,
        }
    }
}

fn is_tracing(parent: Pid) -> bool {
    let nothing = std::ptr::null_mut::<libc::c_void>();
    // SAFETY: seizing and letting go again passes no memory to the kernel.
    #[allow(unsafe_code)]
    unsafe {
        let parent = parent.as_raw_nonzero().get();
        let is_seized = libc::ptrace(libc::PTRACE_SEIZE, parent, nothing, nothing) == 0;
        if is_seized {
            libc::ptrace(libc::PTRACE_DETACH, parent, nothing, nothing);
        }
        is_seized
    }
}
