use std::string::ToString;
use std::vec::Vec;

use proptest::prelude::*;

use super::fixture::{HEIGHT, Linear, WIDTH, blob, policy, segmenter};
use super::*;
use crate::arena::{ArenaError, StaticArena};
use crate::kernels::{Portable, Reference};
use crate::kspace::{
    FAINTEST_LINE, LARGEST_SAMPLE, LineError, Pattern, Reconstruction, fft_centred, quantise_magnitude,
};
use crate::rng::SplitMix64;

const ROOM: usize = 96 * 1024;

/// Calls `test` with a scan of the given networks in an arena that holds rubbish.
fn with_scan(graphs: &[Linear], test: impl FnOnce(&mut Scan<'_, '_>)) {
    with_scan_of(graphs, Reconstruction::ZeroFilled, test);
}

/// [`with_scan`] for networks that see images of this reconstruction.
fn with_scan_of(graphs: &[Linear], reconstruction: Reconstruction, test: impl FnOnce(&mut Scan<'_, '_>)) {
    let blob = blob(graphs, reconstruction);
    let model = Model::new_checked(&blob).unwrap();
    let mut arena = StaticArena::<ROOM>::new();
    arena.as_mut_slice().fill(0xAA);
    test(&mut Scan::new(&model, arena.as_mut_slice()).unwrap());
}

/// A bright disc off the centre, with a phase.
fn disc() -> Vec<Complex32> {
    let pixel = |i: usize| {
        let (y, x) = ((i / WIDTH) as f32 - 24.0, (i % WIDTH) as f32 - 17.0);
        let bright = if y * y / 4.0 + x * x < 50.0 { 2.0 } else { 0.125 };
        Complex32::new(bright, bright * 0.25)
    };
    (0..HEIGHT * WIDTH).map(pixel).collect()
}

/// The lines of an image's k-space, each of H samples.
fn lines_of(image: &[Complex32]) -> Vec<Vec<Complex32>> {
    let mut kspace = image.to_vec();
    kspace.chunks_exact_mut(WIDTH).for_each(|row| fft_centred(row).unwrap());
    let column = |x: usize| kspace.iter().skip(x).step_by(WIDTH).copied().collect::<Vec<_>>();
    let mut lines: Vec<Vec<Complex32>> = (0..WIDTH).map(column).collect();
    lines.iter_mut().for_each(|line| fft_centred(line).unwrap());
    lines
}

fn run_to_the_end<K: Kernels>(scan: &mut Scan<'_, '_, K>, budget: usize) -> u64 {
    let lines = lines_of(&disc());
    scan.start(budget).unwrap();
    while let Some(line) = scan.propose().unwrap() {
        scan.push_line(line, &lines[line]).unwrap();
    }
    scan.digest().unwrap()
}

#[test]
fn the_policy_sees_the_lines_it_has_measured() {
    with_scan(&[segmenter(), policy()], |scan| {
        run_to_the_end(scan, 6);
        assert_eq!(scan.lines(), [16, 17, 18, 19, 20, 21]);
        assert_eq!((scan.remaining(), scan.propose().unwrap()), (0, None));
        assert!(scan.mask().iter().eq(16..22));
    });
}

#[test]
fn the_segmenter_sees_the_quantised_image() {
    with_scan(&[segmenter(), policy()], |scan| {
        run_to_the_end(scan, 12);
        let levels: Vec<i32> = scan.image().iter().map(|&q| i32::from(q) + 128).collect();
        let scores_of = |u: i32| [40, u, 2 * u - 60, 3 * u - 200].map(|logit| logit.clamp(-128, 127));
        let expected: Vec<i32> = levels.iter().flat_map(|&u| scores_of(u)).collect();
        let Segmentation { classes, logits, image } = scan.segment().unwrap();
        assert!(image.iter().map(|&q| i32::from(q) + 128).eq(levels));
        assert!(logits.iter().map(|&logit| i32::from(logit)).eq(expected.iter().copied()));
        let class = |scores: &[i32]| (0..4).rev().max_by_key(|&class| scores[class]).unwrap() as u8;
        assert!(expected.chunks_exact(4).map(class).eq(classes.iter().copied()));
        let found: Vec<usize> = (0..4).map(|c| classes.iter().filter(|&&k| k == c).count()).collect();
        assert!(found[0] > 100 && found[2] > 100, "{found:?}");
    });
}

#[test]
fn a_scan_has_this_digest_on_every_target() {
    with_scan(&[segmenter(), policy()], |scan| {
        assert_eq!(run_to_the_end(scan, 12), 0x4181_36cd_21a9_573e);
        let lines = scan.lines().to_vec();
        let Segmentation { classes, logits, image } = scan.segment().unwrap();
        let expected = digest(&lines, image, logits, classes);
        assert_eq!(scan.digest(), Ok(expected));
    });
}

#[test]
fn a_homodyne_scan_has_its_own_digest_on_every_target() {
    let lines = lines_of(&disc());
    let order = Pattern::PartialFourier { centre_fraction: 0.5 }.lines(WIDTH, 12, 0).unwrap();
    let follow = |scan: &mut Scan<'_, '_>, count: usize| {
        scan.start(count).unwrap();
        let order = order.iter().map(|&line| usize::from(line)).take(count);
        order.for_each(|line| scan.push_line(line, &lines[line]).unwrap());
        scan.digest().unwrap()
    };
    let digests =
        [(Reconstruction::Homodyne, 0xc19e_c813_a1ca_61c5), (Reconstruction::HalfHomodyne, 0xddd7_46b4_ba4a_56cf)];
    for (reconstruction, expected) in digests {
        with_scan_of(&[segmenter()], reconstruction, |scan| {
            assert_eq!(follow(scan, 12), expected, "{reconstruction}");
            assert_eq!(scan.reconstructor().plan().reconstruction(), reconstruction);
            // The next scan knows nothing of this one.
            assert_ne!(follow(scan, 5), expected);
            assert_eq!(follow(scan, 12), expected);
        });
    }
}

#[test]
fn the_networks_see_the_image_that_the_blob_asks_for() {
    let lines = lines_of(&disc());
    for reconstruction in Reconstruction::ALL {
        with_scan_of(&[segmenter()], reconstruction, |scan| {
            scan.start(14).unwrap();
            let order = Pattern::PartialFourier { centre_fraction: 0.5 }.lines(WIDTH, 14, 0).unwrap();
            order.into_iter().map(usize::from).for_each(|line| scan.push_line(line, &lines[line]).unwrap());
            let mut image = disc();
            scan.reconstructor().reconstruct(&mut image).unwrap();
            assert_eq!(image == scan.reconstructor().zero_filled(), reconstruction == Reconstruction::ZeroFilled);
            let mut levels = [0; HEIGHT * WIDTH];
            quantise_magnitude(&image, WIDTH, &mut levels).unwrap();
            assert_eq!(scan.image(), levels, "{reconstruction}");
        });
    }
}

#[test]
fn a_second_scan_knows_nothing_of_the_first() {
    with_scan(&[segmenter(), policy()], |scan| {
        let first = run_to_the_end(scan, 12);
        assert_ne!(run_to_the_end(scan, 5), first);
        assert_eq!(run_to_the_end(scan, 12), first);
    });
}

#[test]
fn kernel_sets_agree() {
    for reconstruction in Reconstruction::ALL {
        let blob = blob(&[segmenter(), policy()], reconstruction);
        let model = Model::new_checked(&blob).unwrap();
        let mut arena = StaticArena::<ROOM>::new();
        let portable = run_to_the_end(&mut Scan::new(&model, arena.as_mut_slice()).unwrap(), 9);
        let mut scan = Scan::with_kernels(&model, arena.as_mut_slice(), Reference).unwrap();
        assert_eq!(run_to_the_end(&mut scan, 9), portable);
    }
}

#[test]
fn the_proposal_stays_until_a_line_comes() {
    with_scan(&[segmenter(), policy()], |scan| {
        let lines = lines_of(&disc());
        assert_eq!(scan.propose().unwrap(), None);
        scan.start(3).unwrap();
        assert_eq!([scan.propose().unwrap(), scan.propose().unwrap()], [Some(16); 2]);
        scan.segment().unwrap();
        assert_eq!(scan.propose().unwrap(), Some(16));
        scan.push_line(4, &lines[4]).unwrap();
        assert_eq!(scan.propose().unwrap(), Some(5));
        assert_eq!(scan.policy_logits().unwrap()[5], 127);
        assert_eq!(scan.state()[..6], [0, 0, 0, 0, 127, 0]);
        assert_eq!(scan.state()[WIDTH..], [8, 4, 12]);
    });
}

#[test]
fn segmenting_half_way_changes_nothing_but_what_is_held() {
    with_scan(&[segmenter(), policy()], |scan| {
        let straight = run_to_the_end(scan, 4);
        let lines = lines_of(&disc());
        scan.start(4).unwrap();
        assert!(scan.segment().unwrap().classes.iter().all(|&class| class == 0));
        while let Some(line) = scan.propose().unwrap() {
            scan.push_line(line, &lines[line]).unwrap();
            let digest = scan.digest().unwrap();
            assert_eq!(scan.segment().unwrap().classes.len(), HEIGHT * WIDTH);
            scan.propose().unwrap();
            assert_eq!(scan.digest(), Ok(digest), "another network ran in between");
        }
        assert_eq!(scan.digest(), Ok(straight));
    });
}

#[test]
fn what_is_refused_leaves_the_scan_as_it_was() {
    with_scan(&[segmenter(), policy()], |scan| {
        let lines = lines_of(&disc());
        assert_eq!(scan.push_line(16, &lines[16]), Err(PushError::NotStarted));
        scan.start(2).unwrap();
        scan.push_line(16, &lines[16]).unwrap();
        let before = (
            scan.reconstructor().zero_filled().to_vec(),
            scan.image().to_vec(),
            scan.lines().to_vec(),
            scan.propose().unwrap(),
        );
        for budget in [0, WIDTH + 1] {
            assert_eq!(scan.start(budget), Err(BudgetError { budget, width: WIDTH }));
        }
        let refused = [
            (scan.push_line(WIDTH, &lines[0]), LineError::Line { line: WIDTH, width: WIDTH }),
            (scan.push_line(16, &lines[16]), LineError::Repeated { line: 16 }),
            (scan.push_line(3, &lines[3][1..]), LineError::SampleCount { needed: HEIGHT, got: HEIGHT - 1 }),
        ];
        refused.into_iter().for_each(|(got, expected)| assert_eq!(got, Err(PushError::Line(expected))));
        for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            for value in [Complex32::new(bad, 0.0), Complex32::new(0.0, bad)] {
                let mut samples = lines[3].clone();
                samples[40] = value;
                assert_eq!(
                    scan.push_line(3, &samples),
                    Err(PushError::Line(LineError::NotFinite { line: 3, sample: 40 }))
                );
            }
        }
        let after = (
            scan.reconstructor().zero_filled().to_vec(),
            scan.image().to_vec(),
            scan.lines().to_vec(),
            scan.propose().unwrap(),
        );
        assert_eq!(before, after);
        scan.push_line(3, &lines[3]).unwrap();
        assert_eq!(scan.push_line(4, &lines[4]), Err(PushError::BudgetSpent { budget: 2 }));
        assert_eq!(scan.lines(), [16, 3]);
    });
}

/// A scan of all lines, each with `value` in all its samples.
fn filled_with(scan: &mut Scan<'_, '_>, value: f32) -> Result<(), PushError> {
    scan.start(WIDTH).unwrap();
    (0..WIDTH).try_for_each(|line| scan.push_line(line, &[Complex32::new(value, -value); HEIGHT]))
}

#[test]
fn samples_from_one_end_of_the_range_to_the_other_give_the_same_image() {
    for reconstruction in Reconstruction::ALL {
        with_scan_of(&[segmenter()], reconstruction, |scan| {
            filled_with(scan, 1.0).unwrap();
            let expected = scan.image().to_vec();
            assert!(expected.iter().any(|&level| level > -128));
            for value in [LARGEST_SAMPLE, FAINTEST_LINE] {
                filled_with(scan, value).unwrap();
                assert_eq!(scan.image(), expected, "{reconstruction}, {value}");
            }
            // The least that is taken: one sample of one line.
            let mut line = [Complex32::new(0.0, 0.0); HEIGHT];
            line[5] = Complex32::new(0.0, FAINTEST_LINE);
            scan.start(1).unwrap();
            scan.push_line(3, &line).unwrap();
            assert!(scan.image().iter().all(|&level| level == -80), "{reconstruction}");
        });
    }
}

#[test]
fn samples_out_of_range_are_refused_instead_of_a_dark_image() {
    with_scan(&[segmenter()], |scan| {
        let lines = lines_of(&disc());
        scan.start(3).unwrap();
        scan.push_line(16, &lines[16]).unwrap();
        let before = (scan.reconstructor().zero_filled().to_vec(), scan.image().to_vec(), scan.lines().to_vec());
        for value in [LARGEST_SAMPLE * 1.01, 1e19, f32::MAX] {
            let mut samples = lines[3].clone();
            samples[40].re = -value;
            assert_eq!(
                scan.push_line(3, &samples),
                Err(PushError::Line(LineError::TooLarge { line: 3, sample: 40 })),
                "{value}"
            );
        }
        assert_eq!(before, (scan.reconstructor().zero_filled().to_vec(), scan.image().to_vec(), scan.lines().to_vec()));
        for (line, value) in [(3, 0.0), (4, 1e-20)] {
            scan.push_line(line, &[Complex32::new(value, 0.0); HEIGHT]).unwrap();
            assert_eq!(scan.image(), before.1, "a line without signal adds nothing");
        }

        scan.start(3).unwrap();
        scan.push_line(4, &[Complex32::new(0.0, 0.0); HEIGHT]).unwrap();
        for value in [FAINTEST_LINE * 0.99, 1e-20, f32::from_bits(1)] {
            let samples = [Complex32::new(value, -value); HEIGHT];
            assert_eq!(scan.push_line(3, &samples), Err(PushError::Line(LineError::TooFaint { line: 3 })), "{value}");
        }
        assert_eq!(scan.lines(), [4]);
        assert!(scan.reconstructor().zero_filled().iter().all(|&pixel| pixel == Complex32::new(0.0, 0.0)));
        scan.push_line(3, &lines[3]).unwrap();
    });
}

#[test]
fn without_a_policy_a_pattern_drives_the_scan() {
    with_scan(&[segmenter()], |scan| {
        let lines = lines_of(&disc());
        scan.start(8).unwrap();
        assert_eq!(scan.propose(), Err(NetworkError::NoPolicy));
        assert_eq!(scan.policy_logits(), Err(NetworkError::NoPolicy));
        assert!(scan.segment().is_ok(), "what has no policy can be segmented all the same");
        let mut order = [0; 8];
        Pattern::CentreOut.order(WIDTH, 8, 0, &mut order).unwrap();
        order.map(usize::from).iter().for_each(|&line| scan.push_line(line, &lines[line]).unwrap());
        assert_eq!(scan.lines(), order);
        assert!(scan.segment().unwrap().classes.contains(&2));
    });
}

#[test]
fn a_scan_costs_its_policy_once_a_line_and_its_segmenter_once() {
    let bytes = blob(&[segmenter(), policy()], Reconstruction::ZeroFilled);
    let model = Model::new_checked(&bytes).unwrap();
    let [segmenter, policy] = [model.segmenter(), model.policy()].map(|graph| graph.unwrap().macs());
    assert!(segmenter > 0 && policy > 0);
    assert_eq!(multiply_accumulates(&model, 12), segmenter + 12 * policy);
    assert_eq!(multiply_accumulates(&model, usize::MAX), u64::MAX);
    let [segmenter, policy] = [model.segmenter(), model.policy()].map(|graph| graph.unwrap().other_operations());
    assert_eq!(other_operations(&model, 12), segmenter + 12 * policy);
}

#[test]
fn absurd_sizes_ask_for_more_bytes_than_there_are() {
    for reconstruction in Reconstruction::ALL {
        assert_eq!(arena_bytes_for(usize::MAX, usize::MAX, reconstruction, usize::MAX), usize::MAX);
        assert_eq!(arena_bytes_for(1, usize::MAX / 8, reconstruction, 0), usize::MAX);
    }
}

#[test]
fn an_aliased_image_takes_no_memory_where_the_networks_have_enough() {
    let symmetric = Plan::new(Reconstruction::HalfHomodyne, HEIGHT, WIDTH);
    let [line, image] = [HEIGHT, HEIGHT * WIDTH].map(|values| values * size_of::<Complex32>());
    let bytes = |plan, graph| memory::bytes_for([HEIGHT, WIDTH], plan, graph);
    let zero_filled = |graph| bytes(Plan::new(Reconstruction::ZeroFilled, HEIGHT, WIDTH), graph);
    for graph in [image, 3 * image] {
        assert_eq!(bytes(symmetric.aliased(), graph), zero_filled(graph) + line);
        assert_eq!(bytes(symmetric, graph), zero_filled(graph) + line + image);
    }
    assert_eq!(bytes(symmetric.aliased(), image / 2), zero_filled(image) + line, "as much as an image");
}

#[test]
fn a_scan_whose_aliased_image_is_invalidated_asks_to_be_started_again() {
    let bytes = blob(&[segmenter(), policy()], Reconstruction::HalfHomodyne);
    let model = Model::new_checked(&bytes).unwrap();
    let lines = lines_of(&disc());
    let mut arena = StaticArena::<ROOM>::new();
    let aliased = model.plan().aliased();
    let mut scan = Scan::planned(&model, arena.as_mut_slice(), Native::default(), aliased).unwrap();
    let fill = |scan: &mut Scan<'_, '_>| {
        scan.start(WIDTH).unwrap();
        [16, 15, 17, 18].into_iter().for_each(|line| scan.push_line(line, &lines[line]).unwrap());
        assert!(scan.reconstructor().takes_lines());
    };
    let refused = Err(PushError::Line(LineError::Invalidated));
    fill(&mut scan);
    let seen = scan.image().to_vec();
    assert_eq!(scan.push_line(14, &lines[14]), refused, "it has been looked at");
    assert_eq!(scan.segment().unwrap().image, seen);

    fill(&mut scan);
    let graph = model.policy().unwrap();
    let _ = scan.run_aside(&graph, &[]);
    assert_eq!(scan.push_line(14, &lines[14]), refused, "another network ran");
    assert_eq!(scan.segment().unwrap().image, seen, "it was quantised before");
    assert_eq!(scan.image(), seen);

    fill(&mut scan);
    assert_eq!(scan.image(), seen);
}

#[test]
fn without_a_segmenter_lines_are_chosen_all_the_same() {
    with_scan(&[policy()], |scan| {
        scan.start(8).unwrap();
        assert_eq!(scan.propose().unwrap(), Some(16));
        assert_eq!(scan.segment(), Err(NetworkError::NoSegmenter));
    });
}

#[test]
fn the_arena_needs_the_bytes_that_are_asked_for_and_no_more() {
    for reconstruction in Reconstruction::ALL {
        let blob = blob(&[segmenter(), policy()], reconstruction);
        let model = Model::new_checked(&blob).unwrap();
        let (needed, planned) = (arena_bytes(&model), arena_bytes_with(&model, &Portable));
        let graph = model.segmenter().unwrap().arena_bytes().max(model.policy().unwrap().arena_bytes());
        assert_eq!(planned, arena_bytes_for(HEIGHT, WIDTH, reconstruction, graph));
        let mut arena = StaticArena::<ROOM>::new();
        let digest = run_to_the_end(&mut Scan::new(&model, &mut arena.as_mut_slice()[..needed]).unwrap(), 32);
        let error = Scan::new(&model, &mut arena.as_mut_slice()[..needed - 1]).unwrap_err();
        assert_eq!(error, SetupError::Arena(ArenaError::TooSmall { needed, got: needed - 1 }));
        assert_eq!(error.to_string(), std::format!("an arena of {} bytes: {needed} are needed", needed - 1));
        // The machine's own kernels do with what the blob plans, if they are asked to.
        let small = &mut arena.as_mut_slice()[..planned];
        assert_eq!(run_to_the_end(&mut Scan::with_kernels(&model, small, Native::default()).unwrap(), 32), digest);
        let error = Scan::with_kernels(&model, &mut arena.as_mut_slice()[..planned - 1], Portable).unwrap_err();
        assert_eq!(error, SetupError::Arena(ArenaError::TooSmall { needed: planned, got: planned - 1 }));
    }
    let blob = blob(&[segmenter(), policy()], Reconstruction::ZeroFilled);
    let model = Model::new_checked(&blob).unwrap();
    let mut arena = StaticArena::<ROOM>::new();
    let error = Scan::new(&model, &mut arena.as_mut_slice()[4..]).unwrap_err();
    assert_eq!(error, SetupError::Arena(ArenaError::Misaligned { offset: 4 }));
}

proptest! {
    #![proptest_config(crate::kspace::fixed_cases(12))]

    #[test]
    fn all_lines_in_any_order_give_the_magnitude_of_the_image(seed: u64) {
        let mut rng = SplitMix64::new(seed);
        let mut value = || rng.unit_f32() - 0.5;
        let image: Vec<Complex32> = (0..HEIGHT * WIDTH).map(|_| Complex32::new(value(), value())).collect();
        let lines = lines_of(&image);
        let mut order = [0; WIDTH];
        Pattern::Random.order(WIDTH, WIDTH, seed, &mut order).unwrap();
        with_scan(&[segmenter()], |scan| {
            scan.start(WIDTH).unwrap();
            order.map(usize::from).iter().for_each(|&line| scan.push_line(line, &lines[line]).unwrap());
            let size = |value: &Complex32| value.norm_sqr().sqrt();
            let difference = |(a, b): (&Complex32, &Complex32)| (size(a) - size(b)).abs();
            let worst = image.iter().zip(scan.reconstructor().zero_filled()).map(difference).fold(0.0, f32::max);
            assert!(worst < 1e-5, "{worst}");
        });
    }
}
