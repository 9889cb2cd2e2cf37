//! For tests: a segmenter that takes what is bright for blood, and phantoms to try it on.

use kscout_core::kernels::Layout;
use kscout_core::kspace::Reconstruction;
use kscout_core::model::Model;

use crate::data::Dataset;
use crate::data::phantom::{self, PhantomOptions};
use crate::export::{CalibrationSample, HeaderSpec, Origin, pack};
use crate::net::FloatGraph;
use crate::net::graph::{FloatConv, FloatOp, GraphInput};

/// A blob whose segmenter says MYO where the image is above its RMS, LV where it is above twice that, RV nowhere.
pub struct Threshold(Vec<u8>);

impl Threshold {
    /// For square images of `side`.
    pub fn new(side: usize) -> Self {
        let conv = FloatConv {
            weights: vec![0.0, 0.0, 1.0, 3.0],
            bias: vec![0.0, -6.0, -1.0, -5.0],
            kernel: (1, 1),
            stride: 1,
            pad: 0,
        };
        let mut graph = FloatGraph::default();
        let image = graph.input(GraphInput::image(side, side));
        graph.push(FloatOp::Conv(conv), false, &[image]);
        let every_level = (0..side * side).map(|i| i as u8 as i8).collect();
        let seen = CalibrationSample { levels: every_level, state: Vec::new() };
        let header = HeaderSpec {
            height: side,
            width: side,
            classes: 4,
            layout: Layout::Portable,
            reconstruction: Reconstruction::ZeroFilled,
            origin: Origin::default(),
            provenance: String::new(),
        };
        Self(pack(Some(&graph), None, &[seen], &header).unwrap())
    }

    /// The blob's view.
    pub fn model(&self) -> Model<'_> {
        Model::new_checked(&self.0).unwrap()
    }
}

/// Phantoms of 64x64 pixels, in memory; the fifth patient validates.
pub fn phantoms(patients: usize) -> Dataset {
    let tmp = tempfile::tempdir().unwrap();
    let folder = tmp.path().join("data");
    let options = PhantomOptions { patients, seed: 3, size: 64, ..PhantomOptions::default() };
    phantom::make(&folder, &options, &()).unwrap();
    Dataset::open(&folder).unwrap()
}
