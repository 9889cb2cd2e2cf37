//! A hook for tests: something happens to the process at an exact moment.
//!
//! Every write, rename, appended row and training step of a command passes [`moment`] before and after, and so counts from 1 on.
//! The environment variable `KSCOUT_TEST_MOMENT` says what happens at which one, such as `7:kill`: `kill`, `term`, `int` and `hup` raise
//! that signal, `term2` and `int2` raise it twice, `wait` says `at moment 7` on standard error and goes on when a line comes by
//! standard input. `count` in place of all that says at the end how many there were. Without the variable nothing happens.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The variable's name.
pub const VARIABLE: &str = "KSCOUT_TEST_MOMENT";

static PASSED: AtomicUsize = AtomicUsize::new(0);

/// Which moment, and what happens then.
static PLAN: OnceLock<Option<(usize, String)>> = OnceLock::new();

/// Counts; at the moment of a test's choice something happens.
pub fn moment() {
    pass(|_| true);
}

/// A [`moment`] at which signals wait until the work under way is through: of all that may happen, `kill` alone does.
pub fn kill_moment() {
    pass(|what| what == "kill");
}

fn pass(may_happen: impl Fn(&str) -> bool) {
    let plan = PLAN.get_or_init(|| {
        let text = std::env::var(VARIABLE).ok()?;
        let (number, what) = text.split_once(':').unwrap_or(("0", &text));
        Some((number.parse().ok()?, what.to_owned()))
    });
    let Some((number, what)) = plan else { return };
    if PASSED.fetch_add(1, Ordering::SeqCst) + 1 == *number && may_happen(what) {
        happen(*number, what);
    }
}

/// Says how many moments there were, where a test asks for it.
pub fn report() {
    if let Some(Some((_, what))) = PLAN.get()
        && what == "count"
    {
        eprintln!("{} moments", PASSED.load(Ordering::SeqCst));
    }
}

fn happen(number: usize, what: &str) {
    match what {
        "wait" => {
            eprintln!("at moment {number}");
            let _ = std::io::stdin().read_line(&mut String::new());
        }
        #[cfg(unix)]
        _ => raise(what),
        #[cfg(not(unix))]
        _ => {}
    }
}

/// Raises a signal, and waits until it is known, so that what it does depends on the moment alone.
#[cfg(unix)]
fn raise(what: &str) {
    use signal_hook::consts::{SIGHUP, SIGINT, SIGKILL, SIGTERM};
    let (signal, times) = match what {
        "hup" => return drop(signal_hook::low_level::raise(SIGHUP)),
        "kill" => (SIGKILL, 1),
        "term" => (SIGTERM, 1),
        "int" => (SIGINT, 1),
        "term2" => (SIGTERM, 2),
        "int2" => (SIGINT, 2),
        _ => return,
    };
    for time in 1..=times {
        let _ = signal_hook::low_level::raise(signal);
        while super::stop::signals() < time {
            std::thread::yield_now();
        }
    }
    // A process that is being ended does nothing more.
    while times > 1 || !super::stop::goes_on() {
        std::thread::park();
    }
}
