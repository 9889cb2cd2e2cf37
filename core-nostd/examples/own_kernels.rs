//! A kernel set of one's own, and the test that it has to pass.
//!
//!     cargo run --release -p kscout-core --features agreement --example own_kernels
//!
//! The set stands for a board with a unit that multiplies matrices: it takes the 1x1 convolutions over to that and leaves everything
//! else to the portable kernels. On a board, give a set like it to `Scan::with_kernels` in place of the processor's own.

use kscout_core::arena::StaticArena;
use kscout_core::forward_kernels;
use kscout_core::kernels::agreement::{MEMORY_BYTES, Operator, Summary, check};
use kscout_core::kernels::{Conv2d, ImageKernels, Int8Kernels, Portable};

/// The portable kernels, with 1x1 convolutions on the matrix unit.
pub struct MatrixUnit;

impl MatrixUnit {
    /// Whether the unit can do this one: each output position is the product of the weights with the input at that position.
    fn takes(op: &Conv2d<'_>) -> bool {
        op.kernel == (1, 1) && op.stride == 1 && op.pad == 0 && op.layout.is_unpacked()
    }

    /// The product of weights and positions; `input` and `output` hold the rows of the band alone.
    fn multiply(op: &Conv2d<'_>, input: &[i8], output: &mut [i8]) {
        let positions = input.chunks_exact(op.input.c).zip(output.chunks_exact_mut(op.output.c));
        for (values, outputs) in positions {
            let filters = op.weights.chunks_exact(op.input.c).zip(op.params.iter());
            for (out, (weights, channel)) in outputs.iter_mut().zip(filters) {
                let products = values.iter().zip(weights).map(|(&q, &w)| (i32::from(q) - op.in_zero) * i32::from(w));
                // Accumulators wrap, as every set's do; bias, the two roundings and the clamp are the channel's.
                *out = channel.finish(products.fold(0, i32::wrapping_add), op.out_zero, op.clamp);
            }
        }
    }
}

impl Int8Kernels for MatrixUnit {
    fn name(&self) -> &'static str {
        "matrix-unit"
    }

    fn conv2d(&self, op: &Conv2d<'_>, input: &[i8], output: &mut [i8], scratch: &mut [u8]) {
        // Records and lengths may be anything: what is wrong must leave the output as it was, which the portable kernels see to.
        let right = op.is_valid() && op.fits(input, output) && scratch.len() >= self.conv_scratch_bytes(op);
        if !right || !Self::takes(op) {
            return Portable.conv2d(op, input, output, scratch);
        }
        let row = op.input.w * op.input.c;
        Self::multiply(op, &input[op.rows.0 * row..op.rows.1 * row], output);
    }

    forward_kernels!(self => Portable; depthwise conv_transpose2x2 operators);
}

impl ImageKernels for MatrixUnit {
    forward_kernels!(self => Portable; image);
}

/// Compares the set with the reference on random operators.
///
/// # Errors
/// The first operator on which they differ, with seed and number, so that it can be repeated alone.
pub fn compare() -> Result<Summary, String> {
    let mut memory = Box::new(StaticArena::<MEMORY_BYTES>::new());
    check(&MatrixUnit, 1, 6000, memory.as_mut_slice()).map_err(|disagreement| disagreement.to_string())
}

fn main() -> Result<(), String> {
    let summary = compare()?;
    println!("{summary}");
    println!("{} of them were convolutions, some of which the matrix unit took", summary.of(Operator::Conv2d));
    Ok(())
}
