//! The bar that anything of over two seconds shows.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

/// A bar of `length` with rate and remaining time, `done` of it behind already. It shows on terminals only.
pub fn bar(length: u64, done: u64, what: &'static str) -> ProgressBar {
    let style = "{prefix:>12} [{bar:30}] {pos}/{len} {per_sec} left {eta} {msg}";
    let bar = ProgressBar::new(length).with_position(done).with_prefix(what);
    bar.set_style(ProgressStyle::with_template(style).expect("a valid template").progress_chars("=> "));
    bar.enable_steady_tick(Duration::from_millis(500));
    bar.reset_eta();
    bar
}
