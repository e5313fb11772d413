//! `kaos autoscaler`: the control line in a cluster. Wires the parts and ends them; knows no rule.

mod listen;
