//! Placement groups: resources set aside, all at once, under names of their own.
//!
//! Where bundle 3 of group `ab` lies, a node has `CPU_group_3_ab` and `CPU_group_ab`, as much of each as the bundle has CPUs, and so for
//! every resource of the bundle; besides, `bundle_group_3_ab` and `bundle_group_ab`, for tasks that want nothing else of the group. What
//! runs in the group asks for these names instead of the plain ones.

use crate::ids::NodeId;
use crate::value::{RESOURCE_UNIT, Resources};
use alloc::{format, string::String, vec::Vec};
use serde::{Deserialize, Serialize};

/// How much of `bundle` each bundle has: more members than anybody has.
const MARKS: u64 = 1000 * RESOURCE_UNIT;

/// Digits of a group's id.
const ID_DIGITS: usize = 36;

/// What may be asked about groups, or of them.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub enum GroupRequest {
    /// A new one; answered by the row it has then, or by words that say why not.
    Create {
        /// Its id, hexadecimal digits made by the client.
        group: String,
        /// What it is.
        spec: GroupSpec,
    },
    /// No more of it; answered by its row.
    Remove {
        /// Which.
        group: String,
    },
    /// Answered by its row once every bundle is placed, or once it is removed.
    Await {
        /// Which.
        group: String,
    },
    /// All rows.
    List,
}

/// What a client wants of a group.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct GroupSpec {
    /// For looking it up, or empty.
    pub name: String,
    /// Where the name is unique.
    pub namespace: String,
    /// Where its bundles may lie.
    pub strategy: Strategy,
    /// What each bundle has.
    pub bundles: Vec<Resources>,
    /// It outlives its creator.
    pub detached: bool,
}

/// Where the bundles of a group may lie.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub enum Strategy {
    /// On few nodes, if possible.
    #[default]
    Pack,
    /// On many nodes, if possible.
    Spread,
    /// All on one.
    StrictPack,
    /// Each on another.
    StrictSpread,
}

/// How far a group is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub enum GroupState {
    /// Some bundle has found no node yet; none of them is anywhere.
    #[default]
    Pending,
    /// Every bundle has its resources.
    Created,
    /// A node was lost, and its bundles wait for another.
    Rescheduling,
    /// It is no more.
    Removed,
}

/// A group, for lists.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct GroupRow {
    /// Its id.
    pub group: String,
    /// What it is.
    pub spec: GroupSpec,
    /// How far it is.
    pub state: GroupState,
    /// Where each bundle lies.
    pub nodes: Vec<Option<NodeId>>,
    /// From its creation until it was placed, in microseconds; 0 before.
    pub placed_after_us: u64,
    /// How often a place was sought.
    pub attempts: u64,
}

/// What a node has more while a bundle lies there.
pub fn bundle_names(bundle: &Resources, group: &str, index: usize) -> Resources {
    let all = bundle.iter().chain([("bundle", MARKS)]);
    Resources::new(
        all.flat_map(|(name, amount)| {
            [(format!("{name}_group_{index}_{group}"), amount), (format!("{name}_group_{group}"), amount)]
        }),
    )
}

/// What a task asks for in a group where it would ask for this outside of it, in whichever bundle has room.
pub fn grouped(plain: &Resources, group: &str) -> Resources {
    if *plain == Resources::default() {
        return Resources::new([(format!("bundle_group_{group}"), MARKS / 1_000_000)]);
    }
    Resources::new(plain.iter().map(|(name, amount)| (format!("{name}_group_{group}"), amount)))
}

/// What a task in a group would ask for outside of it.
pub fn plain(grouped: &Resources) -> Resources {
    let Some(group) = group_of(grouped) else { return grouped.clone() };
    let suffix = format!("_group_{group}");
    let names = grouped.iter().filter_map(|(name, amount)| Some((name.strip_suffix(suffix.as_str())?, amount)));
    // A name with a bundle's number in it repeats what the name without one says.
    let whole = names.filter(|(name, _)| *name != "bundle" && !name.contains("_group_"));
    Resources::new(whole.map(|(name, amount)| (String::from(name), amount)))
}

/// How much of a resource a shape asks for, be it by its plain name or by a group's.
pub fn amount_of(shape: &Resources, name: &str) -> u64 {
    match group_of(shape) {
        None => shape.amount(name),
        Some(group) => shape.amount(name) + shape.amount(&format!("{name}_group_{group}")),
    }
}

/// The group whose resources these are, if they are a group's. Whoever asks for a group's asks for nothing else.
pub fn group_of(shape: &Resources) -> Option<&str> {
    shape.iter().find_map(|(name, _)| {
        let (_, rest) = name.split_once("_group_")?;
        let id = rest.rsplit('_').next()?;
        (id.len() == ID_DIGITS && id.bytes().all(|digit| digit.is_ascii_hexdigit())).then_some(id)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    const ID: &str = "0123456789abcdef0123456789abcdef0123";

    #[test]
    fn names_tell_their_group() {
        let names = bundle_names(&Resources::cpus(2), ID, 3);
        assert_eq!(names.amount(&format!("CPU_group_{ID}")), 2 * RESOURCE_UNIT);
        assert_eq!(names.amount(&format!("CPU_group_3_{ID}")), 2 * RESOURCE_UNIT);
        assert_eq!(names.amount(&format!("bundle_group_3_{ID}")), MARKS);
        assert_eq!(group_of(&names), Some(ID));
    }

    #[test]
    fn plain_again() {
        let asked = Resources::new([(String::from("CPU"), RESOURCE_UNIT), (String::from("x"), 5)]);
        assert_eq!(plain(&grouped(&asked, ID)), asked);
        assert_eq!(plain(&asked), asked);
        assert_eq!(plain(&grouped(&Resources::default(), ID)), Resources::default());
        assert_eq!(plain(&bundle_names(&asked, ID, 12)), asked);
        assert_eq!(amount_of(&grouped(&asked, ID), "CPU"), RESOURCE_UNIT);
        assert_eq!(amount_of(&asked, "CPU"), RESOURCE_UNIT);
        assert!(bundle_names(&asked, ID, 0).covers(&grouped(&Resources::default(), ID)));
    }

    #[test]
    fn other_names_tell_none() {
        for name in ["CPU", "my_group_of_things", "a_group_", "a_group_0123", "a_group_1_xyz"] {
            assert_eq!(group_of(&Resources::new([(name.to_string(), 1)])), None, "{name}");
        }
    }
}
