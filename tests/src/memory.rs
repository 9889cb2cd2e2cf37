//! Runs of the binary with the memory that they took.

use std::ffi::OsStr;
use std::io::Read;
use std::process::{Command, Stdio};

use crate::Ran;

/// Runs the binary `exe` with `args` on eight threads; what it said, and the most bytes of memory that it had.
///
/// # Panics
/// If it cannot be started.
#[expect(clippy::zombie_processes, reason = "`wait` waits for it, and asks what it took")]
pub fn run_measured<S: AsRef<OsStr>>(exe: &str, args: impl IntoIterator<Item = S>) -> (Ran, u64) {
    let mut command = Command::new(exe);
    // One arena: what counts is what is held at the same time, and not what the allocator keeps for each thread.
    command.args(args).env("RAYON_NUM_THREADS", "8").env("MALLOC_ARENA_MAX", "1");
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the binary starts");
    let (mut out, mut err) = (child.stdout.take().expect("piped"), child.stderr.take().expect("piped"));
    let reader = std::thread::spawn(move || {
        let mut text = String::new();
        out.read_to_string(&mut text).expect("text");
        text
    });
    let mut stderr = String::new();
    err.read_to_string(&mut stderr).expect("text");
    let stdout = reader.join().expect("a thread that reads");
    let (ok, peak) = wait(child.id());
    (Ran { ok, stdout, stderr }, peak)
}

/// Waits for a child; whether it exited with 0, and its peak.
fn wait(child: u32) -> (bool, u64) {
    #[repr(C)]
    struct Usage {
        times: [i64; 4],
        max_rss_kib: i64,
        more: [i64; 13],
    }
    unsafe extern "C" {
        fn wait4(child: i32, status: *mut i32, options: i32, usage: *mut Usage) -> i32;
    }
    let mut usage = Usage { times: [0; 4], max_rss_kib: 0, more: [0; 13] };
    let mut status = 0;
    // SAFETY: the kernel fills in a number and a structure of this layout, of 64-bit Linux; nobody else waits for this child.
    let found = unsafe { wait4(child as i32, &mut status, 0, &mut usage) };
    assert_eq!(found, child as i32);
    (status == 0, usage.max_rss_kib as u64 * 1024)
}
