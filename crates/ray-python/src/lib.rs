//! ray-python
