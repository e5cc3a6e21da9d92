//! Typed random expressions over every function, from the list in `forms.txt`.

use std::collections::BTreeMap;

use flott_core::rng::Rng;

use crate::expression::pick;

/// Forms, literals and which class is part of which.
pub(super) struct Forms {
    forms: BTreeMap<&'static str, Vec<&'static str>>,
    leaves: BTreeMap<&'static str, Vec<&'static str>>,
    parts: BTreeMap<&'static str, Vec<&'static str>>,
    /// A form and its class, in the order of the file.
    all: Vec<(&'static str, &'static str)>,
}

/// An expression: a form with arguments, or a literal or column, which has none.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Tree {
    class: &'static str,
    form: &'static str,
    arguments: Vec<Tree>,
}

impl Forms {
    /// The list.
    pub(super) fn read() -> Result<Forms, String> {
        let mut forms =
            Forms { forms: BTreeMap::new(), leaves: BTreeMap::new(), parts: BTreeMap::new(), all: Vec::new() };
        for line in include_str!("forms.txt").lines().filter(|l| !l.is_empty() && !l.starts_with('#')) {
            let (head, rest) = line.split_once(": ").ok_or_else(|| format!("no class: {line}"))?;
            match head.split_once(' ') {
                Some(("leaf", class)) => {
                    forms.leaves.entry(class).or_default().extend(rest.split(" ;; "));
                }
                Some(("sub", class)) => {
                    forms.parts.entry(class).or_default().extend(rest.split(' '));
                }
                Some((other, _)) => return Err(format!("'{other}' is no kind of line")),
                None => {
                    forms.forms.entry(head).or_default().push(rest);
                    forms.all.push((head, rest));
                }
            }
        }
        Ok(forms)
    }

    /// One whose outermost form is the `n`th of the list, over and over.
    pub(super) fn nth(&self, rng: &mut Rng, n: u64, depth: usize) -> Tree {
        let (class, form) = self.all[(n % self.all.len() as u64) as usize];
        self.fill(rng, class, form, depth)
    }

    /// The class itself and those that are part of it.
    fn classes(&self, class: &'static str) -> Vec<&'static str> {
        let mut classes = vec![class];
        let mut at = 0;
        while at < classes.len() {
            for part in self.parts.get(classes[at]).into_iter().flatten() {
                if !classes.contains(part) {
                    classes.push(part);
                }
            }
            at += 1;
        }
        classes
    }

    fn random(&self, rng: &mut Rng, class: &'static str, depth: usize) -> Tree {
        let classes = self.classes(class);
        let of = |list: &BTreeMap<&'static str, Vec<&'static str>>| -> Vec<(&'static str, &'static str)> {
            let texts = |c: &&'static str| -> Vec<(&'static str, &'static str)> {
                list.get(c).into_iter().flatten().map(|text| (*c, *text)).collect()
            };
            classes.iter().flat_map(texts).collect()
        };
        let (forms, leaves) = (of(&self.forms), of(&self.leaves));
        if forms.is_empty() || (!leaves.is_empty() && (depth == 0 || rng.below(2) == 0)) {
            let (class, form) = *pick(rng, &leaves);
            return Tree { class, form, arguments: vec![] };
        }
        let (class, form) = *pick(rng, &forms);
        self.fill(rng, class, form, depth)
    }

    fn fill(&self, rng: &mut Rng, class: &'static str, form: &'static str, depth: usize) -> Tree {
        let arguments = holes(form).map(|hole| self.random(rng, hole, depth.saturating_sub(1))).collect();
        Tree { class, form, arguments }
    }

    /// Smaller ones, the smallest first: a part of the same class, a literal instead of a part.
    pub(super) fn smaller(&self, tree: &Tree) -> Vec<Tree> {
        let mut all: Vec<Tree> = tree.arguments.iter().filter(|a| !a.arguments.is_empty()).cloned().collect();
        for (i, argument) in tree.arguments.iter().enumerate() {
            let mut simple: Vec<Tree> = vec![];
            if !argument.arguments.is_empty() {
                let leaves = self.leaves.get(argument.class).into_iter().flatten().take(3);
                simple.extend(leaves.map(|form| Tree { class: argument.class, form, arguments: vec![] }));
                simple.extend(argument.arguments.iter().filter(|a| a.class == argument.class).cloned());
                simple.extend(self.smaller(argument));
            }
            for smaller in simple {
                let mut tree = tree.clone();
                tree.arguments[i] = smaller;
                all.push(tree);
            }
        }
        all
    }
}

impl Tree {
    /// The outermost form.
    pub(super) fn form(&self) -> &'static str {
        self.form
    }

    /// As SQL.
    pub(super) fn sql(&self) -> String {
        let mut text = String::new();
        let mut arguments = self.arguments.iter();
        let mut rest = self.form;
        while let (Some((before, behind)), Some(argument)) = (hole(rest), arguments.next()) {
            text.push_str(before);
            // Two signs make a comment; operators bind as they are written.
            let bare = !argument.form.starts_with(['-', '+']) && !argument.is_operator();
            let sql = argument.sql();
            text.push_str(&if bare { sql } else { format!("({sql})") });
            rest = behind.1;
        }
        text + rest
    }

    fn is_operator(&self) -> bool {
        !self.arguments.is_empty() && (self.form.starts_with(['{', '(']) || self.form.starts_with("NOT "))
    }
}

/// The text before the first hole, the hole's class and what follows.
fn hole(form: &'static str) -> Option<(&'static str, (&'static str, &'static str))> {
    // A brace in a literal is none: JSON has them, classes are letters.
    for (at, _) in form.match_indices('{') {
        if let Some(end) = form[at..].find('}')
            && end > 1
            && form[at + 1..at + end].bytes().all(|b| b.is_ascii_alphanumeric())
        {
            return Some((&form[..at], (&form[at + 1..at + end], &form[at + end + 1..])));
        }
    }
    None
}

fn holes(form: &'static str) -> impl Iterator<Item = &'static str> {
    let mut rest = form;
    std::iter::from_fn(move || {
        let (_, (class, behind)) = hole(rest)?;
        rest = behind;
        Some(class)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_class_can_be_made_and_every_function_is_there() {
        let forms = Forms::read().expect("forms");
        for (_, form) in &forms.all {
            for class in holes(form) {
                let known = forms.classes(class);
                assert!(
                    known.iter().any(|c| forms.leaves.contains_key(c) || forms.forms.contains_key(c)),
                    "{form}: nothing is of class {class}"
                );
            }
        }
        let text = include_str!("forms.txt");
        // What depends on the time, on chance or on a table, and what others stand for.
        let others = [
            "RAND",
            "RAND_INTEGER",
            "UUID",
            "NOW",
            "PROCTIME",
            "LOCALTIME",
            "LOCALTIMESTAMP",
            "CURRENT_DATE",
            "CURRENT_TIME",
            "CURRENT_TIMESTAMP",
            "CURRENT_ROW_TIMESTAMP",
            "CURRENT_WATERMARK",
            "OBJECT_OF",
            "OBJECT_UPDATE",
            "ARRAY",
            "MAP",
            "JSON",
            "IS_JSON",
        ];
        for f in flott_function::scalar::functions() {
            let is_special = f.name.contains(['$', ' ', '|']) || others.contains(&f.name);
            let called = format!("{}(", f.name);
            assert!(is_special || text.contains(&called) || text.contains(&format!(" {} ", f.name)), "{}", f.name);
        }
    }

    #[test]
    fn an_expression_is_written_with_its_parts() {
        let forms = Forms::read().expect("forms");
        let mut rng = Rng::seeded(1);
        for n in 0..2000 {
            let tree = forms.nth(&mut rng, n, 3);
            let sql = tree.sql();
            assert!(!sql.contains("--") && !sql.contains("{num}") && !sql.contains("{str}"), "{sql}");
            for smaller in forms.smaller(&tree) {
                assert!(smaller != tree, "{sql}");
            }
        }
    }
}
