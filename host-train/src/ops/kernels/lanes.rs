//! Sums of many values, taken in as many parts as vectors have lanes, so that the order of additions is fixed and leaves the
//! compiler its vectors.

/// Parts of a sum: those of four vectors of 512 bits, whose additions overlap.
pub const LANES: usize = 64;

/// The sum of the parts: by halves as long as they are vectors, the rest in f64.
#[inline(always)]
pub fn total(mut lanes: [f32; LANES]) -> f64 {
    let mut half = LANES / 2;
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
    let mut lanes = [0.0f32; LANES];
    let (chunks, rest) = values.as_chunks::<LANES>();
    for chunk in chunks {
        for lane in 0..LANES {
            lanes[lane] += term(chunk[lane]);
        }
    }
    for (lane, &value) in lanes.iter_mut().zip(rest) {
        *lane += term(value);
    }
    total(lanes)
}

/// The sum of the products of `a` with as many values of `b`.
#[inline(always)]
pub fn dot(a: &[f32], b: &[f32]) -> f32 {
    let mut lanes = [0.0f32; LANES];
    let ((a, a_rest), (b, b_rest)) = (a.as_chunks::<LANES>(), b[..a.len()].as_chunks::<LANES>());
    for (a, b) in a.iter().zip(b) {
        for lane in 0..LANES {
            lanes[lane] += a[lane] * b[lane];
        }
    }
    for (lane, (a, b)) in lanes.iter_mut().zip(a_rest.iter().zip(b_rest)) {
        *lane += a * b;
    }
    total(lanes) as f32
}

/// The mean, and the sum of squared differences from it.
#[inline(always)]
pub fn mean_and_squares(values: &[f32]) -> (f64, f64) {
    let mean = sum_of(values, |value| value) / values.len() as f64;
    // What the rounded mean is off by is taken out of the squares again.
    let about = mean as f32;
    let (squares, off) = (sum_of(values, |value| (value - about) * (value - about)), mean - f64::from(about));
    (mean, squares - values.len() as f64 * off * off)
}
