//! Cross-entropy and Dice of the softmax, with the gradient of the logits.
//!
//! With z the logits, p their softmax over the classes, t the truth (one-hot), w the class weights:
//!
//! * cross-entropy `sum w_c t (-log p) / max(sum w_c t, 1e-6)` over all classes and pixels;
//! * Dice of class c over the batch `D_c = (2 sum p t + 1) / (sum p + sum t + 1)`, and of it
//!   `dice_weight * (1 - sum w_c D_c / sum w_c)` over the classes 1 and up.
//!
//! The loss is their sum. Its gradient is `ds/dz_c = p_c (g_c - sum_k p_k g_k)` with g the gradient of the probabilities,
//! where the cross-entropy's part is `(p_c sum_k w_k t_k - w_c t_c) / sum w t`.

/// The shape of a loss with its numbers.
#[derive(Clone, Copy, Debug)]
pub struct CrossEntropyDice<'a> {
    /// Images, N.
    pub batch: usize,
    /// Classes, C, the background first.
    pub classes: usize,
    /// Pixels of an image, H*W.
    pub pixels: usize,
    /// Weights of the classes, `[C]`; `None`: all 1.
    pub class_weights: Option<&'a [f32]>,
    /// Weight of the cross-entropy term.
    pub cross_entropy_weight: f32,
    /// Weight of the Dice term.
    pub dice_weight: f32,
}

impl CrossEntropyDice<'_> {
    /// Values of logits, truth and gradient, `[N, C, H, W]`.
    pub fn values(&self) -> usize {
        self.batch * self.classes * self.pixels
    }

    fn weight(&self, class: usize) -> f64 {
        self.class_weights.map_or(1.0, |weights| f64::from(weights[class]))
    }

    fn at(&self, n: usize, class: usize, pixel: usize) -> usize {
        (n * self.classes + class) * self.pixels + pixel
    }

    fn softmax(&self, logits: &[f32], n: usize, pixel: usize) -> Vec<f64> {
        let z = |c| f64::from(logits[self.at(n, c, pixel)]);
        let largest = (0..self.classes).map(z).fold(f64::MIN, f64::max);
        let powers: Vec<f64> = (0..self.classes).map(|c| (z(c) - largest).exp()).collect();
        let sum: f64 = powers.iter().sum();
        powers.into_iter().map(|power| power / sum).collect()
    }
}

/// The loss of `logits` against `truth`, and in `gradient` the gradient of the logits.
pub fn value_and_gradient(shape: &CrossEntropyDice<'_>, logits: &[f32], truth: &[f32], gradient: &mut [f32]) -> f32 {
    let classes = shape.classes;
    let (mut entropy, mut total) = (0.0, 0.0);
    let mut sums = vec![[0.0f64; 3]; classes];
    for n in 0..shape.batch {
        for pixel in 0..shape.pixels {
            let p = shape.softmax(logits, n, pixel);
            for c in 0..classes {
                let t = f64::from(truth[shape.at(n, c, pixel)]);
                entropy -= shape.weight(c) * t * p[c].max(1e-300).ln();
                total += shape.weight(c) * t;
                sums[c] = [sums[c][0] + p[c] * t, sums[c][1] + p[c], sums[c][2] + t];
            }
        }
    }
    // As many pixels as there are, where all weigh the same.
    let total = if shape.class_weights.is_some() { f64::max(total, 1e-6) } else { (shape.batch * shape.pixels) as f64 };
    let foreground: f64 = (1..classes).map(|c| shape.weight(c)).sum();
    let dice: f64 =
        (1..classes).map(|c| shape.weight(c) * (2.0 * sums[c][0] + 1.0) / (sums[c][1] + sums[c][2] + 1.0)).sum::<f64>()
            / foreground;
    for n in 0..shape.batch {
        for pixel in 0..shape.pixels {
            let p = shape.softmax(logits, n, pixel);
            let truths: Vec<f64> = (0..classes).map(|c| f64::from(truth[shape.at(n, c, pixel)])).collect();
            let weighted: f64 = (0..classes).map(|c| shape.weight(c) * truths[c]).sum();
            let of_p = |c: usize| {
                let (overlap, both) = (2.0 * sums[c][0] + 1.0, sums[c][1] + sums[c][2] + 1.0);
                let slope = (2.0 * truths[c] * both - overlap) / (both * both);
                if c == 0 { 0.0 } else { -f64::from(shape.dice_weight) * shape.weight(c) / foreground * slope }
            };
            let along: f64 = (0..classes).map(|c| p[c] * of_p(c)).sum();
            for c in 0..classes {
                let entropy =
                    f64::from(shape.cross_entropy_weight) * (p[c] * weighted - shape.weight(c) * truths[c]) / total;
                gradient[shape.at(n, c, pixel)] = (entropy + p[c] * (of_p(c) - along)) as f32;
            }
        }
    }
    (f64::from(shape.cross_entropy_weight) * entropy / total + f64::from(shape.dice_weight) * (1.0 - dice)) as f32
}
