//! Files that an earlier version wrote: `golden/format1`, of the first format of `.kscout`.

use kscout::runtime::HeapArena;
use kscout_core::Complex32;
use kscout_core::capture::{Capture, blob_crc};
use kscout_core::kernels::{Kernels, Native, Portable, Reference};
use kscout_core::kspace::Reconstruction;
use kscout_core::model::blob::{HEADER_BYTES, HeaderRepr, checksum};
use kscout_core::model::{BlobError, GraphKind, Location, Model, Problem};
use kscout_core::scan::{Scan, arena_bytes_with};

const MODEL: &[u8] = include_bytes!("../golden/format1/small.kscout");
const SCAN: &[u8] = include_bytes!("../golden/format1/slice.kscan");

/// What the version that wrote the files printed.
const DIGEST: u64 = 0x2dea_103c_9d4c_30e2;
const LINES: [u16; 8] = [16, 15, 17, 14, 18, 13, 19, 12];

#[test]
fn a_model_says_of_itself_what_it_said_then() {
    let model = Model::new_checked(MODEL).unwrap();
    assert_eq!((model.height(), model.width(), model.classes()), (32, 32, 4));
    assert_eq!(model.reconstruction(), Reconstruction::HalfHomodyne);
    assert_eq!(model.axes(), None);
    assert_eq!(model.line_order().count(), 0);
    let words =
        "kscout 0.1.0: unet trained on phantom for 1500 steps, validation Dice 0.4578; the fixed order `centre-out`";
    assert!(model.provenance().starts_with(words), "{}", model.provenance());
    let hash = |kind| model.weights_hash(kind).map_or(0, u32::from);
    assert_eq!([GraphKind::Segmenter, GraphKind::Policy].map(hash), [0x4b77_a962, 0xf37f_dbc4]);
    let sizes: Vec<_> =
        model.graphs().map(|graph| (graph.kind(), graph.len(), graph.macs(), graph.arena_bytes())).collect();
    assert_eq!(sizes, [(GraphKind::Segmenter, 31, 196_608, 5440), (GraphKind::Policy, 2, 67, 656)]);
    assert_eq!(arena_bytes_with(&model, &Portable), 27_760);
}

#[test]
fn its_header_is_what_is_written_now_and_asks_for_no_feature() {
    let header = HeaderRepr::parse(MODEL).unwrap();
    assert_eq!(header.features, 0);
    let mut written = [0; HEADER_BYTES];
    header.emit(&mut written).unwrap();
    assert_eq!(written, MODEL[..HEADER_BYTES]);
}

#[test]
fn its_scan_is_repeated_to_the_bit_by_every_kernel_set() {
    let capture = Capture::new_checked(SCAN).unwrap();
    assert_eq!((capture.digest(), capture.blob_crc()), (DIGEST, blob_crc(MODEL)));
    for kernels in [&Reference as &dyn Kernels, &Portable, &Native::default()] {
        let model = Model::new_checked(MODEL).unwrap();
        let mut arena = HeapArena::new(arena_bytes_with(&model, kernels));
        let mut scan = Scan::with_kernels(&model, arena.bytes(), kernels).unwrap();
        let mut samples = vec![Complex32::default(); capture.height()];
        scan.start(capture.budget()).unwrap();
        while let Some(line) = scan.propose().unwrap() {
            capture.copy_line(line, &mut samples).unwrap();
            scan.push_line(line, &samples).unwrap();
        }
        assert_eq!(scan.lines(), LINES, "{}", kernels.name());
        assert_eq!(scan.digest(), Ok(DIGEST), "{}", kernels.name());
    }
}

#[test]
fn a_model_that_asks_for_more_than_is_known_is_refused_by_number() {
    let mut bytes = MODEL.to_vec();
    bytes[9] = 0b100;
    let sum = checksum(&bytes);
    bytes[16..20].copy_from_slice(&sum.to_le_bytes());
    let error = Model::new_checked(&bytes).unwrap_err();
    assert_eq!(error, BlobError { location: Location::Header, problem: Problem::Features { unknown: 0b100 } });
    assert!(error.to_string().contains("required feature 2. A newer version"), "{error}");
}
