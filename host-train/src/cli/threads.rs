//! `--threads`: how many threads compute.

use clap::Args;

use super::{Failure, number};

/// `--threads`.
#[derive(Args)]
pub struct Threads {
    /// Threads to compute with; 0: one for each core. What comes out does not depend on it.
    #[arg(long, default_value = "0", value_parser = number::whole::<usize>(0..=1024))]
    threads: usize,
}

impl Threads {
    /// Makes all that computes in parallel use so many threads, in this process and in those that it starts.
    pub fn set(&self) -> Result<(), Failure> {
        if self.threads > 0 {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(self.threads);
            pool.build_global().map_err(|error| format!("--threads {}: {error}", self.threads))?;
        }
        Ok(())
    }
}
