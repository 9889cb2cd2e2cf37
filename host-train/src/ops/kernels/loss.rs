//! Cross-entropy and Dice of the softmax, with the gradient of the logits.
//!
//! With z the logits, p their softmax over the classes, t the truth (one-hot), w the class weights:
//!
//! * cross-entropy `sum w_c t (-log p) / max(sum w_c t, 1e-6)` over all classes and pixels; where no weights are given,
//!   the sum is divided by the number of pixels;
//! * Dice of class c over the batch `D_c = (2 sum p t + 1) / (sum p + sum t + 1)`, and of it
//!   `1 - sum w_c D_c / sum w_c` over the classes 1 and up.
//!
//! The loss is the sum of both with a weight each. Its gradient is `dL/dz_c = p_c (g_c - sum_k p_k g_k)` with g the
//! gradient of the probabilities; the cross-entropy's part of that is `(p_c sum_k w_k t_k - w_c t_c) / sum w t`.
//!
//! The Dice needs sums over the whole batch before any gradient is known: probabilities are kept in the place of the
//! gradient in between.

use rayon::prelude::*;

use super::elementary::{exp, ln};
use super::lanes::{Lanes, TILE, lanes};
use super::simd::widest;

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
    /// Weight of the Dice term; with 0 there is none.
    pub dice_weight: f32,
}

/// Sums over pixels.
#[derive(Clone, Default)]
struct Sums {
    /// Of `w t (-log p)`.
    entropy: f64,
    /// Of `w t`.
    weight: f64,
    /// Of `p t`, p and t, of each class.
    classes: Vec<[f64; 3]>,
}

/// The same for the pixels of an image that share a lane.
struct LaneSums {
    entropy: Lanes,
    weight: Lanes,
    classes: Vec<[Lanes; 3]>,
}

/// What a probability's gradient is made of: `factor * t + offset` from the Dice, and the weight of its cross-entropy.
#[derive(Clone, Copy)]
struct Slope {
    factor: f32,
    offset: f32,
    weight: f32,
}

impl CrossEntropyDice<'_> {
    /// Values of logits, truth and gradient, `[N, C, H, W]`.
    pub fn values(&self) -> usize {
        self.batch * self.classes * self.pixels
    }

    fn weight(&self, class: usize) -> f32 {
        self.class_weights.map_or(1.0, |weights| weights[class])
    }

    /// Sum of the weights of the classes that have a Dice.
    fn foreground(&self) -> f64 {
        (1..self.classes).map(|class| f64::from(self.weight(class))).sum()
    }

    /// What the cross-entropy is divided by.
    fn divisor(&self, sums: &Sums) -> f64 {
        if self.class_weights.is_some() { sums.weight.max(1e-6) } else { (self.batch * self.pixels) as f64 }
    }

    fn value(&self, sums: &Sums) -> f32 {
        let mut value = f64::from(self.cross_entropy_weight) * sums.entropy / self.divisor(sums);
        if self.dice_weight != 0.0 {
            let dice = |(class, &[both, p, t]): (usize, &[f64; 3])| {
                f64::from(self.weight(class)) * (2.0 * both + 1.0) / (p + t + 1.0)
            };
            let mean = sums.classes.iter().enumerate().skip(1).map(dice).sum::<f64>() / self.foreground();
            value += f64::from(self.dice_weight) * (1.0 - mean);
        }
        value as f32
    }

    fn slopes(&self, sums: &Sums) -> Vec<Slope> {
        let entropy = f64::from(self.cross_entropy_weight) / self.divisor(sums);
        let slope = |(class, &[both, p, t]): (usize, &[f64; 3])| {
            let weight = (f64::from(self.weight(class)) * entropy) as f32;
            if class == 0 || self.dice_weight == 0.0 {
                return Slope { factor: 0.0, offset: 0.0, weight };
            }
            let (overlap, total) = (2.0 * both + 1.0, p + t + 1.0);
            let share = -f64::from(self.dice_weight) * f64::from(self.weight(class)) / self.foreground();
            let (factor, offset) = (share * 2.0 / total, -share * overlap / (total * total));
            Slope { factor: factor as f32, offset: offset as f32, weight }
        };
        sums.classes.iter().enumerate().map(slope).collect()
    }

    fn tiles(&self) -> impl Iterator<Item = Tile> + use<> {
        let pixels = self.pixels;
        (0..pixels).step_by(TILE).map(move |first| Tile { first, pixels: TILE.min(pixels - first) })
    }
}

/// Up to [`TILE`] pixels from `first` on.
#[derive(Clone, Copy)]
struct Tile {
    first: usize,
    pixels: usize,
}

/// The loss of `logits` against `truth`, and in `gradient` the gradient of the logits.
pub fn value_and_gradient(shape: &CrossEntropyDice<'_>, logits: &[f32], truth: &[f32], gradient: &mut [f32]) -> f32 {
    let values = shape.values();
    assert!([logits.len(), truth.len(), gradient.len()] == [values; 3], "values of {shape:?}");
    assert!(shape.class_weights.is_none_or(|weights| weights.len() == shape.classes), "weights of {shape:?}");
    let image = (shape.classes * shape.pixels).max(1);
    let images = logits.par_chunks(image).zip(truth.par_chunks(image)).zip(gradient.par_chunks_mut(image));
    let of_images: Vec<Sums> =
        images.map(|((logits, truth), p)| widest!(probabilities(shape, logits, truth, p))).collect();
    let mut sums = Sums { classes: vec![[0.0; 3]; shape.classes], ..Sums::default() };
    for of_image in &of_images {
        sums.entropy += of_image.entropy;
        sums.weight += of_image.weight;
        for (sums, of_class) in sums.classes.iter_mut().zip(&of_image.classes) {
            sums.iter_mut().zip(of_class).for_each(|(sum, part)| *sum += part);
        }
    }
    let slopes = shape.slopes(&sums);
    let images = truth.par_chunks(image).zip(gradient.par_chunks_mut(image));
    images.for_each(|(truth, gradient)| widest!(gradients(shape, &slopes, truth, gradient)));
    shape.value(&sums)
}

/// The tile's pixels of a plane; missing ones are zero.
#[inline(always)]
fn read(values: &[f32], Tile { first, pixels }: Tile) -> Lanes {
    let values = &values[first..first + pixels];
    let mut lanes = [0.0; TILE];
    if let Ok(whole) = values.try_into() {
        return whole;
    }
    lanes[..pixels].copy_from_slice(values);
    lanes
}

/// Writes as many lanes as there are places.
#[inline(always)]
fn write(lanes: &Lanes, places: &mut [f32]) {
    match <&mut Lanes>::try_from(&mut *places) {
        Ok(whole) => *whole = *lanes,
        Err(_) => places.copy_from_slice(&lanes[..places.len()]),
    }
}

/// The probabilities of an image, and its sums.
#[inline(always)]
fn probabilities(shape: &CrossEntropyDice<'_>, logits: &[f32], truth: &[f32], p: &mut [f32]) -> Sums {
    let mut sums =
        LaneSums { entropy: [0.0; TILE], weight: [0.0; TILE], classes: vec![[[0.0; TILE]; 3]; shape.classes] };
    let mut rows = vec![[0.0; TILE]; 2 * shape.classes];
    for tile in shape.tiles() {
        softmax_of_tile(shape, tile, logits, truth, p, &mut rows, &mut sums);
    }
    let total = |lanes: &Lanes| lanes.iter().map(|&lane| f64::from(lane)).sum();
    let of_class = |[both, p, t]: &[Lanes; 3]| [total(both), total(p), total(t)];
    Sums {
        entropy: total(&sums.entropy),
        weight: total(&sums.weight),
        classes: sums.classes.iter().map(of_class).collect(),
    }
}

#[inline(always)]
fn softmax_of_tile(
    shape: &CrossEntropyDice<'_>,
    tile: Tile,
    logits: &[f32],
    truth: &[f32],
    p: &mut [f32],
    rows: &mut [Lanes],
    sums: &mut LaneSums,
) {
    let Tile { first, pixels } = tile;
    let (rows, powers) = rows.split_at_mut(shape.classes);
    for (row, z) in rows.iter_mut().zip(logits.chunks_exact(shape.pixels)) {
        *row = read(z, tile);
    }
    let larger = |a: f32, b: f32| if b > a || b.is_nan() { b } else { a };
    let largest = rows.iter().fold([f32::MIN; TILE], |most, row| lanes(|lane| larger(most[lane], row[lane])));
    let mut total = [0.0; TILE];
    for (z, power) in rows.iter_mut().zip(powers.iter_mut()) {
        *z = lanes(|lane| z[lane] - largest[lane]);
        *power = lanes(|lane| exp(z[lane]));
        total = lanes(|lane| total[lane] + power[lane]);
    }
    let log = lanes(|lane| ln(total[lane]));
    let share = lanes(|lane| if lane < pixels { 1.0 / total[lane] } else { 0.0 });
    let planes = truth.chunks_exact(shape.pixels).zip(p.chunks_exact_mut(shape.pixels));
    let rows = rows.iter().zip(powers.iter());
    for (class, (((z, power), (truth, p)), of_class)) in rows.zip(planes).zip(&mut sums.classes).enumerate() {
        let (t, weight) = (read(truth, tile), shape.weight(class));
        let row = lanes(|lane| power[lane] * share[lane]);
        write(&row, &mut p[first..first + pixels]);
        sums.entropy = lanes(|lane| sums.entropy[lane] + weight * t[lane] * (log[lane] - z[lane]));
        sums.weight = lanes(|lane| sums.weight[lane] + weight * t[lane]);
        let [both, of_p, of_t] = of_class;
        *both = lanes(|lane| both[lane] + row[lane] * t[lane]);
        *of_p = lanes(|lane| of_p[lane] + row[lane]);
        *of_t = lanes(|lane| of_t[lane] + t[lane]);
    }
}

/// Turns the probabilities of an image into the gradients of its logits.
#[inline(always)]
fn gradients(shape: &CrossEntropyDice<'_>, slopes: &[Slope], truth: &[f32], gradient: &mut [f32]) {
    let mut rows = vec![[[0.0; TILE]; 2]; shape.classes];
    for tile in shape.tiles() {
        let Tile { first, pixels } = tile;
        let (mut weight, mut along) = ([0.0; TILE], [0.0; TILE]);
        let planes = truth.chunks_exact(shape.pixels).zip(gradient.chunks_exact(shape.pixels));
        for ((slope, row), (truth, p)) in slopes.iter().zip(&mut rows).zip(planes) {
            let (t, p) = (read(truth, tile), read(p, tile));
            weight = lanes(|lane| weight[lane] + slope.weight * t[lane]);
            along = lanes(|lane| along[lane] + p[lane] * (slope.factor * t[lane] + slope.offset));
            *row = [t, p];
        }
        for ((slope, [t, p]), gradient) in slopes.iter().zip(&rows).zip(gradient.chunks_exact_mut(shape.pixels)) {
            let row = lanes(|lane| {
                let of_dice = slope.factor * t[lane] + slope.offset - along[lane];
                p[lane] * (of_dice + weight[lane]) - slope.weight * t[lane]
            });
            write(&row, &mut gradient[first..first + pixels]);
        }
    }
}

#[cfg(test)]
#[path = "loss_tests.rs"]
mod tests;
