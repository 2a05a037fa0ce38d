//! `dctrl actions`: the payloads and their documentation, read from the
//! compiled wire contract, so that the list cannot drift from it.
//!
//! Who may do what is the ledger's table, which tools do not link.

use anyhow::ensure;
use dctrl_proto::DESCRIPTORS;
use prost::Message;
use prost_types::{
    DescriptorProto, FieldDescriptorProto, FileDescriptorProto, FileDescriptorSet,
    field_descriptor_proto::{Label, Type},
};
use serde::Serialize;

use crate::{failure::Failure, output::Output};

/// Field number of `message_type` in a file's descriptor, in source paths.
const MESSAGE: i32 = 4;
/// Field number of `field` in a message's descriptor, in source paths.
const FIELD: i32 = 2;

#[derive(Debug, Serialize)]
struct Action {
    name: String,
    payload: String,
    doc: String,
    fields: Vec<Field>,
}

#[derive(Debug, Serialize)]
struct Field {
    name: String,
    kind: String,
    doc: String,
}

/// Runs `dctrl actions`.
///
/// # Errors
/// Where the output cannot be written.
pub fn run(out: &mut Output) -> Result<(), Failure> {
    for action in actions()? {
        out.show(&action, human)?;
    }
    Ok(())
}

/// Every message whose comment begins with an action name in backquotes.
fn actions() -> anyhow::Result<Vec<Action>> {
    let set = FileDescriptorSet::decode(DESCRIPTORS)?;
    let found: Vec<Action> = set.file.iter().flat_map(actions_of).collect();
    ensure!(!found.is_empty(), "the wire contract has no actions");
    Ok(found)
}

fn actions_of(file: &FileDescriptorProto) -> Vec<Action> {
    file.message_type
        .iter()
        .zip(0..)
        .filter_map(|(message, index)| {
            let comment = comment(file, &[MESSAGE, index]);
            let (name, doc) = comment.strip_prefix('`')?.split_once("`: ")?;
            Some(Action {
                name: name.to_owned(),
                payload: message.name().to_owned(),
                doc: doc.to_owned(),
                fields: fields(file, message, index),
            })
        })
        .collect()
}

fn fields(file: &FileDescriptorProto, message: &DescriptorProto, index: i32) -> Vec<Field> {
    message
        .field
        .iter()
        .zip(0..)
        .map(|(field, at)| Field {
            name: field.name().to_owned(),
            kind: kind(field),
            doc: comment(file, &[MESSAGE, index, FIELD, at]),
        })
        .collect()
}

fn kind(field: &FieldDescriptorProto) -> String {
    let one = match field.r#type() {
        Type::Message | Type::Enum => field
            .type_name()
            .rsplit('.')
            .next()
            .unwrap_or_default()
            .to_owned(),
        scalar => scalar
            .as_str_name()
            .trim_start_matches("TYPE_")
            .to_lowercase(),
    };
    if field.label() == Label::Repeated {
        format!("list of {one}")
    } else {
        one
    }
}

/// The comment above or beside what stands at `path`, as one paragraph.
fn comment(file: &FileDescriptorProto, path: &[i32]) -> String {
    let locations = file.source_code_info.iter().flat_map(|info| &info.location);
    let Some(location) = locations.into_iter().find(|one| one.path == path) else {
        return String::new();
    };
    let above = location.leading_comments();
    let text = if above.is_empty() {
        location.trailing_comments()
    } else {
        above
    };
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn human(action: &Action) -> String {
    let mut text = format!("{}  {}\n", action.name, action.doc);
    for field in &action.fields {
        text += &format!("    {} ({})", field.name, field.kind);
        if !field.doc.is_empty() {
            text += &format!(": {}", field.doc);
        }
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use dctrl_proto::{action::Payload, v1};

    #[test]
    fn every_payload_of_the_contract_is_listed() {
        let names: Vec<String> = actions().unwrap().into_iter().map(|one| one.name).collect();
        let payloads = [
            v1::MemberSet::NAME,
            v1::MachineSet::NAME,
            v1::MachineReset::NAME,
            v1::NodePropose::NAME,
            v1::NodeApprove::NAME,
            v1::NodeWithdraw::NAME,
            v1::NodeLeave::NAME,
            v1::NodeRenew::NAME,
            v1::ProductSet::NAME,
            v1::SlotSet::NAME,
            v1::SlotRestock::NAME,
            v1::VendQuote::NAME,
            v1::VendResolve::NAME,
            v1::PaymentObserve::NAME,
            v1::ChainObserve::NAME,
            v1::PriceObserve::NAME,
            v1::MachineHeartbeat::NAME,
            v1::MachineAccept::NAME,
            v1::MachineReceipt::NAME,
            v1::MachineReport::NAME,
            v1::TimeTick::NAME,
            v1::TabTopUp::NAME,
            v1::TabTransfer::NAME,
            v1::TabCash::NAME,
            v1::TabLimit::NAME,
            v1::ClaimRedeem::NAME,
            v1::RefundRequest::NAME,
            v1::RefundWithdraw::NAME,
        ];
        for name in payloads {
            let rows = names.iter().filter(|one| *one == name);
            assert_eq!(rows.count(), 1, "{name}");
        }
    }

    #[test]
    fn an_action_shows_its_fields_with_their_documentation() {
        let all = actions().unwrap();
        let restock = all.iter().find(|one| one.name == "slot.restock").unwrap();
        let expected = "\
slot.restock  goods put into a slot, or taken out with a reason.
    machine_id (string)
    slot (string)
    added (uint32)
    shrinkage (uint32): Units found missing or spoilt.
    reason (string): Needed where `shrinkage` is not 0.
";
        assert_eq!(human(restock), expected);
    }
}
