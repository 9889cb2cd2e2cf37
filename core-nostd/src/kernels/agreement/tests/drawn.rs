//! Random operators: that sets agree, and that the comparison sees where they do not.

use std::string::ToString;

use super::*;
use crate::kernels::agreement::{Fault, MEMORY_BYTES, Operator, Value, check, repeat};

/// Memory for [`check`], with room for the scratch of any set.
fn memory() -> Vec<u128> {
    vec![0; MEMORY_BYTES / 8]
}

#[test]
fn every_set_agrees_with_the_reference() {
    for (name, kernels) in sets() {
        let mut memory = memory();
        match check(&*kernels, 0x6b73_636f_7574, 12_000, bytemuck::cast_slice_mut(&mut memory)) {
            Ok(summary) => std::println!("{name}: {summary}"),
            Err(disagreement) => panic!("{name}: {disagreement}"),
        }
    }
}

#[test]
fn every_operator_is_drawn_and_counted() {
    let summary = check(&Portable, 1, 250, bytemuck::cast_slice_mut(&mut memory())).unwrap();
    assert_eq!(summary.cases(), 250);
    for operator in Operator::ALL {
        assert!(summary.of(operator) >= 10, "{operator:?}: {summary}");
    }
    assert!(summary.to_string().starts_with("250 cases agree: conv2d 70, depthwise 30,"), "{summary}");
}

#[test]
fn memory_that_does_not_do_is_named() {
    let mut memory = memory();
    let memory: &mut [u8] = bytemuck::cast_slice_mut(&mut memory);
    let short = check(&Portable, 1, 240, &mut memory[..8192]).unwrap_err();
    assert!(matches!(short.fault, Fault::Memory(_)), "{short}");
    let crooked = check(&Portable, 1, 240, &mut memory[3..]).unwrap_err();
    assert!(crooked.to_string().contains("not compared: the arena starts 3 bytes past"), "{crooked}");
}

/// Portable kernels with a mistake.
enum Mistaken {
    /// Says that every largest logit is the first.
    Classes,
    /// Leaves the last byte of a pooling as it was.
    LastByte,
    /// Asks for less scratch than it takes, and so refuses.
    Scratch,
    /// Fuses a product into the sum.
    Fused,
}

impl Int8Kernels for Mistaken {
    fn name(&self) -> &'static str {
        "mistaken"
    }

    fn conv_scratch_bytes(&self, op: &Conv2d<'_>) -> usize {
        let bytes = Portable.conv_scratch_bytes(op);
        if matches!(self, Self::Scratch) { bytes - 1 } else { bytes }
    }

    fn conv2d(&self, op: &Conv2d<'_>, input: &[i8], output: &mut [i8], scratch: &mut [u8]) {
        Portable.conv2d(op, input, output, scratch);
    }

    fn max_pool(&self, op: &MaxPool, input: &[i8], output: &mut [i8]) {
        let last = output.last().copied();
        Portable.max_pool(op, input, output);
        if let (Self::LastByte, Some(last), [.., end]) = (self, last, output) {
            *end = last;
        }
    }

    crate::forward_kernels!(self => Portable; depthwise conv_transpose2x2 add concat upsample2x layer_norm table shift);
}

impl ImageKernels for Mistaken {
    fn accumulate(&self, image: &mut [Complex32], profile: &[Complex32], ramp: &[Complex32]) {
        if !matches!(self, Self::Fused) {
            return Portable.accumulate(image, profile, ramp);
        }
        for (row, s) in image.chunks_exact_mut(ramp.len()).zip(profile) {
            for (pixel, p) in row.iter_mut().zip(ramp) {
                pixel.re = (s.re.mul_add(p.re, pixel.re)) - s.im * p.im;
                pixel.im = (s.re.mul_add(p.im, pixel.im)) + s.im * p.re;
            }
        }
    }

    fn classify(&self, logits: &[i8], classes: usize, out: &mut [u8]) {
        match self {
            Self::Classes => out.fill(0),
            _ => Portable.classify(logits, classes, out),
        }
    }
}

#[test]
fn a_mistake_is_found_named_and_can_be_repeated() {
    for (mistaken, operator) in [
        (Mistaken::Classes, Operator::Classify),
        (Mistaken::LastByte, Operator::MaxPool),
        (Mistaken::Scratch, Operator::Conv2d),
        (Mistaken::Fused, Operator::Accumulate),
    ] {
        let mut memory = memory();
        let found = check(&mistaken, 5, 2000, bytemuck::cast_slice_mut(&mut memory)).unwrap_err();
        assert_eq!(found.operator, operator, "{found}");
        assert!(matches!(found.fault, Fault::Value { expected, found, .. } if expected != found), "{found}");
        let words = found.to_string();
        assert!(words.starts_with(&std::format!("mistaken and reference disagree on {}", operator.name())), "{words}");
        let (seed, case, fault) = (found.seed, found.case, found.fault);
        let again = repeat(&mistaken, seed, case, bytemuck::cast_slice_mut(&mut memory)).unwrap_err();
        assert_eq!(again.fault, fault);
    }
}

#[test]
fn a_value_prints_as_it_is() {
    assert_eq!(Value::Byte(-128).to_string(), "-128");
    assert_eq!(Value::Float(1.5).to_string(), "1.5e0 (0x3fc00000)");
}
