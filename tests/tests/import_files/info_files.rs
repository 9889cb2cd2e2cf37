//! `Info.cfg`.

use std::fs;

use super::Folder;

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
