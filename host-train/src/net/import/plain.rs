//! Files whose dictionaries are `collections.defaultdict`s, made such that the reader of the tensors fills them.
//!
//! A pickle makes a `defaultdict` by a call, and then puts the entries into what the call gave. The reader knows one such call,
//! of `OrderedDict` without arguments. So that is what a copy of the file asks for in place of each call of `defaultdict`, whose
//! argument, what missing entries are made by, weights have no use for. Opcodes: Python's `pickletools`.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom, Write};
use std::ops::Range;
use std::path::Path;

use super::archive::{self, Pickle};
use super::pickle::{Foreign, byte, line, number, skip_argument};
use crate::io::scratch::Scratch;

/// Most bytes of a pickle: a network has a few hundred tensors.
const MAX_PICKLE: u64 = 16 << 20;
/// Longest text that is kept; names are shorter.
const MAX_TEXT: usize = 1 << 10;
/// Most values kept in the memo, as the walk for code does.
const MAX_MEMO: usize = 1 << 16;
/// Pickles before that of the object in a file of PyTorch before 1.6.
const LEGACY_HEAD: usize = 3;

/// A copy of the archive that `torch.save` writes; `None` where it has no `defaultdict` to change.
///
/// # Errors
/// What the system says, and `UnexpectedEof` for an archive that is cut short.
pub(super) fn zip(path: &Path) -> io::Result<Option<Scratch>> {
    let mut file = File::open(path)?;
    let Pickle::Stored { offset, length } = archive::find_pickle(&mut file)? else { return Ok(None) };
    file.seek(SeekFrom::Start(offset))?;
    let Some(pickle) = read(&mut file, length)?.and_then(|pickle| with_plain_dictionaries(&pickle)) else {
        return Ok(None);
    };
    let (scratch, mut copy) = Scratch::file()?;
    Ok(archive::with_pickle(&mut file, &pickle, &mut copy)?.then_some(scratch))
}

/// A copy of a file of PyTorch before 1.6; `None` where it has no `defaultdict` to change.
///
/// # Errors
/// What the system says.
pub(super) fn legacy(path: &Path) -> io::Result<Option<Scratch>> {
    let mut reader = BufReader::new(File::open(path)?);
    Foreign::in_pickles(&mut reader, LEGACY_HEAD);
    let start = reader.stream_position()?;
    Foreign::in_pickles(&mut reader, 1);
    let end = reader.stream_position()?;
    let mut file = reader.into_inner();
    file.seek(SeekFrom::Start(start))?;
    let Some(pickle) = read(&mut file, end - start)?.and_then(|pickle| with_plain_dictionaries(&pickle)) else {
        return Ok(None);
    };
    let (scratch, mut copy) = Scratch::file()?;
    file.rewind()?;
    io::copy(&mut (&mut file).take(start), &mut copy)?;
    copy.write_all(&pickle)?;
    file.seek(SeekFrom::Start(end))?;
    io::copy(&mut file, &mut copy)?;
    Ok(Some(scratch))
}

/// The next `length` bytes; `None` of too many.
fn read(file: &mut File, length: u64) -> io::Result<Option<Vec<u8>>> {
    let mut bytes = Vec::new();
    if length <= MAX_PICKLE {
        file.take(length).read_to_end(&mut bytes)?;
    }
    Ok((length <= MAX_PICKLE).then_some(bytes))
}

/// A value on the stack, as far as it matters.
#[derive(Clone, PartialEq)]
enum Value {
    Text(String),
    DefaultDict,
    Other,
}

/// Names the class that stands for the other.
const ORDERED: &[u8] = b"ccollections\nOrderedDict\n";
/// The same where the other's two names lie on the stack.
const ORDERED_FOR_NAMES: &[u8] = b"00ccollections\nOrderedDict\n";
/// Takes the arguments off the stack, and puts none in their place.
const NO_ARGUMENTS: &[u8] = b"0)";

/// The pickle with `OrderedDict()` for every call of `defaultdict`; `None` where there is none.
fn with_plain_dictionaries(pickle: &[u8]) -> Option<Vec<u8>> {
    let edits = Walk::default().run(pickle).ok().filter(|edits| !edits.is_empty())?;
    let (mut changed, mut at) = (Vec::with_capacity(pickle.len()), 0);
    for (Range { start, end }, new) in edits {
        changed.extend_from_slice(&pickle[at..start]);
        changed.extend_from_slice(new);
        at = end;
    }
    changed.extend_from_slice(&pickle[at..]);
    Some(changed)
}

/// Bytes that are replaced, and by what.
type Edit = (Range<usize>, &'static [u8]);

#[derive(Default)]
struct Walk {
    /// The last values pushed, newest last.
    pushed: [Option<Value>; 2],
    memo: HashMap<u64, Value>,
    /// Whether what came since the class is what its arguments are made of: a class that makes missing entries, in a tuple.
    is_called: bool,
    edits: Vec<Edit>,
}

impl Walk {
    /// What is to be changed in a pickle.
    fn run(mut self, pickle: &[u8]) -> io::Result<Vec<Edit>> {
        let mut r = pickle;
        loop {
            let start = pickle.len() - r.len();
            let opcode = byte(&mut r)?;
            match opcode {
                b'.' => return Ok(self.edits),
                b'c' => {
                    let global = [line(&mut r)?, line(&mut r)?];
                    self.class(global.each_ref().map(String::as_str), start..pickle.len() - r.len(), ORDERED);
                }
                0x93 => {
                    let texts = std::mem::take(&mut self.pushed).map(|value| match value {
                        Some(Value::Text(text)) => text,
                        _ => String::new(),
                    });
                    self.class(texts.each_ref().map(String::as_str), start..start + 1, ORDERED_FOR_NAMES);
                }
                0x8c | b'U' => self.text(&mut r, 1)?,
                b'X' | b'T' => self.text(&mut r, 4)?,
                0x8d => self.text(&mut r, 8)?,
                0x94 => self.memoize(self.memo.len() as u64),
                b'q' => self.memoize(number(&mut r, 1)?),
                b'r' => self.memoize(number(&mut r, 4)?),
                b'h' => self.recall(number(&mut r, 1)?),
                b'j' => self.recall(number(&mut r, 4)?),
                b'R' if self.is_called => {
                    self.edits.push((start..start, NO_ARGUMENTS));
                    self.other();
                }
                b'N' | b')' | 0x85 => self.push(Value::Other),
                0x80 | 0x95 => skip_argument(opcode, &mut r)?,
                _ => {
                    skip_argument(opcode, &mut r)?;
                    self.other();
                }
            }
        }
    }

    /// A class is named at `place`, which `ordered` takes where it is the one.
    fn class(&mut self, [module, name]: [&str; 2], place: Range<usize>, ordered: &'static [u8]) {
        if module != "collections" || name != "defaultdict" {
            return self.push(Value::Other);
        }
        self.edits.push((place, ordered));
        self.is_called = true;
        self.push(Value::DefaultDict);
    }

    fn text(&mut self, r: &mut &[u8], length_bytes: usize) -> io::Result<()> {
        let length = usize::try_from(number(r, length_bytes)?).unwrap_or(usize::MAX);
        let (text, rest) = r.split_at_checked(length).ok_or(io::ErrorKind::UnexpectedEof)?;
        *r = rest;
        let is_name = length <= MAX_TEXT;
        self.push(if is_name { Value::Text(String::from_utf8_lossy(text).into_owned()) } else { Value::Other });
        Ok(())
    }

    fn push(&mut self, value: Value) {
        self.pushed.swap(0, 1);
        self.pushed[1] = Some(value);
    }

    /// Something that no call of the class has.
    fn other(&mut self) {
        self.is_called = false;
        self.push(Value::Other);
    }

    fn memoize(&mut self, index: u64) {
        if self.memo.len() < MAX_MEMO || self.memo.contains_key(&index) {
            self.memo.insert(index, self.pushed[1].clone().unwrap_or(Value::Other));
        }
    }

    fn recall(&mut self, index: u64) {
        let value = self.memo.get(&index).cloned().unwrap_or(Value::Other);
        self.is_called |= value == Value::DefaultDict;
        self.push(value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn changed(pickle: &[u8]) -> Option<Vec<u8>> {
        with_plain_dictionaries(pickle)
    }

    #[test]
    fn calls_are_changed_however_the_class_and_its_argument_are_named() {
        for (pickle, expected) in [
            (&b"\x80\x02ccollections\ndefaultdict\nq\x01)Rq\x02."[..], &b"\x80\x02ccollections\nOrderedDict\nq\x01)0)Rq\x02."[..]),
            (
                b"ccollections\ndefaultdict\nq\x01c__builtin__\nlist\nq\x02\x85q\x03R.",
                b"ccollections\nOrderedDict\nq\x01c__builtin__\nlist\nq\x02\x85q\x030)R.",
            ),
            (
                b"ccollections\ndefaultdict\nq\x01N\x85R}h\x01)Rs.",
                b"ccollections\nOrderedDict\nq\x01N\x850)R}h\x01)0)Rs.",
            ),
            (
                b"\x80\x04\x8c\x0bcollections\x94\x8c\x0bdefaultdict\x94\x93\x94\x8c\x08builtins\x94\x8c\x03int\x94\x93\x94\x85R.",
                b"\x80\x04\x8c\x0bcollections\x94\x8c\x0bdefaultdict\x9400ccollections\nOrderedDict\n\x94\x8c\x08builtins\x94\x8c\x03int\x94\x93\x94\x850)R.",
            ),
        ] {
            assert_eq!(changed(pickle).as_deref(), Some(expected), "{}", pickle.escape_ascii());
        }
    }

    #[test]
    fn what_has_none_or_breaks_off_stays() {
        for pickle in [
            &b"ccollections\nOrderedDict\n)R."[..],
            b"X\x0b\x00\x00\x00defaultdict.",
            b"ccollections\ndefaultdict\n)R",
            b"",
        ] {
            assert_eq!(changed(pickle), None, "{}", pickle.escape_ascii());
        }
    }

    #[test]
    fn other_calls_stay_as_they_are() {
        let pickle =
            b"}X\x01\x00\x00\x00accollections\ndefaultdict\nsX\x01\x00\x00\x00bccollections\nCounter\n}\x85Rs.";
        let expected =
            b"}X\x01\x00\x00\x00accollections\nOrderedDict\nsX\x01\x00\x00\x00bccollections\nCounter\n}\x85Rs.";
        assert_eq!(changed(pickle).as_deref(), Some(&expected[..]));
    }
}
