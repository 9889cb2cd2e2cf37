//! Pictures: scans and hearts as panels, scores over budgets, which lines are measured when.

pub mod canvas;
mod font;
pub mod heatmap;
pub mod panel;
pub mod plot;
pub mod volume_panel;
