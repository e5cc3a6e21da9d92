//! What the reference page says of functions that have places of their own: before OVER, in FROM, in GROUP BY, in
//! MATCH_RECOGNIZE. A test runs the examples.

mod changelog;
mod group_window;
mod over;
mod pattern;
mod table_function;
mod time_attribute;
mod window_table;

use flott_function::Documentation;

/// The functions of one place.
#[derive(Debug, Clone, Copy)]
pub struct Family {
    /// The head of its section.
    pub title: &'static str,
    /// What all of them share.
    pub introduction: &'static str,
    /// The functions.
    pub functions: &'static [Documentation],
}

/// All of them, in the order of the page.
pub const FAMILIES: [Family; 7] = [
    over::FAMILY,
    window_table::FAMILY,
    group_window::FAMILY,
    table_function::FAMILY,
    changelog::FAMILY,
    pattern::FAMILY,
    time_attribute::FAMILY,
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bind;

    /// The names that are called in a family's forms.
    fn names(family: &Family) -> Vec<&'static str> {
        let called = family.functions.iter().flat_map(|d| d.syntax.split('(')).map(str::trim_end);
        called.filter_map(|before| before.rsplit([' ', ',']).next()).filter(|name| !name.is_empty()).collect()
    }

    #[test]
    fn what_the_binder_knows_is_described() {
        let group: Vec<String> = bind::group_window::names().collect();
        let known: [(&Family, Vec<&str>); 4] = [
            (&over::FAMILY, bind::over::FUNCTIONS.to_vec()),
            (&window_table::FAMILY, bind::window::FUNCTIONS.to_vec()),
            (&group_window::FAMILY, group.iter().map(String::as_str).collect()),
            (&changelog::FAMILY, bind::changelog_function::FUNCTIONS.to_vec()),
        ];
        for (family, functions) in known {
            let described = names(family);
            for name in functions {
                assert!(described.contains(&name), "{name} in {}", family.title);
            }
        }
    }

    #[test]
    fn every_function_is_described() {
        for d in FAMILIES.iter().flat_map(|f| f.functions) {
            assert!(!d.syntax.is_empty() && !d.description.is_empty() && !d.documentation.is_empty(), "{d:?}");
        }
    }
}
