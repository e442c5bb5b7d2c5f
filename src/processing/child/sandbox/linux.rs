//! Linux: Landlock closes the file system, the network and signals; seccomp allows only the system
//! calls that decoding needs.

use std::collections::BTreeMap;
use std::fs;

use landlock::{
    ABI, Access, AccessFs, AccessNet, CompatLevel, Compatible, Ruleset, RulesetAttr, RulesetStatus,
    Scope,
};
use rustix::process::{
    DumpableBehavior, Signal, getpid, set_dumpable_behavior, set_parent_process_death_signal,
};
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, apply_filter_all_threads,
};

/// Closes all files but the standard ones.
pub(super) fn close_inherited_files() {
    let first = libc::STDERR_FILENO + 1;
    // SAFETY: this process has just started, and owns no other file yet. A kernel before 5.9 has no
    // such call; then only the files that are closed on execution are closed.
    #[allow(unsafe_code)]
    unsafe {
        libc::syscall(libc::SYS_close_range, first, libc::c_uint::MAX, 0);
    }
}

/// Calls `note` with each measure and its outcome.
pub(super) fn confine(note: &mut impl FnMut(&str, Result<(), String>)) {
    let text = |error: rustix::io::Errno| error.to_string();
    // The connection ends with the parent too, but a process that computes does not notice that.
    note(
        "an end together with the service",
        set_parent_process_death_signal(Some(Signal::KILL)).map_err(text),
    );
    // If memory runs out, the kernel ends this process and not the service.
    note(
        "the first place when memory runs out",
        fs::write("/proc/self/oom_score_adj", "1000").map_err(|error| error.to_string()),
    );
    // Others of the same user must not read this process's memory, or trace it.
    note(
        "memory that other processes cannot read",
        set_dumpable_behavior(DumpableBehavior::NotDumpable).map_err(text),
    );
    note("one thread", check_threads());
    note("Landlock", restrict_access());
    note("seccomp", filter_system_calls());
}

/// Landlock confines the calling thread and those that it starts later.
fn check_threads() -> Result<(), String> {
    match fs::read_dir("/proc/self/task").map(Iterator::count) {
        Ok(1) => Ok(()),
        Ok(count) => Err(format!("a library has started {} before", count - 1)),
        Err(error) => Err(error.to_string()),
    }
}

/// No file, no connection, no signal to another process.
fn restrict_access() -> Result<(), String> {
    let newest = ABI::V6;
    let restrict = || {
        Ruleset::default()
            .set_compatibility(CompatLevel::BestEffort)
            .handle_access(AccessFs::from_all(newest))?
            .handle_access(AccessNet::from_all(newest))?
            .scope(Scope::from_all(newest))?
            .create()?
            .restrict_self()
    };
    match restrict() {
        Ok(status) if status.ruleset == RulesetStatus::NotEnforced => {
            Err("the kernel does not have it".to_owned())
        }
        Ok(status) if status.ruleset == RulesetStatus::PartiallyEnforced => {
            Err("the kernel has only a part of it; seccomp refuses the rest".to_owned())
        }
        Ok(_) => Ok(()),
        Err::<_, landlock::RulesetError>(error) => Err(error.to_string()),
    }
}

/// The system calls that are allowed with any arguments: memory, time, locks, the files that are
/// open already, and the end of the process.
const ALLOWED: &[i64] = &[
    libc::SYS_brk,
    libc::SYS_clock_getres,
    libc::SYS_clock_gettime,
    libc::SYS_clock_nanosleep,
    libc::SYS_close,
    libc::SYS_exit,
    libc::SYS_exit_group,
    libc::SYS_fstat,
    libc::SYS_futex,
    libc::SYS_getpid,
    libc::SYS_getrandom,
    libc::SYS_gettid,
    libc::SYS_gettimeofday,
    libc::SYS_lseek,
    libc::SYS_madvise,
    libc::SYS_mremap,
    libc::SYS_munmap,
    libc::SYS_nanosleep,
    libc::SYS_pread64,
    libc::SYS_pwrite64,
    libc::SYS_read,
    libc::SYS_recvfrom,
    libc::SYS_restart_syscall,
    libc::SYS_rseq,
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn,
    libc::SYS_sched_getaffinity,
    libc::SYS_sched_yield,
    libc::SYS_sendto,
    libc::SYS_set_robust_list,
    libc::SYS_sigaltstack,
    libc::SYS_write,
    libc::SYS_writev,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_time,
];

/// Everything else fails with "operation not permitted".
fn filter_system_calls() -> Result<(), String> {
    let refused = libc::EPERM as u32;
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> =
        ALLOWED.iter().map(|call| (*call, Vec::new())).collect();
    // Memory that can be executed is not needed.
    let not_executable = rule(2, SeccompCmpOp::MaskedEq(libc::PROT_EXEC as u64), 0)?;
    rules.insert(libc::SYS_mmap, vec![not_executable.clone()]);
    rules.insert(libc::SYS_mprotect, vec![not_executable]);
    // libheif uses threads. A thread shares its memory with this process; a new process does not.
    let thread = (libc::CLONE_THREAD | libc::CLONE_VM) as u64;
    rules.insert(
        libc::SYS_clone,
        vec![rule(0, SeccompCmpOp::MaskedEq(thread), thread)?],
    );
    // Its arguments cannot be checked. The first filter makes the C library use `clone`.
    rules.insert(libc::SYS_clone3, Vec::new());
    // A process may end itself with a signal, but no other.
    let own = getpid().as_raw_nonzero().get() as u64;
    rules.insert(libc::SYS_tgkill, vec![rule(0, SeccompCmpOp::Eq, own)?]);

    let no_clone3 = BTreeMap::from([(libc::SYS_clone3, Vec::new())]);
    let missing = SeccompAction::Errno(libc::ENOSYS as u32);
    apply(no_clone3, SeccompAction::Allow, missing)?;
    apply(rules, SeccompAction::Errno(refused), SeccompAction::Allow)
}

/// A rule about one argument of a call.
fn rule(argument: u8, operator: SeccompCmpOp, value: u64) -> Result<SeccompRule, String> {
    SeccompCondition::new(argument, SeccompCmpArgLen::Qword, operator, value)
        .and_then(|condition| SeccompRule::new(vec![condition]))
        .map_err(|error| error.to_string())
}

fn apply(
    rules: BTreeMap<i64, Vec<SeccompRule>>,
    otherwise: SeccompAction,
    matched: SeccompAction,
) -> Result<(), String> {
    let architecture = std::env::consts::ARCH.try_into();
    let architecture =
        architecture.map_err(|error: seccompiler::BackendError| error.to_string())?;
    let filter = SeccompFilter::new(rules, otherwise, matched, architecture);
    let program: BpfProgram = filter
        .and_then(TryInto::try_into)
        .map_err(|error| error.to_string())?;
    apply_filter_all_threads(&program).map_err(|error| error.to_string())
}
