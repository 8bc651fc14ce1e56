//! The JSON Schema of what is written: made from the types that write it, and described by their comments.

use schemars::generate::SchemaSettings;
use schemars::transform::{RestrictFormats, transform_subschemas};
use schemars::{JsonSchema, Schema};
use serde_json::Value;

/// The schema (draft 2020-12) of a document, by the type that writes it.
///
/// It allows other fields beside those that it names: under one `schema_version` fields are added.
#[must_use]
pub fn schema<T: JsonSchema>() -> Schema {
    let settings = SchemaSettings::draft2020_12().for_serialize();
    // Strict validators refuse formats that the standard does not know, such as `uint64`.
    let settings = settings.with_transform(RestrictFormats::default()).with_transform(in_one_line);
    settings.into_generator().into_root_schema_for::<T>()
}

/// Comments have lines of their own length, which mean nothing to readers of JSON.
fn in_one_line(schema: &mut Schema) {
    if let Some(Value::String(description)) = schema.get_mut("description") {
        *description = description.split_whitespace().collect::<Vec<_>>().join(" ");
    }
    transform_subschemas(&mut in_one_line, schema);
}
