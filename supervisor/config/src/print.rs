//! A config written out: as YAML for people, its schema for editors.

use wezterm_parallel_schemas::config::Config;

/// The config as YAML. It reads back equal.
pub fn to_yaml(config: &Config) -> String {
    // strings stay on one line: folding would change what a person sees of a command
    let options = serde_saphyr::ser_options! { prefer_block_scalars: false };
    serde_saphyr::to_string_with_options(config, options).expect("a config has nothing that YAML cannot hold")
}

/// The JSON Schema of `config.yaml`, which editors complete and check it by.
pub fn schema() -> serde_json::Value {
    let mut schema = schemars::schema_for!(Config).to_value();
    // optional in the type, for the sake of project files, which lie in the directory
    schema["$defs"]["Workspace"]["required"] = serde_json::json!(["cwd"]);
    schema["title"] = "config.yaml of wezterm-parallel".into();
    schema
}
