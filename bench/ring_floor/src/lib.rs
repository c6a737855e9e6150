//! The bare ring: two Python processes, one of raio's shared-memory rings each way, C pickle, nothing else. No ids, references, types, graph
//! or failure handling: what a call costs beyond this is what raio adds. `bench/floors.py` drives it.

use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyTuple};
use ray_shm::{Bell, ChannelEnd, MAIN_SLEEPING, PeerBell, ProcessPage, ShmError};
use rustix::event::{PollFd, PollFlags, poll};
use std::collections::VecDeque;
use std::os::fd::OwnedFd;

/// Both ends, made in one process; one is for a forked child. `spin`: whoever waits looks all the time; otherwise it sleeps at once.
#[pyfunction]
fn pair(py: Python<'_>, capacity: usize, spin: bool) -> PyResult<(End, End)> {
    let mut caller = Half::create(capacity)?;
    let mut server = Half::create(capacity)?;
    caller.end.attach(dup(server.end.fd())?).map_err(broken)?;
    server.end.attach(dup(caller.end.fd())?).map_err(broken)?;
    let (to_caller, to_server) = (caller.peer_bell()?, server.peer_bell()?);
    Ok((End::new(py, caller, to_server, spin)?, End::new(py, server, to_caller, spin)?))
}

/// What one side makes before it knows the other.
struct Half {
    end: ChannelEnd,
    page: ProcessPage,
    bell: Bell,
}

impl Half {
    fn create(capacity: usize) -> PyResult<Half> {
        Ok(Half { end: ChannelEnd::create(capacity)?, page: ProcessPage::create()?, bell: Bell::create()? })
    }

    fn peer_bell(&self) -> PyResult<PeerBell> {
        PeerBell::new(dup(self.page.fd())?, dup(self.bell.main_fd())?, dup(self.bell.io_fd())?).map_err(broken)
    }
}

/// One side of the pair.
#[pyclass]
struct End {
    end: ChannelEnd,
    page: ProcessPage,
    bell: Bell,
    peer: PeerBell,
    spin: bool,
    dumps: Py<PyAny>,
    loads: Py<PyAny>,
    /// Records taken out to make room, oldest first.
    taken: VecDeque<Vec<u8>>,
    record: Vec<u8>,
}

impl End {
    fn new(py: Python<'_>, half: Half, peer: PeerBell, spin: bool) -> PyResult<End> {
        let pickle = py.import("_pickle")?;
        Ok(End {
            end: half.end,
            page: half.page,
            bell: half.bell,
            peer,
            spin,
            dumps: pickle.getattr("dumps")?.unbind(),
            loads: pickle.getattr("loads")?.unbind(),
            taken: VecDeque::new(),
            record: Vec::new(),
        })
    }

    fn ring(&self) {
        if !self.spin {
            self.peer.ring_main();
        }
    }

    fn push(&mut self, bytes: &[u8]) -> PyResult<()> {
        while !self.end.try_push(&[bytes]) {
            // Full: the peer may be waiting for room too.
            self.ring();
            let mut record = Vec::new();
            if self.end.pop(&mut record).map_err(broken)? {
                self.taken.push_back(record);
            }
            std::hint::spin_loop();
        }
        Ok(())
    }

    /// Waits until there is a record, and takes it into `self.record`.
    fn pop(&mut self, py: Python<'_>) -> PyResult<()> {
        if let Some(record) = self.taken.pop_front() {
            self.record = record;
            return Ok(());
        }
        let mut looks = 0_u32;
        while !self.end.pop(&mut self.record).map_err(broken)? {
            if self.spin {
                looks = looks.wrapping_add(1);
                if looks.is_multiple_of(1 << 20) {
                    py.check_signals()?;
                }
                std::hint::spin_loop();
                continue;
            }
            self.page.set(MAIN_SLEEPING);
            if !self.end.has_input() {
                let bell = self.bell.main_fd();
                let mut fds = [PollFd::new(&bell, PollFlags::IN)];
                py.detach(|| poll(&mut fds, None)).map_err(std::io::Error::from)?;
            }
            self.page.clear(MAIN_SLEEPING);
            self.bell.drain_main();
        }
        Ok(())
    }

    fn send(&mut self, py: Python<'_>, value: &Bound<'_, PyAny>) -> PyResult<()> {
        let pickled = self.dumps.bind(py).call1((value, PROTOCOL))?;
        self.push(pickled.cast::<PyBytes>()?.as_bytes())
    }

    fn receive(&mut self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        self.pop(py)?;
        Ok(self.loads.bind(py).call1((PyBytes::new(py, &self.record),))?.unbind())
    }
}

#[pymethods]
impl End {
    /// Sends a call with these arguments.
    #[pyo3(signature = (*args))]
    fn submit(&mut self, py: Python<'_>, args: &Bound<'_, PyTuple>) -> PyResult<()> {
        self.send(py, args)?;
        self.ring();
        Ok(())
    }

    /// The result of the oldest call that has not been received.
    fn result(&mut self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        self.receive(py)
    }

    /// Runs the calls that come; ends with the first empty record.
    fn serve(&mut self, py: Python<'_>, function: &Bound<'_, PyAny>) -> PyResult<()> {
        loop {
            self.pop(py)?;
            if self.record.is_empty() {
                return Ok(());
            }
            let args = self.loads.bind(py).call1((PyBytes::new(py, &self.record),))?;
            let result = function.call1(args.cast_into::<PyTuple>()?)?;
            self.send(py, &result)?;
            self.ring();
        }
    }

    /// Ends the other side's `serve`.
    fn close(&mut self) -> PyResult<()> {
        self.push(b"")?;
        self.peer.ring();
        Ok(())
    }
}

fn dup(fd: std::os::fd::BorrowedFd<'_>) -> PyResult<OwnedFd> {
    Ok(fd.try_clone_to_owned()?)
}

fn broken(error: ShmError) -> PyErr {
    PyRuntimeError::new_err(error.to_string())
}

const PROTOCOL: u8 = 5;

#[pymodule]
mod ring_floor {
    #[pymodule_export]
    use super::{End, pair};
}
