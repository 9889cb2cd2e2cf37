//! What the table of segmenters becomes: a name for every entry, and one type for all networks.

/// Makes, of a table of networks,
///
/// * `Arch`: the entries by name, with their descriptions;
/// * `Segmenter`: one module for all networks, with the methods of [`SegmentationNetwork`](super::SegmentationNetwork).
///
/// A block is a network, called by its module and type; an entry in it is something that it was published as, with the
/// [`Architecture`](super::Architecture) in that module that describes and builds it.
///
/// A type's name is part of the hash that checkpoints and exported files carry of their weights: of a network that was renamed they
/// no longer fit each other.
macro_rules! segmenters {
    ($($module:ident :: $network:ident { $($(#[$about:meta])* $arch:ident = $published:ident),+ $(,)? })+) => {
        /// A segmentation network by name.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Arch {
            $($($(#[$about])* $arch,)+)+
        }

        impl Arch {
            /// Every network.
            pub const ALL: [Self; [$($(stringify!($arch),)+)+].len()] = [$($(Self::$arch,)+)+];

            /// What is known of the network.
            pub const fn description(self) -> &'static Description {
                match self {
                    $($(Self::$arch => &$module::$published.description,)+)+
                }
            }
        }

        /// A segmenter of any kind.
        // The variants' size is what a pointer to their parameters takes; there is one of them at a time.
        #[allow(clippy::large_enum_variant)]
        #[derive(Module, Debug)]
        pub enum Segmenter {
            $(
                #[doc = concat!("A network of `", stringify!($module), "`.")]
                $network($module::$network),
            )+
        }

        impl Segmenter {
            /// The network of `spec` with random weights.
            pub fn new(spec: &SegmenterSpec, device: &Device) -> Self {
                match spec.arch {
                    $($(Arch::$arch => Self::$network(($module::$published.build)(spec.dimensions(), device)),)+)+
                }
            }

            /// Logits `[B, classes, H, W]` of the images `[B, 1, H, W]`, or `[B, channels, H, W]`.
            pub fn forward(&self, image: Tensor<4>) -> Tensor<4> {
                match self {
                    $(Self::$network(network) => network.forward(image),)+
                }
            }

            /// The logits of every head, the shallowest first; the last ones are those of [`Segmenter::forward`].
            pub fn heads(&self, image: Tensor<4>) -> Vec<Tensor<4>> {
                match self {
                    $(Self::$network(network) => network.heads(image),)+
                }
            }

            /// The network without what head `level` does not need. Networks with one head stay as they are.
            #[must_use]
            pub fn pruned(self, level: usize) -> Self {
                match self {
                    $(Self::$network(network) => Self::$network(network.pruned(level)),)+
                }
            }

            /// Appends the network to `graph`, reading the one-channel image `image`; returns the logits.
            pub fn lower(&self, graph: &mut FloatGraph, image: TensorIndex) -> TensorIndex {
                match self {
                    $(Self::$network(network) => network.lower(graph, image),)+
                }
            }
        }
    };
}

pub(super) use segmenters;
