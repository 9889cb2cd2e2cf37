//! Files as people have them, brought into a data set: read right, or refused in words that name them. The pictures in
//! `tests/cases/png` have 32x32 pixels of class (x/8 + y/8) % 4, in two bits % 2.

mod info_files;
mod losses;
mod names;
mod nnunet;
mod pictures;
mod places;

use std::fs;
use std::path::{Path, PathBuf};

use kscout::data::Dataset;
use kscout::data::png_tree::write_image;
use kscout_tests::acdc_tree::Volume;
use kscout_tests::{Ran, run};

const EXE: &str = env!("CARGO_BIN_EXE_kscout-under-test");

type Affine = [[f32; 4]; 3];

const DIM: [u16; 3] = [40, 36, 3];
const LPS: Affine = [[-1.5, 0.0, 0.0, 70.0], [0.0, -1.5, 0.0, 60.0], [0.0, 0.0, 10.0, -20.0]];

/// A folder with a source, `src`, and the data set that is made of it, `dst`.
struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        let folder = Self(tempfile::tempdir().unwrap());
        fs::create_dir(folder.path("src")).unwrap();
        folder
    }

    /// A patient as ACDC has them, all volumes placed.
    fn acdc() -> Self {
        let folder = Self::new();
        folder.write("src/patient001/Info.cfg", "ED: 1\nES: 12\nGroup: NOR\n");
        for frame in ["01", "12"] {
            folder.write(&format!("src/patient001/patient001_frame{frame}.nii"), placed(&image(), LPS));
            folder.write(&format!("src/patient001/patient001_frame{frame}_gt.nii"), placed(&label(), LPS));
        }
        folder
    }

    /// Cases in nnU-Net's layout.
    fn nnunet(cases: &[&str]) -> Self {
        let folder = Self::new();
        for case in cases {
            folder.write(&format!("src/imagesTr/{case}_0000.nii"), placed(&image(), LPS));
            folder.write(&format!("src/labelsTr/{case}.nii"), placed(&label(), LPS));
        }
        folder
    }

    /// A tree of pictures without a manifest: slices of each patient, of 32x32 pixels.
    fn png(patients: &[(&str, u32)]) -> Self {
        let folder = Self::new();
        for (patient, slices) in patients {
            for name in ["images", "labels"] {
                fs::create_dir_all(folder.path(&format!("src/{patient}/{name}"))).unwrap();
            }
            for n in 0..*slices {
                let values = (0..1024).map(|i| (i % 32 * 100 + n) as u16).collect();
                write_image(&folder.path(&format!("src/{patient}/images/{n}.png")), 32, 32, values).unwrap();
                fs::copy(picture("grey-8bit"), folder.path(&format!("src/{patient}/labels/{n}.png"))).unwrap();
            }
        }
        folder
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, bytes: impl AsRef<[u8]>) {
        fs::create_dir_all(self.path(name).parent().unwrap()).unwrap();
        fs::write(self.path(name), bytes).unwrap();
    }

    fn import(&self, options: &[&str]) -> Ran {
        let (src, dst) = (self.path("src"), self.path("dst"));
        let size: &[&str] = if options.contains(&"--size") { &[] } else { &["--size", "64"] };
        let options = ["data", "import", "--force"].iter().chain(size).chain(options).map(PathBuf::from);
        run(EXE, options.chain([src, dst]))
    }

    /// The import must succeed; what it says, and the data set.
    #[track_caller]
    fn imported(&self, options: &[&str]) -> (String, Dataset) {
        let ran = self.import(options);
        let said = format!("{}\n{}", ran.stdout, ran.stderr);
        ran.succeeded();
        (said, Dataset::open(self.path("dst")).unwrap())
    }

    /// The import must fail, say `words`, and leave nothing behind.
    #[track_caller]
    fn refused(&self, options: &[&str], words: &[&str]) {
        self.import(options).refused(words);
        assert!(!self.path("dst").exists(), "something is left behind");
    }
}

fn picture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("cases/png/{name}.png"))
}

fn image() -> Volume {
    let [x, y, z] = DIM;
    Volume { spacing_mm: [1.5, 1.5, 10.0], ..Volume::new([x, y, z], |x, y, z| f32::from(1 + x + 50 * y + 2000 * z)) }
}

/// A heart that looks another way in any mirror.
fn label() -> Volume {
    let class = |x: u16, y: u16, z: u16| match (x, y) {
        (5..9, 10..20) => 1.0,
        (12..26, 8..24) if x < 14 || y < 11 + z => 2.0,
        (14..26, 8..20) => 3.0,
        _ => 0.0,
    };
    Volume { spacing_mm: [1.5, 1.5, 10.0], ..Volume::new(DIM, class) }
}

/// The bytes of a volume with an sform.
fn placed(volume: &Volume, affine: Affine) -> Vec<u8> {
    let mut bytes = volume.bytes();
    bytes[254] = 2;
    for (at, value) in affine.iter().flatten().enumerate() {
        bytes[280 + 4 * at..284 + 4 * at].copy_from_slice(&value.to_le_bytes());
    }
    bytes
}

/// The same volume in the same place, stored with x mirrored.
fn mirrored(volume: &Volume, affine: Affine) -> Vec<u8> {
    let last = DIM[0] - 1;
    let at =
        |x: u16, y: u16, z: u16| volume.voxels[usize::from(last - x) + 40 * (usize::from(y) + 36 * usize::from(z))];
    let turned = affine.map(|[x, y, z, shift]| [-x, y, z, shift + x * f32::from(last)]);
    placed(&Volume { spacing_mm: volume.spacing_mm, ..Volume::new(DIM, at) }, turned)
}

/// The same volume in the same place, stored with the slices' axis first: z, x, y.
fn slice_first(volume: &Volume, affine: Affine) -> Vec<u8> {
    let [nx, ny, nz] = DIM;
    let at = |z: u16, x: u16, y: u16| volume.voxels[usize::from(x) + 40 * (usize::from(y) + 36 * usize::from(z))];
    let [sx, sy, sz] = volume.spacing_mm;
    let turned = affine.map(|[x, y, z, shift]| [z, x, y, shift]);
    placed(&Volume { spacing_mm: [sz, sx, sy], ..Volume::new([nz, nx, ny], at) }, turned)
}

#[track_caller]
fn assert_says(said: &str, words: &[&str]) {
    for word in words {
        assert!(said.contains(word), "`{said}` does not say `{word}`");
    }
}

#[track_caller]
fn assert_alike(a: &Dataset, b: &Dataset) {
    assert_eq!(a.all().len(), b.all().len());
    for (a, b) in a.all().iter().zip(b.all()) {
        assert_eq!((&a.id, a.phase, a.z, a.spacing_mm), (&b.id, b.phase, b.z, b.spacing_mm));
        assert!(a.image == b.image && a.label == b.label, "{}: other pixels", a.id);
    }
}
