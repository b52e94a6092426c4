//! `wasmlx test`: the shipped components pass their own cases, and a case that is wrong is told.
