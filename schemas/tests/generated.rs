//! Writes what follows from the types: the JSON Schemas in `generated/`, and the parts of
//! `docs/PROTOCOL.md` and `docs/CONFIG.md` between `<!-- generated: NAME -->` and `<!-- end -->`.
//!
//! A file that differs is rewritten, and its test fails, once: run the tests again, look at the
//! difference, commit it with the type. On a machine that only checks, the failure is the point.

use std::{
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
};

use schemars::{JsonSchema, SchemaGenerator, generate::SchemaSettings};
use serde_json::{Map, Value, json};
use wezterm_parallel_schemas::{
    PROTOCOL,
    config::{Config, ProjectConfig},
    error::{Code, Error},
    event::{Event, EventKind},
    gui::{IntentKind, ToastAbout},
    keeper,
    layout::Layout,
    method::METHODS,
    process::{State, Status},
    rpc,
};

#[test]
fn the_schema_of_the_protocol_is_up_to_date() {
    write("schemas/generated/protocol.schema.json", &to_text(&protocol_schema()));
}

#[test]
fn the_schema_of_the_config_is_up_to_date() {
    let mut schema = root_schema::<Config>();
    schema["title"] = "config.yaml of wezterm-parallel".into();
    // optional in the type, for the sake of project files, which lie in the directory
    schema["$defs"]["Workspace"]["required"] = json!(["cwd"]);
    write("schemas/generated/config.schema.json", &to_text(&schema));
}

#[test]
fn the_schema_of_a_projects_own_config_is_up_to_date() {
    let mut schema = root_schema::<ProjectConfig>();
    schema["title"] = ".wezterm-parallel.yaml of a project".into();
    write("schemas/generated/project.schema.json", &to_text(&schema));
}

#[test]
fn the_schema_of_a_saved_layout_is_up_to_date() {
    let mut schema = root_schema::<Layout>();
    schema["title"] = "layouts/NAME.yaml of wezterm-parallel".into();
    write("schemas/generated/layout.schema.json", &to_text(&schema));
}

#[test]
fn the_reference_in_protocol_md_is_up_to_date() {
    let schema = protocol_schema();
    rewrite_parts(
        "docs/PROTOCOL.md",
        &[
            ("methods", methods_table(&schema)),
            ("codes", names_table::<Code>("code")),
            ("events", names_table::<EventKind>("event")),
            ("states", names_table::<State>("state")),
            ("statuses", Status::ALL.iter().map(|s| format!("- `{}`\n", s.name())).collect()),
            ("example", worked_example()),
            ("types", types_reference(&schema["$defs"], "###")),
        ],
    );
}

#[test]
fn the_reference_in_config_md_is_up_to_date() {
    let mut schema = root_schema::<Config>();
    schema["$defs"]["Workspace"]["required"] = json!(["cwd"]);
    let project = root_schema::<ProjectConfig>();
    let mut reference = object_reference("Top level", &schema, "##");
    reference += &types_reference(&schema["$defs"], "##");
    // a key that is left out and a key that is null are the same, and people do the former
    let reference = reference.replace(" or null", "");
    rewrite_parts(
        "docs/CONFIG.md",
        &[
            ("reference", reference),
            ("project", object_reference("`.wezterm-parallel.yaml`", &project, "##").replace(" or null", "")),
        ],
    );
}

#[test]
fn what_the_plugin_must_agree_on_is_up_to_date() {
    write("plugin/wezterm_parallel/wire.lua", &wire_lua());
}

/// The names and numbers of the wire as a module of Lua, in the form that stylua leaves as it is.
fn wire_lua() -> String {
    let mut out = String::from(
        "-- What the plugin and the daemon must agree on. Generated from the types by schemas/tests/generated.rs.\n\
         \n\
         ---@class (exact) wezterm_parallel.Wire\n\
         local wire = {}\n\
         \n\
         --- Version of the plugin: that of the release that it came with.\n",
    );
    let _ = writeln!(out, "wire.version = '{}'", env!("CARGO_PKG_VERSION"));
    let [oldest, newest] = PROTOCOL;
    let _ = writeln!(
        out,
        "--- Oldest and newest version of the protocol.\nwire.protocol = {{ {oldest}, {newest} }}"
    );
    let _ = writeln!(out, "--- Largest request, in bytes.\nwire.frame_bytes_max = {}", rpc::FRAME_BYTES_MAX);
    let _ = writeln!(out, "--- Largest answer, in bytes.\nwire.answer_bytes_max = {}", rpc::ANSWER_BYTES_MAX);
    let _ =
        writeln!(out, "--- Most values in one answer.\nwire.answer_items_max = {}", rpc::ANSWER_ITEMS_MAX);
    let _ = writeln!(out, "--- Deepest nesting.\nwire.frame_depth_max = {}", rpc::FRAME_DEPTH_MAX);
    let named = |schema: Value| variants(&schema).into_iter().map(|(name, _)| name).collect();
    let lists: [(&str, &str, Vec<String>); 6] = [
        ("states", "States of a process.", named(root_schema::<State>())),
        ("statuses", "Statuses of an agent.", Status::ALL.iter().map(|s| s.name().to_string()).collect()),
        ("intents", "What a GUI can be asked to do.", named(root_schema::<IntentKind>())),
        ("toasts", "What a toast can tell of.", named(root_schema::<ToastAbout>())),
        ("codes", "Codes of errors.", named(root_schema::<Code>())),
        ("methods", "Calls.", METHODS.iter().map(|row| row.name.to_string()).collect()),
    ];
    for (name, about, values) in lists {
        let _ = writeln!(out, "--- {about}\nwire.{name} = {{");
        for value in values {
            let _ = writeln!(out, "  '{value}',");
        }
        out.push_str("}\n");
    }
    out.push_str("\nreturn wire\n");
    out
}

/// Everything on the wire in one schema: `$defs` has the types, `methods` what each call takes and gives.
fn protocol_schema() -> Value {
    let mut g = generator();
    let mut methods = Map::new();
    for row in METHODS {
        let params = (row.params)(&mut g);
        let result = (row.result)(&mut g);
        methods.insert(
            row.name.into(),
            json!({ "description": row.about.trim(), "params": params, "result": result }),
        );
    }
    let notifications = json!({ "event": g.subschema_for::<Event>() });
    let error = g.subschema_for::<Error>();
    let frame = |kind: u8, payload: schemars::Schema| (char::from(kind).to_string(), payload.to_value());
    let to_keeper: Map<String, Value> = [
        frame(keeper::frame::HELLO, g.subschema_for::<keeper::Hello>()),
        frame(keeper::frame::RESIZE, g.subschema_for::<keeper::Size>()),
        frame(keeper::frame::STOP, g.subschema_for::<keeper::StopRun>()),
        frame(keeper::frame::TYPE, g.subschema_for::<keeper::Type>()),
    ]
    .into_iter()
    .collect();
    let from_keeper: Map<String, Value> = [
        frame(keeper::frame::WELCOME, g.subschema_for::<keeper::Welcome>()),
        frame(keeper::frame::STATUS, g.subschema_for::<keeper::ProgramStatus>()),
        frame(keeper::frame::TITLE, g.subschema_for::<keeper::Title>()),
        frame(keeper::frame::TYPED, g.subschema_for::<keeper::Typed>()),
        frame(keeper::frame::PROGRESS, g.subschema_for::<keeper::Progress>()),
        frame(keeper::frame::ATTACHED, g.subschema_for::<keeper::Attached>()),
        frame(keeper::frame::LOOKED, g.subschema_for::<keeper::Looked>()),
        frame(keeper::frame::EXIT, g.subschema_for::<keeper::ExitRecord>()),
    ]
    .into_iter()
    .collect();
    let start = json!({
        "stdin": g.subschema_for::<keeper::RunSpec>(),
        "stdout": g.subschema_for::<keeper::StartReport>(),
        "meta": g.subschema_for::<keeper::RunMeta>(),
    });
    let mut defs: Vec<(String, Value)> = g.take_definitions(true).into_iter().collect();
    defs.sort_by(|a, b| a.0.cmp(&b.0));
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "The wire protocol of wezterm-parallel",
        "description": "Not a schema of one document: `methods` has the schemas of the parameters and the \
                        result of each call, `notifications` those of what follows `subscribe`, `keeper` those \
                        of the frames between a keeper and its clients.",
        "protocol": PROTOCOL,
        "methods": methods,
        "notifications": notifications,
        "error": error,
        "keeper": { "version": keeper::VERSION, "to": to_keeper, "from": from_keeper, "start": start },
        "$defs": Map::from_iter(defs),
    })
}

fn generator() -> SchemaGenerator {
    SchemaSettings::draft2020_12().into_generator()
}

fn root_schema<T: JsonSchema>() -> Value {
    serde_json::to_value(generator().into_root_schema_for::<T>()).expect("a schema is json")
}

fn to_text(schema: &Value) -> String {
    let mut text = serde_json::to_string_pretty(schema).expect("a schema is json");
    text.push('\n');
    text
}

/// Writes a file below the repository's root if it differs, and then fails.
fn write(path: &str, text: &str) {
    let file = root().join(path);
    let old = fs::read_to_string(&file).unwrap_or_default();
    if old != text {
        fs::write(&file, text).expect("a generated file can be written");
        panic!("{path} was out of date and has been rewritten: look at the difference and commit it");
    }
}

/// Replaces what stands between `<!-- generated: NAME -->` and `<!-- end -->`, and fails if it differed.
fn rewrite_parts(path: &str, parts: &[(&str, String)]) {
    let mut text = fs::read_to_string(root().join(path)).expect("the document is there");
    for (name, part) in parts {
        let mark = format!("<!-- generated: {name} -->\n");
        let start = text.find(&mark).unwrap_or_else(|| panic!("{path} has no {mark}")) + mark.len();
        let length = text[start..].find("<!-- end -->").unwrap_or_else(|| panic!("{path}: no end of {name}"));
        text.replace_range(start..start + length, &format!("\n{}\n\n", part.trim_end()));
    }
    write(path, &text);
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn methods_table(schema: &Value) -> String {
    let mut out = String::from("| method | takes | gives | |\n|---|---|---|---|\n");
    for (name, row) in schema["methods"].as_object().expect("there are methods") {
        let about = row["description"].as_str().unwrap_or_default();
        let _ = writeln!(
            out,
            "| `{name}` | {} | {} | {about} |",
            type_name(&row["params"]),
            type_name(&row["result"])
        );
    }
    out
}

/// A table of an enum's names and what they mean.
fn names_table<T: JsonSchema>(heading: &str) -> String {
    let mut out = format!("| {heading} | |\n|---|---|\n");
    for (name, about) in variants(&root_schema::<T>()) {
        let _ = writeln!(out, "| `{name}` | {about} |");
    }
    out
}

/// Names and descriptions of an enum's variants, if that is what a schema describes.
fn variants(schema: &Value) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for variant in schema["oneOf"].as_array().into_iter().flatten() {
        let about = one_line(variant["description"].as_str().unwrap_or_default());
        let names = variant["enum"].as_array().into_iter().flatten().chain(variant.get("const"));
        for name in names.filter_map(Value::as_str) {
            found.push((name.to_string(), about.clone()));
        }
        // a variant that holds something is an object of one key
        for (name, inner) in variant["properties"].as_object().into_iter().flatten() {
            found.push((format!("{name}: …"), format!("{about} {}", type_name(inner))));
        }
    }
    for name in schema["enum"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        found.push((name.to_string(), String::new()));
    }
    found
}

/// A chapter for each type.
fn types_reference(defs: &Value, level: &str) -> String {
    let mut out = String::new();
    for (name, schema) in defs.as_object().into_iter().flatten() {
        if schema["properties"].is_object() {
            out += &object_reference(name, schema, level);
            continue;
        }
        let _ = writeln!(out, "{level} {name}\n\n{}\n", description(schema));
        let variants = variants(schema);
        if !variants.is_empty() {
            out.push_str("| | |\n|---|---|\n");
            for (name, about) in variants {
                let _ = writeln!(out, "| `{name}` | {about} |");
            }
            out.push('\n');
        }
    }
    out
}

/// A chapter with a table of an object's keys.
fn object_reference(name: &str, schema: &Value, level: &str) -> String {
    let mut out = format!("{level} {name}\n\n{}\n\n", description(schema));
    let required: Vec<&str> =
        schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let Some(properties) = schema["properties"].as_object().filter(|p| !p.is_empty()) else {
        return out + "No keys.\n\n";
    };
    out.push_str("| key | type | |\n|---|---|---|\n");
    for (key, property) in properties {
        let must = if required.contains(&key.as_str()) { " **Required.**" } else { "" };
        let about = one_line(property["description"].as_str().unwrap_or_default());
        let _ = writeln!(out, "| `{key}` | {} | {about}{must} |", type_name(property));
    }
    out.push('\n');
    out
}

fn description(schema: &Value) -> String {
    schema["description"].as_str().unwrap_or_default().to_string()
}

/// Text that fits into a cell of a table.
fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ").replace('|', "\\|")
}

/// What a schema accepts, in words, with a link to its chapter if it has one.
fn type_name(schema: &Value) -> String {
    if let Some(name) = schema["$ref"].as_str().and_then(|r| r.rsplit('/').next()) {
        return format!("[{name}](#{})", name.to_lowercase());
    }
    if let Some(any) = schema["anyOf"].as_array() {
        return any.iter().map(type_name).collect::<Vec<_>>().join(" or ");
    }
    let plain = |kind: &str| match kind {
        "array" => match (&schema["prefixItems"], &schema["items"]) {
            (Value::Array(items), _) => {
                format!("list of {}", items.iter().map(type_name).collect::<Vec<_>>().join(", "))
            }
            (_, items) => match schema["maxItems"].as_u64() {
                Some(n) => format!("list of {n} × {}", type_name(items)),
                None => format!("list of {}", type_name(items)),
            },
        },
        "object" if schema["additionalProperties"].is_object() => {
            format!("map of {}", type_name(&schema["additionalProperties"]))
        }
        "null" => "null".to_string(),
        kind => kind.to_string(),
    };
    match &schema["type"] {
        Value::String(kind) => plain(kind),
        Value::Array(kinds) => {
            kinds.iter().filter_map(Value::as_str).map(plain).collect::<Vec<_>>().join(" or ")
        }
        _ => "anything".to_string(),
    }
}

/// Golden bytes of a small conversation, as a person would read them off a dump.
fn worked_example() -> String {
    let mut out = String::new();
    for (name, about) in [
        ("process.start.request", "Start a process: request 7."),
        ("workspace.delete.response", "An answer without content: an empty map."),
        ("error.hint", "A refusal. The text of the error is what Neovim shows."),
        ("event.process.state", "A notification after `subscribe`."),
    ] {
        let path = root().join(format!("schemas/golden/{name}.1.hex"));
        let hex: String =
            fs::read_to_string(path).expect("the golden file is there").split_whitespace().collect();
        let bytes: Vec<u8> = (0..hex.len() / 2)
            .map(|i| u8::from_str_radix(&hex[2 * i..2 * i + 2], 16).expect("a golden file is hexadecimal"))
            .collect();
        let _ = writeln!(out, "{about}\n\n```");
        for line in bytes.chunks(16) {
            let hex: Vec<String> = line.iter().map(|b| format!("{b:02x}")).collect();
            let text: String =
                line.iter().map(|b| if (0x20..0x7f).contains(b) { char::from(*b) } else { '.' }).collect();
            let _ = writeln!(out, "{:<47}  {text}", hex.join(" "));
        }
        let value: rmpv::Value = rmpv::decode::read_value(&mut &bytes[..]).expect("golden bytes are a value");
        let _ = writeln!(out, "= {value}\n```\n");
    }
    out
}
