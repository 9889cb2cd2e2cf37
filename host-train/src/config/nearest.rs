//! What somebody may have meant who wrote a key that there is none of.

use strsim::damerau_levenshtein;

/// What a section costs that was left out, or that there is none of.
const SECTION: usize = 1;

/// Costs are counted in half letters, so that an equal ending counts more than the same number of wrong letters.
const LETTER: usize = 2;

/// Bytes of the longest name that somebody may have misspelt.
const LONGEST: usize = 100;

/// Those of `candidates` that are nearest to `key`, by the whole name or by its last part; none where none is near.
pub(super) fn nearest<'a>(key: &str, candidates: &'a [String]) -> Vec<&'a str> {
    if key.len() > LONGEST {
        return Vec::new();
    }
    let key = plain(key);
    let costs: Vec<usize> = candidates.iter().map(|candidate| cost(&key, &plain(candidate))).collect();
    let least = costs.iter().copied().min().unwrap_or(usize::MAX);
    if least > LETTER * (1 + key.len() / 3) {
        return Vec::new();
    }
    let near = candidates.iter().zip(costs).filter(|(_, cost)| *cost == least);
    near.map(|(candidate, _)| candidate.as_str()).collect()
}

/// `learning-rate` and `Learning_Rate` are as near as can be.
fn plain(key: &str) -> String {
    key.to_lowercase().replace(['-', ' '], "_")
}

fn cost(key: &str, candidate: &str) -> usize {
    let [flat, own_flat] = [key, candidate].map(|name| name.replace('.', "_"));
    let whole = LETTER * damerau_levenshtein(&flat, &own_flat);
    // `rotate_degrees` for `augment.rotate.degrees`.
    let ends = !flat.is_empty() && own_flat.ends_with(&format!("_{flat}"));
    let whole = if ends { whole.min(SECTION) } else { whole };
    whole.min(cost_by_last_part(key, candidate)).min(cost_of_section(key, candidate))
}

/// The last parts compared by themselves; what comes before may be missing or too much at the front, or be misspelt.
fn cost_by_last_part(key: &str, candidate: &str) -> usize {
    let ((sections, last), (own_sections, own_last)) = (parts(key), parts(candidate));
    let begins = last.len() >= 3 && (own_last.starts_with(last) || last.starts_with(own_last));
    let letters = LETTER * damerau_levenshtein(last, own_last);
    let last_cost = if begins { letters.min(1) } else { letters };
    let both = sections.len().min(own_sections.len());
    let [missing, surplus] = [own_sections.len() - both, sections.len() - both];
    let [rest, own_rest] = [sections[surplus..].join("."), own_sections[missing..].join(".")];
    last_cost + (missing + surplus) * SECTION + LETTER * damerau_levenshtein(&rest, &own_rest)
}

/// `flip = 0.5`: a section's name for one of its keys.
fn cost_of_section(key: &str, candidate: &str) -> usize {
    let (sections, _) = parts(candidate);
    if parts(key).1.len() >= 3 && sections.contains(&parts(key).1) { LETTER } else { usize::MAX }
}

fn parts(key: &str) -> (Vec<&str>, &str) {
    let mut sections: Vec<&str> = key.split('.').collect();
    let last = sections.pop().unwrap_or_default();
    (sections, last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_known_by_its_last_part_or_by_the_whole() {
        let keys = [
            "steps",
            "learning_rate",
            "min_learning_rate",
            "masks.full",
            "augment.flip.probability",
            "augment.rotate.probability",
            "augment.rotate.degrees",
        ];
        let keys = keys.map(str::to_owned);
        for (given, meant) in [
            ("augment.flip.prob", "augment.flip.probability"),
            ("augment.flip.probabilty", "augment.flip.probability"),
            ("augment.filp.probability", "augment.flip.probability"),
            ("flip.probability", "augment.flip.probability"),
            ("flip.prob", "augment.flip.probability"),
            ("augment.flip", "augment.flip.probability"),
            ("degrees", "augment.rotate.degrees"),
            ("rotate_degrees", "augment.rotate.degrees"),
            ("augment.rotate_degrees", "augment.rotate.degrees"),
            ("learning-rate", "learning_rate"),
            ("Learning_Rate", "learning_rate"),
            ("learningrate", "learning_rate"),
            ("learning_rat", "learning_rate"),
            ("optimizer.learning_rate", "learning_rate"),
            ("full", "masks.full"),
            ("step", "steps"),
        ] {
            assert_eq!(nearest(given, &keys), [meant], "{given}");
        }
        assert_eq!(nearest("probability", &keys), ["augment.flip.probability", "augment.rotate.probability"]);
        assert!(nearest("banana", &keys).is_empty());
        assert!(nearest("", &keys).is_empty());
    }
}
