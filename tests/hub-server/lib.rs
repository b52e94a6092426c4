//! A hub and a registry for tests: the real protocols, and every fault on command.
