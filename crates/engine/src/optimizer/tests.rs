//! Optimizers against burn's own.
