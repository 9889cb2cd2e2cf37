//! What a terminal is shown of things that come from files.
//!
//! Names, keys and values in a file are anybody's: an escape sequence among them would move the cursor or rename the window, and a
//! name may be a megabyte long. [`shown`] is how errors and notes quote such a text: escaped, and cut where it is long.
//!
//! Behind it stands a last line of defence for what nobody thought of. The crate's own `print!`, `println!`, `eprint!` and
//! `eprintln!`, which stand in front of the standard ones, escape whatever they are given, and cut lines of absurd length;
//! [`message`] does the same for an error as a whole. They do not panic either where nobody takes the output: the first failure
//! is kept, for [`lost_output`]. Nor do they hold up a process that a signal ends: see [`hurry`].

mod printer;

use std::borrow::Cow;
use std::fmt::{self, Display, Write as _};
use std::io;

use printer::{Printer, to_error, to_output};

/// Characters that a quoted text is cut to.
const MOST_QUOTED: usize = 160;

/// Of these, how many come from its end.
const FROM_THE_END: usize = 40;

/// Characters of a printed line. Rows of tables and lines of JSON are far shorter.
const MOST_IN_A_LINE: usize = 1 << 14;

/// Characters of a printed word, a run without spaces.
const MOST_IN_A_WORD: usize = 512;

/// Characters of a line of an error, and lines of one.
const MOST_IN_AN_ERROR: (usize, usize) = (1 << 11, 60);

/// A text from a file, to be displayed: see [`shown`].
#[derive(Clone, Copy, Debug)]
pub struct Shown<'a> {
    text: &'a str,
    most: usize,
}

/// `text` for a terminal: on one line, control characters escaped as `\u001b`, and cut in its middle where it is longer than 160
/// characters.
pub fn shown<T: AsRef<str> + ?Sized>(text: &T) -> Shown<'_> {
    shown_up_to(text, MOST_QUOTED)
}

/// [`shown`] for texts that may be longer: cut beyond `most` characters, which is at least 100.
pub fn shown_up_to<T: AsRef<str> + ?Sized>(text: &T, most: usize) -> Shown<'_> {
    Shown { text: text.as_ref(), most: most.max(100) }
}

impl Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { text, most } = *self;
        // As many characters as bytes at least.
        if text.len() <= most || text.chars().nth(most).is_none() {
            return escape(f, text, &[]);
        }
        let head = text.char_indices().nth(most - FROM_THE_END).map_or(text.len(), |(at, _)| at);
        let tail = text.char_indices().rev().nth(FROM_THE_END - 1).map_or(text.len(), |(at, _)| at);
        escape(f, &text[..head], &[])?;
        write!(f, "[... {} bytes ...]", tail - head)?;
        escape(f, &text[tail..], &[])
    }
}

/// An error as a person is shown it: escaped, its lines and their length bounded. Lines stay lines.
pub fn message(error: &(impl Display + ?Sized)) -> String {
    let (most, lines) = MOST_IN_AN_ERROR;
    let text = bounded(&error.to_string(), most);
    match text.match_indices('\n').nth(lines) {
        Some((at, _)) => format!("{}\n[... {} lines more ...]", &text[..at], text[at + 1..].lines().count()),
        None => text,
    }
}

/// Escapes all but line ends and tabs, and cuts words in their middle, and lines longer than `most` characters.
fn bounded(text: &str, most: usize) -> String {
    let mut out = String::with_capacity(text.len());
    for line in text.split_inclusive('\n') {
        let (body, end) = match line.strip_suffix('\n') {
            Some(body) => (body, "\n"),
            None => (line, ""),
        };
        let body = &short_words(body);
        let cut = (body.len() > most).then(|| body.char_indices().nth(most)).flatten().map(|(at, _)| at);
        // Writing to a string cannot fail.
        let _ = escape(&mut out, &body[..cut.unwrap_or(body.len())], &['\t']);
        if let Some(at) = cut {
            let _ = write!(out, "[... {} bytes more ...]", body.len() - at);
        }
        out.push_str(end);
    }
    out
}

/// `line` with words of absurd length cut in their middle: quotes around them stay, and so JSON stays JSON.
fn short_words(line: &str) -> Cow<'_, str> {
    if line.len() <= MOST_IN_A_WORD {
        return Cow::Borrowed(line);
    }
    let short = |word: &str| match word.char_indices().nth(MOST_IN_A_WORD) {
        None => word.to_owned(),
        Some((head, _)) => {
            let tail = word.char_indices().rev().nth(FROM_THE_END - 1).map_or(word.len(), |(at, _)| at);
            if tail <= head {
                return word.to_owned();
            }
            format!("{}[... {} bytes ...]{}", &word[..head], tail - head, &word[tail..])
        }
    };
    Cow::Owned(line.split_inclusive(' ').map(short).collect())
}

/// Writes `text` with everything escaped that a terminal would obey or not show, but for `kept`. The escapes are JSON's, so that
/// JSON stays JSON.
fn escape(to: &mut impl fmt::Write, text: &str, kept: &[char]) -> fmt::Result {
    for character in text.chars() {
        match character {
            character if is_unseen(character) && !kept.contains(&character) => {
                write!(to, "\\u{:04x}", u32::from(character))?;
            }
            character => to.write_char(character)?,
        }
    }
    Ok(())
}

/// Control characters, and those that turn the direction of what follows, or take no room.
fn is_unseen(character: char) -> bool {
    let turns =
        matches!(character, '\u{200e}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{061c}');
    character.is_control()
        || turns
        || matches!(character, '\u{200b}' | '\u{2028}' | '\u{2029}' | '\u{2060}' | '\u{feff}')
}

/// A stream of this process.
#[doc(hidden)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    /// Standard output.
    Output,
    /// Standard error.
    Error,
}

static OUTPUT: Printer = Printer::new();
static ERROR: Printer = Printer::new();

/// Prints what the crate's own macros are given.
#[doc(hidden)]
pub fn print(stream: Stream, text: &str) {
    print_as_it_is(stream, bounded(text, MOST_IN_A_LINE));
}

fn print_as_it_is(stream: Stream, text: String) {
    match stream {
        Stream::Output => OUTPUT.print(text, to_output),
        Stream::Error => ERROR.print(text, to_error),
    }
}

/// Says something on standard error as it is, however long: a command to be pasted, or what [`message`] has made fit to be shown.
/// Where nobody takes that, the exit status says it.
pub fn say(text: &str) {
    print_as_it_is(Stream::Error, format!("{text}\n"));
}

/// For a process that is to end: from now on nothing that is printed waits for a reader for longer than a moment.
pub fn hurry() {
    OUTPUT.hurry();
    ERROR.hurry();
}

/// Waits until all that was printed is written; after [`hurry`], not for long. For a process that ends now.
pub fn finish() {
    OUTPUT.finish();
    ERROR.finish();
}

/// Why output did not arrive that the command has printed, if it did not; it is waited for as by [`finish`]. That a reader has
/// gone away is no such reason: it has seen enough.
pub fn lost_output() -> Option<io::Error> {
    OUTPUT.finish().filter(|error| error.kind() != io::ErrorKind::BrokenPipe)
}

#[cfg_attr(not(feature = "train"), allow(unused_macros))]
macro_rules! print {
    ($($arguments:tt)*) => { $crate::shown::print($crate::shown::Stream::Output, &::std::format!($($arguments)*)) };
}

#[cfg_attr(not(feature = "train"), allow(unused_macros))]
macro_rules! println {
    () => { $crate::shown::print($crate::shown::Stream::Output, "\n") };
    ($($arguments:tt)*) => {
        $crate::shown::print($crate::shown::Stream::Output, &(::std::format!($($arguments)*) + "\n"))
    };
}

macro_rules! eprintln {
    () => { $crate::shown::print($crate::shown::Stream::Error, "\n") };
    ($($arguments:tt)*) => {
        $crate::shown::print($crate::shown::Stream::Error, &(::std::format!($($arguments)*) + "\n"))
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_would_obey_is_escaped() {
        assert_eq!(
            shown("\u{1b}[31mred\r\n\u{7}\u{9b}\u{202e}").to_string(),
            "\\u001b[31mred\\u000d\\u000a\\u0007\\u009b\\u202e"
        );
        assert_eq!(shown("Prävention 心臓 ♥").to_string(), "Prävention 心臓 ♥");
    }

    #[test]
    fn a_long_text_keeps_its_ends() {
        let text = format!("begin{}end", "é".repeat(1 << 20));
        let shown = shown(&text).to_string();
        assert!(shown.starts_with("beginéé") && shown.ends_with("ééend"), "{shown}");
        assert!(shown.chars().count() < 200 && shown.contains(" bytes ...]"), "{shown}");
        assert_eq!(super::shown(&"x".repeat(160)).to_string(), "x".repeat(160));
    }

    #[test]
    fn a_message_keeps_its_lines_and_is_bounded() {
        assert_eq!(message("a.pth: wrong\n  one\t\u{1b}[2J"), "a.pth: wrong\n  one\t\\u001b[2J");
        let long = message(&"x".repeat(1 << 20));
        assert!(long.len() < 700 && long.ends_with(&"x".repeat(40)), "{long}");
        let long = message(&"x ".repeat(1 << 20));
        assert!(long.len() < 3000 && long.ends_with("[... 2095104 bytes more ...]"), "{long}");
        let many = message(&"line\n".repeat(100_000));
        assert!(many.len() < 1000 && many.ends_with("lines more ...]"), "{many}");
    }

    #[test]
    fn json_stays_json() {
        let value = serde_json::json!({ "name": "a\u{9b}b\u{7f}\u{202e}\u{1b}" });
        let long = serde_json::json!({ "name": "é".repeat(1 << 20), "next": ["x".repeat(9000)] });
        let printed = bounded(&serde_json::to_string_pretty(&long).unwrap(), MOST_IN_A_LINE);
        assert!(printed.len() < 2500 && serde_json::from_str::<serde_json::Value>(&printed).is_ok(), "{printed}");
        let printed = bounded(&serde_json::to_string_pretty(&value).unwrap(), MOST_IN_A_LINE);
        assert!(!printed.contains(['\u{9b}', '\u{7f}', '\u{202e}']), "{printed}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&printed).unwrap(), value);
    }
}
