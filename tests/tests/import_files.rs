//! Files as people have them, brought into a data set: read right, or refused in words that name them. The pictures in
//! `tests/cases/png` have 32x32 pixels of class (x/8 + y/8) % 4, in two bits % 2.

#[allow(dead_code)] // other tests use the rest
mod acdc_tree;

use std::fs;
use std::path::{Path, PathBuf};

use acdc_tree::Volume;
use kscout::data::png_tree::{Grey, write_image, write_label};
use kscout::data::{Dataset, Manifest, Phase, Split};
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

// Info.cfg.

#[test]
fn info_files_are_read_as_editors_leave_them() {
    let utf16 = |text: &str| -> Vec<u8> { text.encode_utf16().flat_map(u16::to_le_bytes).collect() };
    let folder = Folder::acdc();
    for text in [
        b"\xef\xbb\xbfED: 1\nES: 12\nGroup: NOR\n".to_vec(),
        b"ED: 1\nES: 12\nGroup: NOR\nName: Andr\xe9\n".to_vec(),
        b"ed: 1.0\r\nes: 12.0\r\ngroup: NOR\r\n".to_vec(),
        b" ED = 1 \n\n ES=12\nGroup=NOR".to_vec(),
        utf16("\u{feff}ED: 1\r\nES: 12\r\nGroup: NOR\r\n"),
    ] {
        folder.write("src/patient001/Info.cfg", &text);
        let (_, data) = folder.imported(&[]);
        assert_eq!(data.all().len(), 6, "{text:?}");
        assert!(data.all().iter().all(|slice| slice.group == "NOR"), "{text:?}");
    }
    fs::rename(folder.path("src/patient001/Info.cfg"), folder.path("src/patient001/info.CFG")).unwrap();
    folder.imported(&[]);
}

#[test]
fn info_files_that_name_no_frame_are_refused() {
    for (text, words) in [
        ("ED: 0\nES: 12\n", ["key ED", "`0`"]),
        ("ED: 1\nES: -12\n", ["key ES", "`-12`"]),
        ("ED: nan\nES: 12\n", ["key ED", "`nan`"]),
        ("ED: 1e308\nES: 12\n", ["key ED", "`1e308`"]),
        ("ED: 1.5\nES: 12\n", ["key ED", "`1.5`"]),
        ("ED: 1\nES: 1\n", ["key ES", "frame 1, as ED is"]),
        ("ED: 1\nES: 7\n", ["key ES", "patient001_frame07.nii"]),
        ("ED: 1\nED: 2\nES: 12\n", ["key ED", "twice"]),
        ("", ["key ED", "missing"]),
    ] {
        let folder = Folder::acdc();
        folder.write("src/patient001/Info.cfg", text);
        folder.refused(&[], &["Info.cfg", words[0], words[1]]);
    }
}

// Pictures.

#[test]
fn labels_are_the_stored_values_whatever_the_depth_or_palette() {
    for (name, classes) in [
        ("grey-1bit", 2),
        ("grey-2bit", 4),
        ("grey-4bit", 4),
        ("grey-8bit", 4),
        ("grey-16bit", 4),
        ("palette-1bit", 2),
        ("palette-2bit", 4),
        ("palette-4bit", 4),
        ("palette-8bit", 4),
        ("palette-2bit-transparent", 4),
        ("palette-8bit-transparent", 4),
    ] {
        let folder = Folder::png(&[("patient001", 1)]);
        fs::copy(picture(name), folder.path("src/patient001/labels/0.png")).unwrap();
        let (_, data) = folder.imported(&["--format", "png", "--size", "32"]);
        let expected: Vec<u8> = (0..1024).map(|i| (i % 32 / 8 + i / 32 / 8) as u8 % classes).collect();
        assert!(data.all()[0].label == expected, "{name}");
    }
}

#[test]
fn images_of_few_bits_are_not_stretched() {
    let levels = |name: &str| Grey::read(&picture(name)).unwrap().values;
    for name in ["grey-2bit", "grey-4bit", "grey-8bit", "grey-16bit"] {
        assert_eq!(levels(name).iter().max(), Some(&3), "{name}");
    }
    assert_eq!(levels("grey-1bit").iter().max(), Some(&1));
}

#[test]
fn pictures_with_colours_are_refused_in_words() {
    for (name, words) in [("rgb", "RGB"), ("rgba", "RGBA"), ("grey-alpha", "transparency")] {
        for which in ["images", "labels"] {
            let folder = Folder::png(&[("patient001", 2)]);
            fs::copy(picture(name), folder.path(&format!("src/patient001/{which}/1.png"))).unwrap();
            folder.refused(&["--format", "png"], &[&format!("{which}/1.png"), words, "expected grey, or a palette"]);
        }
    }
    let folder = Folder::png(&[("patient001", 1)]);
    fs::copy(picture("palette-8bit"), folder.path("src/patient001/images/0.png")).unwrap();
    folder.refused(&["--format", "png"], &["images/0.png", "its palette has the colour"]);
}

#[test]
fn pictures_without_a_spacing_are_not_relabelled() {
    let folder = Folder::png(&[("patient001", 3)]);
    let png = ["--format", "png"];
    folder.refused(&[&png[..], &["--spacing", "2"]].concat(), &["--spacing", "--source-spacing", "native"]);
    let (said, data) = folder.imported(&png);
    assert_says(
        &said,
        &["note: patient001", "taken for 1.5 mm", "--source-spacing", "taken for 10 mm", "--slice-distance"],
    );
    assert_eq!(data.all()[0].spacing_mm, [1.5, 1.5, 10.0]);
}

#[test]
fn pictures_with_a_spacing_are_resampled() {
    let folder = Folder::png(&[("patient001", 3)]);
    let given = ["--format", "png", "--spacing", "1.5", "--source-spacing", "3,1.5", "--slice-distance", "8"];
    let (said, data) = folder.imported(&given);
    assert!(!said.contains("note:"), "{said}");
    assert_eq!(data.all()[0].spacing_mm, [1.5, 1.5, 8.0]);
    // 32x32 pixels of 3 x 1.5 mm are 64x32 of 1.5 mm, in rows 16 to 47 of 64.
    let filled = |y: usize, x: usize| data.all()[0].image[y * 64 + x] > 0.0;
    assert!(filled(16, 63) && filled(47, 63) && !filled(15, 63) && !filled(48, 63));
    // A data set says its spacing itself; the options correct it, and that is said.
    fs::remove_dir_all(folder.path("src")).unwrap();
    fs::rename(folder.path("dst"), folder.path("src")).unwrap();
    let (said, data) = folder.imported(&["--format", "png", "--spacing", "3"]);
    assert!(!said.contains("note:"), "{said}");
    assert_eq!(data.all()[0].spacing_mm, [3.0, 3.0, 8.0]);
    assert!(data.all()[0].image[16 * 64 + 40] == 0.0, "64 pixels of 1.5 mm are 32 of 3 mm");
    let (said, data) = folder.imported(&["--format", "png", "--slice-distance", "6"]);
    assert_says(&said, &["slices 8 mm apart", "slices 6 mm apart"]);
    assert_eq!(data.all()[0].spacing_mm, [1.5, 1.5, 6.0]);
}

#[test]
fn lengths_outside_their_sense_are_refused_by_name() {
    let folder = Folder::png(&[("patient001", 1)]);
    for option in ["--spacing", "--source-spacing", "--slice-distance", "--size"] {
        for value in ["nan", "inf", "-inf", "0", "-1", "1e308", "9223372036854775808", "wide", ""] {
            folder.refused(&["--format", "png", option, value], &[option]);
        }
    }
    folder.refused(&["--format", "png", "--source-spacing", "1.5,nan"], &["--source-spacing", "nan"]);
    let folder = Folder::acdc();
    folder.refused(&["--slice-distance", "8"], &["--slice-distance", "PNG"]);
    folder.refused(&["--source-spacing", "1"], &["--source-spacing", "PNG"]);
}

// nnU-Net's layout.

#[test]
fn nnunets_layout_is_imported_by_patient() {
    let cases =
        ["patient004_frame01", "patient004_frame13", "patient005_frame02", "patient005_frame11", "heart_0010", "other"];
    let folder = Folder::nnunet(&cases);
    folder.write("src/dataset.json", "{\"channel_names\": {\"0\": \"cineMRI\"}, \"labels\": {\"background\": 0, \"RV\": 1, \"MLV\": 2, \"LVC\": 3}, \"numTraining\": 6, \"file_ending\": \".nii\"}");
    for options in [&[][..], &["--format", "nnunet"]] {
        let (_, data) = folder.imported(options);
        let names = |split| data.volumes(split).iter().map(|v| v.name()).collect::<Vec<_>>();
        assert_eq!(names(Split::Train), ["other", "patient004/ED", "patient004/ES"]);
        assert_eq!(names(Split::Val), ["heart_0010", "patient005/ED", "patient005/ES"]);
        assert_eq!(data.manifest().source, "nnunet");
        assert_eq!(data.manifest().axes.unwrap().to_string(), "LPS");
    }
    // The same patient as ACDC has them.
    let (_, acdc) = Folder::acdc().imported(&[]);
    let (_, own) = Folder::nnunet(&["patient001_frame01", "patient001_frame12"]).imported(&[]);
    assert_alike(&acdc, &own);
}

#[test]
fn acdcs_doubles_are_left_out_where_it_is_evidently_acdc() {
    let patients = ["patient055", "patient074", "patient076"].map(|patient| format!("{patient}_frame01"));
    let folder = Folder::nnunet(&patients.each_ref().map(String::as_str));
    let patients = |data: &Dataset| data.volumes(Split::Train).len() + data.volumes(Split::Val).len();
    let (said, data) = folder.imported(&[]);
    assert_says(&said, &["patient055: kept", "patient076: kept, as nothing says that this is ACDC", "patient074"]);
    assert_eq!(patients(&data), 3);
    folder.write("src/dataset.json", "{\"name\": \"ACDC\"}");
    let (said, data) = folder.imported(&[]);
    assert_says(&said, &["left out patient055", "left out patient076"]);
    assert_eq!(patients(&data), 1);
    let (said, data) = folder.imported(&["--keep-all"]);
    assert!(!said.contains("left out") && !said.contains("kept, as"), "{said}");
    assert_eq!(patients(&data), 3);
}

#[test]
fn cases_without_a_label_are_left_out_unless_none_has_one() {
    let folder = Folder::nnunet(&["patient001_frame01", "patient001_frame12", "patient002_frame01"]);
    fs::remove_file(folder.path("src/labelsTr/patient002_frame01.nii")).unwrap();
    let (said, data) = folder.imported(&[]);
    assert_says(&said, &["left out patient002_frame01: no label"]);
    assert_eq!((data.all().len(), data.manifest().masks), (6, true));
    fs::remove_dir_all(folder.path("src/labelsTr")).unwrap();
    let (said, data) = folder.imported(&[]);
    assert_says(&said, &["no masks"]);
    assert_eq!((data.all().len(), data.manifest().masks), (9, false));
}

#[test]
fn the_fuller_frame_is_end_diastole() {
    let folder = Folder::nnunet(&["patient090_frame04", "patient090_frame11"]);
    let small = Volume { voxels: label().voxels.iter().map(|&c| if c == 3.0 { 2.0 } else { c }).collect(), ..label() };
    folder.write("src/labelsTr/patient090_frame04.nii", placed(&small, LPS));
    let (said, data) = folder.imported(&[]);
    assert_says(&said, &["patient090/ED: the LV is larger in the later frame; taken for end-diastole"]);
    let lv = |phase| data.all().iter().filter(|s| s.phase == phase).flat_map(|s| &s.label).filter(|&&c| c == 3).count();
    assert!(lv(Phase::Ed) > 0 && lv(Phase::Es) == 0);
}

#[test]
fn an_nnunet_folder_that_does_not_fit_is_refused_with_the_file() {
    let two = &["patient001_frame01", "patient001_frame12"];
    let folder = Folder::nnunet(two);
    fs::remove_file(folder.path("src/imagesTr/patient001_frame12_0000.nii")).unwrap();
    folder.refused(&[], &["labelsTr/patient001_frame12.nii: label without image", "patient001_frame12_0000"]);
    let folder = Folder::nnunet(two);
    folder.write("src/imagesTr/patient001_frame01_0001.nii", placed(&image(), LPS));
    folder.refused(&[], &["patient001_frame01_0001.nii", "one channel"]);
    folder.refused(&["--format", "acdc"], &["patient001_frame01_0001.nii"]);
    let folder = Folder::nnunet(&["p1_frame01", "p1_frame02", "p1_frame03"]);
    folder.refused(&[], &["3 volumes of p1", "p1_frame01"]);
    for (json, words) in [
        ("{\"labels\": {\"background\": 0, \"LV\": 1, \"MYO\": 2, \"RV\": 3}}", "labels LV as 1; expected"),
        ("{\"labels\": {\"0\": \"background\", \"1\": \"LV\"}}", "labels LV as 1; expected"),
        ("{\"channel_names\": {\"0\": \"a\", \"1\": \"b\"}}", "2 channels"),
        ("{", "no valid JSON"),
    ] {
        let folder = Folder::nnunet(two);
        folder.write("src/dataset.json", json);
        folder.refused(&[], &["dataset.json", words]);
    }
    let folder = Folder::new();
    fs::create_dir(folder.path("src/imagesTr")).unwrap();
    folder.refused(&[], &["src", "imagesTr/NAME_0000.nii.gz"]);
    folder.refused(&["--format", "acdc"], &["src"]);
    fs::remove_dir(folder.path("src/imagesTr")).unwrap();
    folder.refused(&["--format", "nnunet"], &["imagesTr", "no such folder"]);
}

// Places in space.

#[test]
fn labels_stored_in_another_order_are_brought_onto_the_image() {
    let plain = Folder::acdc();
    let (said, plain) = plain.imported(&[]);
    assert!(!said.contains("note:"), "{said}");
    for turned in [mirrored, slice_first] {
        let folder = Folder::acdc();
        folder.write("src/patient001/patient001_frame12_gt.nii", turned(&label(), LPS));
        let (said, data) = folder.imported(&[]);
        assert_says(&said, &["note: patient001/ES: the label's axes run another way"]);
        assert_alike(&plain, &data);
    }
}

#[test]
fn volumes_in_another_order_are_brought_into_that_of_most() {
    let cases = ["patient001", "patient002", "patient003"];
    let (_, plain) = Folder::nnunet(&cases).imported(&[]);
    for turned in [mirrored, slice_first] {
        let folder = Folder::nnunet(&cases);
        folder.write("src/imagesTr/patient001_0000.nii", turned(&image(), LPS));
        folder.write("src/labelsTr/patient001.nii", turned(&label(), LPS));
        let (said, data) = folder.imported(&[]);
        assert_says(&said, &["note: patient001: axes", "brought into the order LPS"]);
        assert_alike(&plain, &data);
        assert_eq!(data.manifest().axes.unwrap().to_string(), "LPS");
    }
}

#[test]
fn labels_elsewhere_are_refused_with_both_numbers() {
    let name = "patient001_frame12_gt.nii";
    let folder = Folder::acdc();
    let fine = [[-1.0, 0.0, 0.0, 70.0], [0.0, -1.0, 0.0, 60.0], LPS[2]];
    folder.write(&format!("src/patient001/{name}"), placed(&Volume { spacing_mm: [1.0, 1.0, 10.0], ..label() }, fine));
    folder.refused(&[], &[name, "spacing 1 x 1 x 10 mm", "patient001_frame12.nii has 1.5 x 1.5 x 10 mm"]);
    let shifted = [[-1.5, 0.0, 0.0, 71.0], LPS[1], LPS[2]];
    folder.write(&format!("src/patient001/{name}"), placed(&label(), shifted));
    folder.refused(&[], &[name, "first voxel at (71, 60, -20) mm", "(70, 60, -20) mm"]);
    // Without a form the spacing still counts.
    folder.write(&format!("src/patient001/{name}"), Volume { spacing_mm: [1.5, 1.5, 8.0], ..label() }.bytes());
    folder.refused(&[], &[name, "spacing 1.5 x 1.5 x 8 mm", "1.5 x 1.5 x 10 mm"]);
}

#[test]
fn labels_within_half_a_voxel_or_without_a_form_are_taken() {
    let (_, plain) = Folder::acdc().imported(&[]);
    let folder = Folder::acdc();
    let near = [[-1.5, 0.0, 0.0, 70.7], LPS[1], LPS[2]];
    folder.write("src/patient001/patient001_frame12_gt.nii", placed(&label(), near));
    let (said, data) = folder.imported(&[]);
    assert!(!said.contains("note:"), "{said}");
    assert_alike(&plain, &data);
    folder.write("src/patient001/patient001_frame12_gt.nii", label().bytes());
    let (said, data) = folder.imported(&[]);
    assert_says(&said, &["note: patient001/ES: image or label does not say where it lies"]);
    assert_alike(&plain, &data);
}

/// ACDC's own files have an sform whose axes are one long, beside the true voxel sizes.
#[test]
fn a_form_without_sizes_leaves_those_that_the_header_has() {
    let units = [[-1.0, 0.0, 0.0, 0.0], [0.0, -1.0, 0.0, 0.0], [0.0, 0.0, 1.0, 0.0]];
    let folder = Folder::acdc();
    for frame in ["01", "12"] {
        folder.write(&format!("src/patient001/patient001_frame{frame}.nii"), placed(&image(), units));
        folder.write(&format!("src/patient001/patient001_frame{frame}_gt.nii"), placed(&label(), units));
    }
    let (_, data) = folder.imported(&["--spacing", "native"]);
    assert_eq!(data.all()[0].spacing_mm, [1.5, 1.5, 10.0]);
    assert_eq!(data.manifest().axes.unwrap().to_string(), "LPS");
    let (_, plain) = Folder::acdc().imported(&["--spacing", "native"]);
    assert_alike(&plain, &data);
}

#[test]
fn voxels_of_no_sensible_size_are_refused() {
    let folder = Folder::acdc();
    let tiny = Volume { spacing_mm: [0.0015, 0.0015, 0.01], ..image() };
    folder.write("src/patient001/patient001_frame01.nii", tiny.bytes());
    let tiny = Volume { spacing_mm: [0.0015, 0.0015, 0.01], ..label() };
    folder.write("src/patient001/patient001_frame01_gt.nii", tiny.bytes());
    folder.refused(&[], &["patient001_frame01.nii", "voxels of 0.0015 mm", "unit"]);
}

#[test]
fn files_above_the_limit_are_refused_and_the_option_raises_it() {
    let folder = Folder::acdc();
    folder.refused(&["--max-gib", "0.00001"], &["patient001_frame", ".nii", "--max-gib"]);
    folder.imported(&["--max-gib", "0.001"]);
    // Slices of 2x2 pixels become as large as the data set's.
    let folder = Folder::nnunet(&[]);
    folder.write("src/imagesTr/thin_0000.nii", Volume::new([2, 2, 100], |x, y, _| f32::from(1 + x + y)).bytes());
    folder
        .refused(&["--max-gib", "0.001"], &["thin_0000.nii", "100 slices", "64x64 pixels each", "limit of 0.001 GiB"]);
    folder.imported(&["--max-gib", "0.002"]);
}

// What is cut off.

#[test]
fn what_the_crop_cuts_off_is_said_and_remembered() {
    let folder = Folder::acdc();
    // Of 40 columns the crop keeps 4 to 35; of RV columns 2 to 5, two of four are lost, in ES alone.
    let moved = Volume::new(DIM, |x, y, _| if (2..6).contains(&x) && y < 20 { 1.0 } else { 0.0 });
    folder.write("src/patient001/patient001_frame12_gt.nii", placed(&moved, LPS));
    let (said, data) = folder.imported(&["--size", "32"]);
    // RV of the heart: 4 x 10 pixels in 3 slices; of the moved one, 4 x 20 in 3, of which 2 columns and 2 rows go.
    let lost = "cut off by the crop: RV 132 of 360 voxels (36.7 %), most in patient001/ES (132 of 240)";
    assert_says(&said, &[lost, "slices without any label: 0 of 6", "--size"]);
    assert_eq!(data.manifest().lost_to_crop.as_ref().unwrap().len(), 1);
    let dst = folder.path("dst");
    let info = |json: &[&str]| run(EXE, ["data", "info", dst.to_str().unwrap()].iter().chain(json)).stdout;
    assert_says(&info(&[]), &[lost, "slices without any label: 0 of 6", "axes LPS"]);
    let json: serde_json::Value = serde_json::from_str(&info(&["--json"])).unwrap();
    assert_eq!(json["lost_to_crop"][0]["worst"], "patient001/ES");
    assert_eq!(json["lost_to_crop"][0]["voxels"], 132);
    let (said, _) = folder.imported(&[]);
    assert_says(&said, &["cut off by the crop: no voxel of any class"]);
}

#[test]
fn classes_and_labels_that_never_occur_are_said() {
    let folder = Folder::nnunet(&["patient001", "patient002"]);
    let bare = Volume::new(DIM, |x, _, z| if x == 20 && z > 0 { 3.0 } else { 0.0 });
    folder.write("src/labelsTr/patient001.nii", placed(&bare, LPS));
    folder.write("src/labelsTr/patient002.nii", placed(&Volume::new(DIM, |_, _, _| 0.0), LPS));
    let (said, _) = folder.imported(&[]);
    let words = ["slices without any label: 4 of 6", "classes that never occur: RV, myocardium"];
    assert_says(&said, &words);
    assert_says(&said, &["note: patient002: no voxel of the label is of any class"]);
    let info = run(EXE, ["data", "info", folder.path("dst").to_str().unwrap()]);
    assert_says(&info.stdout, &words);
}

// Names of files.

#[test]
fn hidden_files_and_capitals_do_no_harm() {
    let (_, plain) = Folder::acdc().imported(&[]);
    let folder = Folder::acdc();
    for name in ["patient001_frame01.nii", "patient001_frame12_gt.nii", "patient001_frame99_gt.nii"] {
        folder.write(&format!("src/patient001/._{name}"), "macOS");
    }
    folder.write("src/.DS_Store", "macOS");
    folder.write("src/patient001/.DS_Store", "macOS");
    folder.write("src/._patient001", "macOS");
    folder.write("src/.patient002/Info.cfg", "ED: 1\nES: 2\n");
    let [old, new] =
        ["frame01_gt.nii", "Frame01_GT.NII"].map(|end| folder.path(&format!("src/patient001/patient001_{end}")));
    fs::rename(old, new).unwrap();
    let (_, data) = folder.imported(&[]);
    assert_alike(&plain, &data);

    let folder = Folder::nnunet(&["patient001_frame01", "patient001_frame12"]);
    folder.write("src/imagesTr/._patient001_frame01_0000.nii", "macOS");
    folder.write("src/labelsTr/._patient001_frame01.nii", "macOS");
    folder.write("src/labelsTr/.DS_Store", "macOS");
    let [old, new] = ["frame01.nii", "frame01.NII"].map(|end| folder.path(&format!("src/labelsTr/patient001_{end}")));
    fs::rename(old, new).unwrap();
    assert_alike(&plain, &folder.imported(&[]).1);

    let folder = Folder::png(&[("patient001", 3)]);
    let (_, plain) = folder.imported(&["--format", "png"]);
    folder.write("src/patient001/images/._0.png", "macOS");
    folder.write("src/patient001/labels/.DS_Store", "macOS");
    let [from, to] = ["images/1.png", "images/1.PNG"].map(|name| folder.path(&format!("src/patient001/{name}")));
    fs::rename(from, to).unwrap();
    let [from, to] = ["labels/2.png", "labels/002.png"].map(|name| folder.path(&format!("src/patient001/{name}")));
    fs::rename(from, to).unwrap();
    assert_alike(&plain, &folder.imported(&["--format", "png"]).1);
}

#[test]
fn of_patients_without_numbers_every_fifth_validates_in_every_layout() {
    let names = ["kim", "anna", "eva", "dora", "ben", "carl"];
    let pictures = Folder::png(&names.map(|name| (name, 1)));
    let acdc = Folder::new();
    for name in names {
        acdc.write(&format!("src/{name}/Info.cfg"), "ED: 1\nES: 12\nGroup: NOR\n");
        for frame in ["01", "12"] {
            acdc.write(&format!("src/{name}/{name}_frame{frame}.nii"), placed(&image(), LPS));
            acdc.write(&format!("src/{name}/{name}_frame{frame}_gt.nii"), placed(&label(), LPS));
        }
    }
    for (folder, format) in [(pictures, "png"), (acdc, "acdc"), (Folder::nnunet(&names), "nnunet")] {
        let (said, data) = folder.imported(&["--format", format]);
        assert_says(&said, &["note: 6 patients have no number", "every fifth, by name, is for validation: eva"]);
        let of = |split| data.slices(split).iter().map(|slice| slice.id.patient.clone()).collect::<Vec<_>>();
        assert!(of(Split::Val).iter().all(|patient| patient == "eva") && !of(Split::Val).is_empty(), "{format}");
        let (said, data) = folder.imported(&["--format", format, "--split", "train"]);
        assert!(!said.contains("number") && data.slices(Split::Val).is_empty(), "{said}");
    }
}

#[test]
fn a_data_set_s_own_pictures_keep_their_splits_unless_all_go_into_one() {
    let folder = Folder::png(&[("patient004", 1), ("patient005", 1), ("zoe", 1)]);
    folder.imported(&["--format", "png", "--split", "test"]);
    fs::remove_dir_all(folder.path("src")).unwrap();
    fs::rename(folder.path("dst"), folder.path("src")).unwrap();
    let (said, data) = folder.imported(&["--format", "png"]);
    assert!(data.slices(Split::Test).len() == 3 && !said.contains("number"), "{said}");
    let (_, data) = folder.imported(&["--format", "png", "--split", "val"]);
    assert_eq!(data.slices(Split::Val).len(), 3);
}

#[test]
fn patients_may_have_other_names() {
    let (_, plain) = Folder::png(&[("patient001", 2)]).imported(&["--format", "png"]);
    let (_, data) = Folder::png(&[("anna-07", 2), ("ben", 1)]).imported(&["--format", "png"]);
    assert_eq!(data.all().len(), 3);
    assert!(data.find("anna-07/1").unwrap().label == plain.all()[1].label);
}

#[test]
fn counts_that_differ_are_refused_with_the_file() {
    let png = &["--format", "png"];
    let folder = Folder::png(&[("patient001", 3)]);
    fs::remove_file(folder.path("src/patient001/labels/2.png")).unwrap();
    folder.refused(png, &["patient001/images/2.png: image without label"]);
    let folder = Folder::png(&[("patient001", 3)]);
    fs::remove_file(folder.path("src/patient001/images/2.png")).unwrap();
    folder.refused(png, &["patient001/labels/2.png: label without image"]);
    let folder = Folder::png(&[("patient001", 3)]);
    fs::copy(folder.path("src/patient001/images/2.png"), folder.path("src/patient001/images/02.png")).unwrap();
    folder.refused(png, &["slice 2 is there twice", "02.png"]);
    let folder = Folder::png(&[("patient001", 2), ("patient002", 0)]);
    let (said, _) = folder.imported(png);
    assert_says(&said, &["left out patient002: no slices"]);
    let folder = Folder::png(&[("patient001", 1)]);
    write_label(&folder.path("src/patient001/labels/0.png"), 16, 32, vec![0; 512]).unwrap();
    folder.refused(png, &["labels/0.png", "16x32", "32x32"]);
}

#[cfg(unix)]
#[test]
fn names_that_are_no_text_are_refused_by_name() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;
    let bad = OsStr::from_bytes(b"patient\xff02");
    let folder = Folder::acdc();
    fs::create_dir(folder.path("src").join(bad)).unwrap();
    folder.refused(&[], &["patient", "02", "not valid UTF-8"]);
    let folder = Folder::png(&[("patient001", 1)]);
    fs::write(folder.path("src/patient001/images").join(OsStr::from_bytes(b"\xff.png")), "").unwrap();
    folder.refused(&["--format", "png"], &["images", ".png", "not valid UTF-8"]);
    let folder = Folder::nnunet(&["patient001"]);
    fs::write(folder.path("src/imagesTr").join(OsStr::from_bytes(b"a\xff_0000.nii")), "").unwrap();
    folder.refused(&[], &["imagesTr", "_0000.nii", "not valid UTF-8"]);
}

#[test]
fn an_older_manifest_is_still_read() {
    let folder = Folder::acdc();
    folder.imported(&[]);
    let path = folder.path("dst/manifest.json");
    let mut json: serde_json::Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    let fields = json.as_object_mut().unwrap();
    assert!(fields.remove("lost_to_crop").is_some() && fields.remove("axes").is_some());
    fs::write(&path, json.to_string()).unwrap();
    let manifest = Manifest::read(&folder.path("dst")).unwrap();
    assert_eq!((manifest.lost_to_crop, manifest.axes), (None, None));
    let info = run(EXE, ["data", "info", folder.path("dst").to_str().unwrap()]).stdout;
    assert!(!info.contains("cut off"), "{info}");
}
