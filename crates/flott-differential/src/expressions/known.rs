//! Differences that are decided, from the list in `known.txt`: each names its row of `docs/deviations.md`.

const LIST: &str = include_str!("known.txt");

struct Known {
    kind: &'static str,
    text: &'static str,
    subject: &'static str,
}

fn list() -> impl Iterator<Item = Known> {
    LIST.lines().filter(|l| !l.is_empty() && !l.starts_with('#')).filter_map(|line| {
        let mut parts = line.split(" ;; ");
        Some(Known { kind: parts.next()?, text: parts.next()?, subject: parts.next()? })
    })
}

/// The subject of the row that explains this difference: `texts` are the expression and what both engines say.
pub(super) fn reason(kind: &str, texts: &[&str]) -> Option<&'static str> {
    list().find(|k| k.kind == kind && texts.iter().any(|t| t.contains(k.text))).map(|k| k.subject)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_names_a_row_of_the_page() {
        let page = include_str!("../../../../docs/deviations.md");
        let lines = LIST.lines().filter(|l| !l.is_empty() && !l.starts_with('#')).count();
        assert_eq!(list().count(), lines);
        for known in list() {
            assert!(["type", "value", "Flott refuses", "Flink refuses"].contains(&known.kind), "{}", known.kind);
            assert!(page.contains(&format!("\n| {} |", known.subject)), "no row: {}", known.subject);
        }
    }

    #[test]
    fn a_difference_is_explained_by_its_kind_and_a_text() {
        assert!(reason("type", &["LPAD('a', 2, 'b')", "STRING", "STRING NOT NULL"]).is_some());
        assert!(reason("value", &["LPAD('a', 2, 'b')", "ba", "ab"]).is_none());
        assert!(reason("type", &["LOWER('A')", "STRING", "CHAR(1)"]).is_none());
    }
}
