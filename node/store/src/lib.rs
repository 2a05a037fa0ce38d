//! Keep everything on disk.
