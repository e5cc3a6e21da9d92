//! Pages of the reference: those that are printed from the tables that the code itself uses, and those written by hand.

mod commands;
mod functions;
mod statements;

use clap::Args;
use flott::{ConnectorFactory, Error, Result};
use flott_core::options::{ConfigOption, OptionType};
use flott_core::suggest;

use crate::exit::Failure;
use crate::output;

#[derive(Args)]
pub(crate) struct DocsArgs {
    /// Which; without it the pages are listed
    #[arg(value_name = "PAGE")]
    page: Option<String>,
}

/// The pages, with what is in each.
const PAGES: [(&str, &str); 12] = [
    ("commands", "the commands of flott and their options"),
    ("statements", "the statements, with examples"),
    ("functions", "the functions, with examples"),
    ("user-functions", "functions of your own, in SQL and in code"),
    ("connectors", "the connectors and their options"),
    ("formats", "the formats and their options"),
    ("configuration", "what SET and -D set"),
    ("limits", "what is beyond a limit"),
    ("kafka", "kafka and upsert-kafka: what they promise and need"),
    ("nats", "nats: what it promises and needs"),
    ("redis", "redis: what it writes"),
    ("http", "http: what it sends"),
];

pub(crate) fn print(args: &DocsArgs) -> Result<(), Failure> {
    let Some(page) = &args.page else {
        let line = |(page, what): &(&str, &str)| format!("{page:<16}{what}\n");
        let pages: String = PAGES.iter().map(line).collect();
        return Ok(output::out(&format!("{pages}\nflott docs PAGE prints one.\n"))?);
    };
    let text = match page.as_str() {
        "commands" => commands::page(head("Commands")),
        "connectors" => connectors()?,
        "formats" => formats()?,
        "configuration" => configuration(),
        "functions" => functions::page(head("Functions")),
        "statements" => statements_page(),
        "limits" => limits(),
        "kafka" => include_str!("../../../../docs/reference/kafka.md").to_string(),
        "nats" => include_str!("../../../../docs/reference/nats.md").to_string(),
        "redis" => include_str!("../../../../docs/reference/redis.md").to_string(),
        "http" => include_str!("../../../../docs/reference/http.md").to_string(),
        "user-functions" => include_str!("../../../../docs/reference/user-functions.md").to_string(),
        other => {
            let error = Error::user(format!("there is no page '{other}'"));
            return Err(Failure::of_arguments(error.hint(match suggest::nearest(other, PAGES.iter().map(|p| p.0)) {
                Some(near) => format!("Did you mean '{near}'?"),
                None => "flott docs lists the pages".to_string(),
            })));
        }
    };
    Ok(output::out(&text)?)
}

fn connectors() -> Result<String> {
    let registry = flott::default_registry();
    let mut text = head("Connectors");
    text.push_str(
        "\nNone of these can be asked by key yet: a lookup join (`JOIN .. FOR SYSTEM_TIME AS OF o.proc_time`) is planned over a connector that a \
         program adds, and refused over these.\n",
    );
    for name in registry.connector_names() {
        connector_page(registry.connector(name)?.as_ref(), &mut text);
    }
    section("Watermarks\n\nOptions of every table with a WATERMARK, whatever its connector.", &mut text);
    options(&flott::watermark_options::ALL, &mut text);
    Ok(text)
}

fn formats() -> Result<String> {
    let registry = flott::default_registry();
    let mut text = head("Formats");
    for name in registry.format_names() {
        section(&format!("{name}\n\nOptions stand in the WITH clause with the prefix `{name}.`."), &mut text);
        options(registry.format(name)?.options(), &mut text);
    }
    Ok(text)
}

fn configuration() -> String {
    let mut text = head("Configuration");
    text.push_str("\nSet with `SET 'key' = 'value'` or `flott run -D key=value`.\n\n");
    options(flott::configuration(), &mut text);
    section("Older names\n\nThose that Flink had before mean the same.", &mut text);
    text.push_str("| older | today |\n|---|---|\n");
    for (older, today) in flott::older_names() {
        line(&mut text, &format!("| `{older}` | `{today}` |"));
    }
    text
}

fn statements_page() -> String {
    let mut text = head("Statements");
    text.push_str(&format!("\n{}", statements::INTRODUCTION));
    for part in statements::SECTIONS {
        section(part.title, &mut text);
        let language = |e: &statements::Example| if e.runs { "sql" } else { "text" };
        let fenced = |e: &statements::Example| format!("{}\n\n```{}\n{}\n```\n", e.text, language(e), e.sql);
        let examples: Vec<String> = part.examples.iter().map(fenced).collect();
        text.push_str(&examples.join("\n"));
    }
    text
}

fn limits() -> String {
    let mut text = head("Limits");
    text.push_str("\nWhat is beyond a limit is refused with an error that names it.\n");
    let mut subject = "";
    for limit in flott::limits() {
        if limit.subject != subject {
            subject = limit.subject;
            section(subject, &mut text);
            line(&mut text, "| What | At most |\n|---|---|");
        }
        line(&mut text, &format!("| {} | {} |", limit.what, limit.most));
    }
    text
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
