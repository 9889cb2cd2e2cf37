//! A file's bytes, unpacked where they are gzip: told by content, not by name.
//!
//! A gzip file may have several members (as `bgzip`, `pigz --independent` or appending make them) and zeros after each. A
//! stream is whole only where every member ends with the right checksum; see [`Stream::finish`].

use std::fs::File;
use std::io::{self, BufRead, BufReader, Cursor, Read};
use std::path::Path;

use flate2::bufread::GzDecoder;

/// Deflate makes at most so many bytes of one.
const LARGEST_RATIO: u64 = 1032;

/// A file, or bytes like those of one.
pub(super) struct Stream<'a> {
    reader: Reader<'a>,
    /// Bytes given out so far.
    at: u64,
    /// Most bytes that it can have, unpacked; unknown of what is no file on a disk.
    most: Option<u64>,
}

type Source<'a> = Box<dyn BufRead + 'a>;

enum Reader<'a> {
    Plain(Source<'a>),
    Gzip(Box<Members<Source<'a>>>),
}

impl<'a> Stream<'a> {
    /// Opens a file.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let file = File::open(path)?;
        let metadata = file.metadata()?;
        let length = metadata.is_file().then_some(metadata.len());
        Self::new(BufReader::with_capacity(1 << 16, file), length)
    }

    /// What `source` holds, `length` bytes where that is known. Its first two bytes say what it is.
    pub(super) fn new(mut source: impl BufRead + 'a, length: Option<u64>) -> io::Result<Self> {
        let mut first = Vec::new();
        source.by_ref().take(2).read_to_end(&mut first)?;
        let gzip = first == [0x1f, 0x8b];
        let source: Source<'a> = Box::new(Cursor::new(first).chain(source));
        let most = length.map(|length| if gzip { length.saturating_mul(LARGEST_RATIO) } else { length });
        let reader = if gzip { Reader::Gzip(Box::new(Members::new(source))) } else { Reader::Plain(source) };
        Ok(Self { reader, at: 0, most })
    }

    /// Whether it may have as many bytes, unpacked.
    pub(super) fn may_have(&self, bytes: u64) -> bool {
        self.most.is_none_or(|most| bytes <= most)
    }

    /// Reads on to the byte `to`, which lies ahead.
    pub(super) fn skip_to(&mut self, to: u64) -> io::Result<()> {
        let wanted = to - self.at;
        let skipped = io::copy(&mut self.by_ref().take(wanted), &mut io::sink())?;
        if skipped < wanted { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(()) }
    }

    /// Reads what is left of a gzip file, at most to the byte `most`, so that its checksums are compared; `false` where there
    /// is more. Bytes after the voxels of a plain file say nothing.
    pub(super) fn finish(mut self, most: u64) -> io::Result<bool> {
        if matches!(self.reader, Reader::Plain(_)) {
            return Ok(true);
        }
        let left = most.saturating_sub(self.at).saturating_add(1);
        io::copy(&mut self.by_ref().take(left), &mut io::sink())?;
        Ok(self.at <= most)
    }
}

impl Read for Stream<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let read = match &mut self.reader {
            Reader::Plain(source) => source.read(into),
            Reader::Gzip(members) => members.read(into),
        }?;
        self.at += read as u64;
        Ok(read)
    }
}

/// The members of a gzip file, one after another.
struct Members<R> {
    member: Option<GzDecoder<R>>,
}

impl<R: BufRead> Members<R> {
    fn new(source: R) -> Self {
        Self { member: Some(GzDecoder::new(source)) }
    }
}

impl<R: BufRead> Read for Members<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        while let (Some(member), false) = (&mut self.member, into.is_empty()) {
            // The decoder gives 0 bytes after it has compared length and checksum.
            let read = member.read(into)?;
            if read > 0 {
                return Ok(read);
            }
            let rest = self.member.take().map(GzDecoder::into_inner);
            self.member = rest.map(next_member).transpose()?.flatten();
        }
        Ok(0)
    }
}

/// The next member, past zeros; `None` at the end.
fn next_member<R: BufRead>(mut rest: R) -> io::Result<Option<GzDecoder<R>>> {
    loop {
        let ahead = rest.fill_buf()?;
        let zeros = ahead.iter().take_while(|&&byte| byte == 0).count();
        match ahead.get(zeros) {
            Some(0x1f) => {
                rest.consume(zeros);
                return Ok(Some(GzDecoder::new(rest)));
            }
            Some(_) => {
                let what = "after the compressed data come bytes that are neither zeros nor gzip";
                return Err(io::Error::new(io::ErrorKind::InvalidData, what));
            }
            None if zeros == 0 => return Ok(None),
            None => rest.consume(zeros),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;

    fn packed(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn unpacked(bytes: &[u8]) -> io::Result<Vec<u8>> {
        // A small buffer, so that members and zeros end anywhere in it.
        let mut found = Vec::new();
        Members::new(BufReader::with_capacity(7, bytes)).read_to_end(&mut found)?;
        Ok(found)
    }

    #[test]
    fn members_follow_each_other_with_zeros_after_any() {
        let (first, empty, second) = (packed(b"one "), packed(b""), packed(b"two"));
        assert_eq!(unpacked(&[&first[..], &second].concat()).unwrap(), b"one two");
        assert_eq!(unpacked(&[&first[..], &empty, &[0; 20], &second, &[0; 9]].concat()).unwrap(), b"one two");
        assert_eq!(unpacked(&[&empty[..], &empty].concat()).unwrap(), b"");
    }

    #[test]
    fn a_member_that_is_damaged_or_cut_is_an_error_wherever_it_is() {
        let (first, second) = (packed(b"one "), packed(b"two"));
        let whole = [&first[..], &second].concat();
        for length in 1..whole.len() {
            let cut = unpacked(&whole[..length]);
            assert_eq!(cut.is_ok(), length == first.len(), "{length} bytes");
        }
        for at in [first.len() - 8, first.len() - 4, whole.len() - 8, whole.len() - 4] {
            let mut damaged = whole.clone();
            damaged[at] ^= 1;
            assert!(unpacked(&damaged).is_err(), "byte {at} of checksum or length");
        }
        assert!(unpacked(&[&first[..], b"more"].concat()).unwrap_err().to_string().contains("neither zeros nor gzip"));
    }
}
