//! What the store asks of a file system, so that tests can put one under it that fails and loses
//! power.

mod ports;
mod read_only;
mod real;
mod whole;

pub(crate) use ports::{Disk, DiskFile, Open, Wait};
pub(crate) use read_only::ReadOnly;
pub(crate) use real::RealDisk;
pub(crate) use whole::{copy_range, read_all, read_exact, read_small, write_all};
