//! JSON in the form that the command, C and Python give: on one line, or indented for people.
#![forbid(unsafe_code)]

use serde::Serialize;
use serde_json::ser::{Formatter, PrettyFormatter, Serializer};
use std::io::{self, Write};

/// A value as JSON on one line, with a space behind each comma and colon.
pub fn line(value: &impl Serialize) -> String {
    written(value, OneLine)
}

/// A value as indented JSON, with each member on a line of its own.
pub fn pretty(value: &impl Serialize) -> String {
    written(value, PrettyFormatter::new())
}

fn written(value: &impl Serialize, formatter: impl Formatter) -> String {
    let mut text = Vec::new();
    let written = value.serialize(&mut Serializer::with_formatter(&mut text, formatter));
    debug_assert!(written.is_ok(), "no value here is without a form in JSON");
    String::from_utf8(text).unwrap_or_default()
}

struct OneLine;

impl OneLine {
    fn separate(writer: &mut (impl Write + ?Sized), first: bool) -> io::Result<()> {
        writer.write_all(if first { b"" } else { b", " })
    }
}

impl Formatter for OneLine {
    fn begin_array_value<W: ?Sized + Write>(&mut self, to: &mut W, first: bool) -> io::Result<()> {
        OneLine::separate(to, first)
    }

    fn begin_object_key<W: ?Sized + Write>(&mut self, to: &mut W, first: bool) -> io::Result<()> {
        OneLine::separate(to, first)
    }

    fn begin_object_value<W: ?Sized + Write>(&mut self, to: &mut W) -> io::Result<()> {
        to.write_all(b": ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Serialize)]
    struct Value {
        a: u32,
        b: Option<u32>,
        c: Vec<&'static str>,
        d: [u32; 0],
    }

    #[test]
    fn both_forms_say_the_same() {
        let value = Value {
            a: 1,
            b: None,
            c: vec!["\"\n", "x"],
            d: [],
        };
        let one = r#"{"a": 1, "b": null, "c": ["\"\n", "x"], "d": []}"#;
        assert_eq!(line(&value), one);
        let many = "{\n  \"a\": 1,\n  \"b\": null,\n  \"c\": [\n    \"\\\"\\n\",\n    \"x\"\n  ],\n  \"d\": []\n}";
        assert_eq!(pretty(&value), many);
    }
}
