//! Means since the last row of the log, which a checkpoint keeps, so that a run in parts has the rows of a whole one.

use serde::{Deserialize, Serialize};

/// Sums of some numbers over steps.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Means {
    /// Steps.
    count: usize,
    /// One sum a number, as text: a number of JSON may lose its last digit.
    #[serde(with = "exact")]
    sums: Vec<f64>,
}

impl Means {
    /// Takes in a step.
    pub fn add<const N: usize>(&mut self, values: [f64; N]) {
        self.sums.resize(N, 0.0);
        self.sums.iter_mut().zip(values).for_each(|(sum, value)| *sum += value);
        self.count += 1;
    }

    /// The means, 0 of no step; from here on of the steps to come.
    pub fn take<const N: usize>(&mut self) -> [f64; N] {
        let Self { count, sums } = std::mem::take(self);
        std::array::from_fn(|i| sums.get(i).map_or(0.0, |sum| sum / count.max(1) as f64))
    }

    /// Whether there is no step.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }
}

mod exact {
    use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

    pub fn serialize<S: Serializer>(values: &[f64], serializer: S) -> Result<S::Ok, S::Error> {
        values.iter().map(f64::to_string).collect::<Vec<_>>().serialize(serializer)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<f64>, D::Error> {
        let texts = Vec::<String>::deserialize(deserializer)?;
        texts.iter().map(|text| text.parse()).collect::<Result<_, _>>().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_come_back_exactly_and_means_begin_anew() {
        let mut means = Means::default();
        for i in 1..1000 {
            means.add([1.0 / f64::from(i), f64::from(i).sin()]);
            let text = serde_json::to_string(&means).unwrap();
            assert_eq!(serde_json::from_str::<Means>(&text).unwrap(), means);
        }
        means = Means::default();
        means.add([1.0]);
        means.add([2.0]);
        assert_eq!(means.take(), [1.5]);
        assert!(means.is_empty() && means.take() == [0.0, 0.0]);
    }
}
