//! Which functions and classes a pickle asks for, without doing what it says.
//!
//! A pickle is a program for a small stack machine, and its `GLOBAL` and `REDUCE` opcodes make Python call any function.
//! The reader of the tensors calls none whatever it reads; it passes over what it does not know, though, and people should
//! hear of a file that tries. So this walks the opcodes before, keeps no objects, and notes every global that is named.
//! Opcodes: Python's `pickletools`.

use std::io::{self, BufRead, Read};

use super::error::shortened;
use super::globals::{Global, Sort};

/// Longest text that is kept; names are shorter.
const MAX_TEXT: u64 = 1 << 10;

/// Most texts kept in the memo: a pickle may name one again and again in a byte each.
const MAX_MEMO: usize = 1 << 16;

/// Most globals kept of a sort; an error names three.
const MAX_FOREIGN: usize = 64;

/// Containers that are filled where they stand, which the reader of the tensors does for plain lists and dictionaries alone.
const FILLED: [&str; 2] = ["deque", "defaultdict"];

/// The globals of a file that no state dict has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Foreign {
    /// Functions, and what cannot be known.
    code: Vec<Global>,
    /// Classes of packages and scripts.
    classes: Vec<Global>,
    /// Containers of Python's that are filled where they stand.
    filled: Vec<Global>,
    /// Whether the file is an object of such a class, and no container of values.
    is_object: bool,
}

impl Foreign {
    /// Walks `pickles` pickles, one behind the other. Where they break off or hold what is no opcode, it ends: the reader of
    /// the tensors says what is wrong there.
    pub fn in_pickles(reader: &mut impl BufRead, pickles: usize) -> Self {
        let mut foreign = Self::default();
        for _ in 0..pickles {
            if Walk::default().run(reader, &mut foreign).is_err() {
                break;
            }
        }
        foreign
    }

    /// `is_first`: nothing stands before it in its pickle.
    fn note(&mut self, global: Global, is_first: bool) {
        let sort = global.sort();
        self.is_object |= is_first && sort == Sort::Class;
        let kept = match sort {
            Sort::Code => &mut self.code,
            Sort::Class => &mut self.classes,
            Sort::Harmless if FILLED.contains(&global.name.as_str()) => &mut self.filled,
            Sort::Harmless => return,
        };
        if kept.len() < MAX_FOREIGN && !kept.contains(&global) {
            kept.push(global);
        }
    }

    /// Whether functions are named, or what cannot be known.
    pub fn has_code(&self) -> bool {
        !self.code.is_empty()
    }

    /// Whether the file is a pickled object, of whatever it is made.
    pub fn is_object(&self) -> bool {
        self.is_object
    }

    /// Whether layers are named, so that a model is pickled somewhere in the file.
    pub fn has_layers(&self) -> bool {
        self.classes.iter().any(Global::is_layer)
    }

    /// The functions in words.
    pub fn code_in_words(&self) -> String {
        in_words(self.code.iter())
    }

    /// All in words, layers last: what stands out comes first.
    pub fn all_in_words(&self) -> String {
        let (layers, others): (Vec<_>, Vec<_>) = self.classes.iter().partition(|global| global.is_layer());
        in_words(self.code.iter().chain(others).chain(layers))
    }

    /// Whether a `defaultdict` is named.
    pub fn has_defaultdict(&self) -> bool {
        self.filled.iter().any(|global| global.name == "defaultdict")
    }

    /// What may be filled in a way that the reader of the tensors does not know, in words; empty where nothing may.
    pub fn filled_in_words(&self) -> String {
        in_words(self.filled.iter().chain(&self.classes))
    }
}

fn in_words<'g>(globals: impl Iterator<Item = &'g Global>) -> String {
    shortened(&globals.map(|global| format!("`{}.{}`", global.module, global.name)).collect::<Vec<_>>(), 3)
}

/// What has to be remembered to know the two strings that `STACK_GLOBAL` takes off the stack.
#[derive(Default)]
struct Walk {
    /// The last values pushed, newest last, as far as they are strings.
    pushed: [Option<String>; 2],
    /// Strings by memo number.
    memo: std::collections::HashMap<u64, Option<String>>,
    /// Whether more than texts has come.
    begun: bool,
}

impl Walk {
    fn run(mut self, r: &mut impl BufRead, found: &mut Foreign) -> io::Result<()> {
        loop {
            let opcode = byte(r)?;
            match opcode {
                b'.' => return Ok(()),
                b'c' | b'i' => {
                    let global = Global { module: line(r)?, name: line(r)? };
                    found.note(global, !std::mem::replace(&mut self.begun, true));
                    self.push(None);
                }
                0x93 => {
                    let [module, name] = std::mem::take(&mut self.pushed).map(|s| s.unwrap_or_else(|| "?".into()));
                    found.note(Global { module, name }, !std::mem::replace(&mut self.begun, true));
                    self.push(None);
                }
                b'S' | b'V' => {
                    let text = line(r)?;
                    let quotes: &[char] = if opcode == b'S' { &['\'', '"'] } else { &[] };
                    self.push(Some(text.trim_matches(quotes).to_owned()));
                }
                0x8c | b'U' => self.string(r, 1)?,
                b'X' | b'T' => self.string(r, 4)?,
                0x8d => self.string(r, 8)?,
                0x94 => self.memoize(self.memo.len() as u64),
                b'q' => self.put(r, 1)?,
                b'r' => self.put(r, 4)?,
                b'p' => self.memoize(line(r)?.parse().unwrap_or(u64::MAX)),
                b'h' => self.get(r, 1)?,
                b'j' => self.get(r, 4)?,
                b'g' => self.recall(line(r)?.parse().unwrap_or(u64::MAX)),
                // Protocol and frame push nothing.
                0x80 | 0x95 => skip_argument(opcode, r)?,
                _ => {
                    skip_argument(opcode, r)?;
                    self.begun = true;
                    self.push(None);
                }
            }
        }
    }

    fn push(&mut self, value: Option<String>) {
        self.pushed.swap(0, 1);
        self.pushed[1] = value;
    }

    fn string(&mut self, r: &mut impl BufRead, length_bytes: usize) -> io::Result<()> {
        let length = number(r, length_bytes)?;
        let mut bytes = Vec::new();
        r.take(length.min(MAX_TEXT)).read_to_end(&mut bytes)?;
        skip(r, length - bytes.len() as u64)?;
        self.push(Some(String::from_utf8_lossy(&bytes).into_owned()));
        Ok(())
    }

    fn put(&mut self, r: &mut impl BufRead, bytes: usize) -> io::Result<()> {
        let index = number(r, bytes)?;
        self.memoize(index);
        Ok(())
    }

    fn get(&mut self, r: &mut impl BufRead, bytes: usize) -> io::Result<()> {
        let index = number(r, bytes)?;
        self.recall(index);
        Ok(())
    }

    fn memoize(&mut self, index: u64) {
        // Beyond the limit a text is unknown, and a global built of it foreign.
        if self.memo.len() < MAX_MEMO || self.memo.contains_key(&index) {
            self.memo.insert(index, self.pushed[1].clone());
        }
    }

    fn recall(&mut self, index: u64) {
        self.push(self.memo.get(&index).cloned().flatten());
    }
}

/// Passes over what stands behind an opcode that pushes no string.
pub(super) fn skip_argument(opcode: u8, r: &mut impl BufRead) -> io::Result<()> {
    let fixed = match opcode {
        b'I' | b'L' | b'F' | b'P' => return line(r).map(drop),
        b'K' | 0x80 | 0x82 => 1,
        b'M' | 0x83 => 2,
        b'J' | 0x84 => 4,
        b'G' | 0x95 => 8,
        b'C' | 0x8a => number(r, 1)?,
        b'B' | 0x8b => number(r, 4)?,
        0x8e | 0x96 => number(r, 8)?,
        b'('
        | b'0'
        | b'1'
        | b'2'
        | b'N'
        | b'R'
        | b'b'
        | b'd'
        | b'l'
        | b't'
        | b's'
        | b'o'
        | b'a'
        | b'e'
        | b'u'
        | b')'
        | b']'
        | b'}'
        | b'Q'
        | 0x81
        | 0x85..=0x89
        | 0x8f..=0x92
        | 0x97
        | 0x98 => 0,
        _ => return Err(io::ErrorKind::InvalidData.into()),
    };
    skip(r, fixed)
}

pub(super) fn byte(r: &mut impl BufRead) -> io::Result<u8> {
    let mut byte = [0];
    r.read_exact(&mut byte)?;
    Ok(byte[0])
}

/// A little-endian number of `bytes` bytes, at most 8.
pub(super) fn number(r: &mut impl BufRead, bytes: usize) -> io::Result<u64> {
    let mut buffer = [0; 8];
    r.read_exact(&mut buffer[..bytes])?;
    Ok(u64::from_le_bytes(buffer))
}

/// A line, of which no more than [`MAX_TEXT`] bytes are kept.
pub(super) fn line(r: &mut impl BufRead) -> io::Result<String> {
    let mut bytes = Vec::new();
    r.take(MAX_TEXT).read_until(b'\n', &mut bytes)?;
    if bytes.last() == Some(&b'\n') {
        bytes.pop();
    } else if bytes.len() as u64 == MAX_TEXT {
        r.skip_until(b'\n')?;
    } else {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(String::from_utf8_lossy(&bytes).trim_end_matches('\r').to_owned())
}

fn skip(r: &mut impl BufRead, bytes: u64) -> io::Result<()> {
    match io::copy(&mut r.take(bytes), &mut io::sink())? {
        copied if copied == bytes => Ok(()),
        _ => Err(io::ErrorKind::UnexpectedEof.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn foreign(pickle: &[u8]) -> String {
        Foreign::in_pickles(&mut &pickle[..], 1).code_in_words()
    }

    #[test]
    fn a_call_is_named_whether_its_result_is_kept_or_dropped() {
        assert_eq!(foreign(b"cposix\nsystem\n(S'true'\ntR."), "`posix.system`");
        assert_eq!(foreign(b"\x80\x02cposix\nsystem\n(S'true'\ntR0}."), "`posix.system`");
        assert_eq!(foreign(b"(S'true'\nios\nsystem\n."), "`os.system`");
    }

    #[test]
    fn a_long_text_hides_nothing() {
        for text in [[b"V", &[b'x'; 5000][..], b"\n"].concat(), [&b"X\x88\x13\x00\x00"[..], &[b'x'; 5000]].concat()] {
            assert_eq!(foreign(&[&text[..], b"cos\nsystem\n."].concat()), "`os.system`");
        }
    }

    #[test]
    fn a_global_built_on_the_stack_is_named() {
        assert_eq!(foreign(b"\x80\x04\x8c\x02os\x94\x8c\x06system\x94\x93."), "`os.system`");
        let through_the_memo = b"\x80\x04\x8c\x02os\x94\x8c\x06system\x94}h\x00h\x01\x93.";
        assert_eq!(foreign(through_the_memo), "`os.system`");
        assert_eq!(foreign(b"\x80\x04}}\x93."), "`?.?`", "what cannot be known is not harmless");
    }

    #[test]
    fn what_a_state_dict_is_made_of_is_harmless() {
        let pickle = b"\x80\x02ccollections\nOrderedDict\n)Rctorch._utils\n_rebuild_tensor_v2\nctorch\nFloatStorage\n.";
        assert_eq!(Foreign::in_pickles(&mut &pickle[..], 1), Foreign::default());
    }

    #[test]
    fn a_pickled_model_is_told_by_its_layers() {
        let pickle = b"ctorch.nn.modules.conv\nConv2d\n)\x81c__main__\nUNet\n)\x81.";
        let foreign = Foreign::in_pickles(&mut &pickle[..], 1);
        assert!(foreign.has_layers() && foreign.is_object() && !foreign.has_code());
        assert_eq!(foreign.all_in_words(), "`__main__.UNet`, `torch.nn.modules.conv.Conv2d`");
    }

    #[test]
    fn objects_beside_weights_make_no_pickled_model_of_a_file() {
        for pickle in [
            &b"\x80\x02}X\x04\x00\x00\x00lossctorch.nn.modules.loss\nCrossEntropyLoss\n)\x81s."[..],
            b"\x80\x02ccollections\nOrderedDict\n)RX\x03\x00\x00\x00optctorch.optim.adam\nAdam\ns.",
        ] {
            let foreign = Foreign::in_pickles(&mut &pickle[..], 1);
            assert!(!foreign.is_object() && !foreign.has_layers() && !foreign.has_code(), "{foreign:?}");
            assert_ne!(foreign.filled_in_words(), "");
        }
        let framed = b"\x80\x04\x95\x10\x00\x00\x00\x00\x00\x00\x00\x8c\x08__main__\x94\x8c\x04UNet\x94\x93)\x81.";
        assert!(Foreign::in_pickles(&mut &framed[..], 1).is_object());
    }

    #[test]
    fn a_name_far_down_the_memo_is_not_taken_for_a_harmless_one() {
        let harmless = b"\x80\x04\x8c\x05torch\x94\x8c\x04Size\x94\x93.";
        assert_eq!(foreign(harmless), "");
        let many = [&b"\x80\x04\x8c\x05torch"[..], &[0x94; 70_000], b"j\x00\x11\x01\x00\x8c\x04Size\x93."].concat();
        assert_eq!(foreign(&many), "`?.Size`");
    }

    #[test]
    fn a_pickle_that_breaks_off_still_names_what_came_before() {
        assert_eq!(foreign(b"cos\nsystem\nX\xff\xff\xff\xffabc"), "`os.system`");
        assert_eq!(foreign(b""), "");
    }
}
