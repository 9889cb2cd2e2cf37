//! PNG files of one value a pixel, as stored: intensities and classes.
//!
//! A file of 1, 2 or 4 bits holds 0 to 1, 3 or 15; nothing is stretched. A palette gives a label's classes by its indices,
//! whatever their colours, and an image's intensities by its greys.

use std::fs::File;
use std::io::{BufRead, BufReader, Seek};
use std::path::Path;

use image::{ImageBuffer, Luma};
use png::{BitDepth, ColorType, Decoder, Limits, Reader, Transformations};

use super::{CLASSES, DataError};

/// How much a picture may take unpacked, in the file's bits and as the 16 bits a value that are read of it. A slice is far
/// smaller; a damaged header must not make the program ask for all memory.
const MAX_BYTES: usize = 256 << 20;

/// A picture of one value a pixel.
pub struct Grey {
    /// Rows.
    pub height: usize,
    /// Columns.
    pub width: usize,
    /// Values, row-major.
    pub values: Vec<u16>,
}

impl Grey {
    /// Reads an image: grey of 1 to 16 bits as stored, or the greys of a palette.
    ///
    /// # Errors
    /// [`DataError::Png`] for a damaged file, and for one with colours or transparency in every pixel.
    pub fn read(path: &Path) -> Result<Self, DataError> {
        Self::of_image(open(path)?, path)
    }

    /// [`Grey::read`] from any reader; `path` is what errors name.
    ///
    /// # Errors
    /// As of [`Grey::read`].
    pub fn of_image(reader: impl BufRead + Seek, path: &Path) -> Result<Self, DataError> {
        let stored = Stored::read(reader, path)?;
        let Some(palette) = stored.palette else { return Ok(stored.grey) };
        let broken = |reason: String| DataError::Png { path: path.to_path_buf(), reason };
        let grey = |&index: &u16| match palette.chunks_exact(3).nth(index.into()) {
            Some(&[r, g, b]) if r == g && g == b => Ok(r.into()),
            Some(&[r, g, b]) => Err(broken(format!(
                "its palette has the colour {r}, {g}, {b}, which is no intensity; save it as 8- or 16-bit grey"
            ))),
            _ => Err(broken(format!("a pixel has the index {index}, and the palette {} colours", palette.len() / 3))),
        };
        let values = stored.grey.values.iter().map(grey).collect::<Result<_, _>>()?;
        Ok(Self { values, ..stored.grey })
    }

    /// Reads a label, grey or palette, and checks that every stored value is a class.
    ///
    /// # Errors
    /// As of [`Grey::read`]; [`DataError::LabelValue`].
    pub fn read_label(path: &Path) -> Result<(Self, Vec<u8>), DataError> {
        Self::of_label(open(path)?, path)
    }

    /// [`Grey::read_label`] from any reader; `path` is what errors name.
    ///
    /// # Errors
    /// As of [`Grey::read_label`].
    pub fn of_label(reader: impl BufRead + Seek, path: &Path) -> Result<(Self, Vec<u8>), DataError> {
        let grey = Stored::read(reader, path)?.grey;
        if let Some(index) = grey.values.iter().position(|&v| usize::from(v) >= CLASSES) {
            let position = format!("x={}, y={}", index % grey.width, index / grey.width);
            return Err(DataError::LabelValue { path: path.to_path_buf(), value: grey.values[index].into(), position });
        }
        let classes = grey.values.iter().map(|&v| v as u8).collect();
        Ok((grey, classes))
    }

    /// Pixels of a picture, as its header says; `None` where that cannot be read.
    pub fn pixels(path: &Path) -> Option<u64> {
        let mut decoder = Decoder::new_with_limits(open(path).ok()?, Limits { bytes: MAX_BYTES });
        let info = decoder.read_header_info().ok()?;
        Some(u64::from(info.width) * u64::from(info.height))
    }

    /// The shape in words, for messages.
    pub fn shape(&self) -> String {
        format!("{}x{}", self.height, self.width)
    }
}

fn open(path: &Path) -> Result<BufReader<File>, DataError> {
    Ok(BufReader::new(File::open(path).map_err(DataError::io(path, "open"))?))
}

/// The stored values, and the palette that they point into, three bytes a colour.
struct Stored {
    grey: Grey,
    palette: Option<Vec<u8>>,
}

impl Stored {
    fn read(mut reader: impl BufRead + Seek, path: &Path) -> Result<Self, DataError> {
        let broken = |reason: String| DataError::Png { path: path.to_path_buf(), reason };
        if reader.fill_buf().map_err(DataError::io(path, "read"))?.is_empty() {
            return Err(broken("an empty file; copy it again".to_string()));
        }
        let mut decoder = Decoder::new_with_limits(reader, Limits { bytes: MAX_BYTES });
        decoder.set_transformations(Transformations::IDENTITY);
        let mut reader = decoder.read_info().map_err(|e| broken(explain(&e)))?;
        let info = reader.info();
        let (width, height) = (info.width as usize, info.height as usize);
        let bits = match info.bit_depth {
            BitDepth::One => 1,
            BitDepth::Two => 2,
            BitDepth::Four => 4,
            BitDepth::Eight => 8,
            BitDepth::Sixteen => 16,
        };
        let palette = match info.color_type {
            ColorType::Grayscale => None,
            ColorType::Indexed => Some(info.palette.as_deref().unwrap_or_default().to_vec()),
            other => return Err(broken(format!("it is {}; expected grey, or a palette", in_words(other)))),
        };
        // Of few bits a pixel, the values take more than the file's bytes.
        let count = width.checked_mul(height).filter(|&count| count <= MAX_BYTES / size_of::<u16>());
        let sizes = count.zip(reader.output_buffer_size().filter(|&bytes| bytes <= MAX_BYTES));
        let (count, bytes) =
            sizes.ok_or_else(|| broken(format!("{width}x{height} pixels is too large for a slice")))?;
        let raw = pixels(&mut reader, bytes).map_err(|e| broken(explain(&e)))?;
        let mut values = Vec::with_capacity(count);
        let rows = raw.chunks_exact((width * bits).div_ceil(8));
        rows.for_each(|row| values.extend(unpack(row, bits, width)));
        Ok(Self { grey: Grey { height, width, values }, palette })
    }
}

/// The rows as stored, and the file read to its end.
fn pixels(reader: &mut Reader<impl BufRead + Seek>, bytes: usize) -> Result<Vec<u8>, png::DecodingError> {
    let mut raw = vec![0; bytes];
    reader.next_frame(&mut raw)?;
    reader.finish()?;
    Ok(raw)
}

/// The values of one row of bytes, the first in the highest bits.
fn unpack(row: &[u8], bits: usize, width: usize) -> Vec<u16> {
    match bits {
        16 => row.chunks_exact(2).map(|v| u16::from_be_bytes([v[0], v[1]])).collect(),
        8 => row.iter().map(|&v| v.into()).collect(),
        _ => {
            let mask = (1 << bits) - 1;
            let value = |x: usize| {
                let bit = x * bits;
                u16::from(row[bit / 8] >> (8 - bits - bit % 8) & mask)
            };
            (0..width).map(value).collect()
        }
    }
}

fn in_words(color: ColorType) -> &'static str {
    match color {
        ColorType::Rgb => "a colour picture (RGB)",
        ColorType::Rgba => "a colour picture with transparency (RGBA)",
        ColorType::GrayscaleAlpha => "grey with transparency in every pixel",
        ColorType::Grayscale | ColorType::Indexed => "of one value a pixel",
    }
}

fn explain(error: &png::DecodingError) -> String {
    match error {
        png::DecodingError::IoError(e) if e.kind() == std::io::ErrorKind::UnexpectedEof => {
            "the file is cut off; copy it again".to_string()
        }
        png::DecodingError::LimitsExceeded => "its pixels are too many; it is too large for a slice".to_string(),
        other => other.to_string(),
    }
}

/// Writes a 16-bit grey PNG.
pub fn write_image(path: &Path, height: usize, width: usize, values: Vec<u16>) -> Result<(), DataError> {
    write_grey::<u16>(path, height, width, values)
}

/// Writes an 8-bit grey PNG.
pub fn write_label(path: &Path, height: usize, width: usize, values: Vec<u8>) -> Result<(), DataError> {
    write_grey::<u8>(path, height, width, values)
}

fn write_grey<T>(path: &Path, height: usize, width: usize, values: Vec<T>) -> Result<(), DataError>
where
    T: image::Primitive,
    Luma<T>: image::Pixel<Subpixel = T> + image::PixelWithColorType,
    [T]: image::EncodableLayout,
{
    let broken = |reason: String| DataError::Png { path: path.to_path_buf(), reason };
    let buffer: Option<ImageBuffer<Luma<T>, Vec<T>>> = ImageBuffer::from_raw(width as u32, height as u32, values);
    let buffer = buffer.ok_or_else(|| broken(format!("fewer values than {height}x{width}")))?;
    buffer.save_with_format(path, image::ImageFormat::Png).map_err(|e| match e {
        image::ImageError::IoError(source) => DataError::Io { path: path.to_path_buf(), action: "write", source },
        other => broken(other.to_string()),
    })
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    type Form = (u32, BitDepth, ColorType);

    /// A file of these rows of bytes.
    fn file((width, bits, color): Form, rows: &[&[u8]], palette: Option<&[u8]>) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut encoder = png::Encoder::new(&mut bytes, width, rows.len() as u32);
        encoder.set_color(color);
        encoder.set_depth(bits);
        if let Some(palette) = palette {
            encoder.set_palette(palette.to_vec());
            encoder.set_trns(vec![0, 128]);
        }
        encoder.write_header().unwrap().write_image_data(&rows.concat()).unwrap();
        bytes
    }

    fn image(bytes: &[u8]) -> Result<Grey, DataError> {
        Grey::of_image(Cursor::new(bytes), Path::new("slice.png"))
    }

    fn label(bytes: &[u8]) -> Result<Vec<u8>, DataError> {
        Grey::of_label(Cursor::new(bytes), Path::new("slice.png")).map(|(_, classes)| classes)
    }

    fn refusal<T>(read: Result<T, DataError>) -> String {
        read.err().map(|error| error.to_string()).expect("a refusal")
    }

    #[test]
    fn values_of_few_bits_are_those_stored() {
        let rows: [&[u8]; 2] = [&[0b1010_0000, 0b0100_0000], &[0b0000_0000, 0b1100_0000]];
        let one = file((10, BitDepth::One, ColorType::Grayscale), &rows, None);
        let expected = [1, 0, 1, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1];
        assert_eq!(label(&one).unwrap(), expected);
        let read = image(&one).unwrap();
        assert_eq!((read.width, read.height, read.values), (10, 2, expected.map(u16::from).to_vec()));
        let two = file((5, BitDepth::Two, ColorType::Grayscale), &[&[0b0001_1011, 0b1100_0000]], None);
        assert_eq!(label(&two).unwrap(), [0, 1, 2, 3, 3]);
        assert_eq!(image(&two).unwrap().values, [0, 1, 2, 3, 3]);
        let four = file((3, BitDepth::Four, ColorType::Grayscale), &[&[0x1f, 0x30]], None);
        assert_eq!(image(&four).unwrap().values, [1, 15, 3]);
        assert!(refusal(label(&four)).contains("label value 15 at x=1, y=0"));
    }

    #[test]
    fn sixteen_bits_are_read_whole() {
        let form = (2, BitDepth::Sixteen, ColorType::Grayscale);
        assert_eq!(image(&file(form, &[&[0x12, 0x34, 0, 3]], None)).unwrap().values, [0x1234, 3]);
        assert_eq!(label(&file(form, &[&[0, 2, 0, 3]], None)).unwrap(), [2, 3]);
    }

    #[test]
    fn a_palette_gives_a_label_its_indices_and_an_image_its_greys() {
        let colours = [9, 9, 9, 255, 0, 0, 0, 0, 255, 0, 255, 0];
        let greys = [9, 9, 9, 70, 70, 70, 200, 200, 200, 1, 1, 1];
        let rows: [(BitDepth, &[u8]); 3] =
            [(BitDepth::Two, &[0b1100_0110]), (BitDepth::Four, &[0x30, 0x12]), (BitDepth::Eight, &[3, 0, 1, 2])];
        for (bits, row) in rows {
            let of = |palette: &[u8]| file((4, bits, ColorType::Indexed), &[row], Some(palette));
            assert_eq!(label(&of(&colours)).unwrap(), [3, 0, 1, 2], "{bits:?}");
            assert_eq!(label(&of(&greys)).unwrap(), [3, 0, 1, 2], "{bits:?}");
            assert_eq!(image(&of(&greys)).unwrap().values, [1, 9, 70, 200], "{bits:?}");
            assert!(refusal(image(&of(&colours))).contains("its palette has the colour 0, 255, 0"));
            // A palette that is too short says nothing of an image's intensity; a label needs no colours.
            assert!(refusal(image(&of(&greys[..9]))).contains("the index 3"));
            assert_eq!(label(&of(&greys[..9])).unwrap(), [3, 0, 1, 2], "{bits:?}");
        }
    }

    #[test]
    fn colours_and_transparency_are_refused_in_words() {
        for (color, row, words) in [
            (ColorType::Rgb, &[1, 1, 1][..], "colour picture (RGB)"),
            (ColorType::Rgba, &[1, 1, 1, 255], "RGBA"),
            (ColorType::GrayscaleAlpha, &[1, 255], "grey with transparency"),
        ] {
            let bytes = file((1, BitDepth::Eight, color), &[row], None);
            for error in [refusal(image(&bytes)), refusal(label(&bytes))] {
                assert!(error.contains("slice.png") && error.contains(words), "{error}");
                assert!(error.contains("expected grey, or a palette"), "{error}");
            }
        }
    }

    #[test]
    fn a_file_cut_anywhere_or_too_large_is_refused() {
        let rows: Vec<Vec<u8>> = (0..16).map(|y| (0..16).map(|x| x * y % 4).collect()).collect();
        let rows: Vec<&[u8]> = rows.iter().map(Vec::as_slice).collect();
        let bytes = file((16, BitDepth::Eight, ColorType::Grayscale), &rows, None);
        assert_eq!(label(&bytes).unwrap().len(), 256);
        for length in 0..bytes.len() {
            refusal(image(&bytes[..length]));
        }
        // Width and height of 2^30, with the header's checksum mended.
        let mut huge = bytes;
        huge[16..24].copy_from_slice(&[0x40, 0, 0, 0, 0x40, 0, 0, 0]);
        let crc = crc_of(&huge[12..29]);
        huge[29..33].copy_from_slice(&crc.to_be_bytes());
        assert!(refusal(image(&huge)).contains("too large for a slice"), "{}", refusal(image(&huge)));
        assert!(refusal(image(&[])).contains("an empty file"));
    }

    #[test]
    fn pixels_of_one_bit_count_as_what_they_take_when_they_are_read() {
        let form = (8, BitDepth::One, ColorType::Grayscale);
        let mut wide = file(form, &[&[0xff]], None);
        // 12,000 x 12,000 bits are 18 MB in the file and 288 MB as values.
        for (at, side) in [(16, 12_000u32), (20, 12_000)] {
            wide[at..at + 4].copy_from_slice(&side.to_be_bytes());
        }
        let crc = crc_of(&wide[12..29]);
        wide[29..33].copy_from_slice(&crc.to_be_bytes());
        for error in [refusal(image(&wide)), refusal(label(&wide))] {
            assert!(error.contains("12000x12000 pixels is too large for a slice"), "{error}");
        }
    }

    fn crc_of(bytes: &[u8]) -> u32 {
        let step =
            |crc: u32, &byte: &u8| (0..8).fold(crc ^ u32::from(byte), |crc, _| (crc >> 1) ^ (0xedb8_8320 * (crc & 1)));
        !bytes.iter().fold(u32::MAX, step)
    }
}
