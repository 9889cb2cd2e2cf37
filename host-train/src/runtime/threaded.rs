//! A kernel set on several threads: convolutions are cut into bands of rows.

use kscout_core::forward_kernels;
use kscout_core::kernels::{Conv2d, ImageKernels, Int8Kernels};
use rayon::ThreadPool;
use rayon::prelude::*;

use crate::runtime::HostKernels;

/// Fewer multiply-accumulates than this are not worth waking another thread: about 10 microseconds of one.
const WORTH_A_THREAD: usize = 1 << 20;

/// Another set's operators, convolutions on as many threads as its pool has. It gives the same bytes.
pub struct Threaded {
    set: HostKernels,
    pool: ThreadPool,
}

impl Threaded {
    /// `set` on `threads` threads.
    ///
    /// # Errors
    /// The system does not give that many threads.
    pub fn new(set: HostKernels, threads: usize) -> Result<Self, rayon::ThreadPoolBuildError> {
        Ok(Self { set, pool: rayon::ThreadPoolBuilder::new().num_threads(threads).build()? })
    }

    /// Bands to cut an operator of `macs` multiply-accumulates and `rows` rows into.
    fn bands(&self, macs: usize, rows: usize) -> usize {
        self.pool.current_num_threads().min(macs / WORTH_A_THREAD).min(rows).max(1)
    }

    /// Runs `band` for bands of `op`'s rows at once, each with a scratch of `scratch_bytes`.
    fn in_bands(
        &self,
        op: &Conv2d<'_>,
        bands: usize,
        output: &mut [i8],
        scratch: &mut [u8],
        scratch_bytes: usize,
        band: impl Fn(&Conv2d<'_>, &mut [i8], &mut [u8]) + Sync,
    ) {
        let (first, end) = op.rows;
        let rows = (end - first).div_ceil(bands);
        let outputs = output.par_chunks_mut((rows * op.output.w * op.output.c).max(1));
        let work = outputs.zip(scratch.par_chunks_mut(scratch_bytes.max(1))).enumerate();
        self.pool.install(|| {
            work.for_each(|(index, (output, scratch))| {
                let start = first + index * rows;
                band(&op.band(start, (start + rows).min(end)), output, scratch);
            });
        });
    }
}

/// Bytes that keep the scratch of the next band aligned.
fn aligned(bytes: usize) -> usize {
    bytes.saturating_add(63) & !63
}

fn macs(op: &Conv2d<'_>, from: usize) -> usize {
    op.kernel.0.saturating_mul(op.kernel.1).saturating_mul(from).saturating_mul(op.band_shape().len())
}

impl ImageKernels for Threaded {
    forward_kernels!(self => self.set; image);
}

impl Int8Kernels for Threaded {
    forward_kernels!(self => self.set; name conv_transpose_scratch_bytes conv_transpose2x2 operators);

    fn conv_scratch_bytes(&self, op: &Conv2d<'_>) -> usize {
        aligned(self.set.conv_scratch_bytes(op)).saturating_mul(self.bands(macs(op, op.input.c), op.output.h))
    }

    fn depthwise_scratch_bytes(&self, op: &Conv2d<'_>) -> usize {
        aligned(self.set.depthwise_scratch_bytes(op)).saturating_mul(self.bands(macs(op, 1), op.output.h))
    }

    fn conv2d(&self, op: &Conv2d<'_>, input: &[i8], output: &mut [i8], scratch: &mut [u8]) {
        let bands = self.bands(macs(op, op.input.c), op.band_shape().h);
        let each = aligned(self.set.conv_scratch_bytes(op));
        if bands < 2 || !op.is_valid() || !op.fits(input, output) || scratch.len() < bands * each {
            return self.set.conv2d(op, input, output, scratch);
        }
        self.in_bands(op, bands, output, scratch, each, |op, output, scratch| {
            self.set.conv2d(op, input, output, scratch);
        });
    }

    fn depthwise(&self, op: &Conv2d<'_>, input: &[i8], output: &mut [i8], scratch: &mut [u8]) {
        let bands = self.bands(macs(op, 1), op.band_shape().h);
        let each = aligned(self.set.depthwise_scratch_bytes(op));
        if bands < 2 || !op.is_valid_depthwise() || !op.fits(input, output) || scratch.len() < bands * each {
            return self.set.depthwise(op, input, output, scratch);
        }
        self.in_bands(op, bands, output, scratch, each, |op, output, scratch| {
            self.set.depthwise(op, input, output, scratch);
        });
    }
}

#[cfg(test)]
mod tests {
    use kscout_core::kernels::Kernels;
    use kscout_core::kernels::agreement::{MEMORY_BYTES, check};

    use super::*;
    use crate::runtime::HeapArena;
    use crate::runtime::fastest;

    #[test]
    fn random_operators_agree_with_the_reference() {
        let set = Threaded::new(fastest(), 3).unwrap();
        let mut memory = HeapArena::new(4 * MEMORY_BYTES);
        let summary = check(&set, 11, 1500, memory.bytes());
        assert!(summary.is_ok(), "{}", summary.unwrap_err());
    }

    #[test]
    fn a_large_convolution_in_bands_is_the_one_in_a_piece() {
        use kscout_core::kernels::{Channel, ChannelParams, Layout, Shape};
        use kscout_core::quant::Requant;
        let shape = Shape::new(67, 40, 32);
        let weights: Vec<i8> = (0..9 * 32 * 32).map(|i| (i * 37 % 251) as u8 as i8).collect();
        let requant = Requant { multiplier: 1_500_000_000, shift: -10 };
        let params = [Channel { bias: 100, requant }.to_bytes(); 32];
        let op = Conv2d {
            input: shape,
            output: shape,
            rows: (0, 67),
            kernel: (3, 3),
            stride: 1,
            pad: 1,
            dilation: 1,
            in_zero: -3,
            out_zero: 5,
            clamp: (-128, 127),
            weights: &weights,
            layout: Layout::Portable,
            params: ChannelParams::new(params.as_flattened()).unwrap(),
        };
        let input: Vec<i8> = (0..shape.len()).map(|i| (i * 53 % 255) as u8 as i8).collect();
        let run = |set: &dyn Kernels| {
            let mut output = vec![0; shape.len()];
            let mut scratch = HeapArena::new(set.conv_scratch_bytes(&op));
            set.conv2d(&op, &input, &mut output, scratch.bytes());
            output
        };
        let threaded = Threaded::new(fastest(), 3).unwrap();
        assert_eq!(threaded.bands(macs(&op, 32), 67), 3);
        assert!(run(&threaded) == run(&fastest()));
    }
}
