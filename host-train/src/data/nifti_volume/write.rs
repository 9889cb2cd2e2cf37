//! Writing classes as a volume of bytes.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::Path;

use flate2::Compression;
use flate2::write::GzEncoder;

use super::header::Header;
use super::voxels::U8_CODE;

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

/// Writes a header without extensions and its voxels beside `path`, flushes them to the disk and renames them. Missing
/// folders are made. After an error, `path` is as it was.
pub(super) fn write(path: &Path, header: &Header, voxels: &[u8], compressed: bool) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    fs::create_dir_all(folder)?;
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let beside = path.with_file_name(format!(".{name}.{}.part", std::process::id()));
    let written = write_to(&beside, header, voxels, compressed).and_then(|()| fs::rename(&beside, path));
    if written.is_err() {
        // The first error is the one worth reporting.
        let _ = fs::remove_file(&beside);
    }
    // So that the new name is on the disk too.
    written.and_then(|()| File::open(folder)?.sync_all())
}

fn write_to(path: &Path, header: &Header, voxels: &[u8], compressed: bool) -> io::Result<()> {
    let mut file = BufWriter::new(File::create(path)?);
    let parts = |to: &mut dyn Write| {
        let extender = vec![0; header.first_voxel() - header.bytes().len()];
        [header.bytes(), &extender, voxels].into_iter().try_for_each(|part| to.write_all(part))
    };
    if compressed {
        let mut encoder = GzEncoder::new(&mut file, Compression::default());
        parts(&mut encoder)?;
        encoder.finish()?;
    } else {
        parts(&mut file)?;
    }
    file.into_inner()?.sync_all()
}
