//! The page of functions: a section for each, made of its entry.

use flott::reference::{CONVERSIONS, Category, Documentation, Example, FAMILIES, GROUPING, ScalarFunction};

use super::{line, section};

const CATEGORIES: [(Category, &str); 9] = [
    (Category::Arithmetic, "Numbers"),
    (Category::String, "Texts"),
    (Category::Temporal, "Dates and times"),
    (Category::Conditional, "Choices"),
    (Category::Collection, "Arrays, maps and objects"),
    (Category::Hash, "Digests"),
    (Category::Json, "JSON"),
    (Category::Bitmap, "Bitmaps"),
    (Category::Variant, "Variants"),
];

pub(super) fn page(head: String) -> String {
    let mut text = head;
    line(
        &mut text,
        "\nAn example is an expression or a query, and its value or its rows as the SQL client prints them: `<NULL>` is NULL, and \
         rows that are changes begin with their kind. A test runs them all.",
    );
    section("Scalar functions", &mut text);
    let mut all: Vec<&ScalarFunction> = flott::functions().collect();
    all.sort_by_key(|f| f.name);
    let families = CATEGORIES.map(|(category, title)| {
        let entries = all.iter().filter(|f| f.category == category).map(|f| (f.name, documentation(f))).collect();
        (title, entries)
    });
    let conversions = CONVERSIONS.iter().map(|d| (name(d.syntax), *d)).collect();
    for (title, entries) in families.into_iter().chain([("Conversions", conversions)]) {
        line(&mut text, &format!("### {title}\n"));
        entries_of(entries, &mut text);
    }
    section("Aggregate functions", &mut text);
    line(
        &mut text,
        "Over the rows of a group or a window ([statements.md](statements.md#windows)). `FILTER (WHERE condition)` behind one \
         chooses its rows.\n",
    );
    let aggregates = flott::aggregates().map(|a| *a.documentation()).chain([GROUPING]);
    let aggregates = aggregates.map(|d| (name(d.syntax), d)).collect();
    entries_of(aggregates, &mut text);
    for family in FAMILIES {
        section(family.title, &mut text);
        line(&mut text, &format!("{}\n", family.introduction));
        entries_of(family.functions.iter().map(|d| (name(d.syntax), *d)).collect(), &mut text);
    }
    text
}

fn documentation(f: &ScalarFunction) -> Documentation {
    Documentation { syntax: f.syntax, description: f.description, documentation: f.documentation, examples: f.examples }
}

/// The name that a form begins with.
fn name(syntax: &'static str) -> &'static str {
    syntax.split('(').next().unwrap_or(syntax)
}

/// A list of links, then the entries; those of one name stand under one head.
fn entries_of(entries: Vec<(&str, Documentation)>, text: &mut String) {
    let mut names: Vec<&str> = entries.iter().map(|e| e.0).collect();
    names.dedup();
    let links = names.iter().map(|n| match *n {
        "||" => "`||`".to_string(),
        n => format!("[{n}](#{})", n.to_lowercase().replace(' ', "-")),
    });
    line(text, &links.collect::<Vec<_>>().join(", "));
    let mut last = "";
    for (name, d) in entries {
        if name != last {
            line(text, &format!("\n#### {}", if name == "||" { "`||`" } else { name }));
        }
        last = name;
        line(text, &format!("\n`{}`\n\n{} {}\n", d.syntax, d.description, d.documentation));
        if d.examples.is_empty() {
            continue;
        }
        line(text, "| Example | Result |\n|---|---|");
        for Example { sql, result } in d.examples {
            let rows: Vec<String> = result.lines().map(code).collect();
            line(text, &format!("| {} | {} |", code(sql), rows.join("<br>")));
        }
    }
    line(text, "");
}

/// A cell of code.
fn code(of: &str) -> String {
    format!("`{}`", of.replace('|', "\\|"))
}
