//! What is said and refused.
