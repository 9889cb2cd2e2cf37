//! The header of an `.npy` file: what the array is, as a Python dictionary.
//!
//! Nothing is evaluated, and nothing calls itself however deep the brackets are.

use std::io::Read;

use crate::shown::shown;

/// The longest header that is read; NumPy's own reader takes 10,000 bytes.
const MOST_BYTES: u64 = 1 << 16;
/// The most axes of an array, as in NumPy.
const MOST_AXES: usize = 64;

/// What a header says.
#[derive(Debug, PartialEq)]
pub(super) struct Header {
    /// Extents, outermost first.
    pub shape: Vec<u64>,
    /// Whether the first index runs fastest.
    pub fortran: bool,
    /// The elements' type as it is written, quotes and all.
    pub element: String,
}

impl Header {
    /// Reads up to the first element.
    ///
    /// # Errors
    /// What is wrong, in words.
    pub fn read(reader: &mut impl Read) -> Result<Self, String> {
        let mut start = [0; 8];
        reader.read_exact(&mut start).map_err(|_| "it breaks off in its first bytes")?;
        let [magic @ .., version, _] = start;
        if magic != *b"\x93NUMPY" {
            return Err("it does not begin as one".into());
        }
        // From the second version on the length has four bytes.
        let mut length = [0; 4];
        let place = match version {
            1 => &mut length[..2],
            2 | 3 => &mut length[..],
            _ => return Err(format!("version {version}")),
        };
        reader.read_exact(place).map_err(|_| "it breaks off in its first bytes")?;
        let length = u64::from(u32::from_le_bytes(length));
        if length > MOST_BYTES {
            return Err(format!("a header of {length} bytes"));
        }
        let mut text = String::new();
        let read = reader.take(length).read_to_string(&mut text).map_err(|error| error.to_string())?;
        if (read as u64) < length {
            return Err("it breaks off in its header".into());
        }
        Self::parse(&text)
    }

    fn parse(text: &str) -> Result<Self, String> {
        let inner = text.trim().strip_prefix('{').and_then(|text| text.strip_suffix('}'));
        let entries = entries(inner.ok_or("its header is no dictionary")?);
        let value = |key: &str| {
            let of_key = |entry: &str| {
                let (name, value) = entry.split_once(':')?;
                (name.trim().trim_matches(['\'', '"']) == key).then(|| value.trim().to_owned())
            };
            entries.iter().find_map(|entry| of_key(entry)).ok_or_else(|| format!("its header has no `{key}`"))
        };
        let wrong = |key: &str, value: &str| format!("its `{key}` is {}", shown(value));
        let order = value("fortran_order")?;
        let fortran = match order.as_str() {
            "True" => true,
            "False" => false,
            _ => return Err(wrong("fortran_order", &order)),
        };
        let extents = value("shape")?;
        let shape = shape(&extents).ok_or_else(|| wrong("shape", &extents))?;
        Ok(Self { shape, fortran, element: value("descr")?.replace('"', "'") })
    }
}

/// The parts between the commas that are in no bracket and no text.
fn entries(text: &str) -> Vec<&str> {
    let (mut depth, mut quote, mut begin) = (0usize, None, 0);
    let mut entries = Vec::new();
    for (at, letter) in text.char_indices() {
        match (quote, letter) {
            (Some(end), _) if letter == end => quote = None,
            (Some(_), _) => {}
            (None, '\'' | '"') => quote = Some(letter),
            (None, '(' | '[' | '{') => depth += 1,
            (None, ')' | ']' | '}') => depth = depth.saturating_sub(1),
            (None, ',') if depth == 0 => {
                entries.push(&text[begin..at]);
                begin = at + 1;
            }
            _ => {}
        }
    }
    entries.push(&text[begin..]);
    entries
}

/// The extents of `(2, 3)`, `(2,)` or `()`.
fn shape(text: &str) -> Option<Vec<u64>> {
    let inner = text.strip_prefix('(')?.strip_suffix(')')?.trim();
    if inner.is_empty() {
        return Some(Vec::new());
    }
    let inner = inner.strip_suffix(',').unwrap_or(inner);
    // Python 2 wrote an L behind long numbers.
    let extents = inner.split(',').map(|extent| extent.trim().trim_end_matches('L').parse().ok());
    extents.collect::<Option<Vec<u64>>>().filter(|extents| extents.len() <= MOST_AXES)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(text: &str) -> Result<Header, String> {
        let length = (text.len() as u32).to_le_bytes();
        Header::read(&mut &[b"\x93NUMPY\x02\x00", &length[..], text.as_bytes()].concat()[..])
    }

    #[test]
    fn a_header_is_read_in_any_order_of_its_keys() {
        for text in [
            "{'descr': '<f4', 'fortran_order': True, 'shape': (2, 3), }     \n",
            "{\"shape\":(2L,3),\"descr\":\"<f4\",\"fortran_order\":True}",
        ] {
            let expected = Header { shape: vec![2, 3], fortran: true, element: "'<f4'".into() };
            assert_eq!(header(text), Ok(expected), "{text}");
        }
        let shape = |shape: &str| header(&format!("{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}}}"));
        assert_eq!(shape("()").unwrap().shape, [0u64; 0]);
        assert_eq!(shape("(7,)").unwrap().shape, [7]);
    }

    #[test]
    fn a_record_is_an_element_of_that_name() {
        let text = "{'descr': [('a', '<f4'), ('b', '<i2')], 'fortran_order': False, 'shape': (1,)}";
        assert_eq!(header(text).unwrap().element, "[('a', '<f4'), ('b', '<i2')]");
    }

    #[test]
    fn what_is_no_header_is_refused_in_words() {
        let many = format!("({})", "1,".repeat(65));
        for (text, words) in [
            ("", "no dictionary"),
            ("{}", "no `fortran_order`"),
            ("{'fortran_order': 1, 'shape': (), 'descr': ''}", "`fortran_order` is 1"),
            ("{'fortran_order': True, 'shape': 3, 'descr': ''}", "`shape` is 3"),
            ("{'fortran_order': True, 'shape': (-3,), 'descr': ''}", "`shape` is (-3,)"),
            ("{'fortran_order': True, 'shape': (), 'desc': ''}", "no `descr`"),
            (&format!("{{'fortran_order': True, 'shape': {many}, 'descr': ''}}"), "`shape` is"),
            (&"(".repeat(60_000), "no dictionary"),
            (&format!("{{'shape': {}", "(".repeat(60_000)), "no dictionary"),
            (&" ".repeat(70_000), "a header of 70000 bytes"),
        ] {
            let error = header(text).unwrap_err();
            assert!(error.contains(words) && error.len() < 500, "{error}");
        }
        for (bytes, words) in [
            (&b"\x93NUMPY"[..], "breaks off in its first bytes"),
            (b"\x93NUMPY\x01\x00\x05\x00{}", "breaks off in its header"),
            (b"\x93NUMPY\x02\x00\xff\xff\xff\xff{}", "a header of 4294967295 bytes"),
            (b"\x93NUMPY\x09\x00\x02\x00{}", "version 9"),
            (b"\x93NUMPX\x01\x00\x02\x00{}", "does not begin as one"),
            (b"\x93NUMPY\x01\x00\x02\x00\xff\xff", "UTF-8"),
        ] {
            let error = Header::read(&mut &bytes[..]).unwrap_err();
            assert!(error.contains(words), "{error}");
        }
    }
}
