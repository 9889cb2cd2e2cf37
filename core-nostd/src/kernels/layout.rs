//! How the weights of a convolution lie in memory.
//!
//! A network is stored either in the portable layout, which every kernel set reads, or in the layout that one set reads
//! fastest. Both hold the same weights, so both give the same result; [`Reference`](super::Reference) and
//! [`Portable`](super::Portable) read every layout.
//!
//! A *filter* makes one output channel. Its weights are rows `[kernel y][kernel x][in]`; a row is what lies contiguous in
//! an HWC image.

use core::fmt;
use core::str::FromStr;

/// The layout of a blob's convolution weights, ordinary and transposed. Depthwise weights are always `[kernel y][kernel
/// x][channel]`. The value is the code in a blob's header.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[repr(u16)]
pub enum Layout {
    /// `[out][kernel y][kernel x][in]`, one byte a weight.
    #[default]
    Portable = 0,
    /// For Cortex-M cores with the DSP extension: M4, M7, M33.
    CortexM4 = 1,
    /// For Cortex-M cores with Helium: M55, M85.
    CortexM55 = 2,
    /// For x86-64 with AVX2 or VNNI.
    X86_64 = 3,
    /// For 64-bit Arm.
    Aarch64 = 4,
}

impl Layout {
    /// Every layout.
    pub const ALL: [Self; 5] = [Self::Portable, Self::CortexM4, Self::CortexM55, Self::X86_64, Self::Aarch64];

    /// Its name, as `kscout export --target` takes it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Portable => "portable",
            Self::CortexM4 => "cortex-m4",
            Self::CortexM55 => "cortex-m55",
            Self::X86_64 => "x86-64",
            Self::Aarch64 => "aarch64",
        }
    }

    /// The layout with this code in a blob.
    pub fn from_code(code: u16) -> Option<Self> {
        Self::ALL.into_iter().find(|&layout| layout as u16 == code)
    }

    /// Whether weights lie as they come, `[out][kernel y][kernel x][in]`: so they do in the portable layout and in that of
    /// Cortex-M4, whose kernels widen weights on the way, from where they lie.
    #[inline(always)]
    pub const fn is_unpacked(self) -> bool {
        matches!(self, Self::Portable | Self::CortexM4)
    }

    /// Where each weight lies.
    pub const fn packing(self) -> Packing {
        match self {
            Self::Portable | Self::CortexM4 => Packing { filters: 1, run: 1 },
            Self::CortexM55 => Packing { filters: 4, run: 16 },
            Self::X86_64 | Self::Aarch64 => Packing { filters: 16, run: 4 },
        }
    }
}

impl fmt::Display for Layout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// There is no layout of this name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct UnknownLayout;

impl fmt::Display for UnknownLayout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no such target: expected one of")?;
        for (index, layout) in Layout::ALL.into_iter().enumerate() {
            write!(f, "{} {layout}", if index == 0 { "" } else { "," })?;
        }
        Ok(())
    }
}

impl core::error::Error for UnknownLayout {}

impl FromStr for Layout {
    type Err = UnknownLayout;

    fn from_str(name: &str) -> Result<Self, UnknownLayout> {
        Self::ALL.into_iter().find(|layout| layout.name() == name).ok_or(UnknownLayout)
    }
}

/// Where a layout puts weights: `filters` filters side by side, `run` weights of each in turn.
///
/// The order of memory is `[group of filters][kernel y][run of the row][filter of the group][place in the run]`. Rows are
/// filled up with zero weights to whole runs, groups with zero filters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packing {
    /// Filters of a group, at least 1.
    pub filters: usize,
    /// Weights of a filter that lie together, at least 1.
    pub run: usize,
}

/// How many filters a convolution has, and of what size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Filters {
    /// Number of filters.
    pub count: usize,
    /// Rows of a filter, the kernel's height.
    pub rows: usize,
    /// Weights of a row: kernel width times input channels.
    pub row_len: usize,
}

impl Filters {
    /// Weights of them all.
    pub const fn weights(self) -> usize {
        self.count.saturating_mul(self.rows).saturating_mul(self.row_len)
    }
}

impl Packing {
    /// Weights of a row with those that fill it up.
    pub const fn row_len(self, filters: Filters) -> usize {
        round_up(filters.row_len, self.run)
    }

    /// Places of one group of filters.
    pub const fn group_len(self, filters: Filters) -> usize {
        self.filters.saturating_mul(filters.rows).saturating_mul(self.row_len(filters))
    }

    /// Bytes that the packed weights take (saturating, so that absurd sizes match no slice).
    pub const fn bytes(self, filters: Filters) -> usize {
        let groups = match round_up(filters.count, self.filters).checked_div(self.filters) {
            Some(groups) => groups,
            None => return usize::MAX,
        };
        groups.saturating_mul(self.group_len(filters))
    }

    /// The place, counted in weights, of weight `k` of row `row` of filter `filter`.
    #[inline]
    pub const fn place(self, filters: Filters, filter: usize, row: usize, k: usize) -> usize {
        let (Some(group), Some(lane)) = (filter.checked_div(self.filters), filter.checked_rem(self.filters)) else {
            return usize::MAX;
        };
        let (Some(run), Some(within)) = (k.checked_div(self.run), k.checked_rem(self.run)) else {
            return usize::MAX;
        };
        let row_start = row.wrapping_mul(self.row_len(filters)).wrapping_add(run.wrapping_mul(self.run));
        group
            .wrapping_mul(self.group_len(filters))
            .wrapping_add(row_start.wrapping_mul(self.filters))
            .wrapping_add(lane.wrapping_mul(self.run))
            .wrapping_add(within)
    }

    /// Weight `k` of row `row` of filter `filter` of packed weights; 0 where there is none.
    #[inline]
    pub fn weight(self, packed: &[i8], filters: Filters, filter: usize, row: usize, k: usize) -> i8 {
        packed.get(self.place(filters, filter, row, k)).copied().unwrap_or(0)
    }

    /// Whether packed weights hold nothing but weights: what fills rows and groups up is zero.
    pub fn is_filled_up_with_zeros(self, packed: &[i8], filters: Filters) -> bool {
        if self == Layout::Portable.packing() {
            return packed.len() == filters.weights();
        }
        let mut beyond = packed.iter().filter(|&&byte| byte != 0).count();
        for filter in 0..filters.count {
            for row in 0..filters.rows {
                for k in 0..filters.row_len {
                    let weight = self.weight(packed, filters, filter, row, k);
                    beyond = beyond.wrapping_sub(usize::from(weight != 0));
                }
            }
        }
        packed.len() == self.bytes(filters) && beyond == 0
    }

    /// Whether what fills rows up is zero, in packed weights or in some groups of them: kernels that take a row in whole runs
    /// multiply it with what lies behind the window.
    #[inline(always)]
    pub fn rows_end_in_zeros(self, packed: &[i8], row_len: usize) -> bool {
        let used = row_len.checked_rem(self.run).unwrap_or(0);
        let last = self.filters.saturating_mul(self.run);
        let row_places = round_up(row_len, self.run).saturating_mul(self.filters);
        // All of a row at once: a branch a weight would cost more than it saves.
        let fills = |row: &[i8]| {
            let runs = row.get(row.len().saturating_sub(last)..).unwrap_or_default().chunks_exact(self.run.max(1));
            runs.fold(0, |bits, run| run.iter().skip(used).fold(bits, |bits, &weight| bits | weight))
        };
        used == 0 || packed.chunks_exact(row_places.max(1)).all(|row| fills(row) == 0)
    }

    /// Packs weights `[filter][row][k]` into `to`, all of whose bytes are written. `None`, with nothing written, if either
    /// slice has another length than `filters` asks for.
    pub fn pack(self, weights: &[i8], filters: Filters, to: &mut [u8]) -> Option<()> {
        if weights.len() != filters.weights() || to.len() != self.bytes(filters) {
            return None;
        }
        to.fill(0);
        let mut weights = weights.iter();
        for filter in 0..filters.count {
            for row in 0..filters.rows {
                for k in 0..filters.row_len {
                    let place = self.place(filters, filter, row, k);
                    let weight = *weights.next()?;
                    *to.get_mut(place)? = weight as u8;
                }
            }
        }
        Some(())
    }
}

const fn round_up(value: usize, step: usize) -> usize {
    match value.checked_next_multiple_of(step) {
        Some(rounded) => rounded,
        None => usize::MAX,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;
    use std::string::ToString;
    use std::vec;
    use std::vec::Vec;

    fn numbered(filters: Filters) -> Vec<i8> {
        (0..filters.weights()).map(|i| (i % 251) as u8 as i8).collect()
    }

    #[test]
    fn the_portable_layout_is_the_weights_as_they_are() {
        let filters = Filters { count: 3, rows: 2, row_len: 5 };
        let weights = numbered(filters);
        let mut packed = vec![9; 30];
        assert_eq!(Layout::Portable.packing().pack(&weights, filters, &mut packed), Some(()));
        assert_eq!(packed, bytemuck::cast_slice::<i8, u8>(&weights));
    }

    #[test]
    fn a_layout_is_unpacked_where_every_weight_lies_where_the_portable_one_has_it() {
        for layout in Layout::ALL {
            assert_eq!(layout.is_unpacked(), layout.packing() == Layout::Portable.packing(), "{layout}");
        }
    }

    #[test]
    fn four_filters_lie_side_by_side_in_runs_of_sixteen() {
        let filters = Filters { count: 5, rows: 1, row_len: 17 };
        let weights: Vec<i8> = (0..5).flat_map(|filter| (0..17).map(move |k| 20 * filter + k + 1)).collect();
        let mut packed = vec![9; 2 * 2 * 64];
        assert_eq!(Layout::CortexM55.packing().pack(&weights, filters, &mut packed), Some(()));
        let packed: &[i8] = bytemuck::cast_slice(&packed);
        // The first runs of four filters, then their 17th weights; then the fifth filter among three of zeros.
        assert_eq!(packed[..18], [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 21, 22]);
        assert_eq!([packed[64], packed[65], packed[80], packed[128], packed[144]], [17, 0, 37, 81, 0]);
    }

    #[test]
    fn every_weight_has_a_place_of_its_own_and_is_found_there() {
        for layout in Layout::ALL {
            let packing = layout.packing();
            for (count, rows, row_len) in [(1, 1, 1), (17, 3, 3), (16, 3, 48), (5, 2, 33), (40, 1, 64)] {
                let filters = Filters { count, rows, row_len };
                let weights = numbered(filters);
                let mut packed = vec![0; packing.bytes(filters)];
                packing.pack(&weights, filters, &mut packed).unwrap();
                let packed: &[i8] = bytemuck::cast_slice(&packed);
                let mut places = HashSet::new();
                let mut expected = weights.iter();
                for filter in 0..count {
                    for row in 0..rows {
                        for k in 0..row_len {
                            assert!(places.insert(packing.place(filters, filter, row, k)), "{layout}");
                            let got = packing.weight(packed, filters, filter, row, k);
                            assert_eq!(Some(&got), expected.next(), "{layout} {filters:?} {filter} {row} {k}");
                        }
                    }
                }
                assert!(packing.is_filled_up_with_zeros(packed, filters), "{layout}");
                assert!(packing.rows_end_in_zeros(packed, row_len), "{layout}");
                // Any other byte that is not zero shows.
                for free in (0..packed.len()).filter(|at| !places.contains(at)) {
                    let mut tampered = packed.to_vec();
                    tampered[free] = 1;
                    assert!(!packing.is_filled_up_with_zeros(&tampered, filters), "{layout}");
                }
                for (filter, row) in (0..count).flat_map(|filter| (0..rows).map(move |row| (filter, row))) {
                    for k in row_len..packing.row_len(filters) {
                        let mut tampered = packed.to_vec();
                        tampered[packing.place(filters, filter, row, k)] = -128;
                        assert!(!packing.rows_end_in_zeros(&tampered, row_len), "{layout} {filter} {row} {k}");
                    }
                }
            }
        }
    }

    #[test]
    fn lengths_that_do_not_fit_are_refused() {
        let filters = Filters { count: 2, rows: 1, row_len: 3 };
        let packing = Layout::X86_64.packing();
        assert_eq!(packing.bytes(filters), 64);
        let mut to = vec![7; 64];
        assert_eq!(packing.pack(&[0; 5], filters, &mut to), None);
        assert_eq!(packing.pack(&[0; 6], filters, &mut to[..63]), None);
        assert_eq!(to, [7; 64]);
        let absurd = Filters { count: usize::MAX, rows: usize::MAX, row_len: usize::MAX };
        assert!(Layout::ALL.iter().all(|layout| layout.packing().bytes(absurd) == usize::MAX));
    }

    #[test]
    fn names_and_codes_lead_back_to_the_layout() {
        for layout in Layout::ALL {
            assert_eq!(layout.name().parse(), Ok(layout));
            assert_eq!(Layout::from_code(layout as u16), Some(layout));
        }
        assert_eq!(Layout::from_code(5), None);
        let error = "m4".parse::<Layout>().unwrap_err().to_string();
        assert_eq!(error, "no such target: expected one of portable, cortex-m4, cortex-m55, x86-64, aarch64");
    }
}
