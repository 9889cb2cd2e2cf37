use std::vec::Vec;

use super::MOST_SLICES;
use super::*;
use crate::Complex32;
use crate::arena::{ArenaError, StaticArena};
use crate::contract::{FEATURES, FIRST_LINES};
use crate::kspace::{LineError, Pattern, Reconstruction, SetupError, fft_centred};
use crate::model::{Location, Model, Problem};
use crate::rng::SplitMix64;
use crate::scan::fixture::{
    FEATURE_LINES, FEATURE_LV_AREA, HEIGHT, WIDTH, blob, ordered_blob, policy, segmenter, slice_policy,
};
use crate::scan::{NetworkError, Scan, ScanError, Segmentation, digest};

const ROOM: usize = 160 * 1024;
const SLICES: usize = 3;

/// K-space of slices with discs of growing size, line by line.
fn volume() -> Vec<Vec<Vec<Complex32>>> {
    let mut random = SplitMix64::new(5);
    (0..SLICES).map(|slice| lines_of(30.0 * slice as f32 + 5.0, &mut random)).collect()
}

/// The lines of a disc with `square` as its squared radius, and a little noise.
fn lines_of(square: f32, random: &mut SplitMix64) -> Vec<Vec<Complex32>> {
    let mut image: Vec<Complex32> = (0..HEIGHT * WIDTH)
        .map(|i| {
            let (y, x) = ((i / WIDTH) as f32 - 30.0, (i % WIDTH) as f32 - 17.0);
            let noise = (random.next_u64() % 100) as f32 / 1000.0;
            Complex32::new(if y * y / 4.0 + x * x < square { 2.0 } else { 0.125 } + noise, noise)
        })
        .collect();
    image.chunks_exact_mut(WIDTH).for_each(|row| fft_centred(row).unwrap());
    let column = |x: usize| image.iter().skip(x).step_by(WIDTH).copied().collect::<Vec<_>>();
    let mut lines: Vec<Vec<Complex32>> = (0..WIDTH).map(column).collect();
    lines.iter_mut().for_each(|line| fft_centred(line).unwrap());
    lines
}

fn model_bytes() -> Vec<u8> {
    blob(&[segmenter(), slice_policy()], Reconstruction::ZeroFilled)
}

/// A model for each reconstruction, whose lines have measured mirrors and others.
fn every_model() -> [Vec<u8>; Reconstruction::ALL.len()] {
    let order = Pattern::PartialFourier { centre_fraction: 0.5 }.lines(WIDTH, WIDTH, 0).unwrap();
    Reconstruction::ALL.map(|reconstruction| ordered_blob(&[segmenter(), slice_policy()], reconstruction, &order))
}

/// Calls `test` with a scan of `budget` lines in an arena that holds rubbish, and not a byte too much.
fn with_scan(bytes: &[u8], budget: usize, test: impl FnOnce(&mut VolumeScan<'_, '_>)) {
    let model = Model::new_checked(bytes).unwrap();
    let mut arena = StaticArena::<ROOM>::new();
    arena.as_mut_slice().fill(0xAA);
    let needed = volume_arena_bytes(&model, SLICES, budget);
    test(&mut VolumeScan::new(&model, &mut arena.as_mut_slice()[..needed], SLICES, budget).unwrap());
}

/// Scans to the end; slices and lines in the order in which they came.
fn run(scan: &mut VolumeScan<'_, '_>) -> Vec<(usize, usize)> {
    let volume = volume();
    let mut places = Vec::new();
    while let Some(place) = scan.propose().unwrap() {
        scan.push_line(place, &volume[place.slice][place.line]).unwrap();
        places.push((place.slice, place.line));
    }
    places
}

#[test]
fn every_slice_gets_its_first_lines_and_the_budget_is_spent() {
    with_scan(&model_bytes(), 14, |scan| {
        let places = run(scan);
        assert_eq!(places[..6], [(0, 16), (0, 15), (1, 16), (1, 15), (2, 16), (2, 15)]);
        assert_eq!((places.len(), scan.remaining()), (14, 0));
        assert_eq!((0..SLICES).map(|slice| scan.lines(slice)).sum::<usize>(), 14);
    });
}

#[test]
fn after_the_first_lines_the_largest_logit_decides() {
    with_scan(&model_bytes(), 20, |scan| {
        let volume = volume();
        let mut chosen = [0; SLICES];
        while let Some(place @ Place { slice, line }) = scan.propose().unwrap() {
            if scan.stats().iter().all(|stats| usize::from(stats.lines) >= FIRST_LINES) {
                let logit = |slice: usize| {
                    let mut features = [0; FEATURES];
                    write_features(scan.stats(), slice, scan.remaining(), &mut features).unwrap();
                    i32::from(features[FEATURE_LV_AREA]) - 2 * i32::from(features[FEATURE_LINES])
                };
                let best = (0..SLICES).rev().max_by_key(|&slice| logit(slice)).unwrap();
                assert_eq!(slice, best);
                assert_eq!(i32::from(scan.logits()[slice]), logit(slice).clamp(-128, 127));
                chosen[slice] += 1;
            }
            scan.push_line(place, &volume[slice][line]).unwrap();
        }
        assert!(chosen.iter().filter(|&&count| count > 0).count() > 1, "more than one slice is chosen: {chosen:?}");
    });
}

#[test]
fn a_slice_that_is_visited_again_is_as_if_it_had_been_scanned_alone() {
    for bytes in every_model() {
        let model = Model::new_checked(&bytes).unwrap();
        with_scan(&bytes, 18, |scan| {
            let places = run(scan);
            let mut arena = StaticArena::<ROOM>::new();
            for (slice, lines) in volume().iter().enumerate() {
                let mut alone = Scan::new(&model, arena.as_mut_slice()).unwrap();
                alone.start(WIDTH).unwrap();
                for &(_, line) in places.iter().filter(|(of, _)| *of == slice) {
                    alone.push_line(line, &lines[line]).unwrap();
                }
                assert_eq!(scan.segment(slice).unwrap(), alone.segment().unwrap(), "slice {slice}");
                assert_eq!(scan.slice_scan().digest(), alone.digest());
                assert!(alone.lines().len() > 2, "more lines than are measured before anything is known");
            }
        });
    }
}

/// What [`VolumeScan::digest`] says that it is of, put together from a scan to its end.
fn digested(scan: &mut VolumeScan<'_, '_>, least_gain: f32) -> Vec<u8> {
    let volume = volume();
    let (mut bytes, mut first) = (Vec::new(), FIRST_LINES * SLICES);
    loop {
        let next = scan.propose_gaining(least_gain).unwrap();
        if first == 0 && scan.remaining() > 0 {
            bytes.extend(scan.logits().iter().flat_map(|logit| logit.to_le_bytes()));
        }
        let Some(place @ Place { slice, line }) = next else { break };
        bytes.extend([slice as u8, 0, line as u8, 0]);
        scan.push_line(place, &volume[slice][line]).unwrap();
        first = first.saturating_sub(1);
    }
    for slice in 0..SLICES {
        let Segmentation { image, logits, classes } = scan.segment(slice).unwrap();
        bytes.extend(image.iter().chain(logits).map(|&value| value as u8));
        bytes.extend(classes);
    }
    bytes
}

#[test]
fn the_digest_is_of_decisions_lines_and_what_came_of_them() {
    for least_gain in [0.0, 1e-9] {
        with_scan(&model_bytes(), 40, |scan| {
            let bytes = digested(scan, least_gain);
            assert_eq!(scan.remaining() > 0, least_gain > 0.0, "one of them stops early");
            assert_eq!(scan.digest().unwrap(), digest(&[], &[], &[], &bytes));
            assert_eq!(scan.digest(), scan.digest(), "as often as it is asked for");
        });
    }
}

#[test]
fn asking_twice_or_looking_at_slices_leaves_the_digest_as_it_is() {
    let volume = volume();
    let digest = |bytes: &[u8], asks: usize| {
        let mut digest = None;
        with_scan(bytes, 14, |scan| {
            while let Some(place @ Place { slice, line }) = scan.propose().unwrap() {
                for ask in 0..asks {
                    scan.segment(ask % SLICES).unwrap();
                    scan.visit((ask + 1) % SLICES).unwrap();
                    assert_eq!(scan.propose(), Ok(Some(place)));
                    scan.segment((ask + 1) % SLICES).unwrap();
                }
                scan.visit(slice).unwrap();
                scan.push_line(place, &volume[slice][line]).unwrap();
            }
            digest = Some(scan.digest().unwrap());
        });
        digest
    };
    let digests = every_model().map(|bytes| {
        let once = digest(&bytes, 0);
        assert_eq!(once, digest(&bytes, 4));
        once
    });
    assert!(digests[0] != digests[1] && digests[1] != digests[2], "symmetry counts");
}

#[test]
fn samples_out_of_range_are_refused_and_leave_the_scan_as_it_was() {
    let volume = volume();
    for bytes in every_model() {
        with_scan(&bytes, 14, |scan| {
            for slice in [0, 1] {
                let place @ Place { line, .. } = scan.next_place(slice).unwrap();
                scan.push_line(place, &volume[slice][line]).unwrap();
            }
            scan.visit(1).unwrap();
            let place @ Place { line, .. } = scan.next_place(0).unwrap();
            let refused = |scan: &mut VolumeScan<'_, '_>, value: f32, error| {
                let mut samples = volume[0][line].clone();
                samples.iter_mut().for_each(|sample| *sample = Complex32::new(value, 0.0));
                let refused = VolumePushError::Line { slice: 0, error };
                assert_eq!(scan.push_line(place, &samples), Err(refused), "{value}");
                assert!(scan.is_ready(1), "the slice that was visited is still there");
                assert_eq!((scan.remaining(), scan.lines(0)), (12, 1));
            };
            refused(scan, f32::MAX, LineError::TooLarge { line, sample: 0 });
            refused(scan, f32::NAN, LineError::NotFinite { line, sample: 0 });
            let error = LineError::SampleCount { needed: volume[0][line].len(), got: 0 };
            assert_eq!(scan.push_line(place, &[]), Err(VolumePushError::Line { slice: 0, error }));
            scan.push_line(place, &volume[0][line]).unwrap();
            // Of a slice without signal so far; beside signal what is faint does no harm.
            let faint: Vec<_> = volume[0][line].iter().map(|_| Complex32::new(1e-30, 0.0)).collect();
            let first = scan.next_place(2).unwrap();
            let refused = VolumePushError::Line { slice: 2, error: LineError::TooFaint { line: first.line } };
            assert_eq!(scan.push_line(first, &faint), Err(refused));
            scan.push_line(scan.next_place(0).unwrap(), &faint).unwrap();
            scan.segment(1).unwrap();
            scan.segment(0).unwrap();
        });
    }
}

#[test]
fn by_symmetry_an_image_is_added_up_again_whenever_it_has_been_invalidated() {
    for (bytes, symmetric) in every_model().into_iter().zip([false, true, true]) {
        let model = Model::new_checked(&bytes).unwrap();
        let (volume, mut arena) = (volume(), StaticArena::<ROOM>::new());
        with_scan(&bytes, 20, |scan| {
            let mut alone = Scan::new(&model, arena.as_mut_slice()).unwrap();
            alone.start(WIDTH).unwrap();
            for step in 0..6 {
                let place @ Place { line, .. } = scan.next_place(1).unwrap();
                scan.push_line(place, &volume[1][line]).unwrap();
                alone.push_line(line, &volume[1][line]).unwrap();
                assert_eq!(scan.is_ready(1), !symmetric, "it has just been segmented");
                scan.visit(1).unwrap();
                assert!(scan.is_ready(1) && !scan.is_ready(0));
                if step > 2 {
                    scan.evaluate().unwrap();
                    assert_eq!(scan.is_ready(1), !symmetric, "the slice policy ran in the memory that is shared");
                }
                if step % 2 == 0 {
                    assert_eq!(scan.segment(1).unwrap(), alone.segment().unwrap());
                    assert_eq!(scan.slice_scan().digest(), alone.digest(), "step {step}");
                }
            }
            scan.visit(1).unwrap();
            assert_eq!(scan.segment(1).unwrap(), alone.segment().unwrap());
            assert_eq!(scan.slice_scan().digest(), alone.digest());
        });
    }
}

#[test]
fn lines_that_somebody_else_chose_are_digested_in_their_order() {
    let volume = volume();
    let digest = |order: [usize; 6]| {
        let mut digest = 0;
        with_scan(&model_bytes(), 6, |scan| {
            for slice in order {
                let place @ Place { line, .. } = scan.next_place(slice).unwrap();
                scan.push_line(place, &volume[slice][line]).unwrap();
            }
            digest = scan.digest().unwrap();
        });
        digest
    };
    assert_eq!(digest([0, 0, 1, 1, 2, 2]), digest([0, 0, 1, 1, 2, 2]));
    assert_ne!(digest([0, 0, 1, 1, 2, 2]), digest([0, 1, 0, 1, 2, 2]));
}

#[test]
fn what_is_seen_of_a_slice_does_not_depend_on_the_order_of_visits() {
    let volume = volume();
    let stats = |order: [usize; 6]| {
        let mut seen = Vec::new();
        with_scan(&model_bytes(), 6, |scan| {
            for slice in order {
                let place @ Place { line, .. } = scan.next_place(slice).unwrap();
                scan.push_line(place, &volume[slice][line]).unwrap();
            }
            seen = scan.stats().to_vec();
        });
        seen
    };
    let seen = stats([0, 0, 1, 1, 2, 2]);
    assert_eq!(seen, stats([2, 1, 0, 0, 1, 2]));
    assert_ne!(seen[0].area, seen[2].area, "the discs differ in size");
    assert!(seen.iter().all(|stats| stats.changed.iter().any(|&count| count > 0)));
}

#[test]
fn a_blob_can_order_the_lines_of_a_slice() {
    let lines = [16, 17, 15, 20, 3];
    let bytes = ordered_blob(&[segmenter(), slice_policy()], Reconstruction::ZeroFilled, &lines);
    with_scan(&bytes, 15, |scan| {
        let places = run(scan);
        for slice in 0..SLICES {
            let own: Vec<u16> = places.iter().filter(|(of, _)| *of == slice).map(|&(_, line)| line as u16).collect();
            assert_eq!(own, lines, "as many lines as the order has");
        }
        assert_eq!(scan.next_place(0), None);
    });
}

#[test]
fn a_scan_ends_when_nothing_is_expected_of_another_line() {
    with_scan(&model_bytes(), 40, |scan| {
        let volume = volume();
        let mut ends = Vec::new();
        for least in [1e30, 1e-9, 0.0] {
            while let Some(place @ Place { slice, line }) = scan.propose_gaining(least).unwrap() {
                scan.push_line(place, &volume[slice][line]).unwrap();
            }
            ends.push(40 - scan.remaining());
            if let Some(Place { slice, .. }) = scan.propose().unwrap() {
                assert!(scan.expected_gain(slice) < least);
                // Scale 1: the logit itself is the logarithm of the gain.
                let gain = libm::expf(f32::from(scan.logits()[slice])) * 0.01 / 3.0;
                assert_eq!(scan.expected_gain(slice), gain);
            }
        }
        assert_eq!((ends[0], ends[2]), (6, 40), "the first lines always; all where nothing is asked");
        assert!(6 < ends[1] && ends[1] < 40, "{ends:?}");
    });
}

#[test]
fn orders_that_are_none_are_refused() {
    let refused = |lines: &[u16]| {
        let bytes = ordered_blob(&[segmenter()], Reconstruction::ZeroFilled, lines);
        let error = Model::new_checked(&bytes).unwrap_err();
        assert_eq!(error.location, Location::LineOrder);
        error.problem
    };
    assert_eq!(refused(&[3, 4, 3]), Problem::Repeated { field: "line", got: 3 });
    assert_eq!(refused(&[32]), Problem::OutOfRange { field: "line", got: 32, min: 0, max: 31 });
    let many: Vec<u16> = (0..33).collect();
    assert_eq!(refused(&many), Problem::OutOfRange { field: "lines in order", got: 33, min: 1, max: 32 });
}

#[test]
fn volumes_that_cannot_be_scanned_are_refused() {
    let bytes = model_bytes();
    let model = Model::new_checked(&bytes).unwrap();
    let mut arena = StaticArena::<ROOM>::new();
    let mut refused = |slices, budget| VolumeScan::new(&model, arena.as_mut_slice(), slices, budget).unwrap_err();
    assert_eq!(refused(0, 9), VolumeSetupError::Slices { slices: 0 });
    assert_eq!(refused(MOST_SLICES + 1, 99), VolumeSetupError::Slices { slices: MOST_SLICES + 1 });
    assert_eq!(refused(3, 5), VolumeSetupError::Budget { budget: 5, min: 6, max: 96 });
    assert_eq!(refused(3, 97), VolumeSetupError::Budget { budget: 97, min: 6, max: 96 });
    let needed = volume_arena_bytes(&model, 3, 20);
    let mut small = StaticArena::<1024>::new();
    let error = VolumeScan::new(&model, small.as_mut_slice(), 3, 20).unwrap_err();
    assert_eq!(error, VolumeSetupError::Slice(SetupError::Arena(ArenaError::TooSmall { needed, got: 1024 })));
    let bytes = blob(&[policy()], Reconstruction::ZeroFilled);
    let model = Model::new_checked(&bytes).unwrap();
    let error = VolumeScan::new(&model, arena.as_mut_slice(), 3, 9).unwrap_err();
    assert_eq!(error, VolumeSetupError::NoSegmenter);
}

#[test]
fn lines_that_cannot_be_taken_leave_the_scan_as_it_was() {
    let bytes = ordered_blob(&[segmenter()], Reconstruction::ZeroFilled, &[16, 15]);
    with_scan(&bytes, 6, |scan| {
        let samples = &volume()[0][16];
        let push = |scan: &mut VolumeScan<'_, '_>, slice, line| scan.push_line(Place { slice, line }, samples);
        let not_next = |slice, line, next| VolumePushError::NotNext { place: Place { slice, line }, line: next };
        let missing = SliceError::Slice { slice: 3, slices: 3 };
        assert_eq!(push(scan, 3, 16), Err(VolumePushError::Slice(missing)));
        assert_eq!(scan.visit(3), Err(missing));
        assert_eq!(scan.segment(3), Err(missing));
        let error = LineError::SampleCount { needed: HEIGHT, got: HEIGHT - 1 };
        let short = scan.push_line(Place { slice: 0, line: 16 }, &samples[1..]);
        assert_eq!(short, Err(VolumePushError::Line { slice: 0, error }));
        assert_eq!(push(scan, 0, 15), Err(not_next(0, 15, Some(16))), "another line of the slice comes first");
        assert_eq!(scan.remaining(), 6);
        push(scan, 0, 16).unwrap();
        assert_eq!(push(scan, 0, 16), Err(not_next(0, 16, Some(15))), "the same line comes once");
        push(scan, 0, 15).unwrap();
        assert_eq!(push(scan, 0, 15), Err(not_next(0, 15, None)));
        for (slice, line) in [(1, 16), (1, 15), (2, 16)] {
            push(scan, slice, line).unwrap();
        }
        assert_eq!(scan.propose(), Ok(Some(Place { slice: 2, line: 15 })), "the first lines need no policy");
        push(scan, 2, 15).unwrap();
        assert_eq!(scan.propose(), Ok(None));
        assert_eq!(push(scan, 2, 15), Err(VolumePushError::BudgetSpent { budget: 6 }));
    });
    with_scan(&blob(&[segmenter()], Reconstruction::ZeroFilled), 7, |scan| {
        for slice in [0, 0, 1, 1, 2, 2] {
            scan.push_line(scan.next_place(slice).unwrap(), &volume()[slice][16]).unwrap();
        }
        assert_eq!(scan.propose(), Err(NetworkError::NoSlicePolicy));
    });
}

#[test]
fn a_line_whose_segmentation_fails_leaves_the_scan_as_it_was() {
    let volume = volume();
    for bytes in every_model() {
        let mut undisturbed = 0;
        with_scan(&bytes, 14, |scan| {
            run(scan);
            undisturbed = scan.digest().unwrap();
        });
        with_scan(&bytes, 14, |scan| {
            let failed = VolumePushError::Slice(SliceError::Scan(ScanError::Network(NetworkError::NoSegmenter)));
            while let Some(place @ Place { slice, line }) = scan.propose().unwrap() {
                let before = (scan.remaining(), scan.stats().to_vec(), scan.logits().to_vec());
                let segmenter = scan.slice_scan().segmenter_mut().take();
                assert_eq!(scan.push_line(place, &volume[slice][line]), Err(failed));
                *scan.slice_scan().segmenter_mut() = segmenter;
                assert_eq!(before, (scan.remaining(), scan.stats().to_vec(), scan.logits().to_vec()));
                assert_eq!(scan.propose(), Ok(Some(place)));
                scan.push_line(place, &volume[slice][line]).unwrap();
            }
            assert_eq!(scan.digest(), Ok(undisturbed));
        });
    }
}
