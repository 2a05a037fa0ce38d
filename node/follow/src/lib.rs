//! Follow the federation's bus: subscribe, verify, replay, submit.
