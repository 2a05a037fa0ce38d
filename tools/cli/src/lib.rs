//! The command line of operators, copayers and members.
