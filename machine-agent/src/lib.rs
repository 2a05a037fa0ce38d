//! Actuate one machine: obey certified orders, report what happened.
