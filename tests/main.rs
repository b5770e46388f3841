//! Tests.
mod wire;
