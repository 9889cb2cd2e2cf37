//! The trait of int8 operators. Those whose output takes the place of an input go by way of the stack in a set that has nothing
//! better.

use super::{
    Add, Concat, Conv2d, ConvTranspose2x2, LayerNorm, MaxPool, Shift, Table, Upsample2x, conv_scratch_bytes,
    conv_transpose_scratch_bytes, depthwise_scratch_bytes,
};

/// A set of int8 operators, which run networks. See [the module's page](super) for layout, padding and what happens when lengths
/// disagree.
///
/// Anybody may implement it, for an accelerator beside the processor say: `kernels::agreement` (feature `agreement`) shows whether a set
/// keeps to what is asked. An operator that this trait gains later comes with a default.
pub trait Int8Kernels {
    /// The set's name, as reports and tests print it.
    fn name(&self) -> &'static str;

    /// Scratch bytes that the set would have for a convolution: at least [`conv_scratch_bytes`], which is what a blob plans
    /// and every set does with. With less than it would have it may be slow.
    fn conv_scratch_bytes(&self, op: &Conv2d<'_>) -> usize {
        conv_scratch_bytes(op.kernel, op.input.c)
    }

    /// As [`Int8Kernels::conv_scratch_bytes`], of a depthwise convolution.
    fn depthwise_scratch_bytes(&self, op: &Conv2d<'_>) -> usize {
        depthwise_scratch_bytes(op.kernel, op.input.c)
    }

    /// As [`Int8Kernels::conv_scratch_bytes`], of a transposed convolution.
    fn conv_transpose_scratch_bytes(&self, op: &ConvTranspose2x2<'_>) -> usize {
        conv_transpose_scratch_bytes(op.input.c)
    }

    /// Convolution of `input` (`op.input`) into `output` (`op.output`). `scratch` is 16-aligned and holds at least
    /// [`conv_scratch_bytes`] bytes; what it holds before and after does not matter.
    fn conv2d(&self, op: &Conv2d<'_>, input: &[i8], output: &mut [i8], scratch: &mut [u8]);

    /// Depthwise convolution, one filter a channel (multiplier 1). `scratch` as in [`Int8Kernels::conv2d`], with
    /// [`depthwise_scratch_bytes`].
    fn depthwise(&self, op: &Conv2d<'_>, input: &[i8], output: &mut [i8], scratch: &mut [u8]);

    /// Transposed convolution, 2x2 with stride 2; `output` has shape `op.output()`. `scratch` as in [`Int8Kernels::conv2d`],
    /// with [`conv_transpose_scratch_bytes`].
    fn conv_transpose2x2(&self, op: &ConvTranspose2x2<'_>, input: &[i8], output: &mut [i8], scratch: &mut [u8]);

    /// Maximum over square windows without padding; `output` has shape `op.output()`.
    fn max_pool(&self, op: &MaxPool, input: &[i8], output: &mut [i8]);

    /// Sum of two tensors of `op.len` elements.
    fn add(&self, op: &Add, a: &[i8], b: &[i8], output: &mut [i8]);

    /// [`Int8Kernels::add`] where the sum takes the place of an input, or of both: `None` stands for what `values` holds.
    fn add_in_place(&self, op: &Add, a: Option<&[i8]>, b: Option<&[i8]>, values: &mut [i8]) {
        add_in_place(self, op, a, b, values);
    }

    /// Two tensors joined along the channels; `output` has shape `op.output()`.
    fn concat(&self, op: &Concat, a: &[i8], b: &[i8], output: &mut [i8]);

    /// Bilinear interpolation to twice the height and width; `output` has shape `op.output()`.
    fn upsample2x(&self, op: &Upsample2x, input: &[i8], output: &mut [i8]);

    /// Normalisation over the channels of each position; `output` has the shape of `input`.
    fn layer_norm(&self, op: &LayerNorm<'_>, input: &[i8], output: &mut [i8]);

    /// `output[i] = table[input[i] + 128]`, for any length that both share.
    fn table(&self, op: &Table<'_>, input: &[i8], output: &mut [i8]);

    /// [`Int8Kernels::table`] where the results take the place of the values.
    fn table_in_place(&self, op: &Table<'_>, values: &mut [i8]) {
        table_in_place(self, op, values);
    }

    /// Five groups of channels moved by -2 .. 2 along one axis (UNeXt); `output` has the shape of `input`.
    fn shift(&self, op: &Shift, input: &[i8], output: &mut [i8]);
}

/// Values that pass through the stack at once.
const CHUNK: usize = 64;

fn table_in_place<K: Int8Kernels + ?Sized>(kernels: &K, op: &Table<'_>, values: &mut [i8]) {
    let mut copy = [0; CHUNK];
    for chunk in values.chunks_mut(CHUNK) {
        if let Some(copy) = copied(&mut copy, chunk) {
            kernels.table(op, copy, chunk);
        }
    }
}

/// `None` stands for the values that the sum replaces.
fn add_in_place<K: Int8Kernels + ?Sized>(kernels: &K, op: &Add, a: Option<&[i8]>, b: Option<&[i8]>, values: &mut [i8]) {
    let right = |part: Option<&[i8]>| part.is_none_or(|part| part.len() == op.len);
    if values.len() != op.len || !right(a) || !right(b) {
        return;
    }
    let mut copy = [0; CHUNK];
    for (index, chunk) in values.chunks_mut(CHUNK).enumerate() {
        let Some(copy) = copied(&mut copy, chunk) else { continue };
        let start = index.saturating_mul(CHUNK);
        let part = |values: &'_ [i8]| start..values.len().min(start.saturating_add(CHUNK));
        let a = a.map_or(Some(copy), |a| a.get(part(a)));
        let b = b.map_or(Some(copy), |b| b.get(part(b)));
        if let (Some(a), Some(b)) = (a, b) {
            kernels.add(&Add { len: chunk.len(), ..*op }, a, b, chunk);
        }
    }
}

fn copied<'c>(copy: &'c mut [i8; CHUNK], values: &[i8]) -> Option<&'c [i8]> {
    let part = copy.get_mut(..values.len())?;
    // Not `copy_from_slice`, which checks the lengths once more with a panic.
    part.iter_mut().zip(values).for_each(|(to, from)| *to = *from);
    Some(part)
}
