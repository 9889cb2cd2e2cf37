//! What kernels are held to: random cases, sums in f64 with their sizes, and runs on several threads.

use kscout_core::rng::SplitMix64;

/// Numbers from a seed.
pub struct Random(SplitMix64);

impl Random {
    /// From a seed.
    pub fn new(seed: u64) -> Self {
        Self(SplitMix64::new(seed))
    }

    fn next(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// A whole number from `from` to `to`, both included.
    pub fn whole(&mut self, from: usize, to: usize) -> usize {
        from + (self.next() % (to - from + 1) as u64) as usize
    }

    /// One of these.
    pub fn one_of<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.whole(0, of.len() - 1)]
    }

    /// A number from -1 to 1.
    pub fn value(&mut self) -> f32 {
        (self.next() >> 40) as f32 / (1u64 << 23) as f32 - 1.0
    }

    /// So many numbers from -1 to 1.
    pub fn values(&mut self, count: usize) -> Vec<f32> {
        (0..count).map(|_| self.value()).collect()
    }
}

/// A sum in f64, and the sum of its terms' absolute values, which bounds what rounding does to it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sum {
    /// The sum.
    pub value: f64,
    /// The sum of absolute values.
    pub size: f64,
}

impl Sum {
    /// Adds a product.
    pub fn add(&mut self, a: f32, b: f32) {
        let product = f64::from(a) * f64::from(b);
        self.value += product;
        self.size += product.abs();
    }
}

/// Fails where a result is further from its sum than `share` of the sum's size.
#[track_caller]
pub fn assert_sums(got: &[f32], expected: &[Sum], share: f64, what: &str) {
    assert_eq!(got.len(), expected.len(), "{what}");
    for (at, (&got, sum)) in got.iter().zip(expected).enumerate() {
        let off = (f64::from(got) - sum.value).abs();
        assert!(off <= share * sum.size + 1e-30, "{what}: {got} at {at}, expected {} ({})", sum.value, sum.size);
    }
}

/// Fails where a result is further from the expected number than `share` of the largest one.
#[track_caller]
pub fn assert_near(got: &[f32], expected: &[f64], share: f64, what: &str) {
    assert_eq!(got.len(), expected.len(), "{what}");
    let largest = expected.iter().fold(1e-30f64, |largest, value| largest.max(value.abs()));
    for (at, (&got, &expected)) in got.iter().zip(expected).enumerate() {
        let off = (f64::from(got) - expected).abs();
        assert!(off <= share * largest, "{what}: {got} at {at}, expected {expected} (of up to {largest})");
    }
}

/// What `work` gives on `threads` threads.
pub fn on_threads<R: Send>(threads: usize, work: impl FnOnce() -> R + Send) -> R {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("a pool of threads");
    pool.install(work)
}

/// Fails where one thread and three do not give the same bits.
#[track_caller]
pub fn assert_same_on_any_threads(work: impl Fn() -> Vec<f32> + Sync) {
    let bits = |values: Vec<f32>| values.into_iter().map(f32::to_bits).collect::<Vec<_>>();
    assert!(bits(on_threads(1, &work)) == bits(on_threads(3, &work)), "other bits on three threads than on one");
}
