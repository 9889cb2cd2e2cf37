//! Runs of the binary to which something happens at an exact moment: see `kscout::io::moment`.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStderr, Command, Stdio};

use crate::Ran;

/// The variable that names the moment.
pub const VARIABLE: &str = "KSCOUT_TEST_MOMENT";

/// Runs the binary `exe` with `args`; `moment` says what happens to it, such as `7:kill`.
///
/// # Panics
/// If it cannot be started.
pub fn run_to<S: AsRef<OsStr>>(exe: &str, moment: &str, args: impl IntoIterator<Item = S>) -> (Ran, Option<i32>) {
    let output = Command::new(exe).args(args).env(VARIABLE, moment).output().expect("the binary starts");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let ran = Ran { ok: output.status.success(), stdout: text(&output.stdout), stderr: text(&output.stderr) };
    (ran, output.status.code())
}

/// How many moments the binary has with `args`.
///
/// # Panics
/// If it fails.
pub fn moments<S: AsRef<OsStr>>(exe: &str, args: impl IntoIterator<Item = S>) -> usize {
    let (ran, _) = run_to(exe, "count", args);
    assert!(ran.ok, "{}", ran.stderr);
    let last = ran.stderr.lines().rev().find_map(|line| line.strip_suffix(" moments"));
    last.expect("a number of moments").parse().expect("a number")
}

/// A run that waits at its first moment: it has its locks, and has written nothing yet.
pub struct Held {
    child: Child,
    stderr: BufReader<ChildStderr>,
}

impl Held {
    /// Starts the binary `exe` with `args`, and comes back when it waits.
    ///
    /// # Panics
    /// If it does not get so far.
    pub fn start<S: AsRef<OsStr>>(exe: &str, args: impl IntoIterator<Item = S>) -> Self {
        let mut command = Command::new(exe);
        command.args(args).env(VARIABLE, "1:wait").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the binary starts");
        let mut stderr = BufReader::new(child.stderr.take().expect("piped"));
        let mut line = String::new();
        stderr.read_line(&mut line).unwrap();
        assert_eq!(line, "at moment 1\n");
        Self { child, stderr }
    }

    /// The process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Lets it go on; what it has said in the end.
    ///
    /// # Panics
    /// If its pipes are broken.
    pub fn go_on(mut self) -> Ran {
        self.child.stdin.take().expect("piped").write_all(b"\n").unwrap();
        let mut stderr = String::new();
        self.stderr.read_to_string(&mut stderr).unwrap();
        let output = self.child.wait_with_output().unwrap();
        Ran { ok: output.status.success(), stdout: String::from_utf8_lossy(&output.stdout).into_owned(), stderr }
    }

    /// Kills it.
    ///
    /// # Panics
    /// If it cannot be killed.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}
