//! Numbers side by side, and sums of many values, taken in as many parts as vectors have lanes, so that the order of additions is
//! fixed and leaves the compiler its vectors.

/// Parts of a sum: those of four vectors of 512 bits, whose additions overlap.
const LANES: usize = 64;

/// Parts of each of two sums.
const HALF_LANES: usize = 32;

/// Parts of what is left after whole [`LANES`]: images are as small as that.
const FEW_LANES: usize = 16;

/// Pixels that are worked on together where each has several channels.
pub const TILE: usize = 32;

/// A number of each pixel of a tile.
pub type Lanes = [f32; TILE];

/// `f` of each lane.
#[inline(always)]
pub fn lanes(f: impl Fn(usize) -> f32) -> Lanes {
    let mut lanes = [0.0; TILE];
    // A loop: the closure of an iterator is not always inlined.
    for (lane, value) in lanes.iter_mut().enumerate() {
        *value = f(lane);
    }
    lanes
}

/// The sum of the parts: by halves as long as they are vectors, the rest in f64.
#[inline(always)]
fn total<const N: usize>(mut lanes: [f32; N]) -> f64 {
    let mut half = N / 2;
    while half >= 8 {
        let (low, high) = lanes.split_at_mut(half);
        low.iter_mut().zip(&high[..half]).for_each(|(low, high)| *low += high);
        half /= 2;
    }
    lanes[..8].iter().map(|&lane| f64::from(lane)).sum()
}

/// The sum of `term` over `values`.
#[inline(always)]
pub fn sum_of(values: &[f32], term: impl Fn(f32) -> f32) -> f64 {
    let (chunks, rest) = values.as_chunks::<LANES>();
    let mut sums = [0.0f32; LANES];
    for chunk in chunks {
        for lane in 0..LANES {
            sums[lane] += term(chunk[lane]);
        }
    }
    total(sums) + rest.iter().map(|&value| f64::from(term(value))).sum::<f64>()
}

/// The sum of the products of `a` with as many values of `b`.
#[inline(always)]
pub fn dot(a: &[f32], b: &[f32]) -> f32 {
    let b = &b[..a.len()];
    let whole = a.len() / LANES * LANES;
    let many = dot_of_chunks::<LANES>(&a[..whole], &b[..whole]);
    let few = dot_of_chunks::<FEW_LANES>(&a[whole..], &b[whole..]);
    let rest = a.len() / FEW_LANES * FEW_LANES;
    (many + few + a[rest..].iter().zip(&b[rest..]).map(|(a, b)| f64::from(a * b)).sum::<f64>()) as f32
}

/// [`dot`] of whole chunks of `N`.
#[inline(always)]
fn dot_of_chunks<const N: usize>(a: &[f32], b: &[f32]) -> f64 {
    let mut sums = [0.0f32; N];
    for (a, b) in a.as_chunks::<N>().0.iter().zip(b.as_chunks::<N>().0) {
        for lane in 0..N {
            sums[lane] += a[lane] * b[lane];
        }
    }
    total(sums)
}

/// The sums of both that `terms` makes of values of `a` and `b`.
#[inline(always)]
pub fn sums_of_two(a: &[f32], b: &[f32], terms: impl Fn(f32, f32) -> [f32; 2]) -> [f64; 2] {
    let ((a, a_rest), (b, b_rest)) = (a.as_chunks::<HALF_LANES>(), b.as_chunks::<HALF_LANES>());
    let (mut first, mut second) = ([0.0f32; HALF_LANES], [0.0f32; HALF_LANES]);
    for (a, b) in a.iter().zip(b) {
        for lane in 0..HALF_LANES {
            let [one, other] = terms(a[lane], b[lane]);
            first[lane] += one;
            second[lane] += other;
        }
    }
    let rest = a_rest.iter().zip(b_rest).map(|(&a, &b)| terms(a, b).map(f64::from));
    rest.fold([total(first), total(second)], |all, terms| [all[0] + terms[0], all[1] + terms[1]])
}

/// How many values there are, their mean, and the sum of squared differences from it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Moments {
    count: f64,
    /// The mean.
    pub mean: f64,
    squares: f64,
}

impl Moments {
    /// Of the values.
    #[inline(always)]
    pub fn of(values: &[f32]) -> Self {
        let count = values.len() as f64;
        let mean = sum_of(values, |value| value) / count;
        // What the rounded mean is off by is taken out of the squares again.
        let about = mean as f32;
        let off = mean - f64::from(about);
        let squares = sum_of(values, |value| (value - about) * (value - about));
        Self { count, mean, squares: squares - count * off * off }
    }

    /// Of both together (Chan et al., "Updating formulae", 1979).
    pub fn join(self, other: Self) -> Self {
        let count = self.count + other.count;
        let apart = other.mean - self.mean;
        Self {
            count,
            mean: self.mean + apart * other.count / count,
            squares: self.squares + other.squares + apart * apart * self.count * other.count / count,
        }
    }

    /// The mean of squared differences from the mean.
    pub fn variance(&self) -> f64 {
        self.squares / self.count
    }
}
