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

/// Rows and columns, each an offset into `items`; groups of as many as are taken together.
#[derive(Clone, Copy)]
pub struct Dots<'a> {
    /// Where everything lies.
    pub items: Items<'a>,
    /// Where each row's position 0 is.
    pub rows: &'a [[usize; ROWS]],
    /// Where each column's position 0 is.
    pub columns: &'a [[usize; COLUMNS]],
    /// Positions that runs of [`Set::items`] items start at.
    pub starts: &'a [usize],
    /// How far the second half of a run is from the first, where they are not neighbours.
    pub apart: Option<usize>,
}

/// Sums of the dot products of a group of columns with a group of rows.
pub type Totals = [[f32; ROWS]; COLUMNS];

impl Dots<'_> {
    /// Adds the dot product of each row with each column over all runs to `totals`, `[columns][rows]` in groups.
    ///
    /// Every lane of a vector sums in the order of the runs; then the lanes are added.
    pub fn add_to(&self, set: Set, totals: &mut [Totals]) {
        assert_eq!(totals.len(), self.rows.len() * self.columns.len(), "totals for every group");
        let places = self.rows.as_flattened().iter().chain(self.columns.as_flattened());
        let (Some(last), Some(last_start)) = (places.max(), self.starts.iter().max()) else { return };
        let length = match self.items {
            Items::Words(items) => items.len(),
            Items::Halves(items) => items.len(),
        };
        let end = last + last_start + self.apart.unwrap_or(0) + set.items();
        assert!(end <= length, "rows and columns hold what the runs read");
        // SAFETY: a set is only made where its features were found, and the assertion above bounds every load.
        unsafe {
            match (set.0, self.items) {
                (Kind::Portable, Items::Words(items)) => groups::<Portable, 2>(self, items.as_ptr(), totals),
                #[cfg(target_arch = "x86_64")]
                (Kind::Avx2, Items::Words(items)) => x86::avx2(self, items.as_ptr(), totals),
                #[cfg(target_arch = "x86_64")]
                (Kind::Avx512, Items::Words(items)) => x86::avx512(self, items.as_ptr(), totals),
                #[cfg(target_arch = "x86_64")]
                (Kind::Avx512Bf16, Items::Halves(items)) => x86::avx512_bf16(self, items.as_ptr(), totals),
                _ => unreachable!("items of the set's width"),
            }
        }
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::super::products::{Avx2, Avx512, Avx512Bf16};
    use super::{Dots, Totals, groups};

    // SAFETY of all three: the features are those that the set needs, the rest is the caller's.

    #[target_feature(enable = "avx2,fma")]
    pub unsafe fn avx2(work: &Dots<'_>, items: *const u32, totals: &mut [Totals]) {
        unsafe { groups::<Avx2, 2>(work, items, totals) }
    }

    #[target_feature(enable = "avx512f")]
    pub unsafe fn avx512(work: &Dots<'_>, items: *const u32, totals: &mut [Totals]) {
        unsafe { groups::<Avx512, 4>(work, items, totals) }
    }

    #[target_feature(enable = "avx512f,avx512bf16")]
    pub unsafe fn avx512_bf16(work: &Dots<'_>, items: *const u16, totals: &mut [Totals]) {
        unsafe { groups::<Avx512Bf16, 4>(work, items, totals) }
    }
}

/// All groups, `R` rows at a time: as many as the registers hold.
///
/// # Safety
/// The processor has the features of `P`; loads at all rows, columns and runs are inside.
#[inline(always)]
unsafe fn groups<P: Products, const R: usize>(work: &Dots<'_>, items: *const P::Item, totals: &mut [Totals]) {
    for (columns, totals) in work.columns.iter().zip(totals.chunks_exact_mut(work.rows.len())) {
        for (rows, totals) in work.rows.iter().zip(totals) {
            for first in (0..ROWS).step_by(R) {
                // SAFETY: the caller's.
                let tile = unsafe {
                    match work.apart {
                        None => tile::<P, R, false>(work, items, rows, first, columns),
                        Some(_) => tile::<P, R, true>(work, items, rows, first, columns),
                    }
                };
                for (totals, sums) in totals.iter_mut().zip(tile) {
                    totals[first..first + R].iter_mut().zip(sums).for_each(|(total, sum)| *total += sum);
                }
            }
        }
    }
}

/// The rows from `first` on: all sums stay in registers.
///
/// # Safety
/// That of [`groups`].
#[inline(always)]
unsafe fn tile<P: Products, const R: usize, const APART: bool>(
    work: &Dots<'_>,
    items: *const P::Item,
    rows: &[usize; ROWS],
    first: usize,
    columns: &[usize; COLUMNS],
) -> [[f32; R]; COLUMNS] {
    // SAFETY: the caller's.
    unsafe {
        let rows: [_; R] = std::array::from_fn(|row| items.add(rows[first + row]));
        let columns = columns.map(|column| items.add(column));
        let mut sums = [[P::fill(0.0); R]; COLUMNS];
        let apart = work.apart.unwrap_or(0);
        for &start in work.starts {
            let mut row = [P::none(); R];
            for (row, from) in row.iter_mut().zip(&rows) {
                *row = load::<P, APART>(from.add(start), apart);
            }
            for (sums, column) in sums.iter_mut().zip(&columns) {
                let column = load::<P, APART>(column.add(start), apart);
                for (sum, &row) in sums.iter_mut().zip(&row) {
                    // Pinned, or all columns are loaded first, and no registers are left for the sums.
                    *sum = P::pin(P::add(*sum, row, column));
                }
            }
        }
        let mut totals = [[0.0; R]; COLUMNS];
        for (totals, sums) in totals.iter_mut().zip(&sums) {
            P::totals(sums, totals);
        }
        totals
    }
}

/// A run of items.
///
/// # Safety
/// That of [`groups`].
#[inline(always)]
unsafe fn load<P: Products, const APART: bool>(from: *const P::Item, apart: usize) -> P::Factors {
    // SAFETY: the caller's.
    unsafe { if APART { P::items_apart(from, apart) } else { P::items(from) } }
}
