//! An open-loop load generator, its scenarios, and a program that answers as told.
