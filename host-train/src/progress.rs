//! The bars that anything of over two seconds shows.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use crate::data::import::Progress;

/// A bar of `length` with rate and remaining time, `done` of it behind already. It shows on terminals only.
pub fn bar(length: u64, done: u64, what: &'static str) -> ProgressBar {
    let style = "{prefix:>12} [{bar:30}] {pos}/{len} {per_sec} left {eta} {msg}";
    let bar = ProgressBar::new(length).with_position(done).with_prefix(what);
    bar.set_style(ProgressStyle::with_template(style).expect("a valid template").progress_chars("=> "));
    bar.enable_steady_tick(Duration::from_millis(500));
    bar.reset_eta();
    bar
}

/// A bar over the patients of an import, which says how many there are.
pub fn patients(message: &'static str) -> ProgressBar {
    let style = "{msg} [{bar:32}] {pos}/{len} patients, {per_sec}, {eta} left";
    let style = ProgressStyle::with_template(style).expect("a valid template");
    ProgressBar::new(0).with_message(message).with_style(style.progress_chars("=> "))
}

impl Progress for ProgressBar {
    fn begin(&self, patients: u64) {
        self.set_length(patients);
    }

    fn advance(&self) {
        self.inc(1);
    }
}
