//! What simulated tasks and drivers do: straight-line programs whose outcome is known when they are written.
//!
//! A program works on *slots*, each holding one object reference. The author of a program ([`Scope`]) keeps what each slot must turn out
//! to be, so that whoever gets a value can tell whether it is true.

use ray_protocol::ObjectId;
use ray_protocol::record::{OBJECT_BYTES, write_object};
use std::rc::Rc;

/// Which program; its number is all a task's arguments need to carry.
pub type ProgramId = u32;

/// A reference in a program's hands.
pub type Slot = usize;

/// What an object must turn out to be, if nothing is killed or cancelled.
#[derive(Debug, Clone)]
pub struct Expect {
    /// The number, or None when the task raises.
    pub value: Option<u64>,
    /// What the references inside the value refer to.
    pub inner: Vec<Rc<Expect>>,
}

/// One step of a program.
#[derive(Debug, Clone)]
#[allow(missing_docs)] // the fields are what their names say
pub enum Op {
    /// Computes for this many microseconds.
    Work(u64),
    /// Submits a task; its result is a new slot.
    Spawn(Spawn),
    /// Stores a value that contains these references; a new slot.
    Put { value: u64, inner: Vec<Slot>, stored: bool },
    /// Waits for a value and takes it into account.
    Get(Slot),
    /// Waits for a value and takes the references out of it: so many new slots.
    Unpack(Slot, usize),
    /// Drops a reference.
    Drop(Slot),
    /// Cancels the task a reference comes from.
    Cancel { slot: Slot, force: bool, recursive: bool },
    /// Raises.
    Raise,
    /// Makes an actor; it has a number among the actors of this program, not a slot.
    Create(Creation),
    /// Calls an actor; its result is a new slot.
    Call(Call),
    /// Stores a value that contains the handle of an actor; a new slot.
    Wrap { actor: usize, value: u64, stored: bool },
    /// Waits for such a value and takes the handle out: the next actor of this program.
    Unwrap(Slot),
    /// Kills an actor.
    KillActor { actor: usize, no_restart: bool },
    /// Drops the handle of an actor.
    DropActor(usize),
    /// Looks an actor up by name; it becomes the next actor of this program.
    Find(String),
    /// Submits a task that yields, or calls such a method of an actor (perhaps out of order); it has a number among the streams of this program.
    Open { spawn: Spawn, actor: Option<(usize, bool)> },
    /// Takes what follows in a stream: a new slot.
    Next(usize),
    /// Drops a stream.
    DropStream(usize),
    /// Cancels the task of a stream.
    CancelStream(usize),
    /// Yields a value that contains these references.
    Yield { value: u64, inner: Vec<Slot>, stored: bool },
}

/// How a task is submitted.
#[derive(Debug, Clone)]
pub struct Spawn {
    /// What it does.
    pub program: ProgramId,
    /// Arguments by reference.
    pub by_ref: Vec<Slot>,
    /// References nested in an argument.
    pub nested: Vec<Slot>,
    /// Its `max_retries`.
    pub retries: i32,
    /// CPUs it holds, in halves.
    pub half_cpus: u64,
    /// What its result must be.
    pub expect: Rc<Expect>,
}

/// How an actor is called.
#[derive(Debug, Clone)]
pub struct Call {
    /// Which of the program's actors.
    pub actor: usize,
    /// What the method does.
    pub program: ProgramId,
    /// Arguments by reference.
    pub by_ref: Vec<Slot>,
    /// References nested in an argument.
    pub nested: Vec<Slot>,
    /// Its `max_task_retries`.
    pub retries: i32,
    /// It may overtake others.
    pub unordered: bool,
    /// What its result must be.
    pub expect: Rc<Expect>,
}

/// How an actor is made.
#[derive(Debug, Clone)]
pub struct Creation {
    /// Its name, or empty.
    pub name: String,
    /// Its `max_restarts`.
    pub max_restarts: i64,
    /// A reference its constructor's arguments contain.
    pub nested: Vec<Slot>,
    /// Whether its constructor raises.
    pub raises: bool,
    /// How long the constructor takes.
    pub work_us: u64,
}

/// A whole program.
#[derive(Debug, Clone)]
pub struct Program {
    /// Its steps.
    pub ops: Vec<Op>,
    /// Slots it begins with: references nested in its arguments, then what the arguments by reference contain.
    pub arguments: Vec<Rc<Expect>>,
    /// What its value begins as; arguments and values it gets are mixed in.
    pub salt: u64,
    /// What each slot must turn out to be.
    pub slots: Vec<Rc<Expect>>,
    /// References inside its result.
    pub returns: Vec<Slot>,
    /// Whether its result is large enough to lie in the store.
    pub stored: bool,
    /// What its result must be.
    pub expect: Rc<Expect>,
    /// What the items must be that it yields.
    pub items: Vec<Rc<Expect>>,
    /// Of these, how many may be under way; 0 for any number.
    pub most_untaken: u32,
}

/// Takes one more value into account.
pub fn mix(so_far: u64, value: u64) -> u64 {
    (so_far.rotate_left(17) ^ value).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

/// What a value consists of: a number that can be checked, and references.
#[derive(Debug, Clone, PartialEq)]
pub struct Content {
    /// The number.
    pub value: u64,
    /// The references.
    pub inner: Vec<ObjectId>,
}

impl Content {
    /// As bytes, standing in for a pickle.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = self.value.to_le_bytes().to_vec();
        for object in &self.inner {
            write_object(&mut out, *object);
        }
        out
    }

    /// From bytes; None when they are not what [`encode`](Self::encode) wrote.
    pub fn decode(bytes: &[u8]) -> Option<Content> {
        let (value, inner) = bytes.split_first_chunk::<8>()?;
        let objects = inner.chunks_exact(OBJECT_BYTES);
        if !objects.remainder().is_empty() {
            return None;
        }
        Some(Content { value: u64::from_le_bytes(*value), inner: objects.map(read_object).collect() })
    }
}

fn read_object(bytes: &[u8]) -> ObjectId {
    let word = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes"));
    let seq = u64::from_le_bytes(bytes[4..12].try_into().expect("eight bytes"));
    ray_protocol::TaskId { client: ray_protocol::ClientId(word(0)), seq }.result(word(12))
}

/// A program being written: what its slots hold, what it will return.
#[derive(Debug)]
pub struct Scope {
    ops: Vec<Op>,
    slots: Vec<Rc<Expect>>,
    arguments: Vec<Rc<Expect>>,
    dropped: Vec<bool>,
    salt: u64,
    so_far: u64,
    /// It has raised: what follows is not reached.
    raised: bool,
    /// A driver goes on after a failure.
    catches: bool,
    actors: usize,
    streams: Vec<(Rc<Expect>, Vec<Rc<Expect>>, usize)>,
    items: Vec<Rc<Expect>>,
}

impl Scope {
    /// A task's program that is called with these arguments.
    pub fn task(salt: u64, nested: &[Rc<Expect>], by_ref: &[Rc<Expect>]) -> Self {
        let mut arguments = nested.to_vec();
        let mut so_far = salt;
        let mut raised = false;
        for argument in by_ref {
            match argument.value {
                Some(value) => so_far = mix(so_far, value),
                None => raised = true,
            }
            arguments.extend(argument.inner.iter().cloned());
        }
        let dropped = vec![false; arguments.len()];
        let slots = arguments.clone();
        Scope {
            ops: Vec::new(),
            slots,
            arguments,
            dropped,
            salt,
            so_far,
            raised,
            catches: false,
            actors: 0,
            streams: Vec::new(),
            items: Vec::new(),
        }
    }

    /// A driver's program.
    pub fn driver() -> Self {
        Scope { catches: true, ..Scope::task(0, &[], &[]) }
    }

    fn slot(&mut self, expect: Rc<Expect>) -> Slot {
        self.slots.push(expect);
        self.dropped.push(false);
        self.slots.len() - 1
    }

    /// Slots not dropped yet.
    pub fn live(&self) -> Vec<Slot> {
        (0..self.slots.len()).filter(|&slot| !self.dropped[slot]).collect()
    }

    /// What a slot must turn out to be.
    pub fn expect(&self, slot: Slot) -> Rc<Expect> {
        self.slots[slot].clone()
    }

    /// Computes.
    pub fn work(&mut self, micros: u64) {
        self.ops.push(Op::Work(micros));
    }

    /// Submits a task.
    pub fn spawn(&mut self, spawn: Spawn) -> Slot {
        let expect = spawn.expect.clone();
        self.ops.push(Op::Spawn(spawn));
        self.slot(expect)
    }

    /// Stores a value.
    pub fn put(&mut self, value: u64, inner: Vec<Slot>, stored: bool) -> Slot {
        let expect = Expect { value: Some(value), inner: inner.iter().map(|&slot| self.expect(slot)).collect() };
        self.ops.push(Op::Put { value, inner, stored });
        self.slot(Rc::new(expect))
    }

    /// Waits for a value.
    pub fn get(&mut self, slot: Slot) {
        self.ops.push(Op::Get(slot));
        match self.slots[slot].value {
            Some(value) if !self.raised => self.so_far = mix(self.so_far, value),
            Some(_) => {}
            None => self.raised |= !self.catches,
        }
    }

    /// Waits for a value and takes its references.
    pub fn unpack(&mut self, slot: Slot) -> Vec<Slot> {
        let expect = self.expect(slot);
        self.ops.push(Op::Unpack(slot, expect.inner.len()));
        self.raised |= expect.value.is_none() && !self.catches;
        expect.inner.iter().map(|inner| self.slot(inner.clone())).collect()
    }

    /// Drops a reference.
    pub fn drop(&mut self, slot: Slot) {
        self.ops.push(Op::Drop(slot));
        self.dropped[slot] = true;
    }

    /// Cancels a task.
    pub fn cancel(&mut self, slot: Slot, force: bool, recursive: bool) {
        self.ops.push(Op::Cancel { slot, force, recursive });
    }

    /// Raises.
    pub fn raise(&mut self) {
        self.ops.push(Op::Raise);
        self.raised = true;
    }

    /// Makes an actor.
    pub fn create(&mut self, creation: Creation) -> usize {
        self.ops.push(Op::Create(creation));
        self.actors += 1;
        self.actors - 1
    }

    /// Looks an actor up.
    pub fn find(&mut self, name: &str) -> usize {
        self.ops.push(Op::Find(name.to_owned()));
        self.actors += 1;
        self.actors - 1
    }

    /// Calls an actor.
    pub fn call(&mut self, call: Call) -> Slot {
        let expect = call.expect.clone();
        self.ops.push(Op::Call(call));
        self.slot(expect)
    }

    /// Opens a stream of what a program yields.
    pub fn open(&mut self, spawn: Spawn, actor: Option<(usize, bool)>, items: &[Rc<Expect>]) -> usize {
        self.streams.push((spawn.expect.clone(), items.to_vec(), 0));
        self.ops.push(Op::Open { spawn, actor });
        self.streams.len() - 1
    }

    /// Takes what follows in a stream.
    pub fn next(&mut self, stream: usize) -> Slot {
        self.ops.push(Op::Next(stream));
        let (end, items, taken) = &mut self.streams[stream];
        let item = items.get(*taken).cloned();
        *taken += 1;
        let fails = item.is_none() && end.value.is_none();
        match item.as_ref().and_then(|item| item.value) {
            Some(value) if !self.raised => self.so_far = mix(self.so_far, value),
            _ => self.raised |= fails && !self.catches,
        }
        self.slot(item.unwrap_or_else(|| Rc::new(Expect { value: None, inner: vec![] })))
    }

    /// Drops a stream.
    pub fn drop_stream(&mut self, stream: usize) {
        self.ops.push(Op::DropStream(stream));
    }

    /// Cancels the task of a stream.
    pub fn cancel_stream(&mut self, stream: usize) {
        self.ops.push(Op::CancelStream(stream));
    }

    /// Yields.
    pub fn yield_item(&mut self, value: u64, inner: Vec<Slot>, stored: bool) {
        if !self.raised {
            let inner = inner.iter().map(|&slot| self.expect(slot)).collect();
            self.items.push(Rc::new(Expect { value: Some(value), inner }));
        }
        self.ops.push(Op::Yield { value, inner, stored });
    }

    /// Stores a value with an actor's handle inside.
    pub fn wrap(&mut self, actor: usize, value: u64, stored: bool) -> Slot {
        self.ops.push(Op::Wrap { actor, value, stored });
        // The handle is no object anybody could get.
        let handle = Rc::new(Expect { value: None, inner: Vec::new() });
        self.slot(Rc::new(Expect { value: Some(value), inner: vec![handle] }))
    }

    /// Takes the handle out of such a value.
    pub fn unwrap(&mut self, slot: Slot) -> usize {
        self.ops.push(Op::Unwrap(slot));
        self.raised |= self.slots[slot].value.is_none() && !self.catches;
        self.actors += 1;
        self.actors - 1
    }

    /// Kills an actor.
    pub fn kill_actor(&mut self, actor: usize, no_restart: bool) {
        self.ops.push(Op::KillActor { actor, no_restart });
    }

    /// Drops an actor's handle.
    pub fn drop_actor(&mut self, actor: usize) {
        self.ops.push(Op::DropActor(actor));
    }

    /// The finished program.
    pub fn finish(self, returns: Vec<Slot>, stored: bool) -> Program {
        let inner = returns.iter().map(|&slot| self.slots[slot].clone()).collect();
        let expect = match self.raised {
            false => Expect { value: Some(self.so_far), inner },
            // Whoever writes the program's caller still wants slots for what it would have returned.
            true => Expect { value: None, inner },
        };
        let Scope { ops, arguments, salt, slots, items, .. } = self;
        Program { ops, arguments, salt, slots, returns, stored, expect: Rc::new(expect), items, most_untaken: 0 }
    }
}
