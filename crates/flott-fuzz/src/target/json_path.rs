//! JSON functions: a path, a line break, a JSON text.

use super::expression::both_ways;

pub(crate) fn run(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let (path, json) = text.split_once('\n').unwrap_or((text, "{\"a\":[1,{\"b\":\"x\"}]}"));
    for name in ["JSON_EXISTS", "JSON_VALUE", "JSON_QUERY"] {
        both_ways(name, json, &[path]);
    }
    for name in ["IS_JSON", "JSON_QUOTE", "JSON_UNQUOTE"] {
        both_ways(name, json, &[]);
    }
}
