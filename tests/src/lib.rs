//! What the whole-system tests share: the binary, run as a user would, golden vectors, and where ACDC lies.

pub mod acdc_tree;
pub mod format1;
pub mod golden;
pub mod job;
#[cfg(target_os = "linux")]
pub mod memory;
pub mod moment;
pub mod pytorch_file;
pub mod small_model;
pub mod small_unet;
pub mod small_volume;
pub mod tree;

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Mutex;

pub use golden::golden_dir;

/// What a run of `kscout` said.
#[derive(Debug)]
pub struct Ran {
    /// Whether it exited with 0.
    pub ok: bool,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

/// Runs the binary `exe` with `args`.
///
/// # Panics
/// If it cannot be started.
pub fn run<S: AsRef<OsStr>>(exe: &str, args: impl IntoIterator<Item = S>) -> Ran {
    let Output { status, stdout, stderr } = Command::new(exe).args(args).output().expect("the binary starts");
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    Ran { ok: status.success(), stdout: text(stdout), stderr: text(stderr) }
}

/// Runs a script of the checkout that builds for another target, into the folder `target`, and runs what it built. One at a
/// time: scripts install packages, and share their folders.
///
/// # Errors
/// Why this machine cannot run it: the script's errors where its status is 2.
///
/// # Panics
/// If it cannot be started; where `KSCOUT_FIRMWARE` is `required`, also instead of an error.
pub fn run_script(script: &str, arguments: &[&str], target: &Path) -> Result<Output, String> {
    run_script_with(script, arguments, target, &[])
}

/// [`run_script`] with these variables in its environment.
///
/// # Errors
/// As of [`run_script`].
pub fn run_script_with(
    script: &str,
    arguments: &[&str],
    target: &Path,
    variables: &[(&str, &str)],
) -> Result<Output, String> {
    static ONE: Mutex<()> = Mutex::new(());
    let _one = ONE.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(script);
    let output = Command::new("bash")
        .arg(script)
        .args(arguments)
        .env("CARGO_TARGET_DIR", target)
        .envs(variables.iter().copied())
        .output()
        .expect("bash runs the script");
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    if output.status.code() == Some(2) {
        assert!(std::env::var("KSCOUT_FIRMWARE").as_deref() != Ok("required"), "{errors}");
        return Err(errors);
    }
    eprint!("{errors}");
    Ok(output)
}

impl Ran {
    /// The standard output of a run that must succeed.
    #[track_caller]
    pub fn succeeded(self) -> String {
        assert!(self.ok, "failed: {}\n{}", self.stderr, self.stdout);
        self.stdout
    }

    /// The error of a run that must fail with exit code not 0 and say every one of `words`.
    #[track_caller]
    pub fn refused(self, words: &[&str]) {
        assert!(!self.ok, "expected a failure, got:\n{}", self.stdout);
        for word in words {
            assert!(self.stderr.contains(word), "`{}` does not say `{word}`", self.stderr);
        }
        assert!(!self.stderr.contains("panicked"), "{}", self.stderr);
    }
}

/// ACDC's training folder: `KSCOUT_ACDC` where it is set, else `../shared/data/acdc/training` from the checkout; `None`
/// where that is not there.
///
/// # Panics
/// If `KSCOUT_ACDC` names no folder.
pub fn acdc_dir() -> Option<PathBuf> {
    if let Some(named) = std::env::var_os("KSCOUT_ACDC").map(PathBuf::from) {
        assert!(named.is_dir(), "KSCOUT_ACDC: {} is no folder", named.display());
        return Some(named);
    }
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data/acdc/training");
    beside.is_dir().then_some(beside)
}
