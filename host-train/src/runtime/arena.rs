//! Memory for the core.

/// Memory for the core on the host's heap, aligned as the core needs it.
pub struct HeapArena(Vec<u128>);

impl HeapArena {
    /// At least `bytes` zero bytes.
    pub fn new(bytes: usize) -> Self {
        Self(vec![0; bytes.div_ceil(16)])
    }

    /// The bytes.
    pub fn bytes(&mut self) -> &mut [u8] {
        bytemuck::cast_slice_mut(&mut self.0)
    }
}
