//! A budget on its way to the slices of a volume: who has how many lines, and what that is worth.

use super::heart::{Heart, Tally};
use kscout_core::volume::{FIRST_LINES, Glimpse, MOST_LINES, VIEW, write_view};

/// The scan of a volume under way.
#[derive(Clone, Debug)]
pub struct Sharing<'a> {
    heart: &'a Heart,
    lines: Vec<usize>,
    left: usize,
    tally: Tally,
}

impl<'a> Sharing<'a> {
    /// A scan of `mean` lines a slice on average, of which each slice has had its first ones.
    pub fn new(heart: &'a Heart, mean: usize) -> Self {
        let given = FIRST_LINES.min(mean);
        let lines = vec![given; heart.slices.len()];
        let tally = heart.tally(&lines);
        Self { heart, left: (mean - given) * lines.len(), lines, tally }
    }

    /// The volume.
    pub fn heart(&self) -> &'a Heart {
        self.heart
    }

    /// Lines of each slice.
    pub fn lines(&self) -> &[usize] {
        &self.lines
    }

    /// Lines that may still be measured.
    pub fn left(&self) -> usize {
        if self.open().next().is_none() { 0 } else { self.left }
    }

    /// The volume's segmentation as it stands.
    pub fn tally(&self) -> &Tally {
        &self.tally
    }

    /// The most lines of a slice.
    pub fn most(&self, slice: usize) -> usize {
        MOST_LINES.min(self.heart.slices[slice].stages.len() - 1)
    }

    /// The slices that may have another line.
    pub fn open(&self) -> impl Iterator<Item = usize> + '_ {
        (0..self.lines.len()).filter(|&slice| self.lines[slice] < self.most(slice))
    }

    /// Measures another line of an open slice; returns what the mean Dice gains.
    pub fn give(&mut self, slice: usize) -> f64 {
        let before = self.tally.mean_dice();
        let lines = self.lines[slice];
        self.tally.replace(&self.heart.part(slice, lines), &self.heart.part(slice, lines + 1));
        self.lines[slice] += 1;
        self.left -= 1;
        self.tally.mean_dice() - before
    }

    /// What the slice policy sees of each slice.
    pub fn views(&self) -> Vec<[i8; VIEW]> {
        let stage = |(slice, &lines): (usize, &usize)| self.heart.slices[slice].stages[lines].glimpse;
        let glimpses: Vec<Glimpse> = self.lines.iter().enumerate().map(stage).collect();
        let view = |slice| {
            let mut view = [0; VIEW];
            write_view(&glimpses, slice, self.left, &mut view);
            view
        };
        (0..glimpses.len()).map(view).collect()
    }

    /// What `ahead` more lines, or as many as there may be, gain in slice `slice` to first order, a line.
    pub fn gain(&self, slice: usize, ahead: usize) -> f64 {
        let lines = self.lines[slice];
        let then = (lines + ahead).min(self.most(slice));
        if then == lines {
            return 0.0;
        }
        self.tally.gain(&self.heart.part(slice, lines), &self.heart.part(slice, then)) / (then - lines) as f64
    }
}
