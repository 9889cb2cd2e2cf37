//! What the table of patterns becomes: the type [`Pattern`](super::Pattern).

/// Makes `Pattern` of a table. An entry is the pattern's docs, its variant with what its parameters are by default, its name, and
/// the module whose function `order` chooses the lines, given the [`Order`](super::Order) and the parameters; it must refuse
/// parameters before it chooses a line.
macro_rules! patterns {
    ($(
        $(#[$about:meta])*
        $pattern:ident $({ $($(#[$meaning:meta])* $parameter:ident: $type:ty = $default:expr),+ $(,)? })?
            = $name:literal in $module:ident;
    )+) => {
        /// An order of lines.
        #[derive(Debug, Clone, Copy, PartialEq)]
        pub enum Pattern {
            $($(#[$about])* $pattern $({ $($(#[$meaning])* $parameter: $type,)+ })?,)+
        }

        impl Pattern {
            /// Every pattern, with its default parameters: a quarter of the budget in the centre, half of it for partial
            /// Fourier, density to the fourth power.
            pub const ALL: [Self; [$($name,)+].len()] = [$(Self::$pattern $({ $($parameter: $default,)+ })?,)+];

            /// The pattern's name, as configurations and reports write it.
            pub const fn name(&self) -> &'static str {
                match self {
                    $(Self::$pattern { .. } => $name,)+
                }
            }

            fn write(&self, order: &mut Order<'_>) -> Result<(), PatternError> {
                match *self {
                    $(Self::$pattern $({ $($parameter,)+ })? => $module::order(order $($(, $parameter)+)?),)+
                }
            }
        }
    };
}

pub(super) use patterns;
