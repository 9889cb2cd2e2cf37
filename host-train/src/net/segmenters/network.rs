//! What a segmentation network is to kscout: one trait for what it computes, one description of what was published of it.

use burn::module::Module;
use burn::tensor::{Device, Tensor};

use crate::net::graph::{FloatGraph, TensorIndex};

/// A network that segments images.
pub trait SegmentationNetwork: Module {
    /// Logits `[B, classes, H, W]` of the images `[B, channels, H, W]`, or `[B, 1, H, W]`.
    fn forward(&self, image: Tensor<4>) -> Tensor<4>;

    /// The logits of every head, the shallowest first; the last ones are those of [`forward`](Self::forward).
    fn heads(&self, image: Tensor<4>) -> Vec<Tensor<4>> {
        vec![self.forward(image)]
    }

    /// The network without what head `level`, from 1, does not need. One with a single head stays as it is.
    #[must_use]
    fn pruned(self, _level: usize) -> Self {
        self
    }

    /// Appends the network to `graph`, reading the one-channel image `image`; returns the logits of the last head.
    fn lower(&self, graph: &mut FloatGraph, image: TensorIndex) -> TensorIndex;
}

/// A network as it was published: its description, and how one is made.
pub struct Architecture<N> {
    /// All but the network.
    pub description: Description,
    /// Makes one with random weights.
    pub build: fn(Dimensions, &Device) -> N,
}

/// What decides the shapes of a network's parameters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dimensions {
    /// Channels of the image.
    pub channels: usize,
    /// Classes told apart, background among them.
    pub classes: usize,
    /// Channels of the first stage; those of the others follow.
    pub width: usize,
}

/// What is known of a network without making one.
#[derive(Debug)]
pub struct Description {
    /// The name in configurations and checkpoints.
    pub name: &'static str,
    /// Channels of the first stage in the published network.
    pub width: usize,
    /// Channels of the image that the published network takes; one channel is repeated over them.
    pub channels: usize,
    /// The least height and width of an image.
    pub least_side: usize,
    /// Whether height and width must be multiples of `least_side`.
    pub needs_multiples: bool,
    /// Heads that learn under deep supervision, and so levels that the network can be pruned to; 1 for most.
    pub levels: usize,
    /// What weights from PyTorch look like.
    pub weights: PublishedWeights,
    /// What the project says of its weights that publishes some.
    pub licence: &'static str,
}

/// The shape of the tensor of a name in a file, if there is one.
pub type Shapes<'a> = dyn Fn(&str) -> Option<&'a [usize]> + 'a;

/// What a network's weights look like in PyTorch.
#[derive(Debug)]
pub struct PublishedWeights {
    /// The weights of the first layer, `[width, channels, 3, 3]`. By its name a network is found in a file, behind whatever prefix.
    pub first_layer: &'static str,
    /// The weights of the last layer, `[classes, width, 1, 1]`.
    pub last_layer: &'static str,
    /// Whether weights of these names and shapes are of this network, and not of another with the same first layer.
    pub are_these: fn(&Shapes<'_>) -> bool,
    /// A layer of another network that people take for this one, and what to tell them.
    pub mistaken_for: Option<(&'static str, &'static str)>,
    /// The name of the parameter at a path of the module here (see [`load_state_dict`](crate::net::import::load_state_dict)).
    pub name: fn(&str) -> String,
    /// Ends of names of biases that the network here has not, each with the batch norm's running mean behind it: the norm takes the
    /// mean off, so a bias is the same as a smaller running mean.
    pub folded_biases: &'static [(&'static str, &'static str)],
}
