//! What may stand at the cursor: keywords, names of the session's catalog, functions, and option keys and values from the
//! tables that validate them.

use flott::Vocabulary;
use flott_core::options::{ConfigOption, OptionType};

/// Words that begin a statement.
const STARTS: &[&str] = &[
    "ALTER",
    "BEGIN STATEMENT SET;",
    "CLEAR;",
    "CREATE",
    "DESCRIBE",
    "DROP",
    "EXECUTE STATEMENT SET BEGIN",
    "EXIT;",
    "EXPLAIN",
    "HELP;",
    "INSERT INTO",
    "QUIT;",
    "RESET",
    "SELECT",
    "SET",
    "SHOW",
    "STOP JOB",
    "USE",
    "VALUES",
    "WITH",
];

/// Other words of statements.
const KEYWORDS: &[&str] = &[
    "ADD",
    "AFTER",
    "ALL",
    "AND",
    "AS",
    "ARRAY",
    "BETWEEN",
    "BY",
    "CASCADE",
    "CASE",
    "CAST",
    "CATALOG",
    "CATALOGS",
    "CHANGELOG_MODE",
    "COLUMNS",
    "COMMENT",
    "CONSTRAINT",
    "CROSS",
    "CUBE",
    "CURRENT",
    "DATABASE",
    "DATABASES",
    "DATE",
    "DAY",
    "DECIMAL",
    "DESCRIPTOR",
    "DISTINCT",
    "DISTRIBUTED",
    "DOUBLE",
    "ELSE",
    "END",
    "ENFORCED",
    "ESCAPE",
    "ESTIMATED_COST",
    "EXCLUDING",
    "EXISTS",
    "EXTENDED",
    "FALSE",
    "FILTER",
    "FIRST",
    "FLOAT",
    "FOR",
    "FROM",
    "FULL",
    "FUNCTIONS",
    "GROUP",
    "GROUPING",
    "HAVING",
    "HOUR",
    "IF",
    "ILIKE",
    "IN",
    "INCLUDING",
    "INT",
    "INTERVAL",
    "INTO",
    "IS",
    "JAR",
    "JOB",
    "JOBS",
    "KEY",
    "LIKE",
    "MAP",
    "METADATA",
    "MINUTE",
    "MODIFY",
    "MODULES",
    "MONTH",
    "NOT",
    "NULL",
    "ON",
    "OPTIONS",
    "OR",
    "OVERWRITE",
    "OVERWRITING",
    "PARTITION",
    "PARTITIONED",
    "PARTITIONS",
    "PLAN FOR",
    "PRIMARY",
    "RENAME",
    "REPLACE",
    "ROLLUP",
    "ROW",
    "SAVEPOINT",
    "SECOND",
    "SETS",
    "SIMILAR",
    "SMALLINT",
    "STATEMENT SET",
    "STRING",
    "TABLE",
    "TABLES",
    "TEMPORARY",
    "THEN",
    "TIMESTAMP",
    "TIMESTAMP_LTZ",
    "TINYINT",
    "TO",
    "TRUE",
    "TRY_CAST",
    "UNION",
    "USER",
    "VARCHAR",
    "VIEW",
    "VIEWS",
    "VIRTUAL",
    "WATERMARK",
    "WHEN",
    "WHERE",
    "WITH",
    "YEAR",
    "BIGINT",
    "BOOLEAN",
    "BYTES",
    "DRAIN",
    "SELECT",
    "VALUES",
];

/// Behind these words stands a table's name.
const BEFORE_TABLES: &[&str] = &["FROM", "JOIN", "INTO", "OVERWRITE", "TABLE", "VIEW", "DESCRIBE", "DESC", "LIKE"];

/// Options of a connector or format.
struct Owner {
    name: String,
    options: Vec<ConfigOption>,
}

/// All words, and how they are chosen from.
pub(super) struct Completer {
    names: Vocabulary,
    functions: Vec<String>,
    connectors: Vec<Owner>,
    formats: Vec<Owner>,
}

impl Completer {
    /// The words of a session that has no names yet.
    pub(super) fn new(registry: &flott::Registry) -> flott::Result<Completer> {
        let mut functions: Vec<String> =
            flott::function_names().into_iter().filter(|f| f.starts_with(|c: char| c.is_alphabetic())).collect();
        functions.extend(["TUMBLE", "HOP", "CUMULATE", "SESSION"].map(str::to_lowercase));
        let mut connectors = vec![];
        for name in registry.connector_names() {
            connectors.push(Owner { name: name.to_string(), options: registry.connector(name)?.options().to_vec() });
        }
        let mut formats = vec![];
        for name in registry.format_names() {
            formats.push(Owner { name: name.to_string(), options: registry.format(name)?.options().to_vec() });
        }
        Ok(Completer { names: Vocabulary::default(), functions, connectors, formats })
    }

    /// Takes the names as they are now.
    pub(super) fn update(&mut self, names: Vocabulary) {
        self.names = names;
    }

    /// Where the word at the cursor begins, and what may stand for it.
    pub(super) fn complete(&self, line: &str, cursor: usize) -> (usize, Vec<String>) {
        let before = line.get(..cursor).unwrap_or(line);
        let scan = Scan::of(before);
        let statement = &before[scan.statement..];
        match scan.quote {
            Some(('\'', at)) => {
                let closed = line[cursor..].starts_with('\'');
                (at + 1, self.texts(&scan, statement, &before[at + 1..], closed))
            }
            Some(('`', at)) => {
                let part = &before[at + 1..];
                let names = self.names.tables.iter().flat_map(|(t, columns)| std::iter::once(t).chain(columns));
                let fitting = names.filter(|n| fits(n, part)).map(|n| format!("{}`", n.replace('`', "``")));
                (at + 1, sorted(fitting.collect()))
            }
            Some(_) => (cursor, vec![]),
            None => {
                let is_part = |c: char| c.is_alphanumeric() || matches!(c, '_' | '$');
                let start = before
                    .rfind(|c| !is_part(c))
                    .map_or(0, |i| i + before[i..].chars().next().map_or(1, char::len_utf8));
                (start, self.words(&scan, &before[start..], statement))
            }
        }
    }

    /// Words outside of quotes.
    fn words(&self, scan: &Scan, part: &str, statement: &str) -> Vec<String> {
        let mut words = scan.words.clone();
        if !part.is_empty() {
            words.pop();
        }
        let previous = scan.previous.as_str();
        if let Some(table) = scan.qualifier.as_deref().and_then(|q| self.table(q, statement)) {
            return sorted(table.iter().filter(|c| fits(c, part)).map(|c| quoted(c)).collect());
        }
        let tables = || self.names.tables.keys().filter(|t| fits(t, part)).map(|t| quoted(t));
        let mut found: Vec<String> = vec![];
        match (words.len(), previous) {
            (0, _) => found.extend(keywords(STARTS, part)),
            (1, "USE") => {
                found.extend(self.names.databases.iter().filter(|d| fits(d, part)).map(|d| quoted(d)));
                found.extend(keywords(&["CATALOG"], part));
            }
            (_, "CATALOG") => found.extend(self.names.catalogs.iter().filter(|c| fits(c, part)).map(|c| quoted(c))),
            (_, "DATABASE") => found.extend(self.names.databases.iter().filter(|d| fits(d, part)).map(|d| quoted(d))),
            (_, previous) if BEFORE_TABLES.contains(&previous) => {
                found.extend(tables());
                found.extend(keywords(KEYWORDS, part));
            }
            _ => {
                found.extend(keywords(KEYWORDS, part));
                found.extend(tables());
                if !part.is_empty() {
                    let lower = part.chars().all(|c| !c.is_uppercase());
                    let shown = |f: &String| if lower { f.clone() } else { f.to_uppercase() };
                    found.extend(self.functions.iter().filter(|f| fits(f, part)).map(shown));
                }
                // A SELECT list is most often written before the tables are named.
                let any = self.names.tables.keys().any(|t| mentions(statement, t));
                let mentioned = self.names.tables.iter().filter(|(t, _)| !any || mentions(statement, t));
                found.extend(mentioned.flat_map(|(_, columns)| columns).filter(|c| fits(c, part)).map(|c| quoted(c)));
            }
        }
        sorted(found)
    }

    /// The columns of a table that stands before a point: by its name, or by an alias of the statement's only table.
    fn table(&self, qualifier: &str, statement: &str) -> Option<&Vec<String>> {
        self.names.tables.get(qualifier).or_else(|| {
            let mut mentioned = self.names.tables.iter().filter(|(t, _)| mentions(statement, t));
            let only = mentioned.next()?;
            mentioned.next().is_none().then_some(only.1)
        })
    }

    /// What stands in single quotes: option keys, and their values.
    fn texts(&self, scan: &Scan, statement: &str, part: &str, closed: bool) -> Vec<String> {
        let end = if closed { "" } else { "'" };
        let first = scan.words.first().map(String::as_str).unwrap_or_default();
        let connector = value_of(statement, "connector");
        let mut found: Vec<String> = match (&scan.key, first) {
            (Some(key), "SET") => values(flott::configuration(), key),
            (Some(key), _) if key == "connector" => self.connectors.iter().map(|c| c.name.clone()).collect(),
            (Some(key), _) if key == "format" || key.ends_with(".format") => {
                self.formats.iter().map(|f| f.name.clone()).collect()
            }
            (Some(key), _) => {
                self.options(statement, connector).iter().flat_map(|o| values(std::slice::from_ref(o), key)).collect()
            }
            (None, "SET" | "RESET") => flott::configuration().iter().map(|o| o.key.to_string()).collect(),
            (None, "CREATE" | "ALTER") => {
                let mut keys: Vec<String> =
                    self.options(statement, connector).iter().map(|o| o.key.to_string()).collect();
                keys.extend(["connector", "format"].map(str::to_string));
                keys.extend(self.format_keys(statement));
                keys
            }
            // Of a hint: the table is elsewhere.
            (None, "SELECT" | "INSERT" | "WITH" | "EXPLAIN" | "EXECUTE") if statement.contains("OPTIONS") => {
                self.options(statement, None).iter().map(|o| o.key.to_string()).collect()
            }
            _ => vec![],
        };
        found.retain(|text| fits(text, part));
        // Only the fixed beginning of a key that has a part of the user's in it.
        let whole = |text: String| match text.split_once('#') {
            Some((fixed, _)) => fixed.to_string(),
            None => format!("{text}{end}"),
        };
        sorted(found.into_iter().map(whole).collect())
    }

    /// The options of a connector, or of all.
    fn options(&self, statement: &str, connector: Option<&str>) -> Vec<&ConfigOption> {
        let named = connector.or_else(|| value_of(statement, "connector"));
        let fitting = self.connectors.iter().filter(|c| named.is_none_or(|n| n == c.name));
        fitting.flat_map(|c| &c.options).collect()
    }

    /// `csv.field-delimiter`
    fn format_keys(&self, statement: &str) -> Vec<String> {
        let named = value_of(statement, "format");
        let fitting = self.formats.iter().filter(|f| named == Some(f.name.as_str()));
        fitting.flat_map(|f| f.options.iter().map(|o| format!("{}.{}", f.name, o.key))).collect()
    }
}

/// What is known of the text before the cursor.
#[derive(Debug, Default)]
struct Scan {
    /// Where the last statement begins.
    statement: usize,
    /// The quote that is open, and where.
    quote: Option<(char, usize)>,
    /// Words of the statement outside of quotes, in upper case.
    words: Vec<String>,
    /// The word directly before the cursor's, in upper case.
    previous: String,
    /// The text before the `=` before the cursor's quote.
    key: Option<String>,
    /// The name before the `.` before the cursor's word.
    qualifier: Option<String>,
}

/// A token of a statement, as far as completion needs it.
enum Token {
    Word(String),
    Quoted(char, String),
    Sign(char),
}

impl Scan {
    fn of(text: &str) -> Scan {
        let (mut tokens, mut statement, mut quote) = (vec![], 0, None);
        let mut word = String::new();
        let mut chars = text.char_indices().peekable();
        while let Some((at, c)) = chars.next() {
            if let Some((open, from)) = quote {
                if c == open {
                    tokens.push(Token::Quoted(open, text[from + 1..at].to_string()));
                    quote = None;
                }
                continue;
            }
            if c.is_alphanumeric() || matches!(c, '_' | '$') {
                word.push(c);
                continue;
            }
            if !word.is_empty() {
                tokens.push(Token::Word(std::mem::take(&mut word)));
            }
            match c {
                '-' if chars.peek().is_some_and(|(_, n)| *n == '-') => {
                    while chars.next_if(|(_, c)| *c != '\n').is_some() {}
                }
                ';' => (tokens, statement) = (vec![], at + 1),
                '\'' | '"' | '`' => quote = Some((c, at)),
                c if c.is_whitespace() => {}
                c => tokens.push(Token::Sign(c)),
            }
        }
        let key = match tokens.as_slice() {
            [.., Token::Quoted('\'', key), Token::Sign('=')] => Some(key.clone()),
            _ => None,
        };
        let qualifier = match tokens.as_slice() {
            [.., Token::Word(name) | Token::Quoted('`', name), Token::Sign('.')] => Some(name.clone()),
            _ => None,
        };
        let previous = match tokens.last() {
            Some(Token::Word(word)) => word.to_uppercase(),
            _ => String::new(),
        };
        let upper = |token: &Token| match token {
            Token::Word(word) => Some(word.to_uppercase()),
            _ => None,
        };
        let mut words: Vec<String> = tokens.iter().filter_map(upper).collect();
        if !word.is_empty() {
            words.push(word.to_uppercase());
        }
        Scan { statement, quote, words, previous, key, qualifier }
    }
}

/// The value that a statement gives an option.
fn value_of<'a>(statement: &'a str, key: &str) -> Option<&'a str> {
    let (_, behind) = statement.split_once(&format!("'{key}'"))?;
    let value = behind.trim_start().strip_prefix('=')?.trim_start().strip_prefix('\'')?;
    value.split_once('\'').map(|(value, _)| value)
}

/// The words that an option takes, where they are known.
fn values(options: &[ConfigOption], key: &str) -> Vec<String> {
    let Some(option) = options.iter().find(|o| o.key == key) else { return vec![] };
    match option.value {
        OptionType::Enum(words) => words.iter().map(|w| w.to_string()).collect(),
        OptionType::Boolean => vec!["true".to_string(), "false".to_string()],
        _ => vec![],
    }
}

/// Whether a statement has the name as a word.
fn mentions(statement: &str, name: &str) -> bool {
    let is_part = |c: char| c.is_alphanumeric() || matches!(c, '_' | '$');
    statement
        .match_indices(name)
        .any(|(at, _)| !statement[..at].ends_with(is_part) && !statement[at + name.len()..].starts_with(is_part))
}

fn fits(candidate: &str, part: &str) -> bool {
    candidate.get(..part.len()).is_some_and(|start| start.eq_ignore_ascii_case(part))
}

/// Keywords in the case in which they are typed.
fn keywords(all: &[&str], part: &str) -> Vec<String> {
    let lower = !part.is_empty() && part.chars().all(|c| !c.is_uppercase());
    let fitting = all.iter().filter(|k| fits(k, part));
    fitting.map(|k| if lower { k.to_lowercase() } else { k.to_string() }).collect()
}

/// A name as it is written in a statement.
fn quoted(name: &str) -> String {
    let plain =
        name.chars().all(|c| c.is_alphanumeric() || c == '_') && !name.starts_with(|c: char| c.is_ascii_digit());
    let is_keyword = KEYWORDS.iter().chain(STARTS).any(|k| k.eq_ignore_ascii_case(name));
    if plain && !is_keyword { name.to_string() } else { format!("`{}`", name.replace('`', "``")) }
}

fn sorted(mut words: Vec<String>) -> Vec<String> {
    words.sort();
    words.dedup();
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    fn completer() -> Completer {
        let mut completer = Completer::new(&flott::default_registry()).unwrap();
        let columns = |names: &[&str]| names.iter().map(|n| n.to_string()).collect::<Vec<_>>();
        completer.update(Vocabulary {
            catalogs: vec!["default_catalog".into()],
            databases: vec!["default_database".into()],
            tables: [
                ("orders".to_string(), columns(&["id", "item", "order time"])),
                ("shops".to_string(), columns(&["city"])),
            ]
            .into(),
        });
        completer
    }

    /// Completes at the end.
    fn at_end(line: &str) -> Vec<String> {
        let (start, words) = completer().complete(line, line.len());
        assert!(line.is_char_boundary(start), "{line}");
        words
    }

    #[test]
    fn statements_begin_with_their_words() {
        assert_eq!(at_end("sel"), ["select"]);
        assert_eq!(at_end("SELECT 1; SH"), ["SHOW"]);
        assert!(at_end("").contains(&"INSERT INTO".to_string()));
    }

    #[test]
    fn tables_follow_from_and_columns_follow_their_tables() {
        assert!(at_end("SELECT * FROM or").contains(&"orders".to_string()));
        assert_eq!(at_end("SELECT * FROM orders WHERE it"), ["item"]);
        assert_eq!(at_end("SELECT orders.i"), ["id", "item"]);
        assert!(at_end("SELECT cit").contains(&"city".to_string()));
        assert!(!at_end("SELECT id FROM orders WHERE cit").contains(&"city".to_string()));
        assert_eq!(at_end("SELECT * FROM orders AS o WHERE o.ord"), ["`order time`"]);
        assert_eq!(at_end("SELECT * FROM shops WHERE o.it"), Vec::<String>::new());
        assert_eq!(at_end("SELECT `ord"), ["order time`", "orders`"]);
        assert_eq!(at_end("USE def"), ["default_database"]);
        assert_eq!(at_end("USE CATALOG d"), ["default_catalog"]);
    }

    #[test]
    fn functions_come_in_the_case_of_what_is_typed() {
        assert!(at_end("SELECT char_l").contains(&"char_length".to_string()));
        assert!(at_end("SELECT CHAR_L").contains(&"CHAR_LENGTH".to_string()));
        assert!(at_end("SELECT * FROM TABLE(TUM").contains(&"TUMBLE".to_string()));
    }

    #[test]
    fn options_come_from_the_tables_that_check_them() {
        assert_eq!(at_end("SET 'parallelism.d"), ["parallelism.default'"]);
        assert_eq!(at_end("RESET 'table.dml"), ["table.dml-sync'"]);
        assert_eq!(at_end("SET 'table.dml-sync' = 't"), ["true'"]);
        assert_eq!(at_end("CREATE TABLE t (a INT) WITH ('connector' = 'data"), ["datagen'"]);
        assert_eq!(at_end("CREATE TABLE t (a INT) WITH ('connector' = 'datagen', 'rows"), ["rows-per-second'"]);
        assert_eq!(at_end("CREATE TABLE t (a INT) WITH ('connector' = 'datagen', 'field"), ["fields."]);
        let csv = "CREATE TABLE t (a INT) WITH ('connector' = 'filesystem', 'format' = 'csv', 'csv.null";
        assert_eq!(at_end(csv), ["csv.null-literal'"]);
        assert_eq!(at_end("CREATE TABLE t (a INT) WITH ('format' = 'js"), ["json'"]);
        assert!(at_end("SELECT * FROM orders /*+ OPTIONS('rows").contains(&"rows-per-second'".to_string()));
        assert_eq!(at_end("SELECT 'par"), Vec::<String>::new());
        // The closing quote is there.
        assert_eq!(completer().complete("SET 'parallelism.d'", 18), (5, vec!["parallelism.default".to_string()]));
    }
}
