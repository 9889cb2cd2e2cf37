//! A fixed order of lines as a policy: the same lines in every scan, whatever is seen.
//!
//! Logits that fall from each line of the order to the next choose the lines in that order, measured ones left out. As a graph
//! it is a convolution without weights, whose bias int8 holds exactly ([`FixedOrder::graph`]); as the bias of a policy's last
//! layer it is what the policy starts as ([`FixedOrder::slope`]).

use std::fmt;

use burn::tensor::{Device, Tensor, TensorData};
use kscout_core::contract::STATE_EXTRAS;
use kscout_core::kernels::Shape;
use kscout_core::kspace::{MAX_LINES, Pattern};
use serde::{Deserialize, Serialize};

use super::graph::{FloatConv, FloatGraph, FloatOp, GraphInput};

/// Places that int8 logits tell apart: the lines that come later are level, and are measured by their numbers.
pub const PLACES: usize = 256;

/// Lines further on than the largest budget are less likely than its last one by so much at least, in logits, all together next
/// to impossible.
const BEYOND: f32 = 10.0;

/// How many lines of an order are shown to people.
const SHOWN: usize = 8;

/// The same lines in every scan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FixedOrder {
    /// The name in tables: `centre-out` or `learned-mask`.
    pub name: String,
    /// All lines of k-space, in the order in which they are measured.
    pub lines: Vec<u16>,
}

impl FixedOrder {
    /// From the centre of k-space outwards. The core supports images of `width`.
    pub fn centre_out(width: usize) -> Self {
        Self::beginning_with(Pattern::CentreOut.name(), &[], width)
    }

    /// The distinct lines `first`, then the others: from the centre outwards up to the place that int8 tells apart, the rest by
    /// their numbers.
    pub fn beginning_with(name: &str, first: &[u16], width: usize) -> Self {
        let centre_out = Pattern::CentreOut.lines(width, width, 0).expect("a width that the core supports");
        let others = centre_out.iter().filter(|line| !first.contains(line));
        let mut lines: Vec<u16> = first.iter().chain(others).copied().collect();
        let told_apart = lines.len().min(PLACES - 1);
        lines[told_apart..].sort_unstable();
        Self { name: name.to_owned(), lines }
    }

    /// Whether the lines are all those of an image of `width` lines, each once.
    pub fn is_whole(&self, width: usize) -> bool {
        let mut sorted = self.lines.clone();
        sorted.sort_unstable();
        sorted.into_iter().map(usize::from).eq(0..width)
    }

    /// Whether the lines are those of [`centre_out`](Self::centre_out).
    pub fn is_centre_out(&self) -> bool {
        let width = self.lines.len();
        (1..=MAX_LINES).contains(&width) && self.lines == Self::centre_out(width).lines
    }

    /// The place of each line in the order, `[W]`.
    fn places(&self) -> Vec<usize> {
        let mut places = vec![0; self.lines.len()];
        self.lines.iter().enumerate().for_each(|(place, &line)| places[usize::from(line)] = place);
        places
    }

    /// Logits `[W]` that fall by 1 from each line of the order to the next.
    pub fn logits(&self) -> Vec<f32> {
        self.places().into_iter().map(|place| -(place.min(PLACES - 1) as f32)).collect()
    }

    /// Logits `[W]` that fall by `slope` from each line of the order to the next, and are level where no scan of up to `budget`
    /// lines comes to, so that int8 spends its steps where choices are made.
    pub fn slope(&self, slope: f32, budget: usize, device: &Device) -> Tensor<1> {
        let reach = budget.saturating_add((BEYOND / slope).ceil() as usize).min(PLACES - 1);
        let slope: Vec<f32> = self.places().into_iter().map(|place| -slope * place.min(reach) as f32).collect();
        let width = slope.len();
        Tensor::from_data(TensorData::new(slope, [width]), device)
    }

    /// The order as a policy's graph, for images of `height` rows. It looks at nothing, so that a decision costs next to nothing.
    pub fn graph(&self, height: usize) -> FloatGraph {
        let width = self.lines.len();
        let entries = width + STATE_EXTRAS;
        let mut graph = FloatGraph::default();
        graph.input(GraphInput::image(height, width));
        let state =
            graph.input(GraphInput { shape: Shape { h: 1, w: 1, c: entries }, scale: 1.0 / 127.0, zero_point: 0 });
        let blind = |inputs: usize, bias: Vec<f32>| {
            let weights = vec![0.0; inputs * bias.len()];
            FloatOp::Conv(FloatConv { weights, bias, kernel: (1, 1), stride: 1, pad: 0 })
        };
        let nothing = graph.push(blind(entries, vec![0.0]), false, &[state]);
        graph.push(blind(1, self.logits()), false, &[nothing]);
        graph
    }
}

/// ``the fixed order `centre-out` ``, or the first lines of another one.
impl fmt::Display for FixedOrder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_centre_out() {
            return write!(f, "the fixed order `{}`", Pattern::CentreOut.name());
        }
        let first: Vec<String> = self.lines.iter().take(SHOWN).map(|line| line.to_string()).collect();
        write!(f, "the fixed order of lines {} and on", first.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_has_every_line_once_and_begins_with_the_given_ones() {
        let order = FixedOrder::beginning_with("learned-mask", &[3, 60, 31], 64);
        assert_eq!(order.lines[..7], [3, 60, 31, 32, 33, 30, 34]);
        assert_eq!(order.to_string(), "the fixed order of lines 3, 60, 31, 32, 33, 30, 34, 29 and on");
        assert!(order.is_whole(64) && !order.is_whole(63) && !order.is_centre_out());
        for width in [0, 1024] {
            let lines: Vec<u16> = (0..width).collect();
            assert!(
                !FixedOrder { lines, ..order.clone() }.is_centre_out(),
                "{width} lines, which the core does not have"
            );
        }
        let twice = FixedOrder { lines: vec![0, 1, 1], ..order };
        assert!(!twice.is_whole(3));
    }

    #[test]
    fn without_a_mask_it_is_the_cores_centre_out() {
        for width in [32, 64, 128, 256] {
            let order = FixedOrder::centre_out(width);
            assert_eq!((order.is_centre_out(), order.to_string()), (true, "the fixed order `centre-out`".into()));
            let core = Pattern::CentreOut.lines(width, width, 0).unwrap();
            assert_eq!(order.lines[..PLACES.min(width) - 1], core[..PLACES.min(width) - 1]);
        }
    }

    #[test]
    fn lines_that_int8_does_not_tell_apart_come_by_their_numbers() {
        let order = FixedOrder::centre_out(512);
        assert!(order.lines[PLACES - 1..].is_sorted());
        let core = Pattern::CentreOut.lines(512, PLACES - 1, 0).unwrap();
        assert_eq!(order.lines[..PLACES - 1], core[..]);
    }

    #[test]
    fn a_gentler_slope_reaches_further_beyond_the_budget() {
        let order = FixedOrder::centre_out(128);
        let lowest = |slope, budget| {
            let logits = order.slope(slope, budget, &Device::flex()).into_data().try_into_vec::<f32>().unwrap();
            logits.into_iter().fold(0.0, f32::min)
        };
        assert_eq!(lowest(0.25, 24), -0.25 * 64.0);
        assert_eq!(lowest(1.0, 24), -34.0);
        assert_eq!(lowest(1.0, 128), -127.0);
    }
}
