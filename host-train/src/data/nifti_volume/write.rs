//! Writing classes as a volume of bytes.

use std::io::{self, BufWriter, Write};
use std::path::Path;

use flate2::Compression;
use flate2::write::GzEncoder;

use super::header::Header;
use super::voxels::U8_CODE;
use crate::io::whole::write_with;

/// An image's header, changed to be that of its labels.
pub(super) fn label_header(image: &Header) -> Header {
    let mut header = image.clone();
    let fields = header.fields();
    header.put(fields.datatype, U8_CODE);
    header.put(fields.bitpix, 8.0);
    header.put(fields.vox_offset, header.first_voxel() as f64);
    header.put(fields.scl_slope, 1.0);
    // The window that an image is shown in, and what its values mean, are not those of its labels.
    for field in [fields.scl_inter, fields.cal_min, fields.cal_max, fields.intent_code] {
        header.put(field, 0.0);
    }
    header.describe("kscout: 0 background, 1 RV, 2 MYO, 3 LV");
    header
}

/// Writes a header without extensions and its voxels beside `path` and renames them, in the way of
/// [`write_with`](crate::io::whole::write_with).
pub(super) fn write(path: &Path, header: &Header, voxels: &[u8], compressed: bool) -> io::Result<()> {
    let extender = vec![0; header.first_voxel() - header.bytes().len()];
    let parts =
        |to: &mut dyn Write| [header.bytes(), &extender, voxels].into_iter().try_for_each(|part| to.write_all(part));
    write_with(path, |file| {
        let mut file = BufWriter::new(file);
        if compressed {
            let mut encoder = GzEncoder::new(&mut file, Compression::default());
            parts(&mut encoder)?;
            encoder.finish()?;
        } else {
            parts(&mut file)?;
        }
        file.flush()
    })
}
