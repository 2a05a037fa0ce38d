//! `member.set`: register a member or change its name, key, roles or status.

use dctrl_proto::v1::{Member, MemberSet, MemberStatus, Refusal};

use crate::caller::{Caller, MEMBER_ROLES, Principal, hold_key};
use crate::refuse::{ensure, exists, invalid, precond};
use crate::registry::Action;
use crate::scope::{Scope, View};
use crate::{facts, ids, keys, tables};

/// Checks a member's record in itself.
pub(crate) fn check_member(at: &str, member: &Member) -> Result<(), Refusal> {
    ids::id(&format!("{at}.id"), &member.id)?;
    ids::text(&format!("{at}.name"), &member.name)?;
    ids::bytes32(&format!("{at}.key"), &member.key)?;
    for (position, role) in member.roles.iter().enumerate() {
        let field = format!("{at}.roles[{position}]");
        ensure(MEMBER_ROLES.iter().any(|(name, _)| name == role), || {
            let known = MEMBER_ROLES.map(|(name, _)| name).join(", ");
            let message = format!("Unknown role {role:?}; known: {known}.");
            invalid("member.role", field.clone(), message)
        })?;
        ensure(!member.roles[..position].contains(role), || {
            let message = format!("The role {role:?} stands twice.");
            invalid("member.role", field, message)
        })?;
    }
    ensure(member.status() != MemberStatus::Unspecified, || {
        let message = "The status is missing.";
        invalid("member.status", format!("{at}.status"), message)
    })
}

fn is_operator(member: &Member) -> bool {
    member.status() == MemberStatus::Active && member.roles.iter().any(|role| role == "operator")
}

impl Action for MemberSet {
    type Plan = Member;

    fn check(&self) -> Result<(), Refusal> {
        let member = self.member.as_ref().ok_or_else(|| {
            let message = "The member is missing.";
            invalid("member", "member", message)
        })?;
        check_member("member", member)
    }

    fn guard(&self, view: &View<'_>, _: &Caller) -> Result<Member, Refusal> {
        let member = self.member.clone().unwrap_or_default();
        let holder = Principal::find(view.state, &member.key);
        let own = Principal::Member(member.id.clone());
        ensure(holder.is_none_or(|holder| holder == own), || {
            exists("member.key", "Somebody else holds this key.")
        })?;
        let operators = tables::rows(view.state, keys::MEMBERS)
            .filter(|other: &Member| other.id != member.id && is_operator(other));
        ensure(is_operator(&member) || operators.count() > 0, || {
            precond("member.operator", "The last operator has to stay.")
        })?;
        Ok(member)
    }

    fn execute(self, member: Member, scope: &mut Scope<'_>, _: &Caller) -> String {
        let before = tables::member(scope, &member.id).unwrap_or_default();
        let who = Principal::Member(member.id.clone());
        hold_key(scope, &who, &before.key, &member.key);
        scope.put(keys::member(&member.id), &member);
        let id = member.id.clone();
        scope.tell(facts::member(member));
        id
    }
}
