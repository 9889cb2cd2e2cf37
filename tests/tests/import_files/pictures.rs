//! PNG files: values, palettes, colours, and how large a pixel is.

use std::fs;

use kscout::data::png_tree::Grey;

use super::{Folder, assert_says, picture};

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
