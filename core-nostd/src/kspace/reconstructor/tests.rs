use std::string::ToString;
use std::vec;
use std::vec::Vec;

use super::*;
use crate::arena::ARENA_ALIGN;
use crate::kernels::Reference;
use crate::kspace::quantise_magnitude;
use crate::rng::SplitMix64;

const HEIGHT: usize = 32;
const WIDTH: usize = 20;
/// A line, its mirror image, DC, line 0, which is its own mirror image, others.
const LINES: [usize; 7] = [12, 10, 8, 0, 15, 5, 3];

/// What a reconstructor makes of some lines of a k-space `[y][x]`: the zero-filled image and the reconstructed one.
pub(in crate::kspace) fn images_of(
    kspace: &[Complex32],
    width: usize,
    lines: &[usize],
    reconstruction: Reconstruction,
) -> [Vec<Complex32>; 2] {
    let plan = Plan::new(reconstruction, kspace.len() / width, width);
    let mut memory = Memory::of(plan);
    let mut reconstructor = Reconstructor::new(plan, memory.bytes()).unwrap();
    for &line in lines {
        let samples: Vec<Complex32> = kspace.iter().skip(line).step_by(width).copied().collect();
        reconstructor.push_line(line, &samples).unwrap();
    }
    let mut image = vec![ZERO; kspace.len()];
    reconstructor.reconstruct(&mut image).unwrap();
    let mut levels = vec![0; image.len()];
    quantise_magnitude(&image, width, &mut levels).unwrap();
    assert_eq!(reconstructor.quantised(), levels, "{reconstruction}: the networks see its magnitude");
    [reconstructor.zero_filled().to_vec(), image]
}

/// Memory for a plan, full of rubbish and not a byte too much.
struct Memory(Vec<u128>);

impl Memory {
    fn of(plan: Plan) -> Self {
        Self(vec![u128::MAX / 3; plan.bytes() / ARENA_ALIGN])
    }

    fn bytes(&mut self) -> &mut [u8] {
        bytemuck::cast_slice_mut(&mut self.0)
    }
}

fn samples_of(line: usize) -> Vec<Complex32> {
    let mut random = SplitMix64::new(line as u64);
    (0..HEIGHT).map(|_| Complex32::new(random.unit_f32() - 0.5, random.unit_f32() - 0.5)).collect()
}

fn every_plan() -> [Plan; Reconstruction::ALL.len()] {
    Reconstruction::ALL.map(|reconstruction| Plan::new(reconstruction, HEIGHT, WIDTH))
}

fn push_all<K: ImageKernels>(reconstructor: &mut Reconstructor<'_, K>) {
    LINES.iter().for_each(|&line| reconstructor.push_line(line, &samples_of(line)).unwrap());
}

fn reconstructed<K: ImageKernels>(reconstructor: &Reconstructor<'_, K>) -> Vec<Complex32> {
    let mut image = vec![ZERO; HEIGHT * WIDTH];
    reconstructor.reconstruct(&mut image).unwrap();
    image
}

#[test]
fn kernel_sets_and_kinds_of_memory_give_the_same_images() {
    for plan in every_plan() {
        let [mut own, mut aliased, mut reference] = [plan, plan.aliased(), plan].map(Memory::of);
        let mut own = Reconstructor::new(plan, own.bytes()).unwrap();
        let mut aliased = Reconstructor::new(plan.aliased(), aliased.bytes()).unwrap();
        let mut reference = Reconstructor::with_kernels(plan, reference.bytes(), Reference).unwrap();
        push_all(&mut own);
        push_all(&mut aliased);
        push_all(&mut reference);
        assert_eq!(reconstructed(&own), reconstructed(&reference));
        assert_eq!(reconstructed(&own), reconstructed(&aliased));
        assert_eq!(own.quantised(), reference.quantised());
        assert_eq!(own.quantised(), aliased.quantised());
    }
}

#[test]
fn a_look_at_the_image_leaves_it_as_it_is() {
    for plan in every_plan() {
        let [mut looked, mut straight] = [plan, plan].map(Memory::of);
        let mut looked = Reconstructor::new(plan, looked.bytes()).unwrap();
        let mut straight = Reconstructor::new(plan, straight.bytes()).unwrap();
        for line in LINES {
            looked.push_line(line, &samples_of(line)).unwrap();
            looked.quantised();
            looked.look().scratch.fill(0x55);
            straight.push_line(line, &samples_of(line)).unwrap();
        }
        assert_eq!(looked.quantised(), straight.quantised());
        assert_eq!(reconstructed(&looked), reconstructed(&straight));
    }
}

#[test]
fn an_aliased_image_that_has_been_looked_at_takes_no_line_until_it_is_cleared() {
    for plan in every_plan().map(Plan::aliased) {
        let mut memory = Memory::of(plan);
        let mut reconstructor = Reconstructor::new(plan, memory.bytes()).unwrap();
        let expected = reconstructor.quantised().to_vec();
        reconstructor.clear();
        push_all(&mut reconstructor);
        let levels = reconstructor.quantised().to_vec();
        assert!(levels != expected);
        if !plan.reconstruction().has_second_image() {
            assert!(reconstructor.takes_lines(), "there is nothing to alias");
            continue;
        }
        assert!(!reconstructor.takes_lines());
        assert_eq!(reconstructor.push_line(1, &samples_of(1)), Err(LineError::Invalidated));
        assert_eq!(reconstructor.reconstruct(&mut vec![ZERO; HEIGHT * WIDTH]), Err(ReconError::Invalidated));
        reconstructor.look().scratch.fill(0x55);
        assert_eq!(reconstructor.quantised(), levels, "as it was when it was looked at first");
        reconstructor.clear();
        push_all(&mut reconstructor);
        assert_eq!(reconstructor.quantised(), levels);
    }
}

#[test]
fn a_line_tried_on_a_copy_is_the_line_measured() {
    for (plan, kept) in every_plan().into_iter().flat_map(|plan| [(plan, plan), (plan, plan.aliased())]) {
        let [mut image, mut trial] = [kept, plan].map(Memory::of);
        let mut image = Reconstructor::new(kept, image.bytes()).unwrap();
        let mut trial = Reconstructor::new(plan, trial.bytes()).unwrap();
        for line in LINES {
            let before = reconstructed(&image);
            trial.copy_from(&image).unwrap();
            assert_eq!(trial.measured(), image.measured());
            trial.push_line(line, &samples_of(line)).unwrap();
            let (levels, tried) = (trial.quantised().to_vec(), reconstructed(&trial));
            assert_eq!(reconstructed(&image), before, "a trial leaves the image alone");
            image.push_line(line, &samples_of(line)).unwrap();
            assert_eq!(tried, reconstructed(&image));
            trial.copy_from(&image).unwrap();
            assert_eq!(trial.quantised(), levels);
        }
        assert_eq!(image.quantised(), trial.quantised());
        let is_gone = kept != plan && plan.reconstruction().has_second_image();
        assert_eq!(trial.copy_from(&image), if is_gone { Err(ReconError::Invalidated) } else { Ok(()) });
        assert_eq!(reconstructed(&trial).len(), HEIGHT * WIDTH);
    }
}

#[test]
fn only_images_of_one_size_and_reconstruction_are_copied() {
    let plan = every_plan()[1];
    let others = [every_plan()[0], every_plan()[2], Plan::new(Reconstruction::Homodyne, 16, 40)];
    let mut memory = Memory::of(plan);
    let mut reconstructor = Reconstructor::new(plan, memory.bytes()).unwrap();
    push_all(&mut reconstructor);
    let before = reconstructed(&reconstructor);
    for other in others {
        let mut memory = Memory::of(other);
        let other = Reconstructor::new(other, memory.bytes()).unwrap();
        assert_eq!(reconstructor.copy_from(&other), Err(ReconError::OtherPlan));
        assert_eq!(reconstructed(&reconstructor), before);
        assert!(reconstructor.measured().iter().eq([0, 3, 5, 8, 10, 12, 15]));
    }
}

#[test]
fn what_is_refused_leaves_the_image_as_it_was() {
    for plan in every_plan() {
        let mut memory = Memory::of(plan);
        let mut reconstructor = Reconstructor::new(plan, memory.bytes()).unwrap();
        push_all(&mut reconstructor);
        let before = (reconstructed(&reconstructor), reconstructor.quantised().to_vec());
        let mut push = |line, samples: &[Complex32]| reconstructor.push_line(line, samples).unwrap_err();
        let samples = samples_of(1);
        assert_eq!(push(WIDTH, &samples), LineError::Line { line: WIDTH, width: WIDTH });
        assert_eq!(push(12, &samples), LineError::Repeated { line: 12 });
        assert_eq!(push(1, &samples[1..]), LineError::SampleCount { needed: HEIGHT, got: HEIGHT - 1 });
        let with = |value: f32| {
            let mut samples = samples.clone();
            samples[9].im = value;
            samples
        };
        assert_eq!(push(1, &with(f32::NAN)), LineError::NotFinite { line: 1, sample: 9 });
        assert_eq!(push(1, &with(1e30)), LineError::TooLarge { line: 1, sample: 9 });
        let mut short = vec![ZERO; HEIGHT * WIDTH - 1];
        let refused = reconstructor.reconstruct(&mut short).unwrap_err();
        assert_eq!(refused.to_string(), "the reconstructed image has 639 elements: expected 640");
        assert!(short.iter().all(|&pixel| pixel == ZERO));
        assert_eq!(before, (reconstructed(&reconstructor), reconstructor.quantised().to_vec()));
    }
}

#[test]
fn memory_and_sizes_that_do_not_do_are_refused() {
    for plan in every_plan().into_iter().flat_map(|plan| [plan, plan.aliased()]) {
        let mut memory = Memory::of(plan);
        let needed = plan.bytes();
        let error = Reconstructor::new(plan, &mut memory.bytes()[..needed - 1]).unwrap_err();
        assert_eq!(error, SetupError::Arena(ArenaError::TooSmall { needed, got: needed - 1 }));
    }
    let mut memory = Memory(vec![0; 9000]);
    for [height, width] in [[24, 20], [8, 20], [1024, 20], [32, 0], [32, 513]] {
        let error =
            Reconstructor::new(Plan::new(Reconstruction::ZeroFilled, height, width), memory.bytes()).unwrap_err();
        assert_eq!(error, SetupError::Size { height, width });
    }
    let misaligned = &mut memory.bytes()[4..];
    let error = Reconstructor::new(every_plan()[0], misaligned).unwrap_err();
    assert_eq!(error, SetupError::Arena(ArenaError::Misaligned { offset: 4 }));
}

#[test]
fn the_second_image_is_that_of_the_lines_that_belong_to_it() {
    let kspace: Vec<Complex32> = {
        let lines: Vec<Vec<Complex32>> = (0..WIDTH).map(samples_of).collect();
        (0..HEIGHT * WIDTH).map(|i| lines[i % WIDTH][i / WIDTH]).collect()
    };
    for reconstruction in Reconstruction::ALL {
        let [image, whole] = images_of(&kspace, WIDTH, &LINES, reconstruction);
        let mut measured = LineSet::new(WIDTH).unwrap();
        LINES.iter().for_each(|&line| assert_eq!(measured.insert(line), Ok(true)));
        let is_second = |line: &usize| reconstruction.is_in_second_image(*line, &measured);
        let lines: Vec<usize> = LINES.into_iter().filter(is_second).collect();
        assert_eq!(lines.is_empty(), !reconstruction.has_second_image());
        let [second, _] = images_of(&kspace, WIDTH, &lines, Reconstruction::ZeroFilled);
        let mut expected = vec![ZERO; image.len()];
        reconstruction.combine(&Native::default(), &image, &second, &mut expected).unwrap();
        let difference: f32 = whole.iter().zip(&expected).map(|(a, b)| (a - b).norm_sqr()).sum();
        let size: f32 = expected.iter().map(Complex32::norm_sqr).sum();
        assert!((difference / size).sqrt() < 1e-5, "{reconstruction}: {difference} of {size}");
    }
}
