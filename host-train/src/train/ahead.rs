//! The samples of the next step are made while this one's are learned from.

/// Samples of a step to come.
pub(super) struct Ahead<S>(Option<(usize, S)>);

impl<S: Send> Ahead<S> {
    /// None are made yet.
    pub(super) fn new() -> Self {
        Self(None)
    }

    /// What `learn` makes of the samples of `step`, of a run of `steps`; meanwhile those of the next are made. `make` gives those of a
    /// step, the same whenever it is asked. Learning stays on the calling thread: burn keeps the running statistics of each thread
    /// apart.
    pub(super) fn step<R: Send>(
        &mut self,
        step: usize,
        steps: usize,
        make: impl Fn(usize) -> S + Sync,
        learn: impl FnOnce(S) -> R + Send,
    ) -> R {
        let samples = match self.0.take() {
            Some((of, samples)) if of == step => samples,
            _ => make(step),
        };
        let next = step + 1;
        let (learned, ahead) = rayon::join(|| learn(samples), || (next < steps).then(|| (next, make(next))));
        self.0 = ahead;
        learned
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;

    #[test]
    fn each_step_has_its_own_samples_and_none_is_made_twice() {
        let (mut ahead, made) = (Ahead::new(), Mutex::new(Vec::new()));
        let make = |step: usize| {
            made.lock().unwrap().push(step);
            step * 10
        };
        let learned: Vec<usize> = (3..6).map(|step| ahead.step(step, 6, make, |samples| samples + 1)).collect();
        assert_eq!(learned, [31, 41, 51]);
        assert_eq!(*made.lock().unwrap(), [3, 4, 5], "none beyond the last");
        assert_eq!(ahead.step(1, 6, make, |samples| samples), 10, "another step than the one that is there");
    }
}
