//! Pages of the reference, printed from the tables that the code itself uses.

use flott::{ConnectorFactory, Error, Result};
use flott_core::options::{ConfigOption, OptionType};

use crate::output;

pub(crate) fn print(page: &str) -> Result<()> {
    let registry = flott::default_registry();
    let text = match page {
        "connectors" => {
            let mut text = head("Connectors");
            for name in registry.connector_names() {
                let connector = registry.connector(name)?;
                connector_page(connector.as_ref(), &mut text);
            }
            text
        }
        "formats" => {
            let mut text = head("Formats");
            for name in registry.format_names() {
                section(&format!("{name}\n\nOptions stand in the WITH clause with the prefix `{name}.`."), &mut text);
                options(registry.format(name)?.options(), &mut text);
            }
            text
        }
        "configuration" => {
            let mut text = head("Configuration");
            text.push_str("\nSet with `SET 'key' = 'value'` or `flott run -D key=value`.\n\n");
            options(flott::configuration(), &mut text);
            text
        }
        "functions" => {
            let mut text = head("Functions") + "\n| Function | Description |\n|---|---|\n";
            let mut all: Vec<_> = flott::functions().collect();
            all.sort_by_key(|f| (f.category, f.name));
            for f in all {
                line(&mut text, &format!("| `{}` | {} |", f.syntax.replace('|', "\\|"), f.description));
            }
            text
        }
        other => {
            return Err(Error::user(format!("there is no page '{other}'"))
                .hint("There are connectors, formats, configuration and functions"));
        }
    };
    output::out(&text)
}

fn head(title: &str) -> String {
    format!("# {title}\n\n<!-- Written by `cargo xtask docs`. -->\n")
}

fn line(text: &mut String, line: &str) {
    text.push_str(line);
    text.push('\n');
}

fn section(title: &str, text: &mut String) {
    line(text, &format!("\n## {title}\n"));
}

fn connector_page(connector: &dyn ConnectorFactory, text: &mut String) {
    section(connector.identifier(), text);
    line(text, &format!("{}\n", connector.description()));
    options(connector.options(), text);
    let metadata = connector.metadata();
    if !metadata.is_empty() {
        line(text, "\n| Metadata | Type | Writable |\n|---|---|---|");
        for key in metadata {
            let writable = if key.writable { "yes" } else { "no" };
            line(text, &format!("| `{}` | {} | {writable} |", key.key, key.data_type));
        }
    }
}

fn options(options: &[ConfigOption], text: &mut String) {
    if options.is_empty() {
        return line(text, "No options.");
    }
    line(text, "| Option | Type | Default | Description |\n|---|---|---|---|");
    for o in options {
        let default = match (o.required, o.default) {
            (true, _) => "required".to_string(),
            (_, Some(d)) if !d.trim().is_empty() => format!("`{}`", d.replace('|', "\\|")),
            _ => String::new(),
        };
        let kind = match o.value {
            OptionType::Enum(words) => words.join(", "),
            other => format!("{other:?}"),
        };
        line(text, &format!("| `{}` | {kind} | {default} | {} |", o.key, o.description.replace('|', "\\|")));
    }
}
