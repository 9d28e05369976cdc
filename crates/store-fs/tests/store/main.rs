//! The store against real files, in one test binary.

mod catalog;
mod crash;
mod damage;
mod fixtures;
mod folder_lock;
mod log;
mod print_log;
mod support;
