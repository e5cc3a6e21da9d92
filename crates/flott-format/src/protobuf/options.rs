//! The options of protobuf.

use flott_core::options::{ConfigOption, OptionType, Options};
use flott_core::{Error, Result};

/// Flink's options of protobuf, and where a message's fields come from.
pub static OPTIONS: &[ConfigOption] = &[
    MESSAGE_CLASS_NAME,
    SCHEMA,
    PROTO_FILE,
    IMPORT_PATHS,
    DESCRIPTOR_FILE,
    IGNORE_PARSE_ERRORS,
    READ_DEFAULT_VALUES,
    WRITE_NULL_STRING_LITERAL,
];

const MESSAGE_CLASS_NAME: ConfigOption = ConfigOption::required(
    "message-class-name",
    OptionType::String,
    "The message: the name of its Java class, as in Flink ('com.example.Outer$Inner'), or its name in Protobuf ('package.Outer.Inner').",
);
const SCHEMA: ConfigOption = ConfigOption::optional(
    "schema",
    OptionType::String,
    None,
    "The text of a .proto file that defines the message. One of 'schema', 'proto-file' and 'descriptor-file' has to be given: there are no Java classes to ask.",
);
const PROTO_FILE: ConfigOption = ConfigOption::optional(
    "proto-file",
    OptionType::String,
    None,
    "The path of the .proto file that defines the message, on every machine that runs the job.",
);
const IMPORT_PATHS: ConfigOption = ConfigOption::optional(
    "import-paths",
    OptionType::List,
    None,
    "Folders in which files that a .proto file imports are looked for, separated by ';'. Without it that is the file's own folder. Google's own files (google/protobuf/..) are always there.",
);
const DESCRIPTOR_FILE: ConfigOption = ConfigOption::optional(
    "descriptor-file",
    OptionType::String,
    None,
    "The path of a file of descriptors that defines the message (`protoc --include_imports --descriptor_set_out`), on every machine that runs the job.",
);
const IGNORE_PARSE_ERRORS: ConfigOption = ConfigOption::optional(
    "ignore-parse-errors",
    OptionType::Boolean,
    Some("false"),
    "Skips messages that cannot be read, instead of failing.",
);
const READ_DEFAULT_VALUES: ConfigOption = ConfigOption::optional(
    "read-default-values",
    OptionType::Boolean,
    Some("false"),
    "Reads what a message lacks as the default of its field, instead of NULL. With proto3, fields of simple types are always read so.",
);
const WRITE_NULL_STRING_LITERAL: ConfigOption = ConfigOption::optional(
    "write-null-string-literal",
    OptionType::String,
    Some(""),
    "The text that is written for a NULL string in an array or map: Protobuf has no NULL there.",
);

/// Where the definition of a message is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Definition {
    /// The text of a .proto file.
    Text(String),
    /// A .proto file.
    Proto(String),
    /// A file of descriptors.
    Descriptors(String),
}

/// The options' values.
#[derive(Debug, Clone)]
pub(super) struct ProtobufOptions {
    pub(super) message: String,
    pub(super) definition: Definition,
    pub(super) import_paths: Vec<String>,
    pub(super) ignore_parse_errors: bool,
    pub(super) read_default_values: bool,
    pub(super) null_literal: String,
}

impl ProtobufOptions {
    /// Reads and checks them.
    pub(super) fn parse(options: &Options) -> Result<ProtobufOptions> {
        let message = options.get(MESSAGE_CLASS_NAME.key).unwrap_or_default().to_string();
        let text = |option: &ConfigOption| options.get(option.key).map(str::to_string);
        let given = [
            text(&SCHEMA).map(Definition::Text),
            text(&PROTO_FILE).map(Definition::Proto),
            text(&DESCRIPTOR_FILE).map(Definition::Descriptors),
        ];
        let mut given = given.into_iter().flatten();
        let definition = match (given.next(), given.next()) {
            (Some(one), None) => one,
            (Some(_), Some(_)) => {
                return Err(Error::user(
                    "Only one of 'protobuf.schema', 'protobuf.proto-file' and 'protobuf.descriptor-file' can be given",
                )
                .hint("Keep the one that defines the message"));
            }
            _ => {
                return Err(Error::user(format!("What is in the message '{message}' is not known: there is no Java class to ask"))
                    .with("option", format!("protobuf.{}", PROTO_FILE.key))
                    .hint("Add 'protobuf.proto-file' = 'path of the .proto file', or its text as 'protobuf.schema', or what protoc made of it as 'protobuf.descriptor-file'"));
            }
        };
        let import_paths: Vec<String> = options
            .get(IMPORT_PATHS.key)
            .map(|list| list.split(';').map(|p| p.trim().to_string()).filter(|p| !p.is_empty()).collect())
            .unwrap_or_default();
        if !import_paths.is_empty() && matches!(definition, Definition::Descriptors(_)) {
            return Err(Error::user("'protobuf.import-paths' has no use with 'protobuf.descriptor-file'")
                .with("option", format!("protobuf.{}", IMPORT_PATHS.key))
                .hint("Remove it: a file of descriptors holds what it imports"));
        }
        Ok(ProtobufOptions {
            message,
            definition,
            import_paths,
            ignore_parse_errors: options.bool(&IGNORE_PARSE_ERRORS)?,
            read_default_values: options.bool(&READ_DEFAULT_VALUES)?,
            null_literal: options.text(&WRITE_NULL_STRING_LITERAL).unwrap_or_default().to_string(),
        })
    }
}
