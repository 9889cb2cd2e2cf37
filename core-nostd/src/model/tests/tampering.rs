//! Any bytes at all: refused, or harmless.

use proptest::prelude::*;

use super::*;

/// Reads everything there is and runs every graph; what is computed does not matter.
fn exercise(bytes: &[u8]) -> bool {
    let Ok(model) = Model::new_checked(bytes) else { return false };
    for graph in model.graphs() {
        // No draft needs more; a tampered arena size may ask for a quarter of a gigabyte.
        if graph.arena_bytes() > 1 << 20 {
            continue;
        }
        assert_eq!(graph.nodes().count(), graph.len());
        for node in graph.nodes() {
            assert!(node.operator().unwrap().is_valid(), "{node:?}");
        }
        // Wherever tensors lie, none is overwritten while it is needed.
        assert_eq!(Some(&result(&graph)), by_hand(&graph).last());
    }
    true
}

#[test]
fn every_truncation_is_refused() {
    for bytes in [emit(&[&segmenter(), &policy()]), emit(&[&decoder()])] {
        every_truncation_of(&bytes);
    }
}

fn every_truncation_of(bytes: &[u8]) {
    for length in 0..bytes.len() {
        let mut cut = bytes[..length].to_vec();
        assert!(Model::new_checked(&cut).is_err(), "cut at {length}");
        if length >= HEADER_BYTES {
            // Also where the header owns up to it.
            cut[12..16].copy_from_slice(&(length as u32).to_le_bytes());
            repair(&mut cut);
            exercise(&cut);
        }
    }
}

#[test]
fn every_changed_byte_is_refused() {
    let (segmenter, policy, decoder) = (segmenter(), policy(), decoder());
    for drafts in [&[&segmenter][..], &[&segmenter, &policy], &[&decoder]] {
        let mut bytes = emit(drafts);
        let tables = HEADER_BYTES + GRAPH_BYTES * drafts.len();
        for at in 0..bytes.len() {
            // All 255 changes to a constant would take half a minute.
            for flip in (1..=255).step_by(if at < tables { 1 } else { 17 }) {
                bytes[at] ^= flip;
                assert!(Model::new_checked(&bytes).is_err(), "byte {at} changed by {flip:#04x}");
                bytes[at] ^= flip;
            }
        }
    }
}

#[test]
fn a_changed_byte_under_a_right_checksum_does_no_harm() {
    let mut accepted = 0;
    for draft in [segmenter(), policy(), decoder()] {
        let mut bytes = emit(&[&draft]);
        let constants = GraphRepr::parse(&bytes[HEADER_BYTES..]).unwrap().constants;
        let constants = constants.offset as usize..(constants.offset + constants.length) as usize;
        for at in 0..bytes.len() {
            // A constant is a constant: running with a tenth of them changed is enough.
            let run = !constants.contains(&at) || at % 11 == 0;
            for flip in [0x01, 0x10, 0x80, 0xff] {
                bytes[at] ^= flip;
                repair(&mut bytes);
                let harmless = if run { exercise(&bytes) } else { Model::new_checked(&bytes).is_ok() };
                accepted += usize::from(harmless);
                bytes[at] ^= flip;
            }
        }
    }
    // Weights may take any value.
    assert!(accepted > 1000, "{accepted}");
}

/// Bytes that tend to matter.
fn telling() -> impl Strategy<Value = u8> {
    prop_oneof![Just(0u8), Just(1), Just(2), Just(16), Just(0x7f), Just(0x80), Just(0xff), any::<u8>()]
}

/// The same cases on every run.
fn fixed() -> ProptestConfig {
    let rng_seed = proptest::test_runner::RngSeed::Fixed(1);
    ProptestConfig { failure_persistence: None, rng_seed, ..ProptestConfig::with_cases(256) }
}

proptest! {
    #![proptest_config(fixed())]

    #[test]
    fn random_bytes_are_refused(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
        prop_assert!(Model::new_checked(&bytes).is_err());
    }

    #[test]
    fn random_headers_under_a_right_checksum_do_no_harm(
        contents in proptest::collection::vec(telling(), HEADER_BYTES + 2 * GRAPH_BYTES - 16)
    ) {
        let mut bytes = emit(&[&segmenter(), &policy()]);
        bytes[16..][..contents.len()].copy_from_slice(&contents);
        repair(&mut bytes);
        exercise(&bytes);
    }

    #[test]
    fn some_changed_bytes_under_a_right_checksum_do_no_harm(
        changes in proptest::collection::vec((any::<prop::sample::Index>(), telling()), 1..6)
    ) {
        for segmenter in [segmenter(), decoder()] {
            let mut bytes = emit(&[&segmenter, &policy()]);
            let records: Vec<usize> = records(&bytes);
            for &(index, value) in &changes {
                bytes[records[index.index(records.len())]] = value;
            }
            repair(&mut bytes);
            exercise(&bytes);
        }
    }
}

/// Every byte but those of constants, where changes do least.
fn records(bytes: &[u8]) -> Vec<usize> {
    let mut all: Vec<usize> = (HEADER_BYTES..HEADER_BYTES + 2 * GRAPH_BYTES).collect();
    for graph in 0..2 {
        let repr = GraphRepr::parse(&bytes[HEADER_BYTES + GRAPH_BYTES * graph..][..GRAPH_BYTES]).unwrap();
        for span in [repr.tensors, repr.nodes] {
            all.extend(span.offset as usize..(span.offset + span.length) as usize);
        }
    }
    all
}
