//! Sets that hand operators on to another one: a macro for their methods, and references to sets, which hand on all of them.

use super::{ImageKernels, Int8Kernels};

/// Methods of [`Int8Kernels`] or [`ImageKernels`] that another kernel set does, for a set that does the others itself.
///
/// `forward_kernels!(self => SET; METHODS)` stands in an implementation of the trait. SET is an expression for the other set,
/// which may name `self`; each of METHODS is a method's name, or one of these groups, which take in what the trait will gain:
///
/// * `operators`: all of the int8 operators but convolutions,
/// * `convolutions`: with their scratch,
/// * `image`: all of [`ImageKernels`].
///
/// ```
/// use kscout_core::forward_kernels;
/// use kscout_core::kernels::{ImageKernels, Int8Kernels, Portable};
///
/// /// Portable kernels under another name.
/// struct Renamed;
///
/// impl Int8Kernels for Renamed {
///     fn name(&self) -> &'static str {
///         "renamed"
///     }
///
///     forward_kernels!(self => Portable; operators convolutions);
/// }
///
/// impl ImageKernels for Renamed {
///     forward_kernels!(self => Portable; image);
/// }
/// ```
#[macro_export]
macro_rules! forward_kernels {
    ($self:ident => $set:expr; $($method:ident)*) => {
        $($crate::forward_kernels!(@ $method $self ($set));)*
    };
    (@ operators $self:ident ($set:expr)) => {
        $crate::forward_kernels!(
            $self => $set; max_pool add add_in_place concat upsample2x layer_norm table table_in_place shift
        );
    };
    (@ convolutions $self:ident ($set:expr)) => {
        $crate::forward_kernels!(
            $self => $set; conv_scratch_bytes depthwise_scratch_bytes conv_transpose_scratch_bytes conv2d depthwise
            conv_transpose2x2
        );
    };
    (@ image $self:ident ($set:expr)) => {
        $crate::forward_kernels!($self => $set; accumulate energy homodyne quantise classify);
    };
    (@ name $self:ident ($set:expr)) => {
        $crate::forward_kernels!(@@ Int8Kernels $self ($set) name() -> &'static str);
    };
    (@ conv_scratch_bytes $self:ident ($set:expr)) => {
        $crate::forward_kernels!(@@ Int8Kernels $self ($set) conv_scratch_bytes(op: &$crate::kernels::Conv2d<'_>) -> usize);
    };
    (@ depthwise_scratch_bytes $self:ident ($set:expr)) => {
        $crate::forward_kernels!(@@ Int8Kernels $self ($set) depthwise_scratch_bytes(op: &$crate::kernels::Conv2d<'_>) -> usize);
    };
    (@ conv_transpose_scratch_bytes $self:ident ($set:expr)) => {
        $crate::forward_kernels!(@@ Int8Kernels $self ($set)
            conv_transpose_scratch_bytes(op: &$crate::kernels::ConvTranspose2x2<'_>) -> usize
        );
    };
    (@ conv2d $self:ident ($set:expr)) => {
        $crate::forward_kernels!(@@ Int8Kernels $self ($set)
            conv2d(op: &$crate::kernels::Conv2d<'_>, input: &[i8], output: &mut [i8], scratch: &mut [u8]) -> ()
        );
    };
    (@ depthwise $self:ident ($set:expr)) => {
        $crate::forward_kernels!(@@ Int8Kernels $self ($set)
            depthwise(op: &$crate::kernels::Conv2d<'_>, input: &[i8], output: &mut [i8], scratch: &mut [u8]) -> ()
        );
    };
    (@ conv_transpose2x2 $self:ident ($set:expr)) => {
        $crate::forward_kernels!(@@ Int8Kernels $self ($set)
            conv_transpose2x2(
                op: &$crate::kernels::ConvTranspose2x2<'_>, input: &[i8], output: &mut [i8], scratch: &mut [u8]
            ) -> ()
        );
    };
    (@ max_pool $self:ident ($set:expr)) => {
        $crate::forward_kernels!(@@ Int8Kernels $self ($set)
            max_pool(op: &$crate::kernels::MaxPool, input: &[i8], output: &mut [i8]) -> ()
        );
    };
    (@ add $self:ident ($set:expr)) => {
        $crate::forward_kernels!(@@ Int8Kernels $self ($set)
            add(op: &$crate::kernels::Add, a: &[i8], b: &[i8], output: &mut [i8]) -> ()
        );
    };
    (@ add_in_place $self:ident ($set:expr)) => {
        $crate::forward_kernels!(@@ Int8Kernels $self ($set)
            add_in_place(op: &$crate::kernels::Add, a: Option<&[i8]>, b: Option<&[i8]>, values: &mut [i8]) -> ()
        );
    };
    (@ concat $self:ident ($set:expr)) => {
        $crate::forward_kernels!(@@ Int8Kernels $self ($set)
            concat(op: &$crate::kernels::Concat, a: &[i8], b: &[i8], output: &mut [i8]) -> ()
        );
    };
    (@ upsample2x $self:ident ($set:expr)) => {
        $crate::forward_kernels!(@@ Int8Kernels $self ($set)
            upsample2x(op: &$crate::kernels::Upsample2x, input: &[i8], output: &mut [i8]) -> ()
        );
    };
    (@ layer_norm $self:ident ($set:expr)) => {
        $crate::forward_kernels!(@@ Int8Kernels $self ($set)
            layer_norm(op: &$crate::kernels::LayerNorm<'_>, input: &[i8], output: &mut [i8]) -> ()
        );
    };
    (@ table $self:ident ($set:expr)) => {
        $crate::forward_kernels!(@@ Int8Kernels $self ($set)
            table(op: &$crate::kernels::Table<'_>, input: &[i8], output: &mut [i8]) -> ()
        );
    };
    (@ table_in_place $self:ident ($set:expr)) => {
        $crate::forward_kernels!(@@ Int8Kernels $self ($set)
            table_in_place(op: &$crate::kernels::Table<'_>, values: &mut [i8]) -> ()
        );
    };
    (@ shift $self:ident ($set:expr)) => {
        $crate::forward_kernels!(@@ Int8Kernels $self ($set)
            shift(op: &$crate::kernels::Shift, input: &[i8], output: &mut [i8]) -> ()
        );
    };
    (@ accumulate $self:ident ($set:expr)) => {
        $crate::forward_kernels!(@@ ImageKernels $self ($set)
            accumulate(image: &mut [$crate::Complex32], profile: &[$crate::Complex32], ramp: &[$crate::Complex32]) -> ()
        );
    };
    (@ energy $self:ident ($set:expr)) => {
        $crate::forward_kernels!(@@ ImageKernels $self ($set) energy(image: &[$crate::Complex32], width: usize) -> f32);
    };
    (@ homodyne $self:ident ($set:expr)) => {
        $crate::forward_kernels!(@@ ImageKernels $self ($set)
            homodyne(
                image: &[$crate::Complex32], paired: &[$crate::Complex32], weight: f32, out: &mut [$crate::Complex32]
            ) -> ()
        );
    };
    (@ quantise $self:ident ($set:expr)) => {
        $crate::forward_kernels!(@@ ImageKernels $self ($set)
            quantise(image: &[$crate::Complex32], gain: f32, out: &mut [i8]) -> ()
        );
    };
    (@ classify $self:ident ($set:expr)) => {
        $crate::forward_kernels!(@@ ImageKernels $self ($set) classify(logits: &[i8], classes: usize, out: &mut [u8]) -> ());
    };
    (@@ $trait:ident $self:ident ($set:expr) $method:ident($($argument:ident: $type:ty),*) -> $result:ty) => {
        fn $method(&$self, $($argument: $type),*) -> $result {
            $crate::kernels::$trait::$method(&$set, $($argument),*)
        }
    };
}

/// A reference to a kernel set is one, so that a set chosen at run time (`&dyn Kernels`) goes wherever a set goes.
impl<K: Int8Kernels + ?Sized> Int8Kernels for &K {
    forward_kernels!(self => **self; name operators convolutions);
}

impl<K: ImageKernels + ?Sized> ImageKernels for &K {
    forward_kernels!(self => **self; image);
}
