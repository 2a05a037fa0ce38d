//! Every field of every message keeps its number and its type, and every value of
//! an enum its number: `golden/schema.txt` has one line for each. Lines may be
//! added; one that changes or goes breaks running federations, so it must be seen
//! and meant.
//!
//! After a meant change: `DCTRL_BLESS=1 cargo test -p dctrl-proto --features rpc`.

#![cfg(feature = "rpc")]

use std::{env, fs, path::Path};

use dctrl_proto::DESCRIPTORS;
use prost::Message;
use prost_types::{
    DescriptorProto, EnumDescriptorProto, FieldDescriptorProto, FileDescriptorSet,
    field_descriptor_proto::{Label, Type},
};

/// Of the project's own messages.
const PACKAGE: &str = "dctrl.v1";

fn field(message: &DescriptorProto, field: &FieldDescriptorProto) -> String {
    let scalar = || format!("{:?}", field.r#type()).to_lowercase();
    let of = match field.r#type() {
        Type::Message | Type::Enum => field.type_name().trim_start_matches('.').to_owned(),
        _ => scalar(),
    };
    let repeated = match field.label() {
        Label::Repeated => "repeated ",
        _ if field.proto3_optional() => "optional ",
        _ => "",
    };
    let oneof = field.oneof_index.filter(|_| !field.proto3_optional());
    let oneof = oneof.and_then(|at| message.oneof_decl.get(usize::try_from(at).ok()?));
    let oneof = oneof.map_or(String::new(), |oneof| format!(" of {}", oneof.name()));
    format!("{} {} {repeated}{of}{oneof}", field.number(), field.name())
}

fn messages(within: &str, message: &DescriptorProto, lines: &mut Vec<String>) {
    let name = format!("{within}.{}", message.name());
    for one in &message.field {
        lines.push(format!("{name} {}", field(message, one)));
    }
    for inner in &message.nested_type {
        messages(&name, inner, lines);
    }
    enums(&name, &message.enum_type, lines);
}

fn enums(within: &str, all: &[EnumDescriptorProto], lines: &mut Vec<String>) {
    for one in all {
        for value in &one.value {
            let (name, number) = (one.name(), value.number());
            lines.push(format!("{within}.{name} {number} {}", value.name()));
        }
    }
}

#[test]
fn every_field_keeps_its_number_and_its_type() {
    let set = FileDescriptorSet::decode(DESCRIPTORS).expect("the build wrote it");
    let mut lines = Vec::new();
    for file in set.file.iter().filter(|file| file.package() == PACKAGE) {
        for message in &file.message_type {
            messages(PACKAGE, message, &mut lines);
        }
        enums(PACKAGE, &file.enum_type, &mut lines);
        for service in &file.service {
            for method in &service.method {
                let (name, of) = (service.name(), method.name());
                let (asks, answers) = (method.input_type(), method.output_type());
                lines.push(format!("{PACKAGE}.{name} {of} {asks} -> {answers}"));
            }
        }
    }
    lines.sort();
    let now = lines.join("\n") + "\n";
    // Cargo runs the tests of a crate in its folder.
    let path = Path::new("golden/schema.txt");
    if env::var_os("DCTRL_BLESS").is_some() {
        fs::write(path, &now).expect("the golden folder is writable");
    }
    let frozen = fs::read_to_string(path).expect("the schema was written once");
    let frozen: Vec<_> = frozen.lines().collect();
    let gone = frozen
        .iter()
        .find(|line| !now.contains(&format!("{line}\n")));
    assert_eq!(gone, None, "it was changed or went");
    let new = now.lines().find(|line| !frozen.contains(line));
    assert_eq!(new, None, "it is new; see the module's doc");
}
