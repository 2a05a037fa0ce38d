//! Compiles the .proto files with protox, so that no protoc is needed, and
//! gives every message serde derives: bytes as lower-case hex, enums by name.

use std::{env, path::PathBuf};

use prost_types::{
    DescriptorProto, FileDescriptorSet, field_descriptor_proto::Label, field_descriptor_proto::Type,
};

const FILES: [&str; 10] = [
    "dctrl/v1/envelope.proto",
    "dctrl/v1/action.proto",
    "dctrl/v1/payout_rules.proto",
    "dctrl/v1/money.proto",
    "dctrl/v1/ledger.proto",
    "dctrl/v1/payout.proto",
    "dctrl/v1/tab.proto",
    "dctrl/v1/bus.proto",
    "dctrl/v1/node.proto",
    "dctrl/v1/chain.proto",
];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo::rerun-if-changed=proto");
    let descriptors = protox::compile(FILES, ["proto"])?;
    let out = PathBuf::from(env::var("OUT_DIR")?);

    let mut config = prost_build::Config::new();
    config
        .out_dir(&out)
        .type_attribute(".", "#[derive(serde::Serialize, serde::Deserialize)]")
        .message_attribute(".", "#[serde(default)]");
    for file in &descriptors.file {
        for message in &file.message_type {
            field_attributes(&mut config, file.package(), message);
        }
    }

    if env::var_os("CARGO_FEATURE_RPC").is_some() {
        std::fs::write(
            out.join("descriptors.bin"),
            prost::Message::encode_to_vec(&descriptors),
        )?;
        tonic_prost_build::configure()
            .out_dir(&out)
            .compile_fds_with_config(descriptors, config)?;
    } else {
        without_services(config, descriptors)?;
    }
    Ok(())
}

fn without_services(
    mut config: prost_build::Config,
    mut descriptors: FileDescriptorSet,
) -> std::io::Result<()> {
    for file in &mut descriptors.file {
        file.service.clear();
    }
    config.compile_fds(descriptors)
}

/// Bytes are shown in hex and enums by name: JSON is for people and scripts.
fn field_attributes(config: &mut prost_build::Config, package: &str, message: &DescriptorProto) {
    for field in &message.field {
        let path = format!(".{package}.{}.{}", message.name(), field.name());
        let repeated = field.label() == Label::Repeated;
        let in_oneof = field.oneof_index.is_some() && !field.proto3_optional();
        match (field.r#type(), repeated, in_oneof) {
            (Type::Bytes, true, _) => {
                config.field_attribute(path, "#[serde(with = \"crate::json::hex_list\")]");
            }
            (Type::Bytes, false, _) => {
                config.field_attribute(path, "#[serde(with = \"crate::json::hex_bytes\")]");
            }
            (Type::Enum, false, false) => {
                let name = field.type_name().rsplit('.').next().unwrap_or_default();
                let module = format!("crate::json::named::<crate::v1::{name}>");
                config.field_attribute(
                    path,
                    format!(
                        "#[serde(serialize_with = \"{module}::serialize\", deserialize_with = \"{module}::deserialize\")]"
                    ),
                );
            }
            _ => {}
        }
    }
    for oneof in &message.oneof_decl {
        let path = format!(".{package}.{}.{}", message.name(), oneof.name());
        config.type_attribute(&path, "#[serde(rename_all = \"snake_case\")]");
    }
    for nested in &message.nested_type {
        field_attributes(config, &format!("{package}.{}", message.name()), nested);
    }
}
