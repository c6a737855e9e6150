//! Which GPU of a node is whose. A task or actor that holds whole GPUs has them alone; parts of one are shared as long as they fit.

use ray_protocol::Resources;
use ray_protocol::groups::amount_of;
use ray_protocol::value::RESOURCE_UNIT;

/// The resource that consists of numbered things.
pub(super) const GPU: &str = "GPU";

/// The GPUs of a node, by number.
#[derive(Debug, Default)]
pub(super) struct Devices {
    /// What is left of each.
    free: Vec<u64>,
}

/// What somebody has of them.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Assigned {
    /// Their numbers.
    pub(super) ids: Vec<u32>,
    /// How much of each.
    each: u64,
}

impl Devices {
    pub(super) fn new(total: &Resources) -> Self {
        let amount = total.amount(GPU);
        let mut free = vec![RESOURCE_UNIT; (amount / RESOURCE_UNIT) as usize];
        if !amount.is_multiple_of(RESOURCE_UNIT) {
            free.push(amount % RESOURCE_UNIT);
        }
        Devices { free }
    }

    /// Whether this much can be assigned now: whole ones where it is one or more, else a part of one.
    pub(super) fn fit(&self, shape: &Resources) -> bool {
        let amount = amount_of(shape, GPU);
        match amount {
            0 => true,
            part if part < RESOURCE_UNIT => self.free.iter().any(|free| *free >= part),
            whole => self.free.iter().filter(|free| **free == RESOURCE_UNIT).count() as u64 >= whole / RESOURCE_UNIT,
        }
    }

    /// Assigns what fits: the lowest numbers, and for a part the GPU of which least is left, so that whole ones stay whole.
    pub(super) fn assign(&mut self, shape: &Resources) -> Assigned {
        let amount = amount_of(shape, GPU);
        if amount == 0 {
            return Assigned::default();
        }
        let each = amount.min(RESOURCE_UNIT);
        let mut candidates: Vec<usize> = (0..self.free.len()).filter(|&at| self.free[at] >= each).collect();
        candidates.sort_by_key(|&at| self.free[at]); // stable: equal ones by number
        candidates.truncate((amount / each) as usize);
        for &at in &candidates {
            self.free[at] -= each;
        }
        Assigned { ids: candidates.into_iter().map(|at| at as u32).collect(), each }
    }

    /// Takes back what was assigned; nothing is left assigned.
    pub(super) fn take_back(&mut self, assigned: &mut Assigned) {
        for id in core::mem::take(&mut assigned.ids) {
            self.free[id as usize] += assigned.each;
        }
    }

    /// What each has left when these have what they have of it; for validation.
    pub(super) fn is_free_but_for<'a>(&self, total: &Resources, assigned: impl Iterator<Item = &'a Assigned>) -> bool {
        let mut expected = Devices::new(total).free;
        for assigned in assigned {
            for &id in &assigned.ids {
                match expected[id as usize].checked_sub(assigned.each) {
                    Some(left) => expected[id as usize] = left,
                    None => return false,
                }
            }
        }
        expected == self.free
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gpus(amount: f64) -> Resources {
        Resources::new([(String::from(GPU), (amount * RESOURCE_UNIT as f64) as u64)])
    }

    #[test]
    fn whole_devices_are_nobody_elses() {
        let mut devices = Devices::new(&gpus(3.0));
        let mut two = devices.assign(&gpus(2.0));
        assert_eq!(two.ids, [0, 1]);
        assert!(!devices.fit(&gpus(2.0)));
        assert_eq!(devices.assign(&gpus(1.0)).ids, [2]);
        devices.take_back(&mut two);
        devices.take_back(&mut two);
        assert!(devices.fit(&gpus(2.0)) && !devices.fit(&gpus(3.0)));
    }

    #[test]
    fn parts_share_a_device_and_leave_the_others_whole() {
        let mut devices = Devices::new(&gpus(2.0));
        let mut parts: Vec<Assigned> = (0..3).map(|_| devices.assign(&gpus(0.25))).collect();
        assert!(parts.iter().all(|part| part.ids == [0]));
        assert!(devices.fit(&gpus(1.0)));
        assert_eq!(devices.assign(&gpus(0.5)).ids, [1]);
        assert!(!devices.fit(&gpus(1.0)), "a half of one and a quarter of the other are no whole one");
        assert!(devices.fit(&gpus(0.5)) && !devices.fit(&gpus(0.75)));
        devices.take_back(&mut parts[0]);
        assert_eq!(devices.assign(&gpus(0.5)).ids, [0]);
    }

    #[test]
    fn nothing_is_assigned_to_who_asks_for_nothing() {
        let mut devices = Devices::new(&gpus(0.5));
        assert!(devices.fit(&Resources::cpus(4)) && devices.assign(&Resources::cpus(4)).ids.is_empty());
        assert!(devices.fit(&gpus(0.5)) && !devices.fit(&gpus(1.0)));
    }
}
