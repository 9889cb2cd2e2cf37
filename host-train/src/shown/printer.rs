//! Threads that write to standard output and error, one for each: a reader who takes nothing, such as a full pipe that nobody
//! empties, holds up only them once the process is to end.
//!
//! Until then whoever prints waits until it is written, so that the two streams keep their order.

use std::collections::VecDeque;
use std::io::{self, Write};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// How long a process that is to end waits for a reader.
const PATIENCE: Duration = Duration::from_millis(500);

/// A stream and the thread that writes to it.
pub(super) struct Printer {
    queue: Mutex<Queue>,
    changed: Condvar,
}

struct Queue {
    texts: VecDeque<String>,
    /// Texts handed over and texts written.
    given: u64,
    written: u64,
    /// Whether the thread runs; without one, whoever prints writes.
    has_thread: bool,
    /// Whether the process is to end.
    hurried: bool,
    /// Why a text could not be written, the first time.
    lost: Option<io::Error>,
}

impl Printer {
    pub const fn new() -> Self {
        let queue =
            Queue { texts: VecDeque::new(), given: 0, written: 0, has_thread: false, hurried: false, lost: None };
        Self { queue: Mutex::new(queue), changed: Condvar::new() }
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes `text` by `write`, which the thread is begun with.
    pub fn print(&'static self, text: String, write: fn(&[u8]) -> io::Result<()>) {
        let mut queue = self.queue();
        if !queue.has_thread {
            queue.has_thread = thread::Builder::new().spawn(move || self.work(write)).is_ok();
        }
        if !queue.has_thread {
            let written = write(text.as_bytes());
            queue.lost = queue.lost.take().or(written.err());
            return;
        }
        queue.texts.push_back(text);
        queue.given += 1;
        // Where a text before it is stuck, so will this one be.
        let is_stuck = queue.hurried && queue.given - queue.written > 1;
        let own = queue.given;
        self.changed.notify_all();
        if !is_stuck {
            self.wait_for(own, queue);
        }
    }

    /// Waits until so many texts are written; of a process that is to end, not for long.
    fn wait_for(&self, texts: u64, mut queue: MutexGuard<'_, Queue>) {
        let mut end = None;
        while queue.written < texts {
            if !queue.hurried {
                queue = self.changed.wait(queue).unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            let left = end.get_or_insert_with(|| Instant::now() + PATIENCE).saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            queue = self.changed.wait_timeout(queue, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn work(&self, write: fn(&[u8]) -> io::Result<()>) {
        let mut queue = self.queue();
        loop {
            let Some(text) = queue.texts.pop_front() else {
                queue = self.changed.wait(queue).unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            drop(queue);
            let written = write(text.as_bytes());
            queue = self.queue();
            queue.lost = queue.lost.take().or(written.err());
            queue.written += 1;
            self.changed.notify_all();
        }
    }

    /// From now on nothing waits long for a reader.
    pub fn hurry(&self) {
        self.queue().hurried = true;
        self.changed.notify_all();
    }

    /// Waits until all is written, as [`print`](Self::print) does; then why something was not, if so.
    pub fn finish(&self) -> Option<io::Error> {
        let queue = self.queue();
        let all = queue.given;
        self.wait_for(all, queue);
        self.queue().lost.take()
    }
}

/// Standard output, not held back up to the end of a line.
pub(super) fn to_output(bytes: &[u8]) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(bytes).and_then(|()| stdout.flush())
}

/// Standard error.
pub(super) fn to_error(bytes: &[u8]) -> io::Result<()> {
    io::stderr().lock().write_all(bytes)
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, Sender, channel};

    use super::*;

    /// What the reader of [`stuck`] is let take, one message a text.
    static TAKES: Mutex<Option<Receiver<()>>> = Mutex::new(None);
    static TAKEN: Mutex<Vec<u8>> = Mutex::new(Vec::new());

    /// Writes to a reader who takes nothing until told to.
    fn stuck(bytes: &[u8]) -> io::Result<()> {
        TAKES.lock().unwrap().as_ref().unwrap().recv().map_err(io::Error::other)?;
        TAKEN.lock().unwrap().extend(bytes);
        Ok(())
    }

    #[test]
    fn a_reader_who_takes_nothing_holds_nobody_up_once_the_process_is_to_end() {
        static PRINTER: Printer = Printer::new();
        let (take, takes): (Sender<()>, _) = channel();
        *TAKES.lock().unwrap() = Some(takes);
        let printing = thread::spawn(|| ["a", "b", "c"].map(|text| PRINTER.print(text.into(), stuck)));
        PRINTER.hurry();
        printing.join().unwrap();
        assert!(PRINTER.finish().is_none() && TAKEN.lock().unwrap().is_empty(), "nobody waits for the reader");
        (0..3).for_each(|_| take.send(()).unwrap());
        while PRINTER.queue().written < 3 {
            thread::yield_now();
        }
        assert_eq!(*TAKEN.lock().unwrap(), b"abc", "in the order in which they were printed");
        drop(take);
        PRINTER.print("d".into(), stuck);
        assert!(PRINTER.finish().is_some(), "what was lost is known");
    }
}
