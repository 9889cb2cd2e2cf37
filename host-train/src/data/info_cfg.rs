//! ACDC's `Info.cfg`: a line a key, as in `ED: 1`.
//!
//! Files come as people's editors and scripts left them: with a byte order mark, in UTF-8, UTF-16 or Latin-1, with `=` for
//! `:`, keys in small letters, `1.0` for 1, any line ending.

use std::fs;
use std::path::{Path, PathBuf};

use super::DataError;
use crate::shown::shown;

/// The keys of `Info.cfg` that are used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InfoCfg {
    /// The frame of end-diastole, from 1.
    pub end_diastole: u32,
    /// The frame of end-systole, from 1.
    pub end_systole: u32,
    /// The diagnosis, or empty.
    pub group: String,
}

/// More frames has no series of one heartbeat.
const MAX_FRAME: u32 = 9999;

impl InfoCfg {
    /// Reads the file at `path`.
    ///
    /// # Errors
    /// [`DataError::Io`]; [`DataError::InfoCfg`] names the key that is missing, that has two values, or whose value is no
    /// frame's number.
    pub fn read(path: &Path) -> Result<Self, DataError> {
        Self::parse(&fs::read(path).map_err(DataError::io(path, "read"))?, path)
    }

    /// Reads the bytes of a file; `path` is what errors name.
    ///
    /// # Errors
    /// As of [`InfoCfg::read`], but for the system's.
    pub fn parse(bytes: &[u8], path: &Path) -> Result<Self, DataError> {
        let file = Keys { text: text_of(bytes), path };
        let (end_diastole, end_systole) = (file.frame("ED")?, file.frame("ES")?);
        if end_diastole == end_systole {
            return Err(file.bad("ES", format!("frame {end_systole}, as ED is; they are two frames of a heartbeat")));
        }
        Ok(Self { end_diastole, end_systole, group: file.value("Group")?.unwrap_or_default().to_string() })
    }
}

struct Keys<'a> {
    text: String,
    path: &'a Path,
}

impl Keys<'_> {
    fn bad(&self, key: &'static str, reason: String) -> DataError {
        DataError::InfoCfg { path: PathBuf::from(self.path), key, reason }
    }

    /// The key's value, in whatever letters the key is written.
    fn value(&self, key: &'static str) -> Result<Option<&str>, DataError> {
        let pairs = self.text.split(['\n', '\r']).filter_map(pair);
        let mut values = pairs.filter(|(name, _)| name.eq_ignore_ascii_case(key)).map(|(_, value)| value);
        let Some(first) = values.next() else { return Ok(None) };
        match values.find(|value| *value != first) {
            Some(other) => Err(self.bad(key, format!("is there twice, as `{}` and `{}`", shown(first), shown(other)))),
            None => Ok(Some(first)),
        }
    }

    fn frame(&self, key: &'static str) -> Result<u32, DataError> {
        let text = self.value(key)?.ok_or_else(|| self.bad(key, "missing; expected a frame number".to_string()))?;
        let number = text.parse::<f64>().ok().filter(|n| n.fract() == 0.0 && (1.0..=f64::from(MAX_FRAME)).contains(n));
        let reason = || format!("`{}` is not a frame number; expected 1 to {MAX_FRAME}", shown(text));
        number.map(|n| n as u32).ok_or_else(|| self.bad(key, reason()))
    }
}

/// The key and the value of a line; `None` where there are not two.
fn pair(line: &str) -> Option<(&str, &str)> {
    let around = |c: char| c.is_whitespace() || matches!(c, '\u{feff}' | '"' | '\'');
    let (name, value) =
        line.trim_matches(around).split_once([':', '=']).or_else(|| line.trim().split_once(char::is_whitespace))?;
    let value = value.split(['#', ';']).next().unwrap_or_default();
    Some((name.trim_matches(around), value.trim_matches(around)))
}

/// The text of a file: UTF-16 where a mark or zero bytes say so, UTF-8 where it is valid, else Latin-1.
fn text_of(bytes: &[u8]) -> String {
    let units = |to_unit: fn([u8; 2]) -> u16| {
        let units: Vec<u16> = bytes.chunks_exact(2).map(|pair| to_unit([pair[0], pair[1]])).collect();
        String::from_utf16_lossy(&units)
    };
    match *bytes {
        [0xff, 0xfe, ..] => units(u16::from_le_bytes),
        [0xfe, 0xff, ..] => units(u16::from_be_bytes),
        [letter, 0, ..] if letter > 0 => units(u16::from_le_bytes),
        [0, letter, ..] if letter > 0 => units(u16::from_be_bytes),
        _ => match std::str::from_utf8(bytes) {
            Ok(text) => text.to_string(),
            Err(_) => bytes.iter().map(|&byte| char::from(byte)).collect(),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(bytes: &[u8]) -> Result<(u32, u32, String), String> {
        let info = InfoCfg::parse(bytes, Path::new("patient001/Info.cfg"));
        info.map(|info| (info.end_diastole, info.end_systole, info.group)).map_err(|error| error.to_string())
    }

    #[test]
    fn the_keys_are_found_however_they_are_written() {
        for text in [
            "ED: 1\nES: 12\nGroup: NOR\nHeight: 170.0\n",
            "\u{feff}ED: 1\nES: 12\nGroup: NOR\n",
            "ED: 1\r\nES: 12\r\nGroup: NOR\r\n",
            "ED: 1\rES: 12\rGroup: NOR",
            "ed: 1\nes: 12\ngroup: NOR",
            "ED=1\nES=12\nGroup=NOR",
            "  ED\t :  1 \n\n ES : 12\t\n Group :NOR ",
            "ED: 1.0\nES: 12.00\nGroup: NOR",
            "ED: 01\nES: 012\nGroup: \"NOR\"",
            "[patient]\n# frames\nED = 1 # full\nES = 12 ; contracted\nGroup = NOR",
            "ED 1\nES 12\nGroup NOR",
            "Group: NOR\nES: 12\nED: 1\nED: 1",
            "\u{a0}ED:\u{a0}1\nES: 12\nGroup: NOR",
        ] {
            assert_eq!(parse(text.as_bytes()), Ok((1, 12, "NOR".to_string())), "{text:?}");
        }
    }

    #[test]
    fn other_encodings_are_read() {
        let text = "ED: 1\nES: 12\nGroup: NOR\n";
        let marked = format!("\u{feff}{text}");
        for text in [text, &marked] {
            let little: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
            let big: Vec<u8> = text.encode_utf16().flat_map(u16::to_be_bytes).collect();
            assert_eq!(parse(&little), Ok((1, 12, "NOR".to_string())));
            assert_eq!(parse(&big), Ok((1, 12, "NOR".to_string())));
        }
        let latin1 = b"ED: 1\nES: 12\nGroup: g\xe9n\xe9ral\n";
        assert_eq!(parse(latin1), Ok((1, 12, "g\u{e9}n\u{e9}ral".to_string())));
        assert_eq!(parse("ED: 1\nES: 2\n".as_bytes()), Ok((1, 2, String::new())));
    }

    #[test]
    fn a_frame_is_a_whole_number_from_1() {
        for bad in ["0", "-1", "1.5", "nan", "inf", "1e308", "10000", "4294967297", "first", "", "1,0", "0x1"] {
            let error = parse(format!("ED: {bad}\nES: 12\n").as_bytes()).unwrap_err();
            assert!(error.contains("Info.cfg: key ED") && error.contains(bad), "{bad}: {error}");
            assert!(error.contains("1 to 9999"), "{bad}: {error}");
        }
    }

    #[test]
    fn what_is_missing_or_said_twice_is_named() {
        for (text, words) in [
            ("ED: 1\n", "key ES: missing"),
            ("", "key ED: missing"),
            ("ED: 1\nED: 4\nES: 12", "key ED: is there twice, as `1` and `4`"),
            ("ED: 3\nES: 3\n", "key ES: frame 3, as ED is"),
        ] {
            let error = parse(text.as_bytes()).unwrap_err();
            assert!(error.contains(words), "{text:?}: {error}");
        }
        let error = parse(&[&b"ED: \x1b[31m"[..], &[b'x'; 5000]].concat()).unwrap_err();
        assert!(error.len() < 400 && !error.contains('\u{1b}'), "{error}");
    }

    #[test]
    fn no_bytes_make_it_panic() {
        for bytes in [
            &[0xff][..],
            &[0xff, 0xfe],
            &[0xff, 0xfe, 0],
            &[0xfe, 0xff, 0xd8],
            &[0],
            &[0, 0],
            &[1, 0],
            b"ED:",
            b":",
            b"=",
        ] {
            assert!(parse(bytes).is_err());
        }
    }
}
