//! A reference to a kernel set is one, so that a set chosen at run time (`&dyn Kernels`) goes wherever a set goes.

use super::{Add, Concat, Conv2d, ConvTranspose2x2, Kernels, LayerNorm, MaxPool, Shift, Table, Upsample2x};
use crate::Complex32;

impl<K: Kernels + ?Sized> Kernels for &K {
    fn name(&self) -> &'static str {
        (**self).name()
    }

    fn conv_scratch_bytes(&self, op: &Conv2d<'_>) -> usize {
        (**self).conv_scratch_bytes(op)
    }

    fn depthwise_scratch_bytes(&self, op: &Conv2d<'_>) -> usize {
        (**self).depthwise_scratch_bytes(op)
    }

    fn conv_transpose_scratch_bytes(&self, op: &ConvTranspose2x2<'_>) -> usize {
        (**self).conv_transpose_scratch_bytes(op)
    }

    fn conv2d(&self, op: &Conv2d<'_>, input: &[i8], output: &mut [i8], scratch: &mut [u8]) {
        (**self).conv2d(op, input, output, scratch);
    }

    fn depthwise(&self, op: &Conv2d<'_>, input: &[i8], output: &mut [i8], scratch: &mut [u8]) {
        (**self).depthwise(op, input, output, scratch);
    }

    fn conv_transpose2x2(&self, op: &ConvTranspose2x2<'_>, input: &[i8], output: &mut [i8], scratch: &mut [u8]) {
        (**self).conv_transpose2x2(op, input, output, scratch);
    }

    fn max_pool(&self, op: &MaxPool, input: &[i8], output: &mut [i8]) {
        (**self).max_pool(op, input, output);
    }

    fn add(&self, op: &Add, a: &[i8], b: &[i8], output: &mut [i8]) {
        (**self).add(op, a, b, output);
    }

    fn add_in_place(&self, op: &Add, a: Option<&[i8]>, b: Option<&[i8]>, values: &mut [i8]) {
        (**self).add_in_place(op, a, b, values);
    }

    fn concat(&self, op: &Concat, a: &[i8], b: &[i8], output: &mut [i8]) {
        (**self).concat(op, a, b, output);
    }

    fn upsample2x(&self, op: &Upsample2x, input: &[i8], output: &mut [i8]) {
        (**self).upsample2x(op, input, output);
    }

    fn layer_norm(&self, op: &LayerNorm<'_>, input: &[i8], output: &mut [i8]) {
        (**self).layer_norm(op, input, output);
    }

    fn table(&self, op: &Table<'_>, input: &[i8], output: &mut [i8]) {
        (**self).table(op, input, output);
    }

    fn table_in_place(&self, op: &Table<'_>, values: &mut [i8]) {
        (**self).table_in_place(op, values);
    }

    fn shift(&self, op: &Shift, input: &[i8], output: &mut [i8]) {
        (**self).shift(op, input, output);
    }

    fn grow(&self, image: &mut [Complex32], profile: &[Complex32], ramp: &[Complex32]) {
        (**self).grow(image, profile, ramp);
    }

    fn energy(&self, image: &[Complex32], width: usize) -> f32 {
        (**self).energy(image, width)
    }

    fn homodyne(&self, image: &[Complex32], paired: &[Complex32], weight: f32, out: &mut [Complex32]) {
        (**self).homodyne(image, paired, weight, out);
    }

    fn quantise(&self, image: &[Complex32], gain: f32, out: &mut [i8]) {
        (**self).quantise(image, gain, out);
    }

    fn classify(&self, logits: &[i8], classes: usize, out: &mut [u8]) {
        (**self).classify(logits, classes, out);
    }
}
