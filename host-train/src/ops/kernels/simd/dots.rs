//! The inner loop of weight gradients: dot products of every row with every column, along runs of positions.

use super::products::{Portable, Products};
use super::{Kind, Set};

/// Rows that are taken together.
pub const ROWS: usize = 4;

/// Columns that are taken together.
pub const COLUMNS: usize = 6;

/// Items whose dot products are taken: those of 32 bits hold f32, those of 16 bits bf16.
#[derive(Clone, Copy)]
pub enum Items<'a> {
    /// f32.
    Words(&'a [u32]),
    /// bf16.
    Halves(&'a [u16]),
}

/// Rows and columns, each an offset into `items`.
#[derive(Clone, Copy)]
pub struct Dots<'a> {
    /// Where everything lies.
    pub items: Items<'a>,
    /// Where each row's position 0 is.
    pub rows: [usize; ROWS],
    /// Where each column's position 0 is.
    pub columns: [usize; COLUMNS],
    /// Positions that runs of [`Set::items`] items start at.
    pub starts: &'a [usize],
}

/// The dot products.
pub type Totals = [[f32; COLUMNS]; ROWS];

impl Dots<'_> {
    /// The dot product of each row with each column over all runs.
    ///
    /// Every lane of a vector sums in the order of the runs; then the lanes are added in halves.
    pub fn run(&self, set: Set) -> Totals {
        let Some(last_start) = self.starts.iter().max() else { return [[0.0; COLUMNS]; ROWS] };
        let last = self.rows.iter().chain(&self.columns).max().unwrap_or(&0) + last_start;
        let length = match self.items {
            Items::Words(items) => items.len(),
            Items::Halves(items) => items.len(),
        };
        assert!(last + set.items() <= length, "rows and columns hold what the runs read");
        // SAFETY: a set is only made where its features were found, and the assertion above bounds every load.
        unsafe {
            match (set.0, self.items) {
                (Kind::Portable, Items::Words(items)) => tiles::<Portable, 2>(self, items.as_ptr()),
                #[cfg(target_arch = "x86_64")]
                (Kind::Avx2, Items::Words(items)) => x86::avx2(self, items.as_ptr()),
                #[cfg(target_arch = "x86_64")]
                (Kind::Avx512, Items::Words(items)) => x86::avx512(self, items.as_ptr()),
                #[cfg(target_arch = "x86_64")]
                (Kind::Avx512Bf16, Items::Halves(items)) => x86::avx512_bf16(self, items.as_ptr()),
                _ => unreachable!("items of the set's width"),
            }
        }
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::super::products::{Avx2, Avx512, Avx512Bf16};
    use super::{Dots, Totals, tiles};

    // SAFETY of all three: the features are those that the set needs, the rest is the caller's.

    #[target_feature(enable = "avx2,fma")]
    pub unsafe fn avx2(work: &Dots<'_>, items: *const u32) -> Totals {
        unsafe { tiles::<Avx2, 2>(work, items) }
    }

    #[target_feature(enable = "avx512f")]
    pub unsafe fn avx512(work: &Dots<'_>, items: *const u32) -> Totals {
        unsafe { tiles::<Avx512, 4>(work, items) }
    }

    #[target_feature(enable = "avx512f,avx512bf16")]
    pub unsafe fn avx512_bf16(work: &Dots<'_>, items: *const u16) -> Totals {
        unsafe { tiles::<Avx512Bf16, 4>(work, items) }
    }
}

/// All rows, `R` at a time: as many as the registers hold.
///
/// # Safety
/// The processor has the features of `P`; loads at all rows, columns and runs are inside.
#[inline(always)]
unsafe fn tiles<P: Products, const R: usize>(work: &Dots<'_>, items: *const P::Item) -> Totals {
    let mut totals = [[0.0; COLUMNS]; ROWS];
    for first in (0..ROWS).step_by(R) {
        // SAFETY: the caller's.
        let tile = unsafe { tile::<P, R>(work, items, first) };
        totals[first..first + R].copy_from_slice(&tile);
    }
    totals
}

/// The rows from `first` on: all sums stay in registers.
///
/// # Safety
/// That of [`tiles`].
#[inline(always)]
unsafe fn tile<P: Products, const R: usize>(
    work: &Dots<'_>,
    items: *const P::Item,
    first: usize,
) -> [[f32; COLUMNS]; R] {
    // SAFETY: the caller's.
    unsafe {
        let rows: [_; R] = std::array::from_fn(|row| items.add(work.rows[first + row]));
        let columns = work.columns.map(|column| items.add(column));
        let mut sums = [[P::fill(0.0); COLUMNS]; R];
        for &start in work.starts {
            let row = rows.map(|row| P::items(row.add(start)));
            for (c, column) in columns.iter().enumerate() {
                let column = P::items(column.add(start));
                for (sums, &row) in sums.iter_mut().zip(&row) {
                    // Pinned, or all columns are loaded first, and no registers are left for the sums.
                    sums[c] = P::pin(P::add(sums[c], row, column));
                }
            }
        }
        sums.map(|sums| sums.map(|sums| total::<P>(sums)))
    }
}

/// The sum of the lanes, by halves.
#[inline(always)]
unsafe fn total<P: Products>(sums: P::Sums) -> f32 {
    let mut lanes = [0.0; 16];
    // SAFETY: no vector has more than 16 lanes.
    unsafe { P::store(sums, lanes.as_mut_ptr()) };
    let mut half = P::LANES / 2;
    while half > 0 {
        for lane in 0..half {
            lanes[lane] += lanes[lane + half];
        }
        half /= 2;
    }
    lanes[0]
}
