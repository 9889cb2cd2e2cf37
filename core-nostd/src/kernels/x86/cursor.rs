//! The walk of a kernel over the positions of a band.

use super::band::Geometry;

/// Walks over positions, row by row.
pub(super) struct Cursor {
    x: *const u8,
    out: *mut i8,
    column: usize,
    columns: usize,
    /// To the next position of the row.
    step: (usize, usize),
    /// To the next row besides.
    jump: (isize, usize),
}

impl Cursor {
    /// From the first window of a copy and its output on. `out_steps`: to the output of the next position, and besides
    /// that from row to row.
    #[inline(always)]
    pub(super) fn new(geometry: &Geometry, x: *const u8, out: *mut i8, out_steps: (usize, usize)) -> Self {
        let step = geometry.stride * geometry.input.c;
        let jump = (geometry.stride * geometry.row_len).wrapping_sub(geometry.out_w * step);
        Self {
            x,
            out,
            column: 0,
            columns: geometry.out_w,
            step: (step, out_steps.0),
            jump: (jump as isize, out_steps.1),
        }
    }

    /// Moves on by so many positions of the row, and from its end to the next row.
    #[inline(always)]
    fn skip(&mut self, positions: usize) {
        self.x = self.x.wrapping_add(positions * self.step.0);
        self.out = self.out.wrapping_add(positions * self.step.1);
        self.column += positions;
        if self.column == self.columns {
            self.column = 0;
            self.x = self.x.wrapping_offset(self.jump.0);
            self.out = self.out.wrapping_add(self.jump.1);
        }
    }

    /// The next `valid` positions; the last one again in the places beyond.
    #[inline(always)]
    pub(super) fn next<const P: usize>(&mut self, valid: usize) -> ([*const u8; P], [*mut i8; P]) {
        let (mut x, mut out) = ([self.x; P], [self.out; P]);
        if self.column + P <= self.columns {
            // All in one row: no pointer waits for another.
            for (p, (x, out)) in x.iter_mut().zip(&mut out).enumerate() {
                *x = self.x.wrapping_add(p * self.step.0);
                *out = self.out.wrapping_add(p * self.step.1);
            }
            self.skip(P);
            return (x, out);
        }
        for (p, (x, out)) in x.iter_mut().zip(&mut out).enumerate() {
            (*x, *out) = (self.x, self.out);
            if p + 1 < valid || valid == P {
                self.skip(1);
            }
        }
        (x, out)
    }
}
