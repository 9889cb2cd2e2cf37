//! What the table of policies becomes: the type [`PolicyNetwork`](super::PolicyNetwork).

/// Makes `PolicyNetwork` of a table: the policies by name, the first of them the one that is trained unless another is asked for,
/// and a way from a name to the type that implements [`Agent`](super::Agent).
macro_rules! policies {
    ($(#[$first_about:meta])* $first:ident = $first_agent:path, $($(#[$about:meta])* $network:ident = $agent:path),+ $(,)?) => {
        /// A line policy by name.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub enum PolicyNetwork {
            $(#[$first_about])*
            #[default]
            $first,
            $($(#[$about])* $network,)+
        }

        impl PolicyNetwork {
            /// Every one.
            pub const ALL: [Self; 1 + [$(stringify!($network),)+].len()] = [Self::$first, $(Self::$network,)+];

            /// Does `work` with the type of this policy and critic.
            pub fn with<W: WithAgent>(self, work: W) -> W::Output {
                match self {
                    Self::$first => work.with::<$first_agent>(),
                    $(Self::$network => work.with::<$agent>(),)+
                }
            }
        }
    };
}

pub(super) use policies;
