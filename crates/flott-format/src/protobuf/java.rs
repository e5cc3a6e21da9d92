//! Names of the Java classes that `protoc` generates, by which DDL for Flink names messages.
//!
//! Source: "Java Generated Code Guide" of Protocol Buffers, and its compiler's rules for the outer class.

use std::collections::HashMap;

use prost_reflect::{FileDescriptor, MessageDescriptor};

/// The name of a message's class, with '.' also where Java has '$'. `outer`: the outer classes of files, which are looked for
/// once.
pub(super) fn class_name(message: &MessageDescriptor, outer: &mut HashMap<String, String>) -> String {
    let mut names = vec![message.name().to_string()];
    let mut parent = message.parent_message();
    while let Some(around) = parent {
        names.push(around.name().to_string());
        parent = around.parent_message();
    }
    let file = message.parent_file();
    let options = file.file_descriptor_proto().options.as_ref();
    if !options.is_some_and(|o| o.java_multiple_files()) {
        let class = outer.entry(file.name().to_string()).or_insert_with(|| outer_class(&file));
        names.push(class.clone());
    }
    let package = options.and_then(|o| o.java_package.as_deref()).unwrap_or_else(|| file.package_name()).to_string();
    if !package.is_empty() {
        names.push(package);
    }
    names.reverse();
    names.join(".")
}

/// The class of a file, in which the classes of its messages are unless they are in files of their own.
fn outer_class(file: &FileDescriptor) -> String {
    let options = file.file_descriptor_proto().options.as_ref();
    if let Some(name) = options.and_then(|o| o.java_outer_classname.clone()) {
        return name;
    }
    let base = file.name().rsplit('/').next().unwrap_or_default();
    let name = camel_case(base.strip_suffix(".proto").unwrap_or(base));
    let taken = file.messages().any(|m| is_within(&name, &m))
        || file.enums().any(|e| e.name() == name)
        || file.services().any(|s| s.name() == name);
    if taken { name + "OuterClass" } else { name }
}

/// Whether a message, or one inside it, has the name.
fn is_within(name: &str, message: &MessageDescriptor) -> bool {
    message.name() == name
        || message.child_enums().any(|e| e.name() == name)
        || message.child_messages().any(|m| is_within(name, &m))
}

fn camel_case(text: &str) -> String {
    let (mut name, mut upper) = (String::with_capacity(text.len()), true);
    for c in text.chars() {
        if c.is_ascii_alphabetic() {
            name.push(if upper { c.to_ascii_uppercase() } else { c });
            upper = false;
        } else {
            if c.is_ascii_digit() {
                name.push(c);
            }
            upper = true;
        }
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outer_classes_are_named_as_by_protoc() {
        for (file, class) in
            [("foo", "Foo"), ("foo_bar", "FooBar"), ("foo2bar", "Foo2Bar"), ("a-b.c", "ABC"), ("fooBar", "FooBar")]
        {
            assert_eq!(camel_case(file), class);
        }
    }
}
