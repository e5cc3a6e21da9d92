//! The page of functions: a section for each, made of its entry.

use flott::reference::{CONVERSIONS, Category, Documentation, Example, GROUPING, ScalarFunction};

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
        "\nAn example is an expression (or a query) and its value as the SQL client prints it: `<NULL>` is NULL. A test runs them all.",
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
    tables(&mut text);
    text
}

/// What is called without a test of examples: functions of windows and changelogs.
fn tables(text: &mut String) {
    table(
        "Functions with OVER",
        "Aggregate functions may stand there too ([statements.md](statements.md#over)). `PERCENT_RANK`, `CUME_DIST`, `NTILE` \
         and `LEAD` need all rows: they run in batch mode.",
        flott::over_functions().into_iter().map(|f| (f.syntax, f.description)).collect(),
        text,
    );
    table(
        "Window table functions",
        "In `FROM TABLE(..)`. Rows get the columns `window_start`, `window_end` and `window_time`. Sizes are intervals; \
         arguments can be named: `DATA =>`, `TIMECOL =>`, `SIZE =>`, `SLIDE =>`, `STEP =>`, `GAP =>`, `OFFSET =>`.",
        flott::window_functions().into_iter().map(|f| (f.syntax, f.description)).collect(),
        text,
    );
    table(
        "Changelog functions",
        "In FROM, in streams. Kinds are `INSERT`, `UPDATE_BEFORE`, `UPDATE_AFTER` and `DELETE`; several of one code, or codes of \
         one kind, stand in one text with commas between them. Changes of kinds that a mapping leaves out are left out.",
        [
            (
                "TO_CHANGELOG(input => TABLE t [PARTITION BY key, ..][, op => DESCRIPTOR(column)]\
                 [, op_mapping => MAP[kinds, code, ..]][, on_time => DESCRIPTOR(time_column)][, uid => name])",
                "Changes as rows that are only added: a column, `op` where it is not named, has the kind or its code.",
            ),
            (
                "FROM_CHANGELOG(input => TABLE t [PARTITION BY key, ..][, op => DESCRIPTOR(column)]\
                 [, op_mapping => MAP[codes, kind, ..]][, on_time => DESCRIPTOR(time_column)][, uid => name])",
                "The reverse: rows as changes, of the kind that a column says, which goes.",
            ),
        ]
        .map(|(syntax, description)| (syntax.to_string(), description))
        .to_vec(),
        text,
    );
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
        n => format!("[{n}](#{})", n.to_lowercase()),
    });
    line(text, &links.collect::<Vec<_>>().join(", "));
    let mut last = "";
    for (name, d) in entries {
        if name != last {
            line(text, &format!("\n#### {}", if name == "||" { "`||`" } else { name }));
        }
        last = name;
        line(text, &format!("\n`{}`\n\n{} {}\n", d.syntax, d.description, d.documentation));
        line(text, "| Example | Result |\n|---|---|");
        for Example { sql, result } in d.examples {
            line(text, &format!("| {} | {} |", code(sql), code(result)));
        }
    }
    line(text, "");
}

/// A cell of code.
fn code(of: &str) -> String {
    format!("`{}`", of.replace('|', "\\|"))
}

fn table(title: &str, before: &str, rows: Vec<(String, &str)>, text: &mut String) {
    section(title, text);
    line(text, &format!("{before}\n"));
    line(text, "| Function | Description |\n|---|---|");
    for (syntax, description) in rows {
        line(text, &format!("| {} | {description} |", code(&syntax)));
    }
}
