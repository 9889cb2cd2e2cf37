//! The example of a kernel set of one's own, run.

#[path = "../../core-nostd/examples/own_kernels.rs"]
#[expect(dead_code, reason = "an example has a main of its own")]
mod own_kernels;

use kscout_core::arena::StaticArena;
use kscout_core::kernels::agreement::{MEMORY_BYTES, Operator, check};
use kscout_core::kernels::{Conv2d, ImageKernels, Int8Kernels, Portable};

#[test]
fn the_set_agrees_with_the_reference() {
    let summary = own_kernels::compare().unwrap();
    assert_eq!(summary.cases(), 6000);
    assert!(summary.of(Operator::Conv2d) > 1000, "{summary}");
}

/// The example's set with a mistake where the matrix unit works.
struct Mistaken;

impl Int8Kernels for Mistaken {
    fn name(&self) -> &'static str {
        "mistaken"
    }

    fn conv2d(&self, op: &Conv2d<'_>, input: &[i8], output: &mut [i8], scratch: &mut [u8]) {
        own_kernels::MatrixUnit.conv2d(op, input, output, scratch);
        if op.kernel == (1, 1)
            && let [first, ..] = output
        {
            *first = !*first;
        }
    }

    kscout_core::forward_kernels!(self => Portable; depthwise conv_transpose2x2 operators);
}

impl ImageKernels for Mistaken {}

#[test]
fn a_set_that_errs_there_is_caught() {
    let mut memory = Box::new(StaticArena::<MEMORY_BYTES>::new());
    let found = check(&Mistaken, 1, 6000, memory.as_mut_slice()).unwrap_err();
    assert_eq!((found.kernels, found.operator), ("mistaken", Operator::Conv2d), "{found}");
}
