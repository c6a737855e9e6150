//! The graph to draw, as the driver knows it: tasks, objects, and who launched, made and used what.
//!
//! Nothing here is trusted to be consistent. Ids may be missing on either side, repeated, or linked in circles; [`Links`] turns them into
//! indices once, so that the rest of the crate never meets an id it cannot look up.

use hashbrown::HashMap;

/// Where an attempt at a task stands; only failed and running ones look different in the picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TaskState {
    /// Some argument does not exist yet.
    Waiting,
    /// Ready, but no worker has taken it.
    Queued,
    /// A worker executes it.
    Running,
    /// All its outputs are sealed.
    Finished,
    /// It raised, or was lost more often than allowed.
    Failed,
}

/// One call of a remote function: a box.
#[derive(Clone, Debug)]
pub struct TaskNode {
    /// Small dense number, the first line of the label.
    pub id: u64,
    /// Function name, the second line of the label.
    pub name: String,
    /// The task that launched it; `None` is the driver, drawn as `op-root`.
    pub parent: Option<u64>,
    /// Where it stands now.
    pub state: TaskState,
    /// Objects it makes, in the order of its return values.
    pub outputs: Vec<u64>,
    /// Objects among its arguments, in order; one given twice is here twice.
    pub inputs: Vec<u64>,
}

/// How an object came to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ObjectKind {
    /// A return value of a task.
    TaskOutput,
    /// Stored by `ray.put`.
    Put,
}

/// One object: an oval.
#[derive(Clone, Debug)]
pub struct ObjectNode {
    /// Small dense number, the label.
    pub id: u64,
    /// How it came to be.
    pub kind: ObjectKind,
    /// The task that put it; `None` is the driver.
    pub creator: Option<u64>,
}

/// Everything to draw.
#[derive(Clone, Debug, Default)]
pub struct Graph {
    /// The boxes, preferably in order of launch: order decides ties in the layout.
    pub tasks: Vec<TaskNode>,
    /// The ovals. An object that only a task mentions is drawn as well.
    pub objects: Vec<ObjectNode>,
    /// A sentence about what the caller left out, printed under the picture.
    pub omitted_note: Option<String>,
}

/// Index in place of a task: launched or put by the driver.
pub(crate) const DRIVER: u32 = u32::MAX;
/// Index in place of a task: by some task that is not in the graph.
pub(crate) const STRANGER: u32 = u32::MAX - 1;

/// Where an object comes from, by index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// Return value number `.1` of task `.0`.
    Output(u32, u32),
    /// Put by a task, by [`DRIVER`] or by [`STRANGER`].
    Put(u32),
    /// Nobody in the graph claims it.
    Unknown,
}

/// The graph's edges as indices into its lists.
pub(crate) struct Links {
    /// Per task: the index of its parent, [`DRIVER`] or [`STRANGER`].
    pub(crate) parent: Vec<u32>,
    /// Per task: the objects among its arguments.
    pub(crate) inputs: Rows,
    /// Per task: the objects it makes.
    pub(crate) outputs: Rows,
    /// Per object: its id; first those of `Graph::objects`, then those only mentioned by tasks.
    pub(crate) object_ids: Vec<u64>,
    /// Per object: where it comes from.
    pub(crate) origin: Vec<Origin>,
}

impl Links {
    pub(crate) fn new(graph: &Graph) -> Links {
        let mut task_index = IdIndex::new(graph.tasks.iter().map(|t| t.id));
        for (i, task) in graph.tasks.iter().enumerate() {
            task_index.insert_first(task.id, i as u32);
        }
        let mut object_index = IdIndex::new(graph.objects.iter().map(|o| o.id));
        let mut object_ids: Vec<u64> = Vec::with_capacity(graph.objects.len());
        let mut origin: Vec<Origin> = Vec::with_capacity(graph.objects.len());
        for object in &graph.objects {
            if !object_index.insert_first(object.id, object_ids.len() as u32) {
                continue; // the same id again says nothing new
            }
            let creator = object.creator.map_or(DRIVER, |id| task_index.get(id).unwrap_or(STRANGER));
            object_ids.push(object.id);
            origin.push(match (object.kind, object.creator) {
                (ObjectKind::Put, _) => Origin::Put(creator),
                (ObjectKind::TaskOutput, Some(_)) if creator != STRANGER => Origin::Output(creator, 0),
                (ObjectKind::TaskOutput, _) => Origin::Unknown, // until a task names it among its outputs
            });
        }
        let mut resolve = |ids: &[u64], rows: &mut Rows, origin: &mut Vec<Origin>| {
            for &id in ids {
                let index = object_index.get(id).unwrap_or_else(|| {
                    let new = object_ids.len() as u32;
                    object_index.insert_first(id, new);
                    object_ids.push(id);
                    origin.push(Origin::Unknown);
                    new
                });
                rows.push(index);
            }
            rows.end_row();
        };
        let mut parent = Vec::with_capacity(graph.tasks.len());
        let (mut inputs, mut outputs) = (Rows::default(), Rows::default());
        for (i, task) in graph.tasks.iter().enumerate() {
            parent.push(task.parent.map_or(DRIVER, |id| task_index.get(id).unwrap_or(STRANGER)));
            resolve(&task.inputs, &mut inputs, &mut origin);
            resolve(&task.outputs, &mut outputs, &mut origin);
            for (position, &object) in outputs.row(i).iter().enumerate() {
                let place = &mut origin[object as usize];
                if matches!(place, Origin::Unknown) || *place == Origin::Output(i as u32, 0) {
                    *place = Origin::Output(i as u32, position as u32);
                }
            }
        }
        Links { parent, inputs, outputs, object_ids, origin }
    }

    /// The task an object waits for, if any.
    pub(crate) fn maker(&self, object: u32) -> Option<u32> {
        match self.origin[object as usize] {
            Origin::Output(task, _) => Some(task),
            Origin::Put(task) if task < STRANGER => Some(task),
            Origin::Put(_) | Origin::Unknown => None,
        }
    }
}

/// Lists of different lengths in one allocation each for ends and contents: a million small `Vec`s would cost a second.
#[derive(Default)]
pub(crate) struct Rows {
    ends: Vec<u32>,
    items: Vec<u32>,
}

impl Rows {
    pub(crate) fn push(&mut self, item: u32) {
        self.items.push(item);
    }

    pub(crate) fn end_row(&mut self) {
        self.ends.push(self.items.len() as u32);
    }

    pub(crate) fn row(&self, i: usize) -> &[u32] {
        let start = if i == 0 { 0 } else { self.ends[i - 1] };
        &self.items[start as usize..self.ends[i] as usize]
    }

    /// How many items all rows hold together.
    pub(crate) fn total(&self) -> usize {
        self.items.len()
    }
}

/// From id to index: a plain table while ids are as dense as promised, a map for the rest.
struct IdIndex {
    dense: Vec<u32>,
    rest: HashMap<u64, u32>,
}

const ABSENT: u32 = u32::MAX;

impl IdIndex {
    fn new(ids: impl ExactSizeIterator<Item = u64>) -> IdIndex {
        let room = (4 * ids.len() + 1024) as u64;
        let len = ids.map(|id| id.saturating_add(1)).max().unwrap_or(0).min(room);
        IdIndex { dense: vec![ABSENT; len as usize], rest: HashMap::new() }
    }

    fn get(&self, id: u64) -> Option<u32> {
        match self.dense.get(id as usize) {
            Some(&ABSENT) => None,
            Some(&index) => Some(index),
            None => self.rest.get(&id).copied(),
        }
    }

    /// Enters an id unless it is there already; says whether it was new.
    fn insert_first(&mut self, id: u64, index: u32) -> bool {
        match self.dense.get_mut(id as usize) {
            Some(place) if *place == ABSENT => *place = index,
            Some(_) => return false,
            None if self.rest.contains_key(&id) => return false,
            None => _ = self.rest.insert(id, index),
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn task(id: u64, inputs: &[u64], outputs: &[u64]) -> TaskNode {
        TaskNode { id, name: "f".into(), parent: None, state: TaskState::Finished, outputs: outputs.into(), inputs: inputs.into() }
    }

    #[test]
    fn ids_may_be_sparse_repeated_or_missing() {
        let graph = Graph {
            tasks: vec![task(u64::MAX, &[], &[7]), task(3, &[7, 900], &[u64::MAX - 1]), task(3, &[], &[])],
            objects: vec![
                ObjectNode { id: 7, kind: ObjectKind::TaskOutput, creator: None },
                ObjectNode { id: 7, kind: ObjectKind::Put, creator: Some(55) },
            ],
            omitted_note: None,
        };
        let links = Links::new(&graph);
        assert_eq!(links.object_ids, [7, 900, u64::MAX - 1]);
        assert_eq!(links.origin, [Origin::Output(0, 0), Origin::Unknown, Origin::Output(1, 0)]);
        assert_eq!(links.inputs.row(1), [0, 1]);
        assert_eq!(links.parent, [DRIVER; 3]);
    }

    #[test]
    fn a_put_keeps_its_creator() {
        let put = |creator| ObjectNode { id: 0, kind: ObjectKind::Put, creator };
        let origin = |creator| {
            Links::new(&Graph { tasks: vec![task(4, &[], &[])], objects: vec![put(creator)], omitted_note: None }).origin[0]
        };
        assert_eq!(origin(None), Origin::Put(DRIVER));
        assert_eq!(origin(Some(4)), Origin::Put(0));
        assert_eq!(origin(Some(5)), Origin::Put(STRANGER));
    }
}
