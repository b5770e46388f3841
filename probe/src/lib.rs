//! `probe`: TCP connection lifecycles as the Linux kernel reports them.
pub mod model;
