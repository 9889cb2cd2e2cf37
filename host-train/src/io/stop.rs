//! Ctrl-C and TERM: a command with checkpoints finishes the step under way, saves, and says how to go on; any other ends, leaving what
//! was there before. A second signal ends at once; what was saved last is whole. One that comes when the work is done changes
//! nothing: the command ends as it would have.
//!
//! What a signal does comes first, what is said of it after, and nothing waits long for somebody who reads it.

use std::sync::atomic::{AtomicI32, AtomicU8, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock};

use super::part::clear_up;
use crate::shown::{finish, hurry, say};

/// Signals so far.
static SIGNALS: AtomicUsize = AtomicUsize::new(0);
/// The first of them.
static FIRST: AtomicI32 = AtomicI32::new(0);
/// What a signal does, as a [`Phase`].
static PHASE: AtomicU8 = AtomicU8::new(Phase::Ends as u8);
/// The command that goes on from where this one ends.
static GO_ON: OnceLock<String> = OnceLock::new();

/// How far a command is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// A signal ends it.
    Ends,
    /// A first signal asks it to end.
    Asks,
    /// Its work is done.
    Over,
}

impl Phase {
    fn now() -> Self {
        let phase = PHASE.load(Ordering::SeqCst);
        [Self::Asks, Self::Over].into_iter().find(|&known| known as u8 == phase).unwrap_or(Self::Ends)
    }

    fn begin(self) {
        PHASE.store(self as u8, Ordering::SeqCst);
    }
}

/// Set in the environment of a command that is a step of another one, which says over standard input when to end.
pub const STEP: &str = "KSCOUT_STEP";

/// A command that was stopped by a signal, with what it leaves.
#[derive(Debug)]
pub struct Stopped {
    saved: String,
}

impl std::fmt::Display for Stopped {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}{}", self.saved, how_to_go_on())
    }
}

impl std::error::Error for Stopped {}

impl Stopped {
    /// `saved` says what there is, such as `stopped at step 7; saved in runs/segmenter/last`.
    pub fn having(saved: String) -> Self {
        Self { saved }
    }

    /// The exit status that other programs know for such an end.
    pub fn status(&self) -> u8 {
        status(FIRST.load(Ordering::SeqCst))
    }
}

fn status(signal: i32) -> u8 {
    u8::try_from(128 + signal).unwrap_or(u8::MAX)
}

fn how_to_go_on() -> String {
    GO_ON.get().map_or(String::new(), |command| format!(". To go on:\n  {command}"))
}

/// How many signals have come.
pub fn signals() -> usize {
    SIGNALS.load(Ordering::SeqCst)
}

/// Whether the command is to end after the step under way.
pub fn asked() -> bool {
    Phase::now() == Phase::Asks && signals() > 0
}

/// Whether the command outlives a first signal.
pub fn goes_on() -> bool {
    Phase::now() != Phase::Ends
}

/// From now on a first signal only asks, for as long as this lives.
pub struct Graceful(());

impl Graceful {
    /// See [`Graceful`].
    pub fn begin() -> Self {
        Phase::Asks.begin();
        Self(())
    }

    /// The work is done, so that there is nothing to go on with: see [`over`].
    pub fn finish(self) {
        std::mem::forget(self);
        over();
    }
}

impl Drop for Graceful {
    fn drop(&mut self) {
        Phase::Ends.begin();
    }
}

/// What the command was to do is done, and it ends by itself. A first signal from now on only keeps it from waiting for readers, and a
/// second ends it as it would have ended.
pub fn over() {
    Phase::Over.begin();
}

/// What goes on from where this command ends, with `option` where it does not have that already, to be pasted into a shell. A step of
/// another command leaves it to that one to say.
pub fn goes_on_with(option: Option<&str>) {
    if std::env::var_os(STEP).is_some() {
        return;
    }
    let mut words: Vec<String> = std::env::args_os().map(|word| word.to_string_lossy().into_owned()).collect();
    if let Some(option) = option
        && !words.iter().any(|word| word == option)
    {
        words.push(option.to_owned());
    }
    let _ = GO_ON.set(words.iter().map(|word| quoted(word)).collect::<Vec<_>>().join(" "));
}

/// A word as a shell reads it back.
pub fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./,:=+@%".contains(c);
    if !word.is_empty() && word.chars().all(is_plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

/// Waits for signals in a thread of its own. A command that `outlives` its terminal is not ended when that is closed.
pub fn watch(outlives: bool) {
    #[cfg(unix)]
    unix::watch(outlives || std::env::var_os(STEP).is_some());
    #[cfg(not(unix))]
    let _ = outlives;
    if std::env::var_os(STEP).is_some() {
        std::thread::spawn(follow_parent);
    }
}

/// A step ends with the command that it is a step of: that one writes how many signals it got, and its end closes the pipe.
fn follow_parent() {
    use std::io::Read;
    let mut stdin = std::io::stdin().lock();
    let mut byte = [0];
    while let Ok(1) = stdin.read(&mut byte) {
        come(Source::Parent(byte[0].into()), TERM);
    }
    come(Source::Parent(1), TERM);
}

/// TERM's number wherever it has one.
const TERM: i32 = 15;

/// Who says that a signal has come.
enum Source {
    /// The system: one more.
    #[cfg(unix)]
    System,
    /// The command that this one is a step of: so many in all.
    Parent(usize),
}

/// What else is told how many signals there are; it may then have this process wait for what ends first.
type Teller = Box<dyn FnMut(usize) + Send>;

static TELLER: Mutex<Option<Teller>> = Mutex::new(None);

/// Has `teller` told of every signal, the first two of which then do not end this process.
pub fn tell(teller: impl FnMut(usize) + Send + 'static) {
    let mut told = told();
    let teller = told.insert(Box::new(teller));
    // One may have come before.
    if signals() > 0 {
        teller(signals());
    }
}

/// Undoes [`tell`].
pub fn tell_nobody() {
    *told() = None;
}

fn told() -> MutexGuard<'static, Option<Teller>> {
    TELLER.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

/// A signal has come. One in a terminal reaches a command and its step both, so that of what they say the larger number counts.
fn come(source: Source, signal: i32) {
    static COUNTS: Mutex<[usize; 2]> = Mutex::new([0; 2]);
    let mut counts = COUNTS.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    match source {
        #[cfg(unix)]
        Source::System => counts[0] += 1,
        Source::Parent(count) => counts[1] = counts[1].max(count),
    }
    let (before, now) = (signals(), counts[0].max(counts[1]));
    if now == before {
        return;
    }
    let _ = FIRST.compare_exchange(0, signal, Ordering::SeqCst, Ordering::SeqCst);
    let phase = Phase::now();
    SIGNALS.store(now, Ordering::SeqCst);
    hurry();
    let waits = match told().as_mut() {
        Some(teller) => {
            teller(now);
            now < 3
        }
        None => phase != Phase::Ends && now == 1,
    };
    if !waits {
        end(signal, phase, now > 1);
    }
    if now == 1 && phase == Phase::Asks && std::env::var_os(STEP).is_none() {
        eprintln!("note: ends after the step under way, and saves; a second signal ends at once");
    }
}

/// Ends the process now, by a first signal or by a `second`.
fn end(signal: i32, phase: Phase, second: bool) -> ! {
    clear_up();
    if GO_ON.get().is_some() && phase != Phase::Over {
        let what = if second {
            "ended at once; what was saved last is whole"
        } else {
            "ended before there was anything new to save"
        };
        say(&format!("{what}{}", how_to_go_on()));
        finish();
    }
    let status = if phase == Phase::Over { 0 } else { status(signal).into() };
    #[cfg(unix)]
    signal_hook::low_level::exit(status);
    #[cfg(not(unix))]
    std::process::exit(status);
}

#[cfg(unix)]
mod unix {
    use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
    use signal_hook::iterator::Signals;

    pub fn watch(outlives: bool) {
        let known = if outlives { &[SIGINT, SIGTERM, SIGHUP][..] } else { &[SIGINT, SIGTERM] };
        // Without it signals do what they do to any program.
        let Ok(mut signals) = Signals::new(known) else { return };
        std::thread::spawn(move || {
            signals
                .forever()
                .filter(|&signal| signal != SIGHUP)
                .for_each(|signal| super::come(super::Source::System, signal))
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_quoted_where_a_shell_would_change_them() {
        for (word, expected) in [
            ("train", "train"),
            ("--set", "--set"),
            ("validate_lines=[8,16]", "'validate_lines=[8,16]'"),
            ("my runs/a", "'my runs/a'"),
            ("", "''"),
            ("it's", r"'it'\''s'"),
            ("$HOME", "'$HOME'"),
            ("~", "'~'"),
            ("é", "'é'"),
        ] {
            assert_eq!(quoted(word), expected);
        }
    }
}
