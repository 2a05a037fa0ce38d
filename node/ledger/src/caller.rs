//! Who signed an action, and in which role.

use dctrl_proto::v1::{Member, MemberStatus, Refusal};

use crate::refuse::{denied, ensure, unauth};
use crate::scope::Scope;
use crate::{StateRead, keys, tables};

/// In which role an action may be signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// A node of the roster.
    Node,
    /// A machine's agent, for its own machine only.
    Machine,
    /// A member with the role `operator`.
    Operator,
    /// A member with the role `copayer`.
    Copayer,
    /// A member with the role `staff`.
    Staff,
    /// Any active member.
    Member,
    /// A member with the role `auditor`.
    Auditor,
}

/// The names of roles that a member record may carry.
pub(crate) const MEMBER_ROLES: [(&str, Role); 5] = [
    ("operator", Role::Operator),
    ("copayer", Role::Copayer),
    ("staff", Role::Staff),
    ("member", Role::Member),
    ("auditor", Role::Auditor),
];

/// Whose key it is. A key belongs to one principal at most.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Principal {
    /// By its seat.
    Node(u32),
    Machine(String),
    Member(String),
}

impl Principal {
    pub(crate) fn encode(&self) -> String {
        match self {
            Self::Node(seat) => format!("node/{seat}"),
            Self::Machine(id) => format!("machine/{id}"),
            Self::Member(id) => format!("member/{id}"),
        }
    }

    fn decode(value: &[u8]) -> Option<Self> {
        let (kind, id) = std::str::from_utf8(value).ok()?.split_once('/')?;
        match kind {
            "node" => id.parse().ok().map(Self::Node),
            "machine" => Some(Self::Machine(id.to_owned())),
            "member" => Some(Self::Member(id.to_owned())),
            _ => None,
        }
    }

    /// Who holds `key`.
    pub(crate) fn find(state: &dyn StateRead, key: &[u8]) -> Option<Self> {
        let value = state.get(&keys::principal(key))?;
        Some(Self::decode(&value).expect("a principal is as it was written"))
    }
}

/// Moves a principal from its key before, if any, to `key`.
pub(crate) fn hold_key(scope: &mut Scope<'_>, who: &Principal, before: &[u8], key: &[u8]) {
    if before != key && !before.is_empty() {
        scope.delete(keys::principal(before));
    }
    scope.put_bytes(keys::principal(key), who.encode().as_bytes());
}

/// The signer of an action.
pub(crate) struct Caller {
    /// The action's id.
    pub(crate) action_id: [u8; 32],
    pub(crate) principal: Principal,
    /// Where the signer is a member.
    pub(crate) member: Option<Member>,
}

impl Caller {
    /// Who holds `key`; strangers are refused.
    pub(crate) fn identify(
        state: &dyn StateRead,
        action_id: [u8; 32],
        key: &[u8; 32],
    ) -> Result<Self, Refusal> {
        let principal = Principal::find(state, key)
            .ok_or_else(|| unauth("action.key", "Nobody of the federation holds this key."))?;
        let member = match &principal {
            Principal::Member(id) => tables::member(state, id),
            _ => None,
        };
        Ok(Self {
            action_id,
            principal,
            member,
        })
    }

    pub(crate) fn has(&self, role: Role) -> bool {
        match (&self.principal, role) {
            (Principal::Node(_), Role::Node) | (Principal::Machine(_), Role::Machine) => true,
            (Principal::Member(_), Role::Member) => true,
            (Principal::Member(_), _) => self.member.iter().any(|member| {
                MEMBER_ROLES
                    .iter()
                    .any(|(name, known)| *known == role && member.roles.iter().any(|r| r == name))
            }),
            _ => false,
        }
    }

    /// Refuses whoever holds none of `roles`, and members who are not active.
    pub(crate) fn require(&self, roles: &[Role]) -> Result<(), Refusal> {
        if let Some(member) = &self.member {
            ensure(member.status() == MemberStatus::Active, || {
                let status = member.status().as_str_name().to_lowercase();
                denied("member.status", format!("Your membership is {status}."))
            })?;
        }
        ensure(roles.iter().any(|role| self.has(*role)), || {
            denied(
                "action.role",
                format!("This takes one of the roles {roles:?}."),
            )
        })
    }

    /// Refuses a machine that speaks for another one.
    pub(crate) fn require_own(&self, machine_id: &str) -> Result<(), Refusal> {
        let foreign = matches!(&self.principal, Principal::Machine(own) if own != machine_id);
        ensure(!foreign, || {
            denied("machine.own", "A machine speaks for itself only.")
        })
    }

    /// The signer's id as a member.
    pub(crate) fn member_id(&self) -> Result<&str, Refusal> {
        let member = self.member.as_ref();
        member
            .map(|member| member.id.as_str())
            .ok_or_else(|| denied("action.role", "This is for members."))
    }

    /// The node's seat, for actions that only nodes may sign.
    pub(crate) fn node(&self) -> u32 {
        match self.principal {
            Principal::Node(seat) => seat,
            _ => unreachable!("the registry lets only nodes do this"),
        }
    }
}
