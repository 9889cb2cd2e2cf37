//! Fully connected layers in a row, and what they make of samples: what can be refined.

use rayon::prelude::*;

use crate::net::FloatGraph;
use crate::net::graph::{FloatConv, FloatOp, GraphInput};

/// A layer: a linear map, ReLU or not.
#[derive(Clone, Debug, PartialEq)]
pub struct Layer {
    /// Inputs.
    pub width: usize,
    /// `[out][in]`.
    pub weights: Vec<f32>,
    /// One value an output.
    pub bias: Vec<f32>,
    /// Whether negative results become zero.
    pub relu: bool,
}

impl Layer {
    /// What each output's sum is, before any ReLU, for samples of `width` values each: `[sample][out]`.
    pub fn sums(&self, samples: &[f32]) -> Vec<f32> {
        let sum = |sample: &[f32], row: &[f32]| sample.iter().zip(row).fold(0.0, |sum, (x, w)| sum + x * w);
        let outputs = |sample| self.rows().zip(&self.bias).map(move |(row, bias)| bias + sum(sample, row));
        samples.par_chunks_exact(self.width).flat_map_iter(outputs).collect()
    }

    /// Those sums as the layer hands them on.
    pub fn results(&self, mut sums: Vec<f32>) -> Vec<f32> {
        if self.relu {
            sums.iter_mut().for_each(|x| *x = x.max(0.0));
        }
        sums
    }

    /// The weights of each output.
    pub fn rows(&self) -> impl Iterator<Item = &[f32]> {
        self.weights.chunks_exact(self.width)
    }
}

/// Layers in a row.
#[derive(Clone, Debug, PartialEq)]
pub struct Layers {
    /// What the first one reads: one pixel.
    pub input: GraphInput,
    /// In the order they run.
    pub layers: Vec<Layer>,
}

impl Layers {
    /// The layers of `graph`; `None` if it is anything but 1x1 convolutions of one pixel, each reading the one before.
    pub fn of(graph: &FloatGraph) -> Option<Self> {
        let [input] = graph.inputs[..] else { return None };
        let in_a_row = graph.nodes.iter().enumerate().all(|(number, node)| node.inputs == [number]);
        if !in_a_row || (input.shape.h, input.shape.w) != (1, 1) {
            return None;
        }
        let layer = |(number, node): (usize, &crate::net::graph::FloatNode)| match &node.op {
            FloatOp::Conv(conv) if conv.kernel == (1, 1) && conv.stride == 1 && conv.pad == 0 => Some(Layer {
                width: graph.shape(number).c,
                weights: conv.weights.clone(),
                bias: conv.bias.clone(),
                relu: node.relu,
            }),
            _ => None,
        };
        let layers = graph.nodes.iter().enumerate().map(layer).collect::<Option<_>>()?;
        Some(Self { input, layers })
    }

    /// What each layer makes of `samples`, `[sample][out]`.
    pub fn run(&self, samples: &[f32]) -> Vec<Vec<f32>> {
        let mut results: Vec<Vec<f32>> = Vec::with_capacity(self.layers.len());
        for layer in &self.layers {
            let read = results.last().map_or(samples, Vec::as_slice);
            results.push(layer.results(layer.sums(read)));
        }
        results
    }
}

/// A graph of `members` that read the same input, one after another, and then as many nodes less one that put their outputs
/// side by side.
pub fn joined(members: &[Layers]) -> FloatGraph {
    let mut graph = FloatGraph::default();
    let Some(first) = members.first() else { return graph };
    let input = graph.input(first.input);
    let mut output = |member: &Layers| {
        member.layers.iter().fold(input, |tensor, Layer { weights, bias, relu, .. }| {
            let (weights, bias) = (weights.clone(), bias.clone());
            let conv = FloatConv { weights, bias, kernel: (1, 1), stride: 1, pad: 0 };
            graph.push(FloatOp::Conv(conv), *relu, &[tensor])
        })
    };
    let outputs: Vec<_> = members.iter().map(&mut output).collect();
    outputs.into_iter().reduce(|all, output| graph.push(FloatOp::Concat, false, &[all, output]));
    graph
}

#[cfg(test)]
mod tests {
    use kscout_core::kernels::Shape;

    use super::*;
    use crate::export::refine::fixture;

    #[test]
    fn layers_and_their_graph_compute_the_same() {
        let layers = fixture::layers();
        let graph = joined(std::slice::from_ref(&layers));
        assert_eq!(Layers::of(&graph).as_ref(), Some(&layers));
        let samples = fixture::samples(2);
        let results = layers.run(&samples);
        for (number, sample) in samples.chunks_exact(fixture::INPUTS).enumerate() {
            for (expected, got) in graph.run(&[sample]).iter().zip(&results) {
                let got = &got[number * expected.len()..][..expected.len()];
                assert!(expected.iter().zip(got).all(|(a, b)| (a - b).abs() < 1e-5), "{expected:?} {got:?}");
            }
        }
    }

    #[test]
    fn members_stand_side_by_side() {
        let (layers, sample) = (fixture::layers(), fixture::samples(1));
        let mut other = layers.clone();
        other.layers[2].bias[0] += 2.0;
        let [a, b] = [&layers, &other].map(|layers| layers.run(&sample).pop().unwrap()[0]);
        let results = joined(&[layers.clone(), other, layers]).run(&[&sample]).pop().unwrap();
        assert!(results.iter().zip([a, b, a]).all(|(got, expected)| (got - expected).abs() < 1e-5), "{results:?}");
    }

    #[test]
    fn what_is_not_layers_in_a_row_is_none() {
        let mut graph = joined(&[fixture::layers()]);
        graph.push(FloatOp::Gelu, false, &[graph.nodes.len()]);
        assert_eq!(Layers::of(&graph), None);
        let mut graph = joined(&[fixture::layers()]);
        graph.nodes[1].inputs = vec![0];
        assert_eq!(Layers::of(&graph), None);
        let mut graph = joined(&[fixture::layers()]);
        graph.inputs[0].shape = Shape::new(1, 2, fixture::INPUTS);
        assert_eq!(Layers::of(&graph), None);
    }
}
