//! "Did you mean": the nearest of the names that would have been right.

/// The candidate nearest to `name` by edit distance, where it is near enough to be a slip of the pen.
pub fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let length = name.chars().count();
    // Of four letters two others are another word.
    within(name, candidates, if length <= 4 { 1 } else { (length / 3).max(2) })
}

/// The candidate that is nearer still: where most names are words that mean something else.
pub fn nearest_strictly<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    within(name, candidates, (name.chars().count() / 4).max(1))
}

fn within<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>, most: usize) -> Option<&'a str> {
    let lower = name.to_lowercase();
    candidates
        .into_iter()
        .map(|c| {
            let candidate = c.to_lowercase();
            // The beginning of a name is as good as a slip.
            let begun = lower.len() > 1 && candidate.starts_with(&lower) && candidate != lower;
            let distance = if begun { 1 } else { distance(&lower, &candidate) };
            // One letter is a slip for no other one, nor for nothing.
            let letter = lower.chars().nth(1).is_none() || candidate.chars().nth(1).is_none();
            (if letter && distance > 0 { usize::MAX } else { distance }, c)
        })
        .filter(|(d, c)| *d <= most && *c != name)
        .min_by_key(|(d, _)| *d)
        .map(|(_, c)| c)
}

/// Edits (insert, delete, replace, swap of neighbours) that turn one text into the other.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().take(128).collect(), b.chars().take(128).collect());
    let mut rows = vec![vec![0usize; b.len() + 1]; a.len() + 1];
    for i in 0..=a.len() {
        for j in 0..=b.len() {
            rows[i][j] = if i == 0 || j == 0 {
                i + j
            } else {
                let same = usize::from(a[i - 1] != b[j - 1]);
                let mut d = (rows[i - 1][j] + 1).min(rows[i][j - 1] + 1).min(rows[i - 1][j - 1] + same);
                if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                    d = d.min(rows[i - 2][j - 2] + 1);
                }
                d
            };
        }
    }
    rows[a.len()][b.len()]
}

#[cfg(test)]
mod tests {
    use super::{nearest, nearest_strictly};

    #[test]
    fn a_slip_finds_its_word_and_nonsense_finds_none() {
        let keys = ["connector", "path", "format", "rows-per-second"];
        assert_eq!(nearest("conector", keys), Some("connector"));
        assert_eq!(nearest("rows-per-secnod", keys), Some("rows-per-second"));
        assert_eq!(nearest("PATH", keys), Some("path"));
        assert_eq!(nearest("zookeeper", keys), None);
        assert_eq!(nearest("ce", ["id", "cents", "ts"]), Some("cents"));
        assert_eq!(nearest("x", ["id", "ts", "a"]), None);
        assert_eq!(nearest("id", ["i", "d"]), None);
        assert_eq!(nearest("ID", ["i", "id"]), Some("id"));
        assert_eq!(nearest("id", ["id"]), None, "it is there, elsewhere");
        assert_eq!(nearest("date", ["rate", "data", "cat"]), Some("rate"));
        assert_eq!(nearest("used", ["bids"]), None);
        assert_eq!(nearest_strictly("TO_CHAR", ["TO_DATE", "CHR"]), None);
        assert_eq!(nearest_strictly("SQRTT", ["SQRT"]), Some("SQRT"));
    }
}
